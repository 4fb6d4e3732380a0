package importer

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// File reads a file of any kind that is known: icecast.xml, a playlist (M3U, PLS, XSPF,
// ASX), or a table of URLs (CSV, or one a line). host is for an icecast.xml, see
// [IcecastXML]. Errors name file, line and remedy.
func File(name string, source []byte, host string) (Found, error) {
	if len(source) > maxSource {
		return Found{}, fmt.Errorf("%s: it is larger than %d MB; is it the right file?", name, maxSource>>20)
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(source, []byte("\ufeff")))
	utf16 := bytes.HasPrefix(source, []byte{0xff, 0xfe}) || bytes.HasPrefix(source, []byte{0xfe, 0xff})
	switch {
	case len(text) == 0:
		return Found{}, errEmpty(name)
	case !utf16 && bytes.IndexByte(source, 0) >= 0:
		return Found{}, fmt.Errorf("%s: the file is no text; give an icecast.xml, a playlist, or a list of URLs", name)
	case utf16 || text[0] == '<':
		return fromXML(name, source, host)
	case host != "":
		return Found{}, fmt.Errorf("%s: only an icecast.xml is given as %s=%s; a list has its hosts", name, host, name)
	}
	if !utf8.Valid(source) { // old playlists are in Latin-1, and any bytes are
		source, _ = charmap.ISO8859_1.NewDecoder().Bytes(source)
	}
	l := list{name: name}
	lines := strings.Split(strings.TrimPrefix(string(source), "\ufeff"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	begin := slices.IndexFunc(lines, func(l string) bool { return l != "" })
	if begin < 0 { // no-break spaces of Latin-1
		return Found{}, errEmpty(name)
	}
	switch first := strings.ToLower(lines[begin]); {
	case first == "[playlist]":
		l.pls(lines)
	case strings.HasPrefix(first, "#ext"), isM3U(lines):
		l.m3u(lines)
	default:
		l.table(string(source))
	}
	return l.done()
}

func errEmpty(name string) error { return fmt.Errorf("%s: the file is empty", name) }

// isM3U reports whether each line is a URL or a comment.
func isM3U(lines []string) bool {
	return !slices.ContainsFunc(lines, func(l string) bool {
		return l != "" && l[0] != '#' && (!strings.Contains(l, "://") || strings.ContainsAny(l, ",;\t"))
	})
}

func fromXML(name string, source []byte, host string) (Found, error) {
	root, err := parseXML(name, source)
	if err != nil {
		return Found{}, err
	}
	l := list{name: name}
	switch strings.ToLower(root.name) {
	case "playlist":
		for _, t := range root.get("trackList").all("track") {
			for _, loc := range t.all("location") {
				l.add(loc.line, loc.text, t.value("title"))
			}
		}
	case "asx":
		for _, e := range root.children {
			if strings.EqualFold(e.name, "entry") {
				for _, r := range e.children {
					if strings.EqualFold(r.name, "ref") {
						l.add(r.line, cmp.Or(r.attr("href"), r.attr("HREF")), e.value("title"))
					}
				}
			}
		}
	default:
		s, err := IcecastXML(name, source, host)
		return Found{Servers: []Server{s}}, err
	}
	return l.done()
}

// A list collects the URLs of a file.
type list struct {
	name    string
	servers []Server
	notes   []Note
	errs    []error
}

// maxMistakes is how many lines that are no URLs are told.
const maxMistakes = 5

func (l *list) fail(line int, format string, args ...any) {
	if len(l.errs) < maxMistakes {
		l.errs = append(l.errs, fmt.Errorf("%s:%d: "+format, append([]any{l.name, line}, args...)...))
	}
}

// add takes one URL, and returns its server, or nil if it is none.
func (l *list) add(line int, raw, title string) *Server {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		l.fail(line, "%q is no URL of a stream or server; write it as in http://fra1.example:8000/live.mp3", cut(raw))
		return nil
	}
	base := &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}
	if base.Port() == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		base.Host = strings.TrimSuffix(base.Host, ":"+base.Port())
	}
	s := Server{From: l.name, URLs: []string{base.String()}}
	switch ext := strings.ToLower(path.Ext(u.Path)); {
	case strings.Trim(u.Path, "/") == "":
		s.Unlisted = true
	case ext == ".m3u8" || ext == ".mpd":
		s.Kind = "hls"
		s.Mounts = []Mount{{Path: u.Path, Title: title}}
	case ext == ".m3u" || ext == ".pls" || ext == ".xspf": // the mount's playlist
		s.Mounts = []Mount{{Path: strings.TrimSuffix(u.Path, path.Ext(u.Path)), Title: title}}
	default:
		s.Mounts = []Mount{{Path: u.Path, Title: title}}
	}
	if u.RawQuery != "" {
		s.leftOut(fmt.Sprintf("%s:%d", l.name, line), "the query of %s; listeners' own queries are passed on", cut(raw))
	}
	l.servers = append(l.servers, s)
	return &l.servers[len(l.servers)-1]
}

func cut(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}

func (l *list) done() (Found, error) {
	if len(l.errs) > 0 {
		return Found{}, errors.Join(l.errs...)
	}
	if len(l.servers) == 0 {
		return Found{}, fmt.Errorf("%s: there is no URL in it", l.name)
	}
	l.sameStreams()
	return Found{l.servers, l.notes}, nil
}

// sameStreams takes streams for one whose paths end alike, where each server of the list
// has a single one: /live.mp3 here and /radio/live.mp3 there.
func (l *list) sameStreams() {
	single := map[string]int{}
	for i := range l.servers {
		single[l.servers[i].URLs[0]] += len(l.servers[i].Mounts)
	}
	names := map[string]string{}
	for i := range l.servers {
		s := &l.servers[i]
		if len(s.Mounts) != 1 || single[s.URLs[0]] != 1 {
			continue
		}
		m := &s.Mounts[0]
		file := path.Base(m.Path)
		if names[file] == "" {
			names[file] = m.Path
		}
		if m.Name = names[file]; m.Name != m.Path {
			s.look(l.name, "%s%s is taken for the same stream as %s elsewhere; correct `paths` of the node if it is another", s.URLs[0], m.Path, m.Name)
		}
	}
}

func (l *list) m3u(lines []string) {
	title := ""
	for i, line := range lines {
		switch {
		case strings.HasPrefix(strings.ToUpper(line), "#EXTINF:"):
			_, title, _ = strings.Cut(line, ",")
		case line == "" || line[0] == '#':
		default:
			l.add(i+1, line, strings.TrimSpace(title))
			title = ""
		}
	}
}

func (l *list) pls(lines []string) {
	titles := map[string]string{}
	for _, line := range lines {
		if key, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(strings.ToLower(key), "title") {
			titles[strings.ToLower(key)[len("title"):]] = strings.TrimSpace(value)
		}
	}
	for i, line := range lines {
		if key, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(strings.ToLower(key), "file") {
			l.add(i+1, value, titles[strings.ToLower(key)[len("file"):]])
		}
	}
}

// columns are what a table's first line may call them.
var columns = map[string][]string{
	"url":     {"url", "urls", "http", "address", "stream"},
	"https":   {"https", "url_https", "https_url"},
	"id":      {"id", "name", "node", "mirror"},
	"site":    {"site", "provider", "datacenter", "datacentre", "sponsor"},
	"country": {"country", "country_code", "countrycode", "place"},
	"lat":     {"lat", "latitude"},
	"lon":     {"lon", "lng", "long", "longitude"},
	"weight":  {"weight", "score"},
	"target":  {"target"},
	"limit":   {"limit", "max", "max_listeners", "capacity", "listeners"},
	"title":   {"title", "description"},
	"enabled": {"enabled", "active"},
}

// table reads CSV with a comma, semicolon or tab between. Without a line of columns, the
// first field that is a URL is one.
func (l *list) table(source string) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(source, "\ufeff")))
	r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace, r.LazyQuotes = '#', -1, true, true
	head, _, _ := strings.Cut(strings.TrimSpace(source), "\n")
	for _, comma := range ";\t" {
		if strings.Count(head, string(comma)) > strings.Count(head, ",") {
			r.Comma = comma
		}
	}
	var head2column map[string]int
	for first := true; ; first = false {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			var p *csv.ParseError
			line := 1
			if errors.As(err, &p) {
				line, err = p.Line, p.Err
			}
			l.fail(line, "it is no CSV: %v", err)
			return
		}
		line, _ := r.FieldPos(0)
		if first {
			if head2column = tableHead(record); head2column != nil {
				if _, ok := head2column["url"]; !ok {
					if _, ok := head2column["https"]; !ok {
						l.fail(line, "no column is called url; there are %s", strings.Join(record, ", "))
						return
					}
				}
				l.unknownColumns(line, record, head2column)
				continue
			}
		}
		l.row(line, record, head2column)
	}
}

// tableHead returns the index of each column that is known; nil: the line is no head.
func tableHead(record []string) map[string]int {
	known := map[string]int{}
	for i, field := range record {
		if strings.Contains(field, "://") {
			return nil
		}
		for name, called := range columns {
			if slices.Contains(called, strings.ToLower(strings.TrimSpace(field))) {
				known[name] = i
			}
		}
	}
	if len(known) == 0 {
		return nil
	}
	return known
}

func (l *list) unknownColumns(line int, record []string, known map[string]int) {
	for i, field := range record {
		taken := false
		for _, at := range known {
			taken = taken || at == i
		}
		if !taken && strings.TrimSpace(field) != "" {
			l.note(line, "the column %q", field)
		}
	}
}

func (l *list) row(line int, record []string, head map[string]int) {
	get := func(column string) string {
		if i, ok := head[column]; ok && i < len(record) {
			return strings.TrimSpace(record[i])
		}
		return ""
	}
	raw := cmp.Or(get("url"), get("https"))
	if head == nil {
		raw = strings.TrimSpace(record[0])
		if i := slices.IndexFunc(record, func(f string) bool { return strings.Contains(f, "://") }); i >= 0 {
			raw = record[i]
		}
	}
	if enabled := get("enabled"); enabled != "" && !truth(enabled) {
		l.note(line, "%s, which is not enabled", cut(raw))
		return
	}
	s := l.add(line, raw, get("title"))
	if s == nil {
		return
	}
	if secure := get("https"); secure != "" && secure != raw {
		if u, err := url.Parse(secure); err != nil || u.Scheme != "https" || u.Hostname() == "" {
			l.fail(line, "%q is no https URL; write it as in https://fra1.example", cut(secure))
		} else {
			s.URLs = append(s.URLs, "https://"+strings.ToLower(u.Host))
		}
	}
	s.Name, s.Site = get("id"), get("site")
	if country := get("country"); len(country) == 2 {
		s.Place = strings.ToUpper(country)
	} else if country != "" {
		s.leftOut(fmt.Sprintf("%s:%d", l.name, line), "the country %q; write its two letters", country)
	}
	if lat, lon := get("lat"), get("lon"); lat != "" && lon != "" {
		s.Place = lat + "," + lon
	}
	whole := func(column string) int {
		text := get(column)
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			l.fail(line, "%s: %q is not a number of listeners", column, text)
		}
		return max(n, 0)
	}
	if s.Limit, s.Target = whole("limit"), whole("target"); s.Limit > 0 {
		s.LimitNote = "of the list"
	}
	if text := get("weight"); text != "" {
		w, err := strconv.ParseFloat(text, 64)
		if err != nil || w < 0 {
			l.fail(line, "the weight %q is not a number of 0 or more", text)
			return
		}
		s.Weight = &w
	}
}

func (l *list) note(line int, format string, args ...any) {
	l.notes = append(l.notes, Note{At: fmt.Sprintf("%s:%d", l.name, line), Text: fmt.Sprintf(format, args...)})
}
