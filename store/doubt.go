package store

import (
	"fmt"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A Doubt is what a director's listeners, or its own connections, say against a
// node. It takes no node down: those who probe it ask it at once, and count the
// doubt as one failed probe.
type Doubt struct {
	Node     director.NodeID `json:"node"`
	Mount    string          `json:"mount,omitempty"`    // that the listeners wanted, the last of them at least
	At       time.Time       `json:"at"`                 // by the store's clock
	Networks int             `json:"networks,omitempty"` // about how many speak against it
	Failed   string          `json:"failed,omitempty"`   // how it failed the director itself; empty: it did not
}

// why is what a prober is told.
func (d *Doubt) why() string {
	if d.Failed != "" {
		return "a director's stream from it failed: " + d.Failed[:min(len(d.Failed), maxFailed)]
	}
	return fmt.Sprintf("listeners of %d networks came back from it", d.Networks)
}

const (
	// doubtLife is how long others are told of a doubt: several ticks.
	doubtLife = 3 * time.Second
	// maxDoubts bounds what a director tells of, and listens to.
	maxDoubts = 100
	// maxFailed bounds what is told of one failure, in bytes.
	maxFailed = 256
	// soon is how long news waits for more of its kind, instead of for the tick.
	soon = 50 * time.Millisecond
)

// Doubt notes that a node let down a listener of a mount, who came straight back from
// it. network is a hash that is the same for
// all listeners of one network. When enough networks speak against a node, those
// who probe it ask it at once. It does not wait and does not allocate.
func (s *Syncer) Doubt(node director.NodeID, mount string, network uint64) {
	s.evidence.add(node, mount, network, s.cfg.Now())
}

// Failed notes that a node let this director itself down as a dead one does: a
// stream that it carries broke off, or could not begin. detail says how. Those who
// probe the node ask it at once, and hear of the next such failure a second later
// at the soonest. It does not wait.
func (s *Syncer) Failed(node director.NodeID, mount, detail string) {
	s.evidence.fail(node, mount, detail, s.cfg.Now())
}

// weigh looks whether the evidence suffices to doubt a node, and tells everybody.
func (l *loop) weigh() {
	now := l.now()
	doubted := l.evidence.weigh(l.cfg.Now(), l.ledgers.sent)
	l.mu.Lock()
	l.doubts = slices.DeleteFunc(slices.Clone(l.doubts), func(d Doubt) bool { return now.Sub(d.At) > doubtLife })
	for _, d := range doubted {
		d.At = now
		if len(l.doubts) < maxDoubts {
			l.doubts = append(l.doubts, d)
		}
	}
	l.mu.Unlock()
	for _, d := range doubted {
		l.doubt(d)
	}
	if len(doubted) > 0 {
		l.hasten()
	}
}

func (l *loop) doubt(d Doubt) {
	l.cfg.Log.Debug("a node is doubted", "node", d.Node, "why", d.why())
	l.cfg.Prober.Doubt(d.Node, d.Mount, d.why())
}

// heed takes over the doubts of others, each once.
func (l *loop) heed(p Picture) {
	heeded := map[heard]bool{}
	for _, d := range p.Directors {
		if d.ID == l.cfg.Director {
			continue
		}
		for _, doubt := range d.Doubts[:min(len(d.Doubts), maxDoubts)] {
			key := heard{d.ID, doubt.Node, doubt.At.UnixNano()}
			heeded[key] = true
			if !l.heeded[key] && p.Now.Sub(doubt.At).Abs() <= doubtLife {
				l.doubt(doubt)
			}
		}
	}
	l.heeded = heeded
}

// heard is a doubt of another director.
type heard struct {
	by   string
	node director.NodeID
	at   int64
}
