package store

import (
	"math"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	// BucketWidth is the span of a Count. It equals the default tick, since as a
	// rule directors exchange counts no more often.
	BucketWidth = 250 * time.Millisecond
	// DefaultSettle is how long it may take from the answer to a listener until the
	// node counts that listener: a slow player's second connection, a prebuffer, and
	// the node's own statistics, which may be 1 s old.
	DefaultSettle = 3 * time.Second
	// EnRouteMax is how long a listener may be en route. One that has not arrived by
	// then never will.
	EnRouteMax = 15 * time.Second

	recentSpan = time.Second
	// maxCount is more than any director sends to one node in a bucket. A larger
	// Count is invalid.
	maxCount = 1_000_000
)

// enRoute says whether listeners counted in the bucket that begins at at may be
// missing from a report taken at taken; a zero taken means no report. All times are
// by the store's clock, which can step: a bucket too far in the future is from
// before a step, and is ignored like one too far in the past.
func enRoute(at, taken, now time.Time, settle time.Duration) bool {
	return stillEnRoute(at.Sub(now), taken.Sub(now), settle)
}

// stillEnRoute is enRoute with times since now, which are below 0 in the past. Those too
// long ago for a Duration are the longest ago that it can be.
func stillEnRoute(at, taken, settle time.Duration) bool {
	age := -at - BucketWidth // of times out of a Duration's range, it overflows to more than EnRouteMax
	if age >= EnRouteMax || age <= -EnRouteMax {
		return false
	}
	end := -age
	taken = min(taken, 0)
	return taken < end+settle
}

// recent says whether any part of the bucket that begins at since now lies within
// recentSpan before now.
func recent(at time.Duration) bool {
	age := -(at + BucketWidth)
	return age < recentSpan && age > -EnRouteMax
}

// load sums the listeners en route to each node.
type load struct {
	now    time.Time
	settle time.Duration
	report func(director.NodeID) director.Report
	nodes  map[director.NodeID]*nodeLoad // those with a count
}

type nodeLoad struct {
	taken     time.Duration // since now, when its listeners were last counted
	enRoute   int
	estimated int // how many of enRoute are an estimate
	recent    int
}

func newLoad(now time.Time, settle time.Duration, report func(director.NodeID) director.Report) *load {
	return &load{now: now, settle: settle, report: report, nodes: map[director.NodeID]*nodeLoad{}}
}

func (l *load) of(id director.NodeID) *nodeLoad {
	n := l.nodes[id]
	if n == nil {
		n = &nodeLoad{taken: math.MinInt64}
		if r := l.report(id); r.Listeners >= 0 && !r.Full { // else the report has no count
			n.taken = r.Taken.Sub(l.now)
		}
		l.nodes[id] = n
	}
	return n
}

// add adds counts to the sums, except those that are invalid or too old. They are some
// thousands each time, node by node: the difference of two times near each other is
// reckoned here, which takes a third of what Sub does.
func (l *load) add(counts []Count) {
	second, nanosecond := l.now.Unix(), l.now.Nanosecond()
	var n *nodeLoad
	var id director.NodeID
	for i := range counts {
		c := &counts[i]
		if c.N <= 0 || c.N > maxCount {
			continue
		}
		seconds := c.At.Unix() - second
		at := time.Duration(seconds)*time.Second + time.Duration(c.At.Nanosecond()-nanosecond)
		if seconds < -usual || seconds > usual { // it may be out of a Duration's range
			at = c.At.Sub(l.now)
		}
		if n == nil || c.Node != id {
			n, id = l.of(c.Node), c.Node
		}
		if recent(at) {
			n.recent += c.N
		}
		if stillEnRoute(at, n.taken, l.settle) {
			n.enRoute += c.N
			if c.Estimated > 0 {
				n.estimated += min(c.Estimated, c.N)
			}
		}
	}
}

// usual is more seconds than a listener is en route, in either direction.
const usual = int64(2 * EnRouteMax / time.Second)

// input sets the sums in in. Nodes without listeners are left out.
func (l *load) input(in *director.Input) {
	in.EnRoute, in.Estimated, in.Recent = map[director.NodeID]int{}, map[director.NodeID]int{}, map[director.NodeID]int{}
	set := func(m map[director.NodeID]int, id director.NodeID, n int) {
		if n > 0 {
			m[id] = n
		}
	}
	for id, n := range l.nodes {
		set(in.EnRoute, id, n.enRoute)
		set(in.Estimated, id, n.estimated)
		set(in.Recent, id, n.recent)
	}
}
