package store

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A counter counts the listeners sent to one node since the process started. It
// only rises: a reader that remembers an earlier value gets the listeners since
// then from the difference, and none is lost between two readings.
type counter struct {
	sent     atomic.Int64
	expected atomic.Int64 // how many of sent are an estimate
	_        [48]byte     // fills a cache line, so that nodes do not slow each other down
}

// live implements director.Live for one snapshot. It shares with the one before what has
// not changed.
type live []*liveNode

type liveNode struct {
	*ledger            // for its counter
	base         int64 // the counter's value when the snapshot's load was summed
	used, recent int   // the snapshot's values
}

func (l live) Used(node int) int   { n := l[node]; return n.used + n.since() }
func (l live) Recent(node int) int { n := l[node]; return n.recent + n.since() }
func (l live) Count(node int)      { l[node].sent.Add(1) }

func (l live) Expect(node, n int) {
	l[node].sent.Add(int64(n))
	l[node].expected.Add(int64(n))
}

// countersOf returns the counters of a snapshot's nodes.
func (l *loop) countersOf(s *director.Snapshot) live {
	out := make(live, s.Nodes())
	for i := range out {
		out[i] = newLiveNode(l.ledgers.of(s.NodeID(i)), s, i)
	}
	return out
}

// after returns the counters of s, which followed before.
func (l live) after(s, before *director.Snapshot) live {
	out := slices.Clone(l)
	for i, n := range out {
		if n.base != n.read || !s.Shares(before, i) {
			out[i] = newLiveNode(n.ledger, s, i)
		}
	}
	return out
}

func newLiveNode(g *ledger, s *director.Snapshot, node int) *liveNode {
	st := s.Node(node)
	return &liveNode{ledger: g, base: g.read, used: st.Used, recent: st.Recent}
}

func (n *liveNode) since() int { return int(n.sent.Load() - n.base) }

// ledgers keeps this director's counts by node, across snapshots. It is not safe
// for concurrent use; only the counters in it are shared.
type ledgers map[director.NodeID]*ledger

type ledger struct {
	*counter
	// The counter's values when they were last collected.
	read, readExpected int64
	buckets            []Count // not older than EnRouteMax
}

// of returns the ledger of a node, and creates it if there is none.
func (l ledgers) of(id director.NodeID) *ledger {
	if l[id] == nil {
		l[id] = &ledger{counter: new(counter)}
	}
	return l[id]
}

// collect moves what was counted since the last call into the bucket of now, which
// is the store's time, and drops buckets whose listeners are no longer en route.
func (l ledgers) collect(now time.Time) {
	at := now.Truncate(BucketWidth)
	for id, n := range l {
		over := 0 // they are in order, but for steps of the clock: those are ignored until it is their turn
		for over < len(n.buckets) && !enRoute(n.buckets[over].At, time.Time{}, now, 0) {
			over++
		}
		n.buckets = slices.Delete(n.buckets, 0, over)
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

// shift moves all buckets by d, after the offset to the store's clock changed by d.
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
	size := 0
	for _, n := range l {
		size += len(n.buckets)
	}
	all := make([]Count, 0, size)
	for _, n := range l {
		all = append(all, n.buckets...)
	}
	return all
}

// sent returns how many listeners were sent to a node within about EnRouteMax.
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

// prune drops the ledgers of removed nodes once no listener is en route to them, so
// that nodes that register and leave do not accumulate.
func (l ledgers) prune(keep func(director.NodeID) bool) {
	for id, n := range l {
		if !keep(id) && len(n.buckets) == 0 && n.sent.Load() == n.read {
			delete(l, id)
		}
	}
}
