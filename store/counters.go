package store

import (
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A counter counts the listeners sent to one node since the process began. It
// only rises, so that a reader who remembers an earlier value has the listeners
// in between, and nothing is lost between two readings.
type counter struct {
	sent     atomic.Int64
	expected atomic.Int64 // of sent, those that are an estimate
	_        [48]byte     // a cache line of its own, so that nodes do not slow each other down
}

// live implements director.Live for one snapshot.
type live []liveNode

type liveNode struct {
	*counter
	base         int64 // what the counter said when the snapshot's load was summed
	used, recent int   // what the snapshot says
}

func (l live) Used(node int) int   { n := &l[node]; return n.used + n.since() }
func (l live) Recent(node int) int { n := &l[node]; return n.recent + n.since() }
func (l live) Count(node int)      { l[node].sent.Add(1) }

func (l live) Expect(node, n int) {
	l[node].sent.Add(int64(n))
	l[node].expected.Add(int64(n))
}

func (n *liveNode) since() int { return int(n.sent.Load() - n.base) }

// ledgers keeps this director's counts by node, over all snapshots. It has one
// user at a time; only the counters in it are shared.
type ledgers map[director.NodeID]*ledger

type ledger struct {
	*counter
	// What the counter said when it was last collected.
	read, readExpected int64
	buckets            []Count // not older than EnRouteMax
}

// of returns the ledger of a node, beginning one if there is none.
func (l ledgers) of(id director.NodeID) *ledger {
	if l[id] == nil {
		l[id] = &ledger{counter: new(counter)}
	}
	return l[id]
}

// collect moves what was counted since the last call into the bucket of now, by
// the store's clock, and lets go of buckets that nobody waits for any more.
func (l ledgers) collect(now time.Time) {
	at := now.Truncate(BucketWidth)
	for id, n := range l {
		kept := n.buckets[:0]
		for _, c := range n.buckets {
			if enRoute(c.At, time.Time{}, now, 0) {
				kept = append(kept, c)
			}
		}
		n.buckets = kept
		sent := n.sent.Load()
		since := int(sent - n.read)
		n.read = sent
		expected := n.expected.Load()
		estimated := int(expected - n.readExpected)
		n.readExpected = expected
		switch last := len(n.buckets) - 1; {
		case since == 0:
		case last >= 0 && n.buckets[last].At.Equal(at):
			n.buckets[last].N += since
			n.buckets[last].Estimated += estimated
		default:
			n.buckets = append(n.buckets, Count{Node: id, At: at, N: since, Estimated: estimated})
		}
	}
}

// shift moves all buckets by d, when the store's clock turns out to be d ahead
// of what was thought.
func (l ledgers) shift(d time.Duration) {
	if d == 0 {
		return
	}
	for _, n := range l {
		for i := range n.buckets {
			n.buckets[i].At = n.buckets[i].At.Add(d)
		}
	}
}

// counts returns all buckets.
func (l ledgers) counts() []Count {
	var all []Count
	for _, n := range l {
		all = append(all, n.buckets...)
	}
	return all
}

// sent is how many listeners were sent to a node within about EnRouteMax.
func (l ledgers) sent(id director.NodeID) int {
	n := l[id]
	if n == nil {
		return 0
	}
	sum := int(n.sent.Load() - n.read)
	for _, c := range n.buckets {
		sum += c.N
	}
	return sum
}

// prune drops the ledgers of nodes that are gone, once nobody is on the way to
// them: nodes that register and leave must not pile up.
func (l ledgers) prune(keep func(director.NodeID) bool) {
	for id, n := range l {
		if !keep(id) && len(n.buckets) == 0 && n.sent.Load() == n.read {
			delete(l, id)
		}
	}
}
