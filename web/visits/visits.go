// Package visits remembers how often a client has come lately, and judges by that whether
// the node that it was sent to may have failed it. Its rules are state machines: time is
// passed in, on any clock that only rises.
package visits

import (
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	// DoubleOpen is the time within which a player opens the same stream twice, as xine,
	// cmus and Safari do. It must get the same node both times.
	DoubleOpen = 3 * time.Second
	// comesBack is the time within which a client that failed tries again.
	comesBack = 15 * time.Second
	// More than crowdSize requests within crowdWindow come from many devices behind one
	// address, unless they come at the pace of one device in a loop.
	crowdWindow = 10 * time.Second
	crowdSize   = 3
	// A device in a loop asks at an even pace: loopSize intervals, none shorter than
	// loopFastest or longer than DoubleOpen, the longest at most loopUneven times the
	// shortest. Random requests of many devices, one a second on average, look like a loop
	// one time in ten; faster or slower ones do so less often.
	loopSize    = 4
	loopUneven  = 4
	loopFastest = 250 * time.Millisecond
	// countedOnce is the time within which requests of one Key are one listener.
	countedOnce = time.Second
)

// A Step is a request's step on the ladder for clients without a rule.
type Step uint8

// The steps, in their order.
const (
	First    Step = iota // not seen lately
	Again                // a double open: it gets the same node
	Next                 // back: it gets the next node
	Inline               // back once more: it gets the stream itself
	Crowd                // too many for one device: each is placed separately
	NumSteps = iota
)

var stepNames = [NumSteps]string{"first", "again", "next", "inline", "crowd"}

// String returns "first", "again", "next", "inline" or "crowd".
func (s Step) String() string { return stepNames[s] }

// A Visit is what is remembered of a Key. The zero value is a Key that has never come. It
// is not safe for concurrent use.
type Visit struct {
	Rate    Rate
	counted time.Duration           // when the listener was last counted as one more; 0: never
	recent  [loopSize]time.Duration // its last requests, the newest first; 0: none
	level   uint8                   // 0: placed normally, 1: next node, 2: inline
	crowd   uint32                  // requests of a crowd so far
	sent    director.NodeID         // the node to which it was sent last
	avoid   [2]director.NodeID      // nodes not to give it then; it came back from the first
	report  int64                   // the time of the newest report about the first of them then, as newest has it
}

// A Visitor is who makes a visit, and when.
type Visitor struct {
	Now    time.Duration // above 0
	Inline bool          // the ladder ends in the stream itself
	Relay  bool          // it is a server, whose requests are never a double open
	View   director.View
}

// A Result is what a visit means.
type Result struct {
	Tracked bool // the client is on the ladder
	Step    Step
	Inline  bool               // it gets the stream itself, if there is room
	Avoid   [2]director.NodeID // nodes that it must not get; empty: none
	From    director.NodeID    // the node from which it comes back; empty: none
	Crowd   uint32             // its number in a crowd, from 1; 0: no crowd
}

// Key returns the Key by which the request of a visitor with this Key is placed. In a crowd
// every request gets its own: with one Key, all would go to the same node and the weights
// would not hold.
func (r *Result) Key(key uint64) uint64 {
	if r.Crowd == 0 {
		return key
	}
	return mix(key + uint64(r.Crowd))
}

// mix is a bijection: a change of any bit of x changes about half of the result's bits (the
// finalizer of SplitMix64: G. Steele, D. Lea, C. Flood, 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Arrive notes a request and returns its step.
func (v *Visit) Arrive(who Visitor) Result {
	st, level := v.Judge(who)
	v.level, v.avoid, v.crowd = level, st.Avoid, st.Crowd
	if st.Avoid[0] != "" && st.Step != Again {
		v.report = who.newest(st.Avoid[0])
	}
	copy(v.recent[1:], v.recent[:])
	v.recent[0] = who.Now
	return st
}

// Judge is Arrive without noting the request. It also returns the new level on
// the ladder.
func (v *Visit) Judge(who Visitor) (st Result, level uint8) {
	last, before := v.recent[0], v.recent[crowdSize-1]
	switch {
	case last == 0 || who.Now-last > comesBack:
		return Result{Tracked: true, Step: First}, 0
	case who.Relay || v.loops(who.Now):
	case before != 0 && who.Now-before < crowdWindow:
		return Result{Tracked: true, Step: Crowd, Crowd: v.crowd + 1}, 0
	case who.Now-last <= DoubleOpen:
		return Result{Tracked: true, Step: Again, Inline: who.Inline && v.level == 2, Avoid: v.avoid, From: v.sent}, v.level
	}
	st = Result{Tracked: true, Step: Next, From: v.sent}
	st.Avoid[0] = v.sent
	if left := v.avoid[0]; left != v.sent && left != "" && who.newest(left) == v.report {
		st.Avoid[1] = left // there is no newer report about it
	}
	if who.Inline && v.level > 0 {
		st.Step, st.Inline = Inline, true
		return st, 2
	}
	return st, 1
}

// loops says whether the requests come at the pace of one device in a loop.
func (v *Visit) loops(now time.Duration) bool {
	shortest, longest := DoubleOpen, time.Duration(0)
	for _, at := range v.recent {
		shortest, longest = min(shortest, now-at), max(longest, now-at)
		now = at
	}
	return v.recent[loopSize-1] != 0 && shortest >= loopFastest && longest <= DoubleOpen && longest <= loopUneven*shortest
}

// newest is the time of the newest report about a node, in ns since 1970; 0: none.
func (w *Visitor) newest(node director.NodeID) int64 {
	if n, ok := w.View.FindNode(node); ok {
		if taken := w.View.Node(n).Report.Taken; !taken.IsZero() {
			return taken.UnixNano()
		}
	}
	return 0
}

// At returns the node where a listener is who asks for parts: empty, if it has not asked
// lately.
func (v *Visit) At(now time.Duration) director.NodeID {
	if v.counted == 0 || now-v.counted >= comesBack {
		return ""
	}
	return v.sent
}

// Last returns when a listener was last counted, or asked for parts; 0: not lately.
func (v *Visit) Last(now time.Duration) time.Duration {
	if v.counted == 0 || now-v.counted >= comesBack {
		return 0
	}
	return v.counted
}

// Send notes where the listener was sent, and says whether it counts as one more. A listener
// that asks for parts counts once, as long as it goes on asking.
func (v *Visit) Send(now time.Duration, node director.NodeID, parts bool) (counts bool) {
	v.sent = node
	switch since := now - v.counted; {
	case v.counted == 0:
	case parts && since < comesBack:
		v.counted = now
		return false
	case since < countedOnce:
		return false
	}
	v.counted = now
	return true
}
