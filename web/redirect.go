package web

import "net/http"

// redirect answers 302, the only code that every player follows.
func (s *Server) redirect(x *exchange) error {
	if x.overflow == "" {
		s.count(x)
	}
	h := x.header()
	x.streamHeaders()
	h["Location"] = []string{x.location()}
	h["Content-Length"] = empty // net/http says it for GET only, and HEAD gets the same headers
	x.w.WriteHeader(http.StatusFound)
	return nil
}

func (x *exchange) location() string {
	if x.overflow != "" {
		return x.withQuery(x.overflow)
	}
	return x.nodeURL(x.d.Ranked[0].Node, x.listener.Scheme)
}

// count notes that a listener is on its way to the first node.
func (s *Server) count(x *exchange) {
	if s.sent(x) && x.view.Live != nil {
		x.view.Live.Count(x.d.Ranked[0].Node)
	}
}

// sent notes where a listener is sent, and says whether that is one more: it is once
// for what one listener asks within a second, and never for who only looks.
func (s *Server) sent(x *exchange) bool {
	if x.looks {
		return false
	}
	id := x.view.NodeID(x.d.Ranked[0].Node)
	v, mu := s.visits.acquire(x.key, x.at)
	counts := v.send(x.at, id)
	mu.Unlock()
	if counts {
		s.stats.sent.add(x.d.Region, id)
	}
	return counts
}
