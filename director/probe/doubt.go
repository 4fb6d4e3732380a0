package probe

import (
	"cmp"
	"container/heap"
	"context"
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

// Hears reports that this director carries a mount from a node, and that audio came in the
// last seconds. A GET could show no more: it settles a doubt about the mount, and one that
// counts as silent plays. It does nothing for a mount that is full, since whoever joins a
// stream that is carried takes no seat. Without a doubt it costs a look-up.
func (p *Prober) Hears(id director.NodeID, mount string) {
	p.mu.Lock()
	var news []event
	if s := p.find(id); s != nil && s.report.Health == director.Up {
		path := cmp.Or(s.paths[mount], mount)
		if m := s.known[path]; m != nil && !m.full && (!m.wanted.IsZero() || m.verdict.State == director.MountSilent) {
			was, now := s.report, time.Now()
			s.hearTry(request{path: path, word: m.word}, tried{state: director.MountPlays, detail: "this director carries its stream"}, now, p.cfg.Now())
			s.assemble(now)
			if news = mountEvents(&was, &s.report); len(news) > 0 {
				signal(p.news)
			}
		}
	}
	p.mu.Unlock()
	p.tell(context.Background(), news)
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
