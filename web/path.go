package web

import (
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/director"
)

const (
	maxPath  = 2 << 10 // bytes; more is 414
	maxQuery = 8 << 10 // bytes; a signed token in it has some 2,000
)

// target is what a request's path asks for.
type target struct {
	mount  int    // in the snapshot; -1: no such mount
	path   string // the stream's decoded path, as the listener named it
	format Answer // Redirect: the stream itself; else a playlist
}

// findTarget reads a decoded path. A mount of the whole name comes first, then a
// playlist of a mount, then the habits of SHOUTcast.
func (p *policy) findTarget(s *director.Snapshot, path string) target {
	if m, ok := s.FindMount(path); ok {
		return target{mount: m, path: path}
	}
	if name, format, ok := cutPlaylist(path); ok {
		if m, ok := p.findStream(s, name); ok {
			return target{mount: m, path: s.Mount(m).Name, format: format}
		} else if m, ok := s.FindMount(name); ok {
			return target{mount: m, path: name, format: format}
		}
	}
	if m, ok := p.findStream(s, path); ok {
		return target{mount: m, path: s.Mount(m).Name}
	}
	return target{mount: -1, path: path}
}

// findStream understands what SHOUTcast's listeners ask for: "/;" and
// "/;stream.mp3" behind nothing or behind a mount, and "/stream/1/".
func (p *policy) findStream(s *director.Snapshot, path string) (int, bool) {
	if i := strings.Index(path, "/;"); i >= 0 {
		if path = path[:i]; path == "" {
			return p.defaultMount(s)
		}
		if m, ok := s.FindMount(path); ok {
			return m, true
		}
	}
	if path == "/" && p.DefaultMount != "" {
		return p.defaultMount(s)
	}
	if sid, ok := strings.CutPrefix(path, "/stream/"); ok {
		if n, err := strconv.Atoi(strings.TrimSuffix(sid, "/")); err == nil {
			return p.mountOfSID(s, n)
		}
	}
	return -1, false
}

func (p *policy) defaultMount(s *director.Snapshot) (int, bool) {
	if p.DefaultMount != "" {
		return s.FindMount(p.DefaultMount)
	}
	if len(s.Mounts()) == 1 {
		return 0, true
	}
	return -1, false
}

// mountOfSID returns SHOUTcast's stream number sid: as configured, else by order.
func (p *policy) mountOfSID(s *director.Snapshot, sid int) (int, bool) {
	if name, ok := p.SIDs[sid]; ok {
		return s.FindMount(name)
	}
	if len(p.SIDs) == 0 && sid >= 1 && sid <= len(s.Mounts()) {
		return sid - 1, true
	}
	return -1, false
}

// hasControl says whether a decoded path has bytes that have no place in one:
// they would become new lines in headers and playlists.
func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// hasEncodedControl says the same of a query, which is repeated as it came: raw
// or percent-encoded.
func hasEncodedControl(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			return true
		case c == '%' && i+2 < len(s):
			hi, lo := s[i+1], lower(s[i+2])
			if hi == '0' || hi == '1' || hi == '7' && lo == 'f' {
				return true
			}
		}
	}
	return false
}
