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
	// More than crowdSize requests within crowdWindow are not one device that fails: they
	// are many devices behind one address, or one in a loop.
	crowdWindow = 10 * time.Second
	crowdSize   = 3
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
	stepCrowd              // too many to be one device: placed normally
	numSteps   = iota
)

var stepNames = [numSteps]string{"first", "again", "next", "inline", "crowd"}

func (s step) String() string { return stepNames[s] }

// visit is what is remembered of a Key. Times are since the server began.
type visit struct {
	rate    rate
	counted time.Duration            // when it was last counted as on its way; 0: never
	recent  [crowdSize]time.Duration // its last requests, the newest first; 0: none
	level   uint8                    // 0: placed normally, 1: next node, 2: inline
	sent    director.NodeID          // where it was sent
	avoid   director.NodeID          // and which node was passed over for that
}

// visitStep is what a visit's request is to get.
type visitStep struct {
	tracked bool // it is on the ladder at all
	step    step
	inline  bool            // the stream itself, if there is room
	avoid   director.NodeID // a node that it is not to get; empty: none
	from    director.NodeID // where it comes back from; empty: nowhere
}

// arrive notes a request and says what it is to get. With inline, the ladder ends
// in the stream itself.
func (v *visit) arrive(now time.Duration, inline bool) visitStep {
	st, level := v.judge(now, inline)
	v.level, v.avoid = level, st.avoid
	copy(v.recent[1:], v.recent[:])
	v.recent[0] = now
	return st
}

// judge is arrive without noting anything.
func (v *visit) judge(now time.Duration, inline bool) (st visitStep, level uint8) {
	last, before := v.recent[0], v.recent[crowdSize-1]
	switch {
	case before != 0 && now-before < crowdWindow:
		return visitStep{tracked: true, step: stepCrowd}, 0
	case last == 0 || now-last > comesBack:
		return visitStep{tracked: true, step: stepFirst}, 0
	case now-last <= doubleOpen:
		return visitStep{tracked: true, step: stepAgain, inline: inline && v.level == 2, avoid: v.avoid, from: v.sent}, v.level
	case inline && v.level > 0:
		return visitStep{tracked: true, step: stepInline, inline: true, avoid: v.sent, from: v.sent}, 2
	default:
		return visitStep{tracked: true, step: stepNext, avoid: v.sent, from: v.sent}, 1
	}
}

// send notes where the listener was sent, and says whether it counts as one more.
func (v *visit) send(now time.Duration, node director.NodeID) (counts bool) {
	v.sent = node
	if v.counted != 0 && now-v.counted < countedOnce {
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
