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

// count notes that a listener is on its way to the first node: once for what one
// listener asks within a second, and never for who only looks.
func (s *Server) count(x *exchange) {
	if x.looks {
		return
	}
	node := x.d.Ranked[0].Node
	id := x.view.NodeID(node)
	v, mu := s.visits.acquire(x.key, x.at)
	counts := v.send(x.at, id)
	mu.Unlock()
	if !counts {
		return
	}
	s.stats.nodes.add(string(id))
	if x.view.Live != nil {
		x.view.Live.Count(node)
	}
}
