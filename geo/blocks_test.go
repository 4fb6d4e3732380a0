package geo

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Blocks answer as the runs do that they hold: at the first and the last address of
// each, with few places and with more than two bytes can number.
func TestBlocks(t *testing.T) {
	t.Parallel()
	for _, places := range []int{3, 1 << 16, 1<<16 + 1000} {
		for _, n := range []int{1, 2, runsInBlock - 1, runsInBlock, runsInBlock + 1, 5000} {
			testBlocks(t, randomRuns[uint32](n, places), places)
			testBlocks(t, randomRuns[uint64](n, places), places)
		}
	}
}

// randomRuns makes runs as networks have them: mostly of sizes that are powers of
// two, and often of a place that has just been.
func randomRuns[S uint32 | uint64](n, places int) runs[S] {
	random := rand.New(rand.NewPCG(uint64(n), uint64(places)))
	starts := []S{0, ^S(0)}
	for len(starts) < n {
		starts = append(starts, S(random.Uint64())>>random.IntN(8)&^(1<<random.IntN(12)-1))
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	starts = starts[:min(n, len(starts))]
	r := runs[S]{}
	for _, s := range starts {
		place := uint32(random.IntN(places))
		if i := len(r.place); i > 2 && random.IntN(2) == 0 {
			place = r.place[i-2]
		}
		r.set(s, place)
	}
	return r
}

func testBlocks[S uint32 | uint64](t *testing.T, r runs[S], places int) {
	t.Helper()
	b := pack(r, places)
	blocks := len(b.heads) - 1
	for i, start := range r.start {
		end := ^S(0)
		if i+1 < len(r.start) {
			end = r.start[i+1] - 1
		}
		for _, x := range []S{start, end} {
			if got := b.at(b.last(0, blocks, x), x); got != r.place[i] {
				t.Fatalf("%d runs, %d places: at %x place %d, want %d", len(r.start), places, x, got, r.place[i])
			}
		}
	}
}
