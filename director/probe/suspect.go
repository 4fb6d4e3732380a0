package probe

import (
	"fmt"
	"time"
)

// A director whose own network fails sees its nodes fail, most of them at once.
// Nodes seldom do that.

// leastBlamed is how many nodes must fail at once for the Prober to suspect
// itself: two may well share a machine.
const leastBlamed = 3

// Suspicion says why the Prober does not trust what it measures: most of its
// nodes began to fail at about the same time. It is empty while the Prober does,
// and again when most of those nodes have answered.
func (p *Prober) Suspicion() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.suspects
}

// reflect looks whether the Prober can trust itself. p.mu is held.
func (p *Prober) reflect() {
	if p.suspects == "" {
		p.blame()
		return
	}
	blamed, failing := 0, 0
	for _, s := range p.states {
		fails := !s.failing.IsZero()
		s.blamed = s.blamed || fails && s.failing.After(p.suspectsOf)
		if s.blamed {
			blamed++
			if fails {
				failing++
			}
		}
	}
	if 2*failing > blamed {
		return
	}
	p.suspects = ""
	for _, s := range p.states {
		s.blamed = false
	}
}

// blame begins to suspect if more nodes have failed within the time that it takes
// to notice than still answer. Those that had failed before do not matter.
func (p *Prober) blame() {
	window := p.cfg.Detection()
	from := time.Now().Add(-window)
	failed, well := 0, 0
	for _, s := range p.states {
		switch {
		case s.failing.After(from):
			failed++
		case s.probed && s.failing.IsZero():
			well++
		}
	}
	if failed >= leastBlamed && failed > well {
		p.suspects = fmt.Sprintf("%d of %d nodes began to fail within %v", failed, failed+well, window)
		p.suspectsOf = from
	}
}
