package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/geo/fetch"
)

// dbipDatabases are those that DB-IP gives away.
var dbipDatabases = []string{"city", "country", "asn"}

// geoUpdate converts and checks where databases and feeds come from.
func (c *converter) geoUpdate() fetch.Config {
	out := fetch.Config{Every: c.Geo.Update.Every}
	if out.Every < 0 {
		c.fail("must be 0 or more", "geo", "update", "every")
	}
	seen := map[string]bool{}
	for i, e := range c.Geo.Update.Files {
		feed := slices.Contains(c.Geo.Feeds, e.File)
		if key, msg := e.mistake(feed); msg != "" {
			c.fail(msg, "geo", "update", "files", i, key)
		}
		switch {
		case !feed && !slices.Contains(c.Geo.Databases, e.File):
			c.fail(fmt.Sprintf("%q stands neither under geo.databases nor under geo.feeds, so that nobody would read it", e.File), "geo", "update", "files", i, "file")
		case seen[e.File]:
			c.fail(fmt.Sprintf("%q is listed twice", e.File), "geo", "update", "files", i, "file")
		}
		seen[e.File] = true
		out.Sources = append(out.Sources, fetch.Source{
			File: c.path(e.File), Feed: feed, MaxMind: e.MaxMind, AccountFile: c.path(e.AccountFile), DBIP: e.DBIP,
			URL: e.URL, SHA256: e.SHA256, Host: e.Mirror,
		})
	}
	return out
}

// mistake says what is wrong with where a file comes from, and under which key.
func (e *updateEntry) mistake(feed bool) (key, msg string) {
	ways := 0
	for _, way := range []string{e.MaxMind, e.DBIP, e.URL} {
		if way != "" {
			ways++
		}
	}
	switch {
	case ways != 1:
		return "file", "say where it comes from: maxmind, dbip or url, one of them"
	case feed && e.URL == "":
		return "file", "a feed comes from a url"
	case e.MaxMind != "" && e.AccountFile == "":
		return "maxmind", "needs account_file beside it, with one line account:key"
	case e.DBIP != "" && !slices.Contains(dbipDatabases, e.DBIP):
		return "dbip", fmt.Sprintf("%q: use %s", e.DBIP, strings.Join(dbipDatabases, ", "))
	case e.URL != "" && !isHTTP(e.URL):
		return "url", fmt.Sprintf("%q has no scheme; begin it with https://", e.URL)
	case e.Mirror != "" && !isHTTP(e.Mirror):
		return "mirror", fmt.Sprintf("%q has no scheme; begin it with https://", e.Mirror)
	case e.SHA256 != "" && !isHTTP(e.SHA256) && (len(e.SHA256) != 64 || strings.Trim(strings.ToLower(e.SHA256), "0123456789abcdef") != ""):
		return "sha256", fmt.Sprintf("%q is neither 64 hexadecimal digits nor a URL", e.SHA256)
	}
	return "", ""
}

func isHTTP(url string) bool {
	return strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://")
}
