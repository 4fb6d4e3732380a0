package web

import (
	"strings"
	"time"
)

// partTypes are the endings of what a playlist refers to. Where a player resolves a relative
// URL against this director in place of the node, it asks for these here.
var partTypes = [...]string{".ts", ".m4s", ".mp4", ".m4a", ".m4v", ".cmfa", ".cmfv", ".aac", ".ac3", ".ec3", ".mp3", ".vtt", ".key", ".m3u8", ".mpd"}

// identifyPart finds the HLS or DASH mount that a path is relative to, and says whether there
// is one: the one that this listener was last sent to a node for. A listener who was not
// sent to any lately has no playlist from here, unless another director gave it: then it
// is placed as that did.
func (s *Server) identifyPart(q *request) bool {
	path := q.target.path
	dot := strings.LastIndexByte(path, '.')
	if dot < 0 {
		return false
	}
	list := false
	for i, ending := range &partTypes {
		if strings.EqualFold(path[dot:], ending) {
			list = i >= len(partTypes)-2
			dot = -1
			break
		}
	}
	if dot >= 0 {
		return false
	}
	best, lately := -1, time.Duration(0)
	for m := range q.view.Mounts() {
		mount := q.view.Mount(m)
		if !ComesInParts(mount) || !strings.HasPrefix(path, mount.Name[:strings.LastIndexByte(mount.Name, '/')+1]) {
			continue
		}
		v := s.visits.Peek(s.keys.placement(q.client.addr, q.agent.hash, mount.Name))
		at := v.Last(q.at)
		if at == 0 && list {
			continue // a playlist that nobody knows is no stream of ours
		}
		if best < 0 || at > lately {
			best, lately = m, at
		}
	}
	if best < 0 {
		return false
	}
	name := q.view.Mount(best).Name
	q.target = target{mount: best, path: name, query: q.target.query, part: path[strings.LastIndexByte(name, '/')+1:]}
	return true
}
