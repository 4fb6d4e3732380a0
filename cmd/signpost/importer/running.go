package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
)

// A Running is a server to ask how it is.
type Running struct {
	URL       string
	Admin     Credentials // zero: what is public
	AdminFile string      // has them
}

// askTimeout bounds the question to one server.
const askTimeout = 5 * time.Second

// Ask asks running servers for their mounts and limits, all at once, by the same probe as a
// director's: first as Icecasts, and those that answer as none as SHOUTcasts. It takes at
// most some 12 s. The error has a line for each that answers as neither.
func Ask(ctx context.Context, all []Running) (Found, error) {
	nodes := make([]director.Node, len(all))
	var errs []error
	for i, r := range all {
		base, err := baseURL(r.URL)
		if err != nil {
			errs = append(errs, err)
		}
		nodes[i] = director.Node{ID: director.NodeID(fmt.Sprint(i)), URLs: []string{base}}
	}
	if len(errs) > 0 {
		return Found{}, errors.Join(errs...)
	}
	admin := func(id director.NodeID) (string, string, bool) {
		i, _ := strconv.Atoi(string(id))
		c := all[i].Admin
		return c.User, c.Password, c != Credentials{}
	}
	reports := heard(ctx, nodes, probe.Config{Credentials: admin})
	others := slices.DeleteFunc(slices.Clone(nodes), func(n director.Node) bool { return reports[n.ID].Health == director.Up })
	dnas := heard(ctx, others, probe.Config{Kind: func(director.NodeID) string { return "shoutcast" }})

	servers := make([]Server, len(all))
	for i, r := range all {
		id, base := nodes[i].ID, nodes[i].URLs[0]
		report := reports[id]
		switch {
		case report.Health == director.Up:
			servers[i] = r.icecast(base, report)
		case dnas[id].Health == director.Up:
			servers[i] = r.shoutcast(base, dnas[id])
		default:
			detail := cmp.Or(strings.TrimSuffix(report.Detail, " (1 in a row)"), "there was no answer in time")
			detail = strings.Replace(detail, ": check the node's admin user and password", "", 1) // askRemedy says which
			errs = append(errs, fmt.Errorf("%s: %s%s", r.URL, detail, askRemedy(detail, r)))
		}
	}
	return Found{Servers: servers}, errors.Join(errs...)
}

// heard probes nodes once, and returns their reports. Those without an answer have none.
func heard(ctx context.Context, nodes []director.Node, config probe.Config) map[director.NodeID]director.Report {
	all := map[director.NodeID]director.Report{}
	if len(nodes) == 0 {
		return all
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config.Timeout, config.Fall = askTimeout, 1
	p := probe.New(config)
	p.SetNodes(nodes, nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Run(ctx) // it ends with ctx, without an error
	}()
	select {
	case <-p.First():
	case <-ctx.Done():
	}
	for _, r := range p.Reports() {
		all[r.Node] = r
	}
	cancel()
	<-ended
	return all
}

func askRemedy(detail string, r Running) string {
	switch {
	case strings.Contains(detail, "401") || strings.Contains(detail, "403"):
		if r.AdminFile != "" {
			return "; see that " + r.AdminFile + " has its administrator's user:password"
		}
		return "; its status page wants a password: give that of its administrator, in a file with the line user:password, by --credentials"
	case strings.Contains(detail, "404") || strings.Contains(detail, "not Icecast's"):
		return "; if it is an Icecast-KH, give its administrator's user:password in a file by --credentials; what is neither Icecast nor SHOUTcast may be given as a list of its URLs"
	}
	return "; see that it runs, and that this machine reaches it"
}

func (r Running) icecast(base string, report director.Report) Server {
	s := Server{From: r.URL, URLs: []string{base}, Version: report.Server, Admin: r.Admin, AdminFile: r.AdminFile}
	if strings.Contains(report.Server, "Icecast 2.4") && !strings.Contains(report.Server, "kh") {
		s.MaxNew = pacePerSecond
	}
	if report.Limit > 0 {
		s.Limit, s.LimitNote = report.Limit, "what it tells of itself"
	} else {
		s.look(r.URL, "it does not tell how many listeners it admits; write `target` and `limit` (nine tenths of its <clients>), or give its icecast.xml too")
	}
	if r.Admin == (Credentials{}) && r.AdminFile == "" {
		s.look(r.URL, "its public page has no hidden mounts; what they are is known with --credentials")
	}
	for _, m := range report.Mounts {
		s.Mounts = append(s.Mounts, Mount{Path: m.Path, Title: stationName(m.Name), Type: m.Type, Limit: m.Limit})
	}
	slices.SortFunc(s.Mounts, func(a, b Mount) int { return cmp.Compare(a.Path, b.Path) })
	if len(s.Mounts) == 0 {
		s.Unlisted = true
		s.look(r.URL, "it plays nothing at present, so its mounts are not known")
	}
	if report.Full {
		s.look(r.URL, "it is full at present, so what it has is not known")
	}
	return s
}

// shoutcast is a server of SHOUTcast's. Its streams have numbers, and paths by them, unless
// they were given one of their own.
func (r Running) shoutcast(base string, report director.Report) Server {
	s := Server{From: r.URL, URLs: []string{base}, Kind: "shoutcast", Version: report.Server, Limit: report.Limit, LimitNote: "what it tells of itself"}
	for _, m := range report.Mounts {
		one := Mount{Path: m.Path, Title: stationName(m.Name), Type: m.Type, Limit: m.Limit}
		if n, ok := strings.CutPrefix(m.Path, "/stream/"); ok {
			one.SID, _ = strconv.Atoi(strings.TrimSuffix(n, "/"))
		}
		if one.SID > 0 { // some players go by the path's ending
			one.Name = fmt.Sprintf("/stream%d%s", one.SID, endings[m.Type])
		}
		if one.SID == 1 && report.Server == "SHOUTcast" { // without a version it may be SHOUTcast 1, which has no /stream/1/
			one.Path = "/;"
		}
		if s.Limit == 0 && len(report.Mounts) == 1 {
			s.Limit, s.LimitNote = m.Limit, "what its stream tells"
		}
		s.Mounts = append(s.Mounts, one)
	}
	slices.SortFunc(s.Mounts, func(a, b Mount) int { return cmp.Or(cmp.Compare(a.SID, b.SID), cmp.Compare(a.Path, b.Path)) })
	if s.Limit == 0 {
		s.look(r.URL, "it does not tell how many listeners it admits; write `target` and `limit`, its MaxUser")
	}
	if len(s.Mounts) == 0 {
		s.Unlisted = true
		s.look(r.URL, "it plays nothing at present, so its streams are not known; give each a line of `paths`, as in /live.mp3: /stream/1/")
	}
	return s
}

// endings are those of public names, by media type.
var endings = map[string]string{"audio/mpeg": ".mp3", "audio/aac": ".aac", "audio/aacp": ".aac", "application/ogg": ".ogg", "audio/ogg": ".ogg"}

// stationName returns a source's name, unless it is what Icecast says of one without.
func stationName(name string) string {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "no name", "unspecified name", "unspecified":
		return ""
	}
	return strings.TrimSpace(name)
}

// pages are those of an Icecast that people copy from their browser.
var pages = []string{"status.xsl", "status2.xsl", "status-json.xsl", "server_version.xsl", "auth.xsl", "index.html"}

// baseURL returns the base URL of the server that an operator names by any of its URLs:
// its status page, its administration, or a stream.
func baseURL(raw string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", fmt.Errorf("%q is no URL of a server; write it as in http://fra1.example:8000", raw)
	}
	if u.User != nil {
		return "", fmt.Errorf("http://…@%s: no password belongs in a URL; give it in a file by --credentials", u.Host)
	}
	u.RawQuery, u.Fragment = "", ""
	dir, file := path.Split(u.Path)
	switch {
	case slices.Contains(pages, file):
		u.Path = dir
	case strings.Contains(u.Path+"/", "/admin/"):
		u.Path, _, _ = strings.Cut(u.Path+"/", "/admin/")
	case strings.Contains(file, "."), strings.HasPrefix(file, ";"), strings.HasPrefix(u.Path, "/stream"): // a stream
		u.Path = ""
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	u.Host = strings.ToLower(u.Host)
	return u.String(), nil
}
