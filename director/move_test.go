package director

import (
	"slices"
	"testing"
	"time"
)

// movers is listeners who can be moved while they play, by key, with the node where each is.
type movers struct {
	at      map[uint64]int
	resting map[uint64]bool // moved lately
}

func newMovers(l *lab, s *Snapshot, size int) *movers {
	c := &movers{at: map[uint64]int{}, resting: map[uint64]bool{}}
	for key := range uint64(size) {
		d := Decision{Want: 16}
		if move := s.Steer(&d, Listener{Key: mix(key), Mount: "/live.mp3", Scheme: AnyScheme}, Nowhere, false, nil); move != Stays {
			l.tb.Fatalf("who is nowhere: %v", move)
		}
		c.at[key] = d.Ranked[0].Node
	}
	return c
}

// ask lets everybody ask once, and returns how many moved, by why.
func (c *movers) ask(s *Snapshot, live Live) map[Move]int {
	moved := map[Move]int{}
	for key, at := range c.at {
		d := Decision{Want: 16}
		move := s.Steer(&d, Listener{Key: mix(key), Mount: "/live.mp3", Scheme: AnyScheme}, at, !c.resting[key], live)
		moved[move]++
		c.at[key] = d.Ranked[0].Node
	}
	return moved
}

func (c *movers) held(nodes int) []int {
	held := make([]int, nodes)
	for _, at := range c.at {
		held[at]++
	}
	return held
}

// near says whether each count is within 2 % of all of its part.
func near(held []int, parts ...float64) bool {
	sum := 0
	for _, n := range held {
		sum += n
	}
	for i, part := range parts {
		if diff := float64(held[i])/float64(sum) - part; diff > 0.02 || diff < -0.02 {
			return false
		}
	}
	return true
}

// TestMovesByWeights: a change of the weights moves as many as it must and nobody else, the
// same ones first, and back when it is undone.
func TestMovesByWeights(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.row("all", everyone, "a", 1, "b", 1, "c", 1)
	before := l.snapshot()
	c := newMovers(l, before, 10_000)
	if moved := c.ask(before, nil); moved[Stays] != 10_000 {
		t.Fatalf("nothing has changed, and some moved: %v", moved)
	}
	was := map[uint64]int{}
	for key, at := range c.at {
		was[key] = at
	}

	l.cfg.Regions[0].Row[0].Weight = 2
	changed := l.snapshot()
	moved := c.ask(changed, nil)
	if held := c.held(3); !near(held, 0.5, 0.25, 0.25) {
		t.Errorf("after the change: %v", held)
	}
	if n := moved[MovesTo]; n < 1400 || n > 1950 || n+moved[Stays] != 10_000 {
		t.Errorf("a sixth must move, and moved: %v", moved)
	}
	for key, at := range c.at {
		if at != was[key] && at != 0 {
			t.Fatalf("%d moved from %d to %d, which gained nothing", key, was[key], at)
		}
	}
	half := map[uint64]int{}
	for key, at := range c.at {
		half[key] = at
	}
	l.cfg.Regions[0].Row[0].Weight = 4
	c.ask(l.snapshot(), nil)
	for key, at := range half {
		if at == 0 && c.at[key] != 0 {
			t.Fatalf("%d left the node that gained once more", key)
		}
	}
	l.cfg.Regions[0].Row[0].Weight = 1
	c.ask(l.snapshot(), nil)
	for key, at := range c.at {
		if at != was[key] {
			t.Fatalf("after undo, %d is at %d and not at %d", key, at, was[key])
		}
	}
}

// TestMovesNobody: what is about newcomers moves nobody who is at a node.
func TestMovesNobody(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(l *lab){
		"its node fills up":        func(l *lab) { l.report("a", func(r *Report) { r.Listeners = 940 }) },
		"its node is at target":    func(l *lab) { l.report("a", func(r *Report) { r.Listeners = 1200 }) },
		"its node is at its limit": func(l *lab) { l.report("a", func(r *Report) { r.Listeners = 1600 }) },
		"its node is full":         func(l *lab) { l.report("a", func(r *Report) { r.Full = true }) },
		"all are full": func(l *lab) {
			for _, id := range []NodeID{"a", "b", "c"} {
				l.report(id, func(r *Report) { r.Listeners = 2000 })
			}
		},
		"the others are full, and the weights give them more": func(l *lab) {
			l.cfg.Regions[0].Row[1].Weight = 50
			l.report("b", func(r *Report) { r.Listeners = 900 })
		},
		"all are down": func(l *lab) {
			for _, id := range []NodeID{"a", "b", "c"} {
				l.report(id, func(r *Report) { r.Health = Failed; r.Since = l.now })
			}
		},
		"all are drained": func(l *lab) {
			for i := range l.cfg.Nodes {
				l.cfg.Nodes[i].Drained = true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 3)
			l.row("all", everyone, "a", 1, "b", 1, "c", 1)
			c := newMovers(l, l.snapshot(), 300)
			change(l)
			if moved := c.ask(l.snapshot(), nil); moved[Stays] != 300 {
				t.Errorf("moved: %v", moved)
			}
		})
	}
}

// TestDrainMoves: a drained node's listeners leave as far as there is room, and no faster than
// the others may be sent new ones.
func TestDrainMoves(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T) (*lab, *movers) {
		l := newLab(t, 3)
		l.row("all", everyone, "a", 1, "b", 1).Overflow = []RegionID{"far"}
		l.row("far", Match{}, "c", 1)
		return l, newMovers(l, l.snapshot(), 1000)
	}
	t.Run("with room", func(t *testing.T) {
		t.Parallel()
		l, c := setup(t)
		l.cfg.Nodes[0].Drained = true
		s := l.snapshot()
		if moved := c.ask(s, nil); moved[MovesOut] < 400 || c.held(3)[0] != 0 || c.held(3)[2] != 0 {
			t.Errorf("moved %v, held %v", moved, c.held(3))
		}
		l.cfg.Nodes[0].Drained = false
		if c.ask(l.snapshot(), nil); !near(c.held(2), 0.5, 0.5) {
			t.Errorf("back: %v", c.held(3))
		}
	})
	t.Run("moved lately", func(t *testing.T) {
		t.Parallel()
		l, c := setup(t)
		for key := range c.at {
			c.resting[key] = true
		}
		l.cfg.Regions[0].Row[0].Weight = 0.1
		if moved := c.ask(l.snapshot(), nil); moved[Stays] != 1000 {
			t.Errorf("weights moved %v", moved)
		}
		l.cfg.Nodes[0].Drained = true
		if moved := c.ask(l.snapshot(), nil); moved[MovesOut] < 400 || c.held(3)[0] != 0 {
			t.Errorf("a drain moves whoever is there, and moved %v", moved)
		}
	})
	t.Run("moved lately, to where a failure is", func(t *testing.T) {
		t.Parallel()
		l, c := setup(t)
		for key := range c.at {
			c.resting[key] = true
		}
		l.report("a", func(r *Report) { r.Health = Failed })
		if moved := c.ask(l.snapshot(), nil); moved[Flees] < 400 || c.held(3)[0] != 0 {
			t.Errorf("a failure moves whoever is there, and moved %v", moved)
		}
	})
	t.Run("at a pace", func(t *testing.T) {
		t.Parallel()
		l, c := setup(t)
		l.cfg.Nodes[0].Drained = true
		l.cfg.Nodes[1].MaxNewPerS = 10
		live := liveCounts{used: map[int]int{}, recent: map[int]int{1: 10}}
		if moved := c.ask(l.snapshot(), live); moved[Stays] != 1000 {
			t.Errorf("the node has had its ten, and c is too far: moved %v", moved)
		}
		live.recent[1] = 0
		if moved := c.ask(l.snapshot(), live); moved[MovesOut] < 400 {
			t.Errorf("a second later: moved %v", moved)
		}
	})
	t.Run("the rest of its region is full", func(t *testing.T) {
		t.Parallel()
		l, c := setup(t)
		l.cfg.Nodes[0].Drained = true
		l.report("b", func(r *Report) { r.Listeners = 1100 })
		if c.ask(l.snapshot(), nil); c.held(3)[2] < 400 {
			t.Errorf("they overflow: held %v", c.held(3))
		}
		l.cfg.Nodes[0].Drained = false
		l.report("b", func(r *Report) { r.Listeners = 100 })
		if c.ask(l.snapshot(), nil); !near(c.held(2), 0.5, 0.5) {
			t.Errorf("there is room at home again: held %v", c.held(3))
		}
	})
	t.Run("nowhere has room", func(t *testing.T) {
		t.Parallel()
		l, c := setup(t)
		l.cfg.Nodes[0].Drained = true
		for _, id := range []NodeID{"b", "c"} {
			l.report(id, func(r *Report) { r.Listeners = 1100 })
		}
		if moved := c.ask(l.snapshot(), nil); moved[Stays] != 1000 {
			t.Errorf("moved: %v", moved)
		}
	})
}

// TestMovesByLoad: in a row without weights, listeners move when another node is much freer,
// and come to rest.
func TestMovesByLoad(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	r := l.row("all", everyone, "a", 1, "b", 1, "c", 1)
	for i := range r.Row {
		r.Row[i].Given = false
	}
	l.cfg.Nodes[2].Drained = true
	count := func(c *movers) {
		for i, n := range c.held(3) {
			l.report(NodeID(rune('a'+i)), func(r *Report) { r.Listeners = n })
		}
	}
	c := newMovers(l, l.snapshot(), 1500)
	count(c)
	l.cfg.Nodes[2].Drained = false
	moves := []int{}
	for range 20 {
		// A part of them asks before the counts are known.
		part := &movers{at: map[uint64]int{}, resting: map[uint64]bool{}}
		for key, at := range c.at {
			if len(part.at) < 200 {
				part.at[key] = at
			}
		}
		moved := part.ask(l.snapshot(), nil)
		for key, at := range part.at {
			c.at[key] = at
		}
		count(c)
		moves = append(moves, moved[MovesTo])
	}
	if held := c.held(3); slices.Min(held) < 350 {
		t.Errorf("held %v after moves %v", held, moves)
	}
	if last := moves[len(moves)-1]; last > 2 {
		t.Errorf("they never come to rest: %v", moves)
	}
}

// TestMovesOnlyToMuchFreer: a node that is somewhat freer than the others, as whoever moved
// there would make it no more, attracts nobody in a row without weights.
func TestMovesOnlyToMuchFreer(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.listed("all", everyone, "a", "b", "c")
	hold := func(c int) {
		for id, n := range map[NodeID]int{"a": 600, "b": 600, "c": c} {
			l.report(id, func(r *Report) { r.Listeners = n })
		}
	}
	hold(1000) // so that all are placed at a and b
	c := newMovers(l, l.snapshot(), 1000)
	hold(450) // 55 % are free, and 40 %
	if moved := c.ask(l.snapshot(), nil); moved[Stays] != 1000 {
		t.Errorf("1.4 times as free: moved %v", moved)
	}
	hold(350) // 65 %
	if moved := c.ask(l.snapshot(), nil); moved[MovesTo] < 300 || moved[MovesTo] != c.held(3)[2] {
		t.Errorf("1.6 times as free: moved %v, held %v", moved, c.held(3))
	}
}

// TestMovesToWarmingNode: a node that came back gets its listeners back bit by bit, each once;
// nobody is moved for it between the others, nor away from it when its warm-up is no longer
// waived.
func TestMovesToWarmingNode(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T) (*lab, *movers, map[uint64]int) {
		l := newLab(t, 3)
		l.row("all", everyone, "a", 1, "b", 1, "c", 1)
		c := newMovers(l, l.snapshot(), 3000)
		home := map[uint64]int{}
		for key, at := range c.at {
			home[key] = at
		}
		return l, c, home
	}
	t.Run("bit by bit", func(t *testing.T) {
		t.Parallel()
		l, c, home := setup(t)
		for key, at := range c.at { // as players do that go to the next pathway by themselves
			if at == 2 {
				c.at[key] = int(key % 2)
			}
		}
		held := 0
		for age := time.Duration(0); age <= time.Minute; age += 3 * time.Second {
			l.report("c", func(r *Report) { r.Returned = l.now.Add(-age) })
			was := map[uint64]int{}
			for key, at := range c.at {
				was[key] = at
			}
			c.ask(l.snapshot(), nil)
			for key, at := range c.at {
				if at != was[key] && at != 2 {
					t.Fatalf("after %v %d moved from %d to %d", age, key, was[key], at)
				}
			}
			if held = c.held(3)[2]; age < 20*time.Second && held > 600 {
				t.Errorf("after %v it has %d back", age, held)
			}
		}
		for key, at := range c.at {
			if at != home[key] {
				t.Fatalf("it is warm, and %d is at %d instead of %d", key, at, home[key])
			}
		}
	})
	t.Run("whoever is there stays", func(t *testing.T) {
		t.Parallel()
		l, c, _ := setup(t)
		l.report("c", func(r *Report) { r.Returned = l.now })
		if moved := c.ask(l.snapshot(), nil); moved[Stays] != 3000 {
			t.Errorf("moved %v", moved)
		}
	})
}

// TestSteerRanks: the order of what a player may use.
func TestSteerRanks(t *testing.T) {
	t.Parallel()
	l := newLab(t, 6)
	l.row("all", everyone, "a", 1, "b", 1, "c", 1, "d", 1, "e", 0).Overflow = []RegionID{"far"}
	l.row("far", Match{}, "f", 1)
	l.cfg.Nodes[1].Drained = true                         // b plays, and takes nobody
	l.report("c", func(r *Report) { r.Listeners = 1100 }) // above its target
	l.report("d", func(r *Report) { r.Health = Failed })  // down
	rank := func(at int, never ...NodeID) (ids string) {
		d := Decision{Want: 16}
		l.snapshot().Steer(&d, Listener{Mount: "/live.mp3", Scheme: AnyScheme, Never: never}, at, false, nil)
		for _, c := range d.Ranked {
			ids += string(rune('a' + c.Node))
		}
		return ids
	}
	for at, want := range map[int]string{Nowhere: "afcbe", 0: "afcbe", 1: "afcbe", 2: "cafbe", 3: "afcbe", 5: "facbe"} {
		if got := rank(at); got != want {
			t.Errorf("at %d: %q, want %q", at, got, want)
		}
	}
	if got := rank(0, "a"); got != "fcbe" {
		t.Errorf("at a node that it must never get: %q", got)
	}
	l.report("b", func(r *Report) { r.Health = Failed })
	if got := rank(1); got != "afce" {
		t.Errorf("at a drained node that is down: %q", got)
	}
	l.cfg.Nodes = append(l.cfg.Nodes, Node{ID: "g", URLs: []string{"http://g.example"}})
	l.reports["g"] = upReport("g")
	d := Decision{Want: 16}
	if move := l.snapshot().Steer(&d, Listener{Mount: "/live.mp3", Scheme: AnyScheme}, 6, true, nil); move != MovesOut || d.Ranked[0].Node == 6 {
		t.Errorf("at a node that is in no row: %v to %d", move, d.Ranked[0].Node)
	}
}

// TestSteerAllocates: nothing, as it is done for everybody who listens, every few seconds.
func TestSteerAllocates(t *testing.T) {
	l := newLab(t, 6)
	l.row("all", everyone, "a", 1, "b", 1, "c", 1, "d", 1)
	s, d := l.snapshot(), Decision{Want: 16, Ranked: make([]Candidate, 0, 32)}
	var live Live = liveCounts{}
	if n := testing.AllocsPerRun(100, func() {
		s.Steer(&d, Listener{Key: 1, Mount: "/live.mp3", Scheme: AnyScheme}, 1, true, live)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSteer(b *testing.B) {
	l := newLab(b, 10)
	l.row("all", everyone, "a", 1, "b", 1, "c", 1, "d", 1, "e", 1, "f", 1, "g", 1, "h", 1, "i", 1, "j", 1)
	s, d := l.snapshot(), Decision{Want: 16, Ranked: make([]Candidate, 0, 32)}
	for i := 0; b.Loop(); i++ {
		s.Steer(&d, Listener{Key: mix(uint64(i)), Mount: "/live.mp3", Scheme: AnyScheme}, i%10, true, nil)
	}
}
