package store

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

func TestDistinct(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{0, 1, 2, 3, 10, 100, 1000, 3000} {
		var a, b networks
		for range n {
			hash := dice.Uint64()
			for range 3 { // however often it comes
				a.add(hash)
				b.add(hash)
			}
			a, b = b, a
		}
		if got := distinct(&a, &b); got < n-n/10 || got > n+n/10 {
			t.Errorf("%d networks are counted as %d", n, got)
		}
	}
}

func TestWeigh(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for _, tc := range []struct {
		name     string
		networks int           // that speak against the node
		times    int           // each
		over     time.Duration // evenly
		sent     int           // listeners, lately
		want     bool
	}{
		{"three, of few listeners", 3, 1, 0, 20, true},
		{"two", 2, 1, 0, 2, false},
		{"one odd listener", 1, 1000, second, 10, false},
		{"three, of many listeners", 3, 1, 0, 100, false},
		{"a crowd in three networks", 3, 1000, second, 3000, false},
		{"a good part of many", 150, 1, second, 1000, true},
		{"as many as come back always", 50, 1, second, 1000, false},
		{"none was sent there lately", 3, 1, 0, 0, true}, // but carried, or by another director
		{"within seconds", 3, 1, 3 * second, 0, true},
		{"one now and then", 20, 1, 100 * second, 0, false},
	} {
		e := evidence{raised: make(chan struct{}, 1)}
		e.know([]director.Node{{ID: "n"}, {ID: "other"}})
		dice := rand.New(rand.NewPCG(7, uint64(tc.networks)))
		sent := func(director.NodeID) int { return tc.sent }
		now, doubted := noon, false
		for range tc.networks {
			hash := dice.Uint64()
			for range tc.times {
				e.add("n", "/live.mp3", hash, now)
				e.add("unknown", "/live.mp3", hash, now)
			}
			if len(e.raised) > 0 {
				<-e.raised
				doubts := e.weigh(now, sent)
				doubted = doubted || len(doubts) == 1 && doubts[0].Node == "n" && doubts[0].Networks > 0
			}
			now = now.Add(tc.over / time.Duration(tc.networks))
		}
		if doubted != tc.want {
			t.Errorf("%s: doubted %v, want %v", tc.name, doubted, tc.want)
		}
		if len(e.nodes) != 2 {
			t.Errorf("%s: it remembers %d nodes", tc.name, len(e.nodes))
		}
	}
}

// TestDoubtPauses: a node that was doubted is left alone for a while.
func TestDoubtPauses(t *testing.T) {
	t.Parallel()
	e := evidence{raised: make(chan struct{}, 1)}
	e.know([]director.Node{{ID: "n"}})
	count := 0
	for i := range 600 { // a minute of listeners who come back
		now := noon.Add(time.Duration(i) * 100 * time.Millisecond)
		e.add("n", "/live.mp3", uint64(i)*0x9e3779b97f4a7c15, now)
		count += len(e.weigh(now, func(director.NodeID) int { return 0 }))
		if i == 300 {
			e.know([]director.Node{{ID: "n"}, {ID: "m"}}) // what is known stays
		}
	}
	if count != 6 {
		t.Errorf("doubted %d times in a minute, want every 10 s", count)
	}
}

// TestDoubtDoesNotAllocate: it is called on a request's way. It does not run in
// parallel, for others' allocations would count.
func TestDoubtDoesNotAllocate(t *testing.T) {
	l := bigLoop(t, 10, 3)
	network := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		network += 0x9e3779b97f4a7c15
		l.Doubt("node-0003", "/live.mp3", network)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
