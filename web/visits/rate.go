package visits

import "time"

// A Rate is a token bucket in one number, the theoretical arrival time of the generic cell rate
// algorithm (ITU-T I.371, annex A).
type Rate time.Duration

// Allow says whether one more request is within perSecond, above 0, with bursts of one
// second's worth.
func (r *Rate) Allow(now time.Duration, perSecond int) bool {
	each := time.Second / time.Duration(perSecond)
	paid := max(time.Duration(*r), now) + each
	if paid-now > time.Second {
		return false
	}
	*r = Rate(paid)
	return true
}
