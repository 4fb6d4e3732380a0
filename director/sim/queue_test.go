package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestQueue: whatever is put in comes out by time, and at the same time in the order in
// which it was put in, whether soon, later or after days.
func TestQueue(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // it has to be repeatable
		var q queue
		var waiting []event
		now, n := int64(0), int32(0)
		put := func() {
			n++
			after := [...]time.Duration{0, time.Second, time.Minute, 3 * time.Hour, 72 * time.Hour}[r.IntN(5)]
			if after > 0 {
				after = time.Duration(r.Int64N(int64(after))).Truncate(time.Duration(1+r.IntN(2)) * 50 * time.Millisecond)
			}
			e := event{at: now + int64(after), a: n}
			q.put(e)
			waiting = append(waiting, e)
		}
		for range 3000 {
			for range r.IntN(3) {
				put()
			}
			got, ok := q.take()
			if ok != (len(waiting) > 0) {
				t.Fatalf("seed %d: an event is there: %v, and %d wait", seed, ok, len(waiting))
			}
			if !ok {
				continue
			}
			first := slices.MinFunc(waiting, func(a, b event) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.a, b.a)) })
			if got.a != first.a || got.at != first.at {
				t.Fatalf("seed %d: got number %d at %v, want %d at %v", seed, got.a, time.Duration(got.at), first.a, time.Duration(first.at))
			}
			waiting = slices.DeleteFunc(waiting, func(e event) bool { return e.a == got.a })
			now = got.at
		}
	}
}
