package store

import (
	"fmt"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A Doubt is what a director's listeners say against a node. It takes no node
// down: those who probe it ask it at once, and count the doubt as one failed probe.
type Doubt struct {
	Node     director.NodeID `json:"node"`
	At       time.Time       `json:"at"`       // by the store's clock
	Networks int             `json:"networks"` // about how many speak against it
}

const (
	// doubtLife is how long others are told of a doubt: several ticks.
	doubtLife = 3 * time.Second
	// maxDoubts bounds what a director tells of, and listens to.
	maxDoubts = 100
	// soon is how long news waits for more of its kind, instead of for the tick.
	soon = 50 * time.Millisecond
)

// Doubt notes that a node let a listener down, who came straight back from it or
// to whom its stream could not be carried. network is a hash that is the same for
// all listeners of one network. When enough networks speak against a node, those
// who probe it ask it at once. It does not wait and does not allocate.
func (s *Syncer) Doubt(node director.NodeID, network uint64) {
	s.evidence.add(node, network, s.cfg.Now())
}

// weigh looks whether the evidence suffices to doubt a node, and tells everybody.
func (l *loop) weigh() {
	now := l.now()
	doubted := l.evidence.weigh(l.cfg.Now(), l.ledgers.sent)
	l.mu.Lock()
	l.doubts = slices.DeleteFunc(slices.Clone(l.doubts), func(d Doubt) bool { return now.Sub(d.At) > doubtLife })
	for id, n := range doubted {
		if len(l.doubts) < maxDoubts {
			l.doubts = append(l.doubts, Doubt{Node: id, At: now, Networks: n})
		}
	}
	l.mu.Unlock()
	for id, n := range doubted {
		l.doubt(id, n)
	}
	if len(doubted) > 0 {
		l.hasten()
	}
}

func (l *loop) doubt(id director.NodeID, networks int) {
	l.cfg.Log.Debug("listeners doubt a node", "node", id, "networks", networks)
	l.cfg.Prober.Doubt(id, fmt.Sprintf("listeners of %d networks came back from it", networks))
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
				l.doubt(doubt.Node, doubt.Networks)
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
