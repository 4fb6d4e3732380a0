package sim

import (
	"flag"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds = flag.Int("seeds", 0, "how many seeds to play; 0: 200, or 20,000 with SIGNPOST_SOAK=1")
	seed  = flag.Uint64("seed", 0, "the only seed to play; 0: all")
)

// TestSeeds plays small fleets with all that can go wrong. A seed that breaks a promise is
// made as short as possible and told.
func TestSeeds(t *testing.T) {
	n := *seeds
	switch {
	case n > 0:
	case os.Getenv("SIGNPOST_SOAK") != "":
		n = 20_000
	default:
		n = 200
	}
	first, last := uint64(1), uint64(n)
	if *seed > 0 {
		first, last = *seed, *seed
	}
	var next, broken, slowest atomic.Uint64
	next.Store(first)
	var all sync.WaitGroup
	begun := time.Now()
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for broken.Load() < 3 {
				at := next.Add(1) - 1
				if at > last {
					return
				}
				began := time.Now()
				h, err := Run(t.Context(), Random(at), nil)
				slowest.Store(max(slowest.Load(), uint64(time.Since(began))))
				if err != nil {
					t.Errorf("seed %d: %v", at, err)
					broken.Add(1)
				} else if len(h.Broken) > 0 {
					broken.Add(1)
					_, short, err := Shrink(t.Context(), Random(at), 60)
					if err != nil {
						t.Errorf("seed %d: %v", at, err)
						continue
					}
					t.Errorf("go test ./director/sim -run TestSeeds -seed %d\n%s", at, short.Story())
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d seeds in %v, the slowest in %v", next.Load()-first, time.Since(begun).Round(time.Millisecond), time.Duration(slowest.Load()))
}
