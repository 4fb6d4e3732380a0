package store

import (
	"fmt"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A Doubt is evidence against a node, from a director's listeners or from its own
// connections. It takes no node down: the directors that probe the node do so at
// once, and count the doubt as one failed probe.
type Doubt struct {
	Node     director.NodeID `json:"node"`
	Mount    string          `json:"mount,omitempty"`    // the one that the last of the listeners wanted
	At       time.Time       `json:"at"`                 // by the store's clock
	Networks int             `json:"networks,omitempty"` // about how many networks the evidence is from
	Failed   string          `json:"failed,omitempty"`   // how it failed the director itself; empty: it did not
}

// why returns the reason that the prober is given.
func (d *Doubt) why() string {
	if d.Failed != "" {
		return "a director's stream from it failed: " + d.Failed[:min(len(d.Failed), maxFailed)]
	}
	return fmt.Sprintf("listeners of %d networks came back from it, or get too little from it to play", d.Networks)
}

const (
	// doubtLife is how long a doubt is offered to other directors: several ticks.
	doubtLife = 3 * time.Second
	// maxDoubts bounds how many doubts a director offers, and how many it accepts
	// from each other one.
	maxDoubts = 100
	// maxFailed bounds the description of one failure, in bytes.
	maxFailed = 256
	// soon is how long the next tick waits after news, to batch it with more.
	soon = 50 * time.Millisecond
)

// Doubt notes that a listener of a mount came straight back from a node, or gets too little
// from it to play. network is
// a hash that is the same for all listeners of one network. When there is evidence
// from enough networks, the directors that probe the node do so at once. Doubt does
// not block and does not allocate.
func (s *Syncer) Doubt(node director.NodeID, mount string, network uint64) {
	s.evidence.add(node, mount, network, s.cfg.Now())
}

// Failed notes that a node failed this director itself, as a dead node does: a
// stream that it carries broke off, or could not begin. detail says how. The
// directors that probe the node do so at once; they are told of the next such
// failure after a second at the earliest. Failed does not block.
func (s *Syncer) Failed(node director.NodeID, mount, detail string) {
	s.evidence.fail(node, mount, detail, s.cfg.Now())
}

// weigh checks whether the evidence suffices to doubt a node. It passes new doubts
// to this director's prober and offers them to the other directors.
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
		l.hasty = true
	}
}

func (l *loop) doubt(d Doubt) {
	l.cfg.Log.Debug("a node is doubted", "node", d.Node, "why", d.why())
	l.cfg.Prober.Doubt(d.Node, d.Mount, d.why())
}

// heed passes the doubts of other directors to the prober, each once.
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

// heard identifies a doubt of another director.
type heard struct {
	by   string
	node director.NodeID
	at   int64
}
