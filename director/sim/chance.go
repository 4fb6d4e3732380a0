package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// chance is a source of random numbers of its own for each purpose, so that a change of
// one part of a history does not draw the numbers of another. Its numbers are those of
// PCG, which are the same with every version of Go.
type chance struct{ *rand.Rand }

// The purposes.
const (
	ofPeople = iota
	ofNodes
	ofStore
	ofArrivals
	ofDirectors // and one more for each
)

func newChance(seed uint64, purpose int) chance {
	return chance{rand.New(rand.NewPCG(seed, uint64(purpose)*0x9e3779b97f4a7c15))} //nolint:gosec // a simulation needs repeatable numbers
}

// span returns a random duration below most; 0, if most is not above 0.
func (c chance) span(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(c.Int64N(int64(most)))
}

// around returns d, up to a half more or less.
func (c chance) around(d time.Duration) time.Duration { return d/2 + c.span(d) }

// exponential returns a random duration with this mean.
func (c chance) exponential(mean time.Duration) time.Duration {
	return time.Duration(min(-math.Log(1-c.Float64())*float64(mean), math.MaxInt64/4))
}

// pick returns an index by weight; sums are the running sums of the weights.
func (c chance) pick(sums []float64) int {
	if len(sums) == 1 {
		return 0
	}
	x := c.Float64() * sums[len(sums)-1]
	lo, hi := 0, len(sums)-1
	for lo < hi {
		if mid := (lo + hi) / 2; sums[mid] > x {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// mix is the finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
