package director

import (
	"net/netip"
	"testing"
	"time"
)

// liveCounts are counters set by hand.
type liveCounts struct{ used, recent map[int]int }

func (l liveCounts) Used(n int) int   { return l.used[n] }
func (l liveCounts) Recent(n int) int { return l.recent[n] }
func (l liveCounts) Count(int)        { panic("Decide must not count") }
func (l liveCounts) Expect(int, int)  { panic("Decide must not count") }

func TestOutcomes(t *testing.T) {
	t.Parallel()
	eu := Match{Continents: []string{"EU"}}
	german := Place{Country: Code{'D', 'E'}, Continent: Code{'E', 'U'}}
	down := func(r *Report) { r.Health = Failed }
	tests := []struct {
		name   string
		set    func(l *lab)
		listen Listener
		want   int
		expect string
	}{
		{name: "own row", want: 3, listen: Listener{Place: german},
			set: func(l *lab) { l.row("eu", eu, "a", 1); l.row("rest", everyone, "b", 1) }, expect: "placed a"},
		{name: "default for an unknown place", listen: Listener{},
			set: func(l *lab) { l.row("eu", eu, "a", 1); l.row("rest", everyone, "b", 1) }, expect: "placed b"},
		{name: "an alias", listen: Listener{Mount: "/stream"},
			set: func(l *lab) { l.row("all", everyone, "a", 1) }, expect: "placed a"},
		{name: "no such mount", listen: Listener{Mount: "/nothing"},
			set: func(l *lab) { l.row("all", everyone, "a", 1) }, expect: "no_mount"},
		{name: "nobody carries the mount", listen: Listener{Mount: "/jazz.mp3"},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1)
				l.report("a", func(r *Report) { r.Mounts = r.Mounts[:1] })
			}, expect: "mount_down"},
		{name: "the only carrier is down", listen: Listener{Mount: "/jazz.mp3"},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.report("a", down)
				l.report("b", func(r *Report) { r.Mounts = r.Mounts[:1] })
			}, expect: "dark a"},
		{name: "denied", listen: Listener{Place: german},
			set: func(l *lab) { l.row("eu", eu, "a", 1).Deny = []string{"/stream"} }, expect: "denied"},
		{name: "denied everything", listen: Listener{Place: german, Mount: "/jazz.mp3"},
			set: func(l *lab) { l.row("eu", eu, "a", 1).Deny = []string{"*"} }, expect: "denied"},
		{name: "overflow, in order, and no node twice", want: 4, listen: Listener{Place: german},
			set: func(l *lab) {
				l.row("eu", eu, "a", 1, "b", 1).Overflow = []RegionID{"us", "asia"}
				l.row("us", Match{}, "b", 1, "c", 1)
				l.row("asia", Match{}, "d", 1)
				l.report("a", down)
			}, expect: "placed b c d"},
		{name: "overflow, answered", listen: Listener{Place: german},
			set: func(l *lab) {
				l.row("eu", eu, "a", 1).Overflow = []RegionID{"us"}
				l.row("us", Match{}, "c", 1)
				l.report("a", func(r *Report) { r.Listeners = 1000 })
			}, expect: "overflow c"},
		{name: "drained", listen: Listener{},
			set: func(l *lab) { l.row("all", everyone, "a", 1, "b", 1); l.cfg.Nodes[0].Drained = true }, expect: "placed b"},
		{name: "all drained", listen: Listener{},
			set: func(l *lab) { l.row("all", everyone, "a", 1); l.cfg.Nodes[0].Drained = true }, expect: "nobody"},
		{name: "all at target: the least used", want: 2, listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.report("a", func(r *Report) { r.Listeners = 1400 })
				l.report("b", func(r *Report) { r.Listeners = 1100 })
			}, expect: "full b a"},
		{name: "all at limit", listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1)
				l.report("a", func(r *Report) { r.Listeners = 1500 })
			}, expect: "full"},
		{name: "one more of whom its node knows nothing", want: 4, listen: Listener{Joins: []NodeID{"b", "c", "d"}},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1, "c", 1, "d", 0)
				l.report("a", func(r *Report) { r.Listeners = 1500 })
				l.report("b", func(r *Report) { r.Full = true })
				l.report("c", down)
				l.report("d", func(r *Report) { r.Full = true })
			}, expect: "full b"},
		{name: "a seat is better than none", listen: Listener{Joins: []NodeID{"a"}},
			set: func(l *lab) {
				l.row("all", everyone, "a", 9, "b", 1)
				l.report("a", func(r *Report) { r.Listeners = 1500 })
				l.report("b", func(r *Report) { r.Listeners = 1400 })
			}, expect: "full b"},
		{name: "one at its limit and one down: full, not dark", listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.report("a", func(r *Report) { r.Listeners = 1500 })
				l.report("b", down)
			}, expect: "full"},
		{name: "the mount's own limit", listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.report("a", func(r *Report) { r.Mounts = []MountReport{{Path: "/live.mp3", Listeners: 5, Limit: 5}} })
			}, expect: "spilled b"},
		{name: "the mount's own limit, with those on their way", listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.limits(3)
			}, expect: "spilled b"},
		{name: "a seat left at the mount", want: 2, listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.limits(2)
			}, expect: "placed a b"},
		{name: "another mount's limit", listen: Listener{Mount: "/jazz.mp3"},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1)
				l.report("a", func(r *Report) {
					r.Mounts = []MountReport{{Path: "/live.mp3", Limit: 5}, {Path: "/jazz.mp3", Listeners: -1}}
				})
				l.input.EnRoute = map[NodeID]int{"a": 50}
			}, expect: "placed a"},
		{name: "a mount that does not tell its listeners", listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1)
				l.report("a", func(r *Report) {
					r.Listeners, r.Mounts = -1, []MountReport{{Path: "/live.mp3", Listeners: -1, Limit: 5}}
				})
				l.input.EnRoute = map[NodeID]int{"a": 5}
			}, expect: "full"},
		{name: "the server says full", listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1)
				l.report("a", func(r *Report) { r.Full = true })
			}, expect: "full"},
		{name: "relays are no listeners", listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1)
				l.cfg.Nodes[0].Relays = 600
				l.report("a", func(r *Report) { r.Listeners = 1599 })
			}, expect: "placed a"},
		{name: "those on their way count", listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.report("a", func(r *Report) { r.Listeners = 900 })
				l.input.EnRoute = map[NodeID]int{"a": 100}
			}, expect: "spilled b"},
		{name: "megabits count", listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.cfg.Nodes[0].Mbit = Mbit{Target: 64, Limit: 100} // 500 listeners of 128 kbit/s
				l.report("a", func(r *Report) { r.Listeners = 500 })
			}, expect: "spilled b"},
		{name: "all down: the last known good", want: 3, listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.report("a", func(r *Report) { r.Health, r.Since = Failed, l.now.Add(-time.Hour) })
				l.report("b", func(r *Report) { r.Health, r.Since = Failed, l.now })
			}, expect: "dark b"},
		{name: "all down, as listeners' own GETs say too", listen: Listener{},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.report("a", func(r *Report) {
					r.Health, r.Since, r.AnyMount, r.Mounts = Failed, l.now, true, nil
					r.Verdicts = []Verdict{{Path: "/live.mp3", State: MountSilent, Cause: Unreachable}, {Scheme: HTTP, State: MountSilent, Cause: Unreachable}}
				})
				l.report("b", func(r *Report) {
					r.Health, r.Since = Failed, l.now
					r.Verdicts = []Verdict{{Path: "/live.mp3", State: MountSilent, Cause: SourceGone}}
				})
			}, expect: "dark a"},
		{name: "not probed yet", listen: Listener{},
			set: func(l *lab) { l.row("all", everyone, "a", 1); delete(l.reports, "a") }, expect: "dark a"},
		{name: "scheme", listen: Listener{Scheme: HTTPS},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.cfg.Nodes[1].URLs = []string{"https://b.example", "http://b.example"}
			}, expect: "placed b"},
		{name: "no node speaks the scheme", listen: Listener{Scheme: HTTPS},
			set: func(l *lab) { l.row("all", everyone, "a", 1) }, expect: "nobody"},
		{name: "family", listen: Listener{Addr: addr("2001:db8::1")},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1, "b", 1)
				l.report("a", func(r *Report) { r.IPv4 = true })
				l.report("b", func(r *Report) { r.IPv4, r.IPv6 = true, true })
			}, expect: "placed b"},
		{name: "only the other family: better than nothing", listen: Listener{Addr: addr("2001:db8::1")},
			set: func(l *lab) {
				l.row("all", everyone, "a", 1)
				l.cfg.Nodes[0].URLs = []string{"http://192.0.2.1:8000"}
			}, expect: "placed a"},
		{name: "avoid", listen: Listener{Avoid: [2]NodeID{"a"}},
			set: func(l *lab) { l.row("all", everyone, "a", 9, "b", 1) }, expect: "placed b"},
		{name: "avoid two", want: 3, listen: Listener{Avoid: [2]NodeID{"a", "c"}},
			set: func(l *lab) { l.row("all", everyone, "a", 9, "b", 1, "c", 9) }, expect: "placed b"},
		{name: "avoid the only one: better than nothing", listen: Listener{Avoid: [2]NodeID{"a"}},
			set: func(l *lab) { l.row("all", everyone, "a", 1) }, expect: "placed a"},
		{name: "a row by distance", want: 4, listen: Listener{Place: Place{Point: CityPoint, Lat: 50, Lon: 8}},
			set: func(l *lab) {
				l.cfg.Nodes[0].Place = Place{Point: CityPoint, Lat: 40, Lon: -74}
				l.cfg.Nodes[1].Place = Place{Point: CityPoint, Lat: 50.1, Lon: 8.7}
				l.cfg.Nodes = l.cfg.Nodes[:2]
			}, expect: "placed b a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 4)
			tt.set(l)
			s := l.snapshot()
			if got := decide(s, tt.listen, tt.want); got != tt.expect {
				t.Errorf("got %q, want %q", got, tt.expect)
			}
		})
	}
}

func TestLiveCountsBoundLimitAndPace(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.row("all", everyone, "a", 1, "b", 1)
	l.cfg.Nodes[0].MaxNewPerS = 50
	s := l.snapshot()
	live := liveCounts{used: map[int]int{}, recent: map[int]int{}}
	ask := func() (Outcome, NodeID) {
		d := Decision{}
		s.Decide(&d, Listener{Mount: "/live.mp3", Scheme: HTTP, Key: 3}, live)
		if len(d.Ranked) == 0 {
			return d.Outcome, ""
		}
		return d.Outcome, s.NodeID(d.Ranked[0].Node)
	}
	_, first := ask()
	other := map[NodeID]NodeID{"a": "b", "b": "a"}[first]
	n := map[NodeID]int{"a": 0, "b": 1}
	live.used[n[first]] = 1500
	if o, id := ask(); o != Spilled || id != other {
		t.Errorf("first choice at its limit: %v %v, want spilled %v", o, id, other)
	}
	live.used[n[other]] = 1500
	if o, id := ask(); o != Full || id != "" {
		t.Errorf("both at their limit: %v %v, want full and nobody", o, id)
	}
	live.used = map[int]int{}
	live.recent[0] = 50
	if _, id := ask(); id != "b" {
		t.Errorf("a is paced: got %v, want b", id)
	}
	live.used[1] = 1500
	if o, id := ask(); o != Full || id != "a" {
		t.Errorf("b is at its limit and a is paced: %v %v, want full a, for an answer is better than none", o, id)
	}
	l.cfg.Nodes[0].Pace = PaceHold
	s = l.snapshot()
	if o, id := ask(); o != Full || id != "" {
		t.Errorf("b is at its limit and a is held to its pace: %v %v, want full and nobody", o, id)
	}
	delete(live.used, 1)
	if o, id := ask(); id != "b" {
		t.Errorf("a is held to its pace: %v %v, want b", o, id)
	}
	delete(live.recent, 0)
	if o, id := ask(); o != Placed || id != first {
		t.Errorf("a second later: %v %v, want placed %v", o, id, first)
	}
}

// TestMountLimitHoldsInABurst: a mount gets no more listeners at a node than its own
// limit leaves room for, however many come before the node has counted them.
func TestMountLimitHoldsInABurst(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.row("all", everyone, "a", 1, "b", 1)
	l.report("a", func(r *Report) { r.Listeners, r.Mounts[0] = 4, MountReport{Path: "/live.mp3", Listeners: 4, Limit: 10} })
	l.report("b", func(r *Report) { r.Mounts[0].Limit = 10 })
	fleet := l.fleet()
	s := fleet.Build(nil, l.in())
	l.input.EnRoute = map[NodeID]int{}
	for range 3 { // snapshots of the same reports
		live := liveCounts{used: map[int]int{}}
		for n := range s.Nodes() {
			live.used[n] = s.Node(n).Used
		}
		for key := range uint64(150) {
			d := Decision{}
			s.Decide(&d, Listener{Mount: "/live.mp3", Scheme: HTTP, Key: key * 0x9e3779b97f4a7c15}, live)
			if len(d.Ranked) > 0 {
				n := d.Ranked[0].Node
				live.used[n]++
				l.input.EnRoute[s.NodeID(n)]++
			}
		}
		if a, b := l.input.EnRoute["a"], l.input.EnRoute["b"]; a != 6 || b != 10 {
			t.Fatalf("sent %d to a and %d to b, want 6 and 10", a, b)
		}
		s = fleet.Build(s, l.in())
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	s := sized(t, 10, true)
	d := Decision{Want: 3}
	l := Listener{Mount: "/live.mp3", Scheme: HTTP, Addr: netip.MustParseAddr("192.0.2.1")}
	var live Live = liveCounts{}
	if n := testing.AllocsPerRun(100, func() { l.Key++; s.Decide(&d, l, live) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestExplainSaysWhatDecideDoes(t *testing.T) {
	t.Parallel()
	l := newLab(t, 6)
	l.row("eu", everyone, "a", 3, "b", 1, "c", 1, "d", 0).Overflow = []RegionID{"us"}
	l.row("us", Match{}, "e", 1)
	l.report("b", func(r *Report) { r.Health, r.Detail = Failed, "connection refused" })
	l.report("c", func(r *Report) { r.Listeners = 1000 })
	s := l.snapshot()
	x := s.Explain(Listener{Mount: "/stream", Scheme: HTTP, Key: 1}, nil)
	got := map[NodeID]Reason{}
	for _, c := range x.Candidates {
		got[c.Node] = c.Reason
	}
	want := map[NodeID]Reason{"a": Fit, "b": Down, "c": AtTarget, "d": WeightZero, "e": Fit, "f": NotInRow}
	for id, r := range want {
		if got[id] != r {
			t.Errorf("node %s: reason %v, want %v", id, got[id], r)
		}
	}
	if len(x.Candidates) != len(want) {
		t.Errorf("%d candidates, want every node once", len(x.Candidates))
	}
	if x.Node != "a" || x.Outcome.String()+" a" != decide(s, Listener{Key: 1}, 1) {
		t.Errorf("explained %v %v, decided %v", x.Outcome, x.Node, decide(s, Listener{Key: 1}, 1))
	}
	if x.Mount != "/live.mp3" || x.Candidates[0].Expected != 1 {
		t.Errorf("mount %q, expected part %v; want the canonical name and 1", x.Mount, x.Candidates[0].Expected)
	}
}

// Every decision of a varied fleet is explained as it was made.
func FuzzExplainAgreesWithDecide(f *testing.F) {
	f.Add(uint64(1), uint8(0), uint16(0), false)
	f.Add(uint64(7), uint8(0b10101), uint16(999), true)
	f.Fuzz(func(t *testing.T, key uint64, broken uint8, load uint16, tls bool) {
		l := newLab(t, 5)
		l.row("eu", everyone, "a", 3, "b", 1, "c", 1).Overflow = []RegionID{"us"}
		l.listed("us", Match{}, "d", "e", "a")
		for i := range l.cfg.Nodes {
			if broken&(1<<i) != 0 {
				l.report(l.cfg.Nodes[i].ID, func(r *Report) { r.Health = Failed })
			}
			l.report(l.cfg.Nodes[i].ID, func(r *Report) { r.Listeners = int(load) * (i + 1) / 2 })
		}
		q := Listener{Mount: "/live.mp3", Scheme: HTTP, Key: key}
		if tls {
			q.Scheme = HTTPS
		}
		s := l.snapshot()
		var d Decision
		s.Decide(&d, q, nil)
		x := s.Explain(q, nil)
		var node NodeID
		if len(d.Ranked) > 0 {
			node = s.NodeID(d.Ranked[0].Node)
		}
		if x.Outcome != d.Outcome || x.Node != node {
			t.Errorf("decided %v %v, explained %v %v", d.Outcome, node, x.Outcome, x.Node)
		}
	})
}
