package store

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	// fewestNetworks is from how many networks there must be evidence before a node
	// is doubted: one listener, or one household, may have problems of its own.
	fewestNetworks = 3
	// leastPart is how many networks that must be for each listener sent to the node
	// within EnRouteMax: of 1,000 listeners, a few always come back for their own
	// reasons.
	leastPart = 0.1
	// witnessSpan is how long evidence from a network counts at least; at most twice
	// as long.
	witnessSpan = 2500 * time.Millisecond
	// doubtPause is how long after a doubt the listeners of a node cannot raise
	// another one.
	doubtPause = 10 * time.Second
	// failedPause is the shortest time between two reported failures of one node.
	failedPause = time.Second
)

// evidence collects, by node, the networks whose listeners came straight back, or get too
// little to play, and the failures that this director saw. Its memory is bounded by the number of
// nodes. It is safe for concurrent use.
type evidence struct {
	raised chan struct{} // receives when some node may have to be doubted

	mu    sync.Mutex
	nodes map[director.NodeID]*witnesses
}

// witnesses are the networks with evidence against a node, in the current span and
// the one before.
type witnesses struct {
	seen    [2]networks
	began   time.Time // start of the current span
	mount   string    // the one that the newest evidence is about
	doubted time.Time // when the listeners' evidence last made a doubt
	failed  string    // how the node failed this director, until weigh reports it; empty: it did not
	told    time.Time // when such a failure was last accepted
}

// networks is a set that counts networks without storing them: a bitmap in which
// each network's hash selects a bit (linear counting: K. Whang, B. Vander-Zanden,
// H. Taylor, "A linear-time probabilistic counting algorithm for database
// applications", 1990). Networks that share a bit set it once; the estimate of
// distinct allows for that.
type networks [16]uint64

// add says whether the network's bit is new.
func (n *networks) add(network uint64) bool {
	word, bit := &n[network/64%uint64(len(n))], uint64(1)<<(network%64)
	old := *word
	*word |= bit
	return old&bit == 0
}

// distinct estimates how many networks are in the union of a and b.
func distinct(a, b *networks) int {
	const size = len(a) * 64
	free := size
	for i := range a {
		free -= bits.OnesCount64(a[i] | b[i])
	}
	return int(math.Round(-math.Log(max(float64(free), 1)/float64(size)) * float64(size)))
}

// know prepares for evidence against these nodes, and forgets all others.
func (e *evidence) know(nodes []director.Node) {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.nodes
	e.nodes = make(map[director.NodeID]*witnesses, len(nodes))
	for _, n := range nodes {
		w := known[n.ID]
		if w == nil {
			w = new(witnesses)
		}
		e.nodes[n.ID] = w
	}
}

// add notes that a listener of a network speaks against a node. It does not allocate.
func (e *evidence) add(node director.NodeID, mount string, network uint64, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.nodes[node]
	if w == nil || now.Sub(w.doubted) < doubtPause {
		return
	}
	w.age(now)
	w.mount = mount
	if w.seen[0].add(network) && distinct(&w.seen[0], &w.seen[1]) >= fewestNetworks {
		select {
		case e.raised <- struct{}{}:
		default: // it is to be weighed already
		}
	}
}

// fail notes that a node failed this director itself.
func (e *evidence) fail(node director.NodeID, mount, detail string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.nodes[node]
	if w == nil || now.Sub(w.told) < failedPause {
		return
	}
	w.failed, w.mount, w.told = cmp.Or(detail, "no detail"), mount, now
	select {
	case e.raised <- struct{}{}:
	default: // it is to be weighed already
	}
}

func (w *witnesses) age(now time.Time) {
	switch age := now.Sub(w.began); {
	case age < witnessSpan:
		return
	case age < 2*witnessSpan:
		w.seen[1] = w.seen[0]
	default:
		w.seen[1] = networks{}
	}
	w.seen[0], w.began = networks{}, now
}

// weigh returns the new doubts. sent says how many listeners each node was sent
// recently. One failure that the director itself saw is enough for a doubt.
func (e *evidence) weigh(now time.Time, sent func(director.NodeID) int) (doubts []Doubt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, w := range e.nodes {
		if w.failed != "" {
			doubts = append(doubts, Doubt{Node: id, Mount: w.mount, Failed: w.failed})
			w.failed = ""
		}
		if n := w.networks(now); n >= fewestNetworks && float64(n) >= leastPart*float64(sent(id)) {
			doubts = append(doubts, Doubt{Node: id, Mount: w.mount, Networks: n})
			*w = witnesses{doubted: now, told: w.told}
		}
	}
	slices.SortFunc(doubts, func(a, b Doubt) int { return cmp.Compare(a.Node, b.Node) })
	return doubts
}

// networks returns from how many networks there is recent evidence.
func (w *witnesses) networks(now time.Time) int {
	if w.began.IsZero() || now.Sub(w.began) >= 2*witnessSpan || now.Sub(w.doubted) < doubtPause {
		return 0
	}
	w.age(now)
	return distinct(&w.seen[0], &w.seen[1])
}
