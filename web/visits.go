package web

import (
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Escalate says what happens to a client that nobody has a rule for when it comes
// back soon after it was sent to a node: the redirect may not have worked for it.
type Escalate string

// The rungs of the ladder for clients without a rule.
const (
	EscalateOff     Escalate = "off"     // nothing, and nothing is counted
	EscalateObserve Escalate = "observe" // it is counted in metrics
	EscalateNext    Escalate = "next"    // it gets the next node
	EscalateInline  Escalate = "inline"  // and after that the stream itself
)

const (
	// doubleOpen is the time within which a player opens the same stream twice: xine,
	// cmus and Safari do. It must get the same node.
	doubleOpen = 3 * time.Second
	// comesBack is the time within which a client that failed tries again.
	comesBack = 15 * time.Second
	// More than crowdSize requests within crowdWindow are many devices behind one address,
	// unless they come at the pace of one device in a loop.
	crowdWindow = 10 * time.Second
	crowdSize   = 3
	// A device in a loop asks at an even pace: loopSize intervals, none shorter than
	// loopFastest or longer than doubleOpen, the longest at most loopUneven times the
	// shortest. Requests of many that come by chance once a second look so one time in
	// ten, and of those that come faster or slower fewer do.
	loopSize    = 4
	loopUneven  = 4
	loopFastest = 250 * time.Millisecond
	// countedOnce is the time within which requests of one Key are one listener.
	countedOnce = time.Second
)

// step is where on the ladder of escalation a request stands.
type step uint8

const (
	stepFirst  step = iota // not seen lately
	stepAgain              // a double open: the same again
	stepNext               // back: the next node
	stepInline             // back once more: the stream itself
	stepCrowd              // too many to be one device: each is placed by itself
	numSteps   = iota
)

var stepNames = [numSteps]string{"first", "again", "next", "inline", "crowd"}

func (s step) String() string { return stepNames[s] }

// visit is what is remembered of a Key. Times are since the server began.
type visit struct {
	rate    rate
	counted time.Duration           // when it was last counted as on its way; 0: never
	recent  [loopSize]time.Duration // its last requests, the newest first; 0: none
	level   uint8                   // 0: placed normally, 1: next node, 2: inline
	crowd   uint32                  // requests that were a crowd's
	sent    director.NodeID         // where it was sent
	avoid   [2]director.NodeID      // which nodes were passed over for that: the first is where it came back from
	report  time.Time               // of the newest report about that node then
}

// visitor is who makes a visit, and when.
type visitor struct {
	now    time.Duration
	inline bool // the ladder ends in the stream itself
	relay  bool // a server: it never opens a stream twice
	view   director.View
}

// visitStep is what a visit's request is to get.
type visitStep struct {
	tracked bool // it is on the ladder at all
	step    step
	inline  bool               // the stream itself, if there is room
	avoid   [2]director.NodeID // nodes that it is not to get; empty: none
	from    director.NodeID    // where it comes back from; empty: nowhere
	crowd   uint32             // which of a crowd it is, from 1; 0: it is none
}

// arrive notes a request and says what it is to get.
func (v *visit) arrive(who visitor) visitStep {
	st, level := v.judge(who)
	v.level, v.avoid, v.crowd = level, st.avoid, st.crowd
	if st.avoid[0] != "" && st.step != stepAgain {
		v.report = who.newest(st.avoid[0])
	}
	copy(v.recent[1:], v.recent[:])
	v.recent[0] = who.now
	return st
}

// judge is arrive without noting anything.
func (v *visit) judge(who visitor) (st visitStep, level uint8) {
	last, before := v.recent[0], v.recent[crowdSize-1]
	switch {
	case last == 0 || who.now-last > comesBack:
		return visitStep{tracked: true, step: stepFirst}, 0
	case who.relay || v.loops(who.now):
	case before != 0 && who.now-before < crowdWindow:
		return visitStep{tracked: true, step: stepCrowd, crowd: v.crowd + 1}, 0
	case who.now-last <= doubleOpen:
		return visitStep{tracked: true, step: stepAgain, inline: who.inline && v.level == 2, avoid: v.avoid, from: v.sent}, v.level
	}
	st = visitStep{tracked: true, step: stepNext, from: v.sent}
	st.avoid[0] = v.sent
	if left := v.avoid[0]; left != v.sent && left != "" && who.newest(left).Equal(v.report) {
		st.avoid[1] = left // it has not been asked since
	}
	if who.inline && v.level > 0 {
		st.step, st.inline = stepInline, true
		return st, 2
	}
	return st, 1
}

// loops says whether the requests come at the pace of one device in a loop.
func (v *visit) loops(now time.Duration) bool {
	shortest, longest := doubleOpen, time.Duration(0)
	for _, at := range v.recent {
		shortest, longest = min(shortest, now-at), max(longest, now-at)
		now = at
	}
	return v.recent[loopSize-1] != 0 && shortest >= loopFastest && longest <= doubleOpen && longest <= loopUneven*shortest
}

// newest is when a node was last asked, as far as is known; zero: never.
func (w *visitor) newest(node director.NodeID) time.Time {
	if n, ok := w.view.FindNode(node); ok {
		return w.view.Node(n).Report.Taken
	}
	return time.Time{}
}

// send notes where the listener was sent, and says whether it counts as one more. One
// that asks for parts is one as long as it goes on.
func (v *visit) send(now time.Duration, node director.NodeID, parts bool) (counts bool) {
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

// rate is a token bucket in one number, by the generic cell rate algorithm (ITU-T
// I.371, annex A): the time until which what was let through is paid for.
type rate time.Duration

// allow says whether one more is within perSecond, with bursts of one second's worth.
func (r *rate) allow(now time.Duration, perSecond int) bool {
	if perSecond <= 0 {
		return true
	}
	each := time.Second / time.Duration(perSecond)
	paid := max(time.Duration(*r), now) + each
	if paid-now > time.Second {
		return false
	}
	*r = rate(paid)
	return true
}
