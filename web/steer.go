package web

import (
	"net/http"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls"
)

// planSteering plans the answer to a player that asks which node to use. There is always
// one: in doubt it stays where it is, and goes on by itself if that fails.
func (s *Server) planSteering(q *request, p *Plan) {
	to := &p.to
	p.ttl = q.policy.Steering.TTL
	if q.session.hurried {
		if p.ttl = LongestTTL; q.session.known {
			return // it stays
		}
	}
	never := to.listener.Never
	q.seat(to)
	to.d.Want = maxPathways
	for _, scheme := range q.schemes() {
		to.listener.Scheme, to.listener.Never = scheme, never
		if m := s.origins(q, scheme); m != nil && len(m.Odd) > 0 {
			to.listener.Never = append(never[:len(never):len(never)], m.Odd...)
		}
		if q.choose(to) == nil {
			break
		}
	}
	to.overflow = ""
	if to.seat > 0 && to.move == director.Stays && q.view.State(to.seat-1) == director.Drained {
		p.ttl = ShortestTTL // it waits for room elsewhere
	}
}

// steer answers a player that asks which node to use. It is never redirected, as players
// resolve what follows against another URL then.
func (s *Server) steer(x *exchange) error {
	var mount string
	node := x.session.Node
	x.priority = x.priority[:0]
	if x.target.mount >= 0 {
		mount = x.view.Mount(x.target.mount).Name
		if at, went := x.elsewhere(); went {
			node = at
		}
		for _, c := range x.plan.to.d.Ranked {
			x.priority = append(x.priority, string(x.view.NodeID(c.Node)))
		}
	} else {
		mount, x.to = x.target.path, nil
	}
	switch {
	case len(x.priority) > 0:
		node = director.NodeID(x.priority[0])
	case node != "":
		x.priority = append(x.priority, string(node))
	default:
		return faultNobody
	}
	t := s.next(x, node)
	s.noteThroughput(x, &t)
	s.moved(x)
	s.sit(x, t, mount, x.plan.ttl)
	x.quiet = x.session.known && t.At.Equal(x.session.At)
	x.reload = s.appendURL(x.reload[:0], &x.request, mount, steerSuffix, t)
	answer := hls.Steering{TTL: int(x.plan.ttl.Seconds()), Reload: string(x.reload), Priority: x.priority}
	x.body = answer.Append(x.body[:0], x.session.asked.Dash || x.isDASH())
	h := x.header()
	x.streamHeaders()
	h["Content-Type"] = typeSteering
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method != http.MethodHead {
		x.w.Write(x.body)
	}
	return nil
}

// moved counts a session that is sent to another node as on the way there, and one that
// nobody sent anywhere yet.
func (s *Server) moved(x *exchange) {
	if x.dryRun || x.to == nil || len(x.to.d.Ranked) == 0 || x.view.Live == nil {
		return
	}
	if x.session.known && x.to.move == director.Stays {
		return
	}
	x.view.Live.Count(x.to.d.Ranked[0].Node)
	s.stats.moves[x.to.move].Add(1)
	if x.to.seat > 0 && x.to.move != director.Stays {
		s.moves.Add(x.view.NodeID(x.to.seat-1), x.view.Mount(x.target.mount).Name, x.to.move, x.now)
	}
}
