package sim

import (
	"flag"
	"os"
	"os/exec"
	"runtime"
	"strings"
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
	if raced && *seed == 0 && n > 10 {
		withoutRace(t)
		last = 10
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

// withoutRace has the tests played without the race detector, with which they take thirty
// times as long; it has little to find, as a history is played by one goroutine. The
// history of TestSameHistory has to be the same.
func withoutRace(t *testing.T) {
	args := []string{"test", "-v", "-run", "^(TestSeeds|TestSameHistory)$", "-timeout", "2h", "."}
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput() //nolint:gosec // these very tests
	if err != nil {
		t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		return
	}
	h, err := Run(t.Context(), sameScenario(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := hashLine(h); !strings.Contains(string(out), want) {
		t.Errorf("with the race detector %q, and without:\n%s", want, out)
	}
}
