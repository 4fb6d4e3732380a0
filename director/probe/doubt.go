package probe

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Doubt says that something speaks against a node besides its probes, or against one
// of its mounts if that is given; why completes "counting that ...". It counts as one
// failed probe of a node that is up, which is then asked at once; an answer refutes it,
// and without a failed probe it takes no node down. The mount is asked for as well, as
// a listener would. Nodes that are down, or not probed here, are left alone.
func (p *Prober) Doubt(id director.NodeID, mount, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.find(id)
	if s == nil || s.report.Health == director.Failed {
		return
	}
	if m := s.known[cmp.Or(s.paths[mount], mount)]; m != nil {
		m.doubt = why
		m.want(time.Now())
	}
	s.doubted(why)
	if s.asking {
		s.again = why
		return
	}
	p.hurry(s, s.due)
}

// find returns what is known of a node; nil: it is not probed here. p.mu is held.
func (p *Prober) find(id director.NodeID) *state {
	i, ok := p.index[id]
	if !ok {
		return nil
	}
	return p.states[i]
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
