package api

import (
	"errors"
	"net/url"
	"strings"
)

// Asked is what a listener asks for.
type Asked struct {
	Path  string // decoded, with its slash
	Query string // as it is sent, without the question mark; empty: none
	TLS   bool   // by https
}

// ParseAsked reads what a listener asks for as people write it: a path, with its query if
// it has one, or the whole URL. A URL's host does not matter: it is a director's.
func ParseAsked(s string) (Asked, error) {
	if scheme, _, isURL := strings.Cut(s, "://"); isURL && !strings.ContainsAny(scheme, "/?") {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return Asked{}, errors.New("give the path that the listener asks for, such as /live.mp3, or the whole URL with http:// or https://")
		}
		return Asked{Path: "/" + strings.TrimPrefix(u.Path, "/"), Query: u.RawQuery, TLS: u.Scheme == "https"}, nil
	}
	path, query, _ := strings.Cut(s, "?")
	return Asked{Path: "/" + strings.TrimPrefix(path, "/"), Query: query}, nil
}
