package web

import (
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Escalate says what happens to a client without a rule that comes back soon after it was
// sent to a node: the redirect may not have worked for it.
type Escalate string

// The settings of the ladder for clients without a rule. Each includes the ones before it.
const (
	EscalateOff     Escalate = "off"     // nothing happens, and nothing is counted
	EscalateObserve Escalate = "observe" // the client is counted in metrics
	EscalateNext    Escalate = "next"    // it gets the next node
	EscalateInline  Escalate = "inline"  // if it comes back again, it gets the stream itself
)

const (
	// doubleOpen is the time within which a player opens the same stream twice, as xine,
	// cmus and Safari do. It must get the same node both times.
	doubleOpen = 3 * time.Second
	// comesBack is the time within which a client that failed tries again.
	comesBack = 15 * time.Second
	// More than crowdSize requests within crowdWindow come from many devices behind one
	// address, unless they come at the pace of one device in a loop.
	crowdWindow = 10 * time.Second
	crowdSize   = 3
	// A device in a loop asks at an even pace: loopSize intervals, none shorter than
	// loopFastest or longer than doubleOpen, the longest at most loopUneven times the
	// shortest. Random requests of many devices, one a second on average, look like a loop
	// one time in ten; faster or slower ones do so less often.
	loopSize    = 4
	loopUneven  = 4
	loopFastest = 250 * time.Millisecond
	// countedOnce is the time within which requests of one Key are one listener.
	countedOnce = time.Second
)

// step is a request's step on the ladder for clients without a rule.
type step uint8

const (
	stepFirst  step = iota // not seen lately
	stepAgain              // a double open: it gets the same node
	stepNext               // back: it gets the next node
	stepInline             // back once more: it gets the stream itself
	stepCrowd              // too many for one device: each is placed separately
	numSteps   = iota
)

var stepNames = [numSteps]string{"first", "again", "next", "inline", "crowd"}

func (s step) String() string { return stepNames[s] }

// visit is what is remembered of a Key. Times are those of [Server.since].
type visit struct {
	rate    rate
	counted time.Duration           // when the listener was last counted as one more; 0: never
	recent  [loopSize]time.Duration // its last requests, the newest first; 0: none
	level   uint8                   // 0: placed normally, 1: next node, 2: inline
	crowd   uint32                  // requests of a crowd so far
	sent    director.NodeID         // the node to which it was sent last
	avoid   [2]director.NodeID      // nodes not to give it then; it came back from the first
	report  time.Time               // the time of the newest report about the first of them then
}

// visitor is who makes a visit, and when.
type visitor struct {
	now    time.Duration
	inline bool // the ladder ends in the stream itself
	relay  bool // it is a server, whose requests are never a double open
	view   director.View
}

// visitStep is the result of a visit.
type visitStep struct {
	tracked bool // the client is on the ladder
	step    step
	inline  bool               // it gets the stream itself, if there is room
	avoid   [2]director.NodeID // nodes that it must not get; empty: none
	from    director.NodeID    // the node from which it comes back; empty: none
	crowd   uint32             // its number in a crowd, from 1; 0: no crowd
}

// arrive notes a request and returns its step.
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

// judge is arrive without noting the request. It also returns the new level.
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
		st.avoid[1] = left // there is no newer report about it
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

// newest is the time of the newest report about a node; zero: none.
func (w *visitor) newest(node director.NodeID) time.Time {
	if n, ok := w.view.FindNode(node); ok {
		return w.view.Node(n).Report.Taken
	}
	return time.Time{}
}

// send notes where the listener was sent, and says whether it counts as one more. A listener
// that asks for parts counts once, as long as it goes on asking.
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

// rate is a token bucket in one number, the theoretical arrival time of the generic cell rate
// algorithm (ITU-T I.371, annex A).
type rate time.Duration

// allow says whether one more request is within perSecond, above 0, with bursts of one
// second's worth.
func (r *rate) allow(now time.Duration, perSecond int) bool {
	each := time.Second / time.Duration(perSecond)
	paid := max(time.Duration(*r), now) + each
	if paid-now > time.Second {
		return false
	}
	*r = rate(paid)
	return true
}
