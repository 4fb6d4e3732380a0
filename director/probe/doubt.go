package probe

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Doubt reports evidence against a node other than its probes, and against one of its
// mounts if mount is not empty; why completes "counting that ...". For a node that is up,
// a doubt counts as one failed probe and the node is probed at once. A good answer
// refutes the doubt; without a failed probe it takes no node down. The mount is requested
// too, as a listener would. Doubt ignores nodes that are down or not probed here.
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

// find returns a node's state; nil: it is not probed here. p.mu is held.
func (p *Prober) find(id director.NodeID) *state {
	i, ok := p.index[id]
	if !ok {
		return nil
	}
	return p.states[i]
}

// hurry makes a waiting node due at due, unless it is due earlier already. The same time
// is not ignored: the caller may have changed s.due itself. p.mu is held.
func (p *Prober) hurry(s *state, due time.Time) {
	if due.After(s.due) {
		return
	}
	s.due = due
	heap.Init(&p.queue)
	p.changed()
}

// doubted records a doubt and makes the node due now; that probe may take it down.
func (s *state) doubted(why string) {
	s.doubt = why
	s.failures = max(s.failures, 1)
	s.due = time.Now()
}
