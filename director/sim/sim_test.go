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

// TestFound plays histories that found faults, which are mended: the first of the product,
// the others of what the promises allow.
func TestFound(t *testing.T) {
	t.Parallel()
	for seed, what := range map[uint64]string{
		5131: "an operator resumed a node at a director that had not heard of its drain, while the store was away, and was told that it was done",
		4111: "a player that opens twice was sent to another node the second time, and counts as on its way to the first",
		5965: "a node had its pace at the first of two opens, and not at the second",
	} {
		h, err := Run(t.Context(), Random(seed), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Broken) > 0 {
			t.Errorf("%s:\n%s", what, h.Story())
		}
	}
}

// TestNodeTakesListeners lets 300 come at once to a node that takes 100 a second, and lets
// each wait for two seconds.
func TestNodeTakesListeners(t *testing.T) {
	s := fleetOf(1, 1, 1, 0)
	s.For, s.Every = 20*time.Second, time.Second
	s.Fleet.Nodes[0].Target, s.Fleet.Nodes[0].Limit = 1000, 0
	s.Nodes[0] = Node{Pace: 100, Begins: 2 * time.Second}
	s.Origins[0].NAT = 0 // one address may ask ten times a second
	s.Habits = []Habit{{Name: "patient", Part: 1, Patience: time.Minute}}
	s.Arrivals = func(yield func(Arrival) bool) {
		for range 300 {
			if !yield(Arrival{At: 10 * time.Second, Stays: time.Hour}) {
				return
			}
		}
	}
	h, err := Run(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for second, most := range map[int]int{11: 0, 12: 0, 13: 100, 14: 200, 15: 300, 16: 300} {
		got := h.Samples[second].Nodes[0].Listeners
		if least := most - 12; got > most || got < least { // a connection is on its way for up to 0.12 s
			t.Errorf("after %d s %d listen, want %d to %d", second, got, max(0, least), most)
		}
	}
	if got := h.Samples[16].Nodes[0].Listeners; got != 300 {
		t.Errorf("in the end %d listen, want all", got)
	}
}
