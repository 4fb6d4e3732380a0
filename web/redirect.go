package web

import "net/http"

// redirect answers 302, the only code that every player follows.
func (s *Server) redirect(x *exchange) error {
	if x.to.overflow == "" {
		s.count(x)
	}
	h := x.header()
	x.streamHeaders()
	h["Location"] = []string{x.to.location(&x.request)}
	h["Content-Length"] = empty // net/http sets it for GET only, and HEAD must have the same headers
	x.w.WriteHeader(http.StatusFound)
	return nil
}

// location is the URL to which the listener is sent.
func (to *destination) location(q *request) string {
	if to.overflow != "" {
		return q.withQuery(to.overflow)
	}
	return to.url(q, 0)
}

// count counts a listener as en route to the first node.
func (s *Server) count(x *exchange) {
	if (s.sent(x) || x.counts) && x.view.Live != nil {
		x.view.Live.Count(x.to.d.Ranked[0].Node)
	}
}

// sent notes where a listener is sent, and says whether it counts as one more. A listener
// counts once for all that it asks within a second. Dry runs and relays never count.
func (s *Server) sent(x *exchange) bool {
	if x.dryRun {
		return false
	}
	id := x.view.NodeID(x.to.d.Ranked[0].Node)
	v, mu := s.visits.Acquire(x.key, x.at)
	counts := v.Send(x.at, id, x.parts && x.answer != Pathways)
	mu.Unlock()
	if x.rule != nil && x.rule.Relay {
		s.relays.sent(&x.request, id)
		return false
	}
	if counts {
		s.stats.sent.add(x.to.d.Region, id)
	}
	return counts
}
