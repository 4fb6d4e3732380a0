package director

import (
	"math"
	"time"
)

// Room, free capacity and warm-up change in steps, the first two with hysteresis: small
// changes of a node's load change nothing, and every listener keeps its node.
const (
	roomSteps = 8
	freeSteps = 20 // of 5 %
	warmSteps = 10
	// stickiness is how far, in steps, a value must leave its step before the step changes.
	stickiness = 0.25
	// heldStep is the ratio of two adjacent steps of what a node without a target holds.
	heldStep = 1.25
)

// stepOf returns raw (0..n) rounded up to a step 0..n, or prev if raw is still close to
// that; prev < 0 means there is none.
func stepOf(raw float64, n, prev int) int {
	raw = min(max(raw, 0), float64(n))
	switch {
	case raw == 0:
		return 0 // no hysteresis at target
	case prev >= 0 && prev <= n && raw > float64(prev)-1-stickiness && raw < float64(prev)+stickiness:
		return prev
	}
	return int(math.Ceil(raw))
}

// roomStep is how much room a node with given weights has: all steps until
// spillAt of its target is used, then fewer, and none at target.
func roomStep(fill, spillAt float64, prev int) int {
	return stepOf((1-fill)/(1-spillAt)*roomSteps, roomSteps, prev)
}

// freeStep is how much of a node's target is free.
func freeStep(fill float64, prev int) int {
	return stepOf((1-fill)*freeSteps, freeSteps, prev)
}

// heldStepOf returns the step of a load on a logarithmic scale, for a node without a target.
func heldStepOf(used, prev int) int {
	raw := math.Log(float64(1+used)) / math.Log(heldStep)
	if prev >= 0 && math.Abs(raw-float64(prev)) < 0.5+stickiness {
		return prev
	}
	return int(math.Round(raw))
}

// heldShare is the inverse of what a node at this step holds.
func heldShare(step int) float64 { return math.Pow(heldStep, -float64(step)) }

// warmth is the part 0..1 of its share that a node gets that came back at returned. A
// node that was never down gets all of it.
func warmth(t Tuning, returned, now time.Time) float64 {
	if returned.IsZero() || t.WarmUp <= 0 {
		return 1
	}
	done := min(max(float64(now.Sub(returned))/float64(t.WarmUp), 0), 1)
	return t.WarmUpFloor + (1-t.WarmUpFloor)*math.Floor(done*warmSteps)/warmSteps
}
