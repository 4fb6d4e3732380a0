package sim

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// sameScenario is one with several things that go wrong.
func sameScenario() Scenario {
	s := fleetOf(6, 4, 3, 3000)
	s.For = 3 * time.Minute
	s.Faults = []Fault{
		{Kind: SiteLoss, At: 40 * time.Second, For: 30 * time.Second, Site: "site1"},
		{Kind: StoreAway, At: 50 * time.Second, For: 20 * time.Second},
		{Kind: Drain, At: 90 * time.Second, For: 20 * time.Second, Node: "n03"},
	}
	return s
}

func hashLine(h *History) string { return fmt.Sprintf("history %016x of %d events", h.Hash, h.Events) }

// TestSameHistory plays one scenario several times, with one processor and with more.
func TestSameHistory(t *testing.T) {
	s := sameScenario()
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	var first *History
	for procs := 1; procs <= 4; procs *= 2 {
		runtime.GOMAXPROCS(procs)
		h, err := Run(t.Context(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = h
		}
		if h.Hash != first.Hash || h.Events != first.Events {
			t.Errorf("with %d processors %d events with hash %x, before %d with %x", procs, h.Events, h.Hash, first.Events, first.Hash)
		}
	}
	t.Log(hashLine(first))
	s.Seed++
	if h, err := Run(t.Context(), s, nil); err != nil || h.Hash == first.Hash {
		t.Errorf("another seed has the same history: %v", err)
	}
}
