package probe

import (
	"fmt"
	"time"
)

// A director whose own network fails sees most of its nodes fail at once. Nodes
// themselves rarely do that.

// leastBlamed is how many nodes must fail at once before the Prober suspects itself:
// two may well share a machine.
const leastBlamed = 3

// Suspicion says why the Prober does not trust its own measurements: most of its nodes
// began to fail at about the same time. It is empty while the Prober trusts them, and
// again when at least half of those nodes answer.
func (p *Prober) Suspicion() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.suspects
}

// reflect updates the suspicion. It has to be called when a node began to fail, answers
// again, or was removed: nothing else can change the suspicion. It looks at every node.
func (w *watch) reflect(now time.Time) {
	if w.suspects == "" {
		w.blame(now)
		return
	}
	blamed, failing := 0, 0
	for _, s := range w.states {
		fails := !s.failing.IsZero()
		s.blamed = s.blamed || fails && s.failing.After(w.suspectsOf)
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
	w.suspects = ""
	for _, s := range w.states {
		s.blamed = false
	}
}

// blame raises the suspicion if at least leastBlamed nodes began to fail within
// Config.Detection, and more than still answer. Nodes that failed earlier do not count.
func (w *watch) blame(now time.Time) {
	window := w.cfg.Detection()
	from := now.Add(-window)
	failed, well := 0, 0
	for _, s := range w.states {
		switch {
		case s.failing.After(from):
			failed++
		case s.probed && s.failing.IsZero():
			well++
		}
	}
	if failed >= leastBlamed && failed > well {
		w.suspects = fmt.Sprintf("%d of %d nodes began to fail within %v", failed, failed+well, window)
		w.suspectsOf = from
	}
}
