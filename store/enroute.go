package store

import (
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
	end := at.Add(BucketWidth)
	if age := now.Sub(end); age >= EnRouteMax || age <= -EnRouteMax {
		return false
	}
	if taken.After(now) {
		taken = now
	}
	return taken.Before(end.Add(settle))
}

// recent says whether any part of the bucket that begins at at lies within
// recentSpan before now.
func recent(at, now time.Time) bool {
	age := now.Sub(at.Add(BucketWidth))
	return age < recentSpan && age > -EnRouteMax
}

// load sums the listeners en route to each node.
type load struct {
	now    time.Time
	settle time.Duration
	report func(director.NodeID) director.Report
	taken  map[director.NodeID]time.Time // when a node's listeners were last counted, of those that were asked for

	enRoute   map[director.NodeID]int
	estimated map[director.NodeID]int // how many of enRoute are an estimate
	recent    map[director.NodeID]int
}

func newLoad(now time.Time, settle time.Duration, report func(director.NodeID) director.Report) *load {
	return &load{
		now:     now,
		settle:  settle,
		report:  report,
		taken:   map[director.NodeID]time.Time{},
		enRoute: map[director.NodeID]int{}, estimated: map[director.NodeID]int{},
		recent: map[director.NodeID]int{},
	}
}

// takenAt returns when a node's listeners were last counted; zero: they were not.
func (l *load) takenAt(id director.NodeID) time.Time {
	at, known := l.taken[id]
	if !known {
		if r := l.report(id); r.Listeners >= 0 && !r.Full { // else the report has no count
			at = r.Taken
		}
		l.taken[id] = at
	}
	return at
}

// add adds c to the sums, unless it is invalid or too old.
func (l *load) add(c Count) {
	if c.N <= 0 || c.N > maxCount {
		return
	}
	if recent(c.At, l.now) {
		l.recent[c.Node] += c.N
	}
	if enRoute(c.At, l.takenAt(c.Node), l.now, l.settle) {
		l.enRoute[c.Node] += c.N
		if c.Estimated > 0 {
			l.estimated[c.Node] += min(c.Estimated, c.N)
		}
	}
}
