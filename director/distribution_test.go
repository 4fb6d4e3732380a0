package director

import (
	"slices"
	"testing"
)

// crowd is so many that chance moves a share by 0.01, which is the most that tests let
// pass, once in ten thousand times: and the listeners are the same in every run.
const crowd = 40_000

func TestListenersLandByWeight(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"as written", "reversed"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 4)
			l.row("world", everyone, "a", 5, "b", 3, "c", 2, "d", 0)
			if order == "reversed" {
				slices.Reverse(l.cfg.Nodes)
				slices.Reverse(l.cfg.Regions[0].Row)
			}
			wantShares(t, shares(t, l.snapshot(), Listener{}, crowd), map[NodeID]float64{"a": .5, "b": .3, "c": .2})
		})
	}
}

func TestListenersLandByFreeCapacity(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.listed("world", everyone, "a", "b", "c")
	l.report("a", func(r *Report) { r.Listeners = 0 })   // 1,000 free
	l.report("b", func(r *Report) { r.Listeners = 500 }) // 500 free
	l.report("c", func(r *Report) { r.Listeners = 750 }) // 250 free
	wantShares(t, shares(t, l.snapshot(), Listener{}, crowd), map[NodeID]float64{"a": 1000. / 1750, "b": 500. / 1750, "c": 250. / 1750})
}

func TestListenersLandByWhatNodesHold(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	for i := range l.cfg.Nodes {
		l.cfg.Nodes[i].Target, l.cfg.Nodes[i].Limit = 0, 0
	}
	l.listed("world", everyone, "a", "b")
	l.report("b", func(r *Report) { r.Listeners = 1000 })
	if got := shares(t, l.snapshot(), Listener{}, 20_000); got["a"] < 0.99 {
		t.Errorf("the empty node got %.3f, want nearly all", got["a"])
	}
}

// Removing a node moves its own listeners and nobody else's, and so does adding it again.
func TestOnlyItsOwnListenersMove(t *testing.T) {
	t.Parallel()
	for _, given := range []bool{true, false} {
		l := newLab(t, 5)
		if given {
			l.row("world", everyone, "a", 5, "b", 3, "c", 2, "d", 1, "e", 1)
		} else {
			l.listed("world", everyone, "a", "b", "c", "d", "e")
		}
		whole := l.snapshot()
		l.report("c", func(r *Report) { r.Health = Failed })
		without := l.snapshot()
		moved := 0
		var before, after Decision
		for key := range uint64(crowd) {
			q := Listener{Mount: "/live.mp3", Scheme: HTTP, Key: mix(key)}
			whole.Decide(&before, q, nil)
			without.Decide(&after, q, nil)
			was, is := whole.NodeID(before.Ranked[0].Node), without.NodeID(after.Ranked[0].Node)
			switch {
			case is == "c":
				t.Fatal("a listener was sent to a node that is down")
			case was == "c":
				moved++
			case was != is:
				t.Fatalf("given=%v: a listener of %s was moved to %s", given, was, is)
			}
		}
		if moved == 0 {
			t.Error("nobody had been at c: the test proves nothing")
		}
	}
}

func TestTheSameListenerGetsTheSameNode(t *testing.T) {
	t.Parallel()
	l := newLab(t, 5)
	l.row("world", everyone, "a", 1, "b", 1, "c", 1, "d", 1, "e", 1)
	first := decide(l.snapshot(), Listener{Key: 42}, 5)
	slices.Reverse(l.cfg.Nodes)
	slices.Reverse(l.cfg.Regions[0].Row)
	other := l.snapshot() // another director, with its file in another order
	for range 1000 {
		if got := decide(other, Listener{Key: 42}, 5); got != first {
			t.Fatalf("got %q, want %q", got, first)
		}
	}
}

// The alternates of a node's listeners are spread too: when it dies, no single
// node inherits all of them.
func TestAlternatesSpread(t *testing.T) {
	t.Parallel()
	l := newLab(t, 4)
	l.row("world", everyone, "a", 1, "b", 1, "c", 1, "d", 1)
	s := l.snapshot()
	second := map[NodeID]int{}
	total := 0
	d := Decision{Want: 2}
	for key := range uint64(crowd) {
		s.Decide(&d, Listener{Mount: "/live.mp3", Scheme: HTTP, Key: mix(key)}, nil)
		if s.NodeID(d.Ranked[0].Node) == "a" {
			second[s.NodeID(d.Ranked[1].Node)]++
			total++
		}
	}
	for id, n := range second {
		if part := float64(n) / float64(total); part < 0.31 || part > 0.36 {
			t.Errorf("%s would inherit %.3f of a's listeners, want a third", id, part)
		}
	}
}
