package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls"
	"github.com/signpost-fm/signpost/web/hls/origin"
	"github.com/signpost-fm/signpost/web/hls/session"
)

var (
	typeHLS      = []string{"application/vnd.apple.mpegurl"}
	typeDASH     = []string{"application/dash+xml"}
	typeSteering = []string{hls.ContentType}
)

// steering is memory for answers to players that can be moved.
type steering struct {
	reload   []byte
	priority []string
	variants []hls.Pathway
	mpds     []hls.MPDPathway
}

// again returns the memory, empty.
func (m steering) again() steering {
	clear(m.variants)
	clear(m.mpds)
	return steering{m.reload[:0], m.priority[:0], m.variants[:0], m.mpds[:0]}
}

// planParts plans the answer at an HLS or DASH mount: its playlist with all nodes, if it is one
// by which players can be moved. Else the player is sent to a node, once, and stays there as
// long as it goes on asking: nodes may number their segments differently.
func (s *Server) planParts(q *request, p *Plan) {
	to := &p.to
	never := to.listener.Never
	if q.target.part == "" && s.planPathways(q, p) {
		return
	}
	p.to = destination{listener: to.listener, d: to.d}
	to.listener.Key, to.listener.Never, to.listener.Scheme = q.visit.Key(q.key), never, q.ownScheme()
	v := s.visits.Peek(q.key)
	if n, ok := q.view.FindNode(v.At(q.at)); ok {
		to.seat = n + 1
	}
	s.planSent(q, p)
}

// planPathways plans a playlist with all nodes, and says whether there is one.
func (s *Server) planPathways(q *request, p *Plan) bool {
	to := &p.to
	if !q.steers() || q.directorBase() == "" {
		return false
	}
	never := to.listener.Never
	q.seat(to)
	to.d.Want = maxPathways
	for _, scheme := range q.schemes() {
		m := s.origins(q, scheme)
		if m == nil {
			continue
		}
		to.listener.Scheme, to.listener.Never = scheme, slices.Concat(never, m.Others)
		if q.choose(to) == nil && to.overflow == "" {
			p.Answer, p.origin, p.ttl = Pathways, m, q.policy.Steering.TTL
			return true
		}
	}
	return false
}

// steers says whether a client gains anything from pathways. ffmpeg, and what plays by it,
// opens every variant of every pathway at the start, and knows no steering.
func (q *request) steers() bool {
	ua := q.agent.ua
	return !strings.HasPrefix(ua, "Lavf/") && !strings.HasPrefix(ua, "libmpv")
}

// pathways answers with a playlist of HLS or an MPD of DASH that has all nodes, the one to use
// first.
func (s *Server) pathways(x *exchange) error {
	mount := x.view.Mount(x.to.d.Mount)
	node := x.view.NodeID(x.to.d.Ranked[0].Node)
	t := s.next(x, node)
	body, err := s.write(x, mount, t)
	if err != nil {
		s.cfg.Log.Error("a playlist with all nodes could not be made: the listener is redirected", "mount", mount.Name, "err", err)
		x.answer = Redirect
		return s.redirect(x)
	}
	x.body = body
	if !x.session.known {
		s.count(x)
	} else {
		s.moved(x)
		s.sit(x, t, mount.Name, x.plan.ttl)
		x.quiet = x.to.move == director.Stays // who reads an MPD again, every two seconds
	}
	h := x.header()
	x.streamHeaders()
	h["Content-Type"] = typeHLS
	if x.plan.origin.Kind == origin.MPD {
		h["Content-Type"] = typeDASH
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method != http.MethodHead {
		x.w.Write(body)
	}
	return nil
}

// write writes that playlist, or that MPD. Players of DASH read it again here, as their session.
func (s *Server) write(x *exchange, mount *director.Mount, t session.Token) ([]byte, error) {
	steer := string(s.appendURL(nil, &x.request, mount.Name, steerSuffix, t))
	for _, c := range x.to.d.Ranked {
		id := x.view.NodeID(c.Node)
		if x.plan.origin.Kind == origin.MPD {
			x.mpds = append(x.mpds, hls.MPDPathway{ID: string(id), MPD: x.plan.origin.Playlists[id].MPD})
			continue
		}
		x.variants = append(x.variants, hls.Pathway{ID: string(id), Playlist: x.plan.origin.Playlists[id].Multivariant})
	}
	if x.plan.origin.Kind == origin.MPD {
		return hls.MergeMPD(x.body[:0], x.mpds, steer, string(s.appendURL(nil, &x.request, mount.Name, "", t)))
	}
	return hls.Merge(x.body[:0], x.variants, steer)
}

// appendURL appends the absolute URL of a mount at this director, with a suffix and a
// session.
func (s *Server) appendURL(dst []byte, q *request, mount, suffix string, t session.Token) []byte {
	dst = append(dst, q.directorBase()...)
	dst = append(dst, (&url.URL{Path: mount}).EscapedPath()...)
	dst = append(dst, suffix...)
	dst = append(dst, "?"+hls.SessionParameter+"="...)
	return s.keys.sessions.Append(dst, mount, t)
}
