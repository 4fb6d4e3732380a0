package web

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls"
	"github.com/signpost-fm/signpost/web/hls/origin"
	"github.com/signpost-fm/signpost/web/hls/session"
)

// steerSuffix is appended to a mount's name to ask which node to use.
const steerSuffix = ".steer"

// restTime is how long a session is not moved again, unless its node fails.
const restTime = time.Minute

// maxPathways is how many nodes a player can be moved between. Each costs it the lines of
// all variants, and some players open every variant to look at it.
const maxPathways = 16

// listening is what a player of HLS or DASH that can be moved says of itself.
type listening struct {
	session.Token
	known   bool // the token is ours; else it is zero
	asked   hls.Asked
	hurried bool // it asks more often than it may
	alone   bool // the token alone tells about it: nothing is known of nodes or mounts
}

// sessionOf reads what a player says of itself.
func (s *Server) sessionOf(mount, query string) (l listening) {
	if query == "" {
		return l
	}
	l.asked = hls.ParseAsked(query)
	l.Token, l.known = s.keys.sessions.Parse(mount, l.asked.Session)
	return l
}

// identifyAlone says whether this is a session that asks for its node, by its token alone.
func (s *Server) identifyAlone(q *request) bool {
	mount, ok := strings.CutSuffix(q.r.URL.Path, steerSuffix)
	if !ok {
		return false
	}
	l := s.sessionOf(mount, q.r.URL.RawQuery)
	if !l.known {
		return false
	}
	l.alone = true
	q.session, q.target = l, target{mount: -1, path: mount, format: Steer}
	return true
}

// mayHurry says whether a request may come more often than others. A steering server that
// answers 429 is never asked again by hls.js; in place of that, the next question has to
// wait longer.
func (q *request) mayHurry() bool {
	q.session.hurried = q.target.format == Steer
	return q.session.hurried
}

// elsewhere returns the node where the player says that it is, if that is another one than
// where it was sent: it went there by itself, or does not know the other one. One that was
// moved by the last answer and names both nodes is where it was sent.
func (q *request) elsewhere() (director.NodeID, bool) {
	l := &q.session
	told := director.NodeID(l.asked.Pathway)
	lately := l.Moved && q.now.Sub(l.At).Abs() < 2*q.policy.Steering.TTL
	if told == "" || told == l.Node || lately && l.asked.Names(string(l.Node)) {
		return "", false
	}
	_, ok := q.view.FindNode(told)
	return told, ok
}

// seat fills in where the session is, and the key by which it is placed.
func (q *request) seat(to *destination) {
	l := &q.session
	node, went := q.elsewhere()
	if !went {
		node = l.Node
	}
	to.seat = 0
	if n, ok := q.view.FindNode(node); ok {
		to.seat = n + 1
	}
	age := q.now.Sub(l.At).Abs() // by another director's clock, perhaps
	to.rested = l.known && !went && (!l.Moved || age >= restTime)
	if !l.known && l.ID == 0 {
		l.ID = rand.Uint64()
		if q.dryRun {
			l.ID = q.key
		}
	}
	to.listener.Key = l.ID
}

// next returns the session as it is once the player has this answer.
func (s *Server) next(x *exchange, node director.NodeID) session.Token {
	l := &x.session
	t := l.Token
	t.Roams = t.Roams || l.known && t.By != s.mark
	t.By = s.mark
	if t.Node != node || !l.known {
		t.Node, t.At, t.Moved, t.Slow = node, x.now, l.known, 0
	}
	return t
}

// noteThroughput notes whether the player gets too little from the node where it stays to play the
// mount: less than the variant that needs least. That is evidence against the node when it
// says so for the third time in a row, and not again before it was better: a player whose own
// connection is poor says so as long as it plays.
func (s *Server) noteThroughput(x *exchange, t *session.Token) {
	l := &x.session
	if !l.known || l.hurried || t.Node != l.Node || x.dryRun || x.to == nil {
		return
	}
	if l.asked.Throughput == 0 || l.asked.Several != "" || l.asked.Pathway != string(t.Node) {
		return // it is not told, or may be another node's
	}
	m := s.origins(&x.request, x.to.listener.Scheme)
	if m == nil || l.asked.Throughput >= m.Playlists[t.Node].Least() {
		t.Slow = 0
		return
	}
	if t.Slow == session.MostSlow {
		return
	}
	if t.Slow++; t.Slow == session.MostSlow {
		s.tell(&x.request, t.Node)
	}
}

// sit counts a session at its node, where it is to be for the next ttl.
func (s *Server) sit(x *exchange, t session.Token, mount string, ttl time.Duration) {
	if x.dryRun {
		return
	}
	s.sessions.Seen(t.ID, t.Node, mount, x.now.Add(session.Lease(ttl, t.Roams)))
}

// countEvery is how old the count of sessions may be: as old as a tick.
const countEvery = 200 * time.Millisecond

// Sessions returns the listeners that this server counts itself, by node and mount: players
// that ask it which node to use. Nodes between which they can be moved are in it with 0, if
// nobody plays from them. The caller must not change it.
func (s *Server) Sessions() map[director.NodeID]map[string]int {
	now := s.cfg.Now()
	s.counting.Lock()
	defer s.counting.Unlock()
	if s.counted != nil && now.Sub(s.countedAt).Abs() < countEvery {
		return s.counted
	}
	counted := s.sessions.Count(now)
	if view := s.cfg.View(); view.Snapshot != nil && s.cfg.Playlists != nil && !s.policy.Load().Steering.Off {
		for m := range view.Mounts() {
			mount := view.Mount(m)
			if !ComesInParts(mount) {
				continue
			}
			for _, scheme := range [...]director.Scheme{director.HTTP, director.HTTPS} {
				of := s.cfg.Playlists(mount.Name, scheme)
				if of == nil || !of.Kind.Steers() {
					continue
				}
				for node := range of.Playlists {
					if counted[node] == nil {
						counted[node] = map[string]int{}
					}
					counted[node][mount.Name] += 0
				}
			}
		}
	}
	s.counted, s.countedAt = counted, now
	return counted
}

// Moves returns the players that this server moved away from nodes within the last minute, by
// node, mount and why: the name of a [director.Move].
func (s *Server) Moves() map[director.NodeID]map[string]map[string]int {
	return s.moves.Count(s.cfg.Now())
}

// origins returns what the nodes have of the request's mount for listeners of a scheme; nil:
// nothing between which a player could be moved.
func (s *Server) origins(q *request, scheme director.Scheme) *origin.Mount {
	if s.cfg.Playlists == nil || q.policy.Steering.Off {
		return nil
	}
	m := s.cfg.Playlists(q.view.Mount(q.target.mount).Name, scheme)
	if m == nil || !m.Kind.Steers() {
		return nil
	}
	return m
}

// schemes returns the schemes of URLs to which the listener may be sent, its own first.
func (q *request) schemes() [2]director.Scheme {
	own := q.ownScheme()
	if !q.crosses() {
		return [2]director.Scheme{own, own}
	}
	return [2]director.Scheme{own, director.AnyScheme &^ own}
}

// isDASH says whether the mount is DASH, where it is known.
func (q *request) isDASH() bool {
	if q.target.mount < 0 {
		return strings.HasSuffix(q.target.path, ".mpd")
	}
	m := q.view.Mount(q.target.mount)
	return strings.HasSuffix(m.Name, ".mpd") || m.Type == typeDASH[0]
}
