package store

import (
	"cmp"
	"math"
	"math/bits"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	// fewestNetworks is how many networks must tell of a node for it to be
	// doubted: one listener, or one household, may have troubles of its own.
	fewestNetworks = 3
	// leastPart is how many networks must do so for each listener sent there within
	// EnRouteMax: of 1,000 listeners, a few always come back for reasons of theirs.
	leastPart = 0.1
	// witnessSpan is how long a network's word counts, up to twice that.
	witnessSpan = 2500 * time.Millisecond
	// doubtPause is how long a node is not doubted again, if it was found well.
	doubtPause = 10 * time.Second
	// failedPause is how soon others are told again of a failure of the same node.
	failedPause = time.Second
)

// evidence gathers who was let down by which node. Its memory is bounded by the
// number of nodes. It is safe for concurrent use.
type evidence struct {
	raised chan struct{} // some node may have to be doubted

	mu    sync.Mutex
	nodes map[director.NodeID]*witnesses
}

// witnesses are the networks that told of a node, of the last span and the one before.
type witnesses struct {
	seen    [2]networks
	began   time.Time // of the last span
	mount   string    // that the last of them wanted
	doubted time.Time // when the node was
	failed  string    // how it failed this director itself, until that is told; empty: it did not
	told    time.Time // when such a failure was told last
}

// networks is a set of them, in which they are counted without being kept: a
// bitmap, each network's hash being a place in it (linear counting: K. Whang,
// B. Vander-Zanden, H. Taylor, "A linear-time probabilistic counting algorithm for
// database applications", 1990). Two that fall together count once.
type networks [16]uint64

func (n *networks) add(network uint64) { n[network/64%uint64(len(n))] |= 1 << (network % 64) }

// distinct is about how many networks are in either set.
func distinct(a, b *networks) int {
	const size = len(a) * 64
	free := size
	for i := range a {
		free -= bits.OnesCount64(a[i] | b[i])
	}
	return int(math.Round(-math.Log(max(float64(free), 1)/float64(size)) * float64(size)))
}

// know makes ready for these nodes, and forgets the others.
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

// add notes that a listener of a network was let down. It does not allocate.
func (e *evidence) add(node director.NodeID, mount string, network uint64, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.nodes[node]
	if w == nil || now.Sub(w.doubted) < doubtPause {
		return
	}
	w.age(now)
	w.mount = mount
	w.seen[0].add(network)
	if distinct(&w.seen[0], &w.seen[1]) >= fewestNetworks {
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

// weigh returns the doubts that there are from now on, given how many listeners
// each node was sent lately. A failure of the director's own is enough.
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
	return doubts
}

// networks returns how many networks spoke lately.
func (w *witnesses) networks(now time.Time) int {
	if w.began.IsZero() || now.Sub(w.began) >= 2*witnessSpan || now.Sub(w.doubted) < doubtPause {
		return 0
	}
	w.age(now)
	return distinct(&w.seen[0], &w.seen[1])
}
