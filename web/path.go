package web

import (
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/director"
)

const (
	maxPath  = 2 << 10 // bytes; more is 414
	maxQuery = 8 << 10 // bytes; a signed token has about 2,000
)

// target is what a request's path asks for.
type target struct {
	mount  int    // in the snapshot; -1: no such mount
	path   string // the stream's decoded path, as the listener named it
	query  string // the listener's raw query, without the part that named the mount
	format Answer // Redirect: the stream itself; else the playlist, or Steer
	part   string // a segment that is asked for here, relative to the mount's path; empty: none
}

// findTarget finds what a decoded path and a raw query ask for: first a mount with the path
// as its name, then a playlist of a mount, then a stream by SHOUTcast's conventions.
func (p *policy) findTarget(s *director.Snapshot, path, query string) target {
	if m, ok := s.FindMount(path); ok {
		return target{mount: m, path: path, query: query}
	}
	if name, ok := strings.CutSuffix(path, steerSuffix); ok {
		if m, ok := s.FindMount(name); ok && ComesInParts(s.Mount(m)) {
			return target{mount: m, path: name, query: query, format: Steer}
		}
	}
	if name, format, ok := cutPlaylist(path); ok {
		if m, left, ok := p.findStream(s, name, query); ok {
			return target{mount: m, path: s.Mount(m).Name, query: left, format: format}
		} else if m, ok := s.FindMount(name); ok {
			return target{mount: m, path: name, query: query, format: format}
		} else if name == "/listen" {
			if m, left, ok := p.numbered(s, query); ok {
				return target{mount: m, path: s.Mount(m).Name, query: left, format: format}
			}
		}
	}
	if m, left, ok := p.findStream(s, path, query); ok {
		return target{mount: m, path: s.Mount(m).Name, query: left}
	}
	return target{mount: -1, path: path, query: query}
}

// findStream finds a stream by SHOUTcast's conventions. A semicolon ends the path: "/;",
// "/;stream.nsv" and "/stream/;" are the stream whose number is in the query ("sid=2"),
// else the default; "/live.mp3;x" and "/live.mp3/;" are a mount. "/stream" is like "/;", and
// "/stream/2/" names stream 2. It returns the query without the number that it used.
func (p *policy) findStream(s *director.Snapshot, path, query string) (mount int, left string, ok bool) {
	if i := strings.IndexByte(path, ';'); i >= 0 {
		path = path[:i]
		if m, ok := s.FindMount(strings.TrimSuffix(path, "/")); ok {
			return m, query, true
		}
		if path == "/" {
			return p.numbered(s, query)
		}
	}
	switch path {
	case "/":
		if p.DefaultMount != "" || sidIn(query) != "" {
			return p.numbered(s, query)
		}
	case "/stream", "/stream/":
		return p.numbered(s, query)
	}
	if sid, ok := strings.CutPrefix(path, "/stream/"); ok {
		if n, err := strconv.Atoi(strings.TrimSuffix(sid, "/")); err == nil {
			m, ok := p.mountOfSID(s, n)
			return m, query, ok
		}
	}
	return -1, query, false
}

// numbered returns the stream whose number is in a query; without a number, the default. It
// also returns the query without the number.
func (p *policy) numbered(s *director.Snapshot, query string) (mount int, left string, ok bool) {
	pair := sidIn(query)
	if pair == "" {
		m, ok := p.defaultMount(s)
		return m, query, ok
	}
	n, err := strconv.Atoi(pair[len("sid="):])
	if err != nil {
		return -1, query, false
	}
	before, after, _ := strings.Cut(query, pair)
	if before == "" {
		after = strings.TrimPrefix(after, "&")
	} else {
		before = strings.TrimSuffix(before, "&")
	}
	m, ok := p.mountOfSID(s, n)
	return m, before + after, ok
}

// sidIn returns the parameter of a raw query that holds a stream's number, such as "sid=2";
// empty: there is none.
func sidIn(query string) string {
	for rest := query; rest != ""; {
		var pair string
		if pair, rest, _ = strings.Cut(rest, "&"); strings.HasPrefix(pair, "sid=") {
			return pair
		}
	}
	return ""
}

// defaultMount returns the mount for a listener who names none: as configured, else stream
// 1, as at a SHOUTcast server.
func (p *policy) defaultMount(s *director.Snapshot) (int, bool) {
	if p.DefaultMount != "" {
		return s.FindMount(p.DefaultMount)
	}
	return p.mountOfSID(s, 1)
}

// mountOfSID returns the mount that is SHOUTcast's stream sid: as configured, else by order.
func (p *policy) mountOfSID(s *director.Snapshot, sid int) (int, bool) {
	if name, ok := p.SIDs[sid]; ok {
		return s.FindMount(name)
	}
	if len(p.SIDs) == 0 && sid >= 1 && sid <= len(s.Mounts()) {
		return sid - 1, true
	}
	return -1, false
}

// sidOf is the inverse of mountOfSID; 0: the mount has no number.
func (p *policy) sidOf(s *director.Snapshot, mount int) int {
	if len(p.SIDs) == 0 {
		return mount + 1
	}
	for sid, name := range p.SIDs {
		if m, ok := s.FindMount(name); ok && m == mount {
			return sid
		}
	}
	return 0
}

// ComesInParts says whether a mount is HLS or DASH: a playlist of segments, or a segment. A
// player that asks for such a mount every few seconds is playing.
func ComesInParts(m *director.Mount) bool {
	switch i := strings.LastIndexByte(m.Name, '.'); m.Name[i+1:] {
	case "m3u8", "mpd", "m4s", "ts", "cmfa", "cmfv":
		return true
	}
	switch m.Type {
	case "application/vnd.apple.mpegurl", "application/x-mpegurl", "application/dash+xml":
		return true
	}
	return false
}

// hasControl says whether a decoded path or a query has control characters, which could
// break lines in headers and playlists.
func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
