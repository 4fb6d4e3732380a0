package probe

import (
	"container/heap"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Doubt says that something speaks against a node besides its probes; why
// completes "counting that ...". It counts as one failed probe of a node that is
// up, which is then asked at once; an answer refutes it, and without a failed probe
// it takes no node down. Nodes that are down, or not probed here, are left alone.
func (p *Prober) Doubt(id director.NodeID, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.states, func(s *state) bool { return s.report.Node == id })
	if i < 0 || p.states[i].report.Health == director.Failed {
		return
	}
	s := p.states[i]
	s.doubted(why)
	if s.asking {
		s.again = why
		return
	}
	p.hurry(s, s.due)
}

// hurry brings a node that waits for its turn forward, if due is sooner than that or
// the same. p.mu is held.
func (p *Prober) hurry(s *state, due time.Time) {
	if due.After(s.due) {
		return
	}
	s.due = due
	heap.Init(&p.queue)
	p.changed()
}

// doubted makes the next probe due, which may take the node down.
func (s *state) doubted(why string) {
	s.doubt = why
	s.failures = max(s.failures, 1)
	s.due = time.Now()
}
