package director

import (
	"math"
	"net/netip"
	"testing"
)

// Whether a resolver hands on the first address of an answer or any of them, every node
// gets its share; and the first is whom a redirect would have named.
func TestSpreadKeepsShares(t *testing.T) {
	t.Parallel()
	const askers = 80_000
	for _, c := range []struct {
		name    string
		weights []any
		want    int
		least   float64 // the part of the answers that are as long as can be
	}{
		{"equal", []any{"a", 1, "b", 1, "c", 1}, 2, 1},
		{"one above the half", []any{"a", 3, "b", 1}, 2, 0.49},
		{"far above", []any{"a", 17, "b", 2, "c", 1}, 3, 0},
		{"three of five", []any{"a", 5, "b", 3, "c", 2, "d", 2, "e", 1}, 3, 0.8},
		{"more than there are", []any{"a", 1, "b", 1}, 4, 1},
		{"alone", []any{"a", 1}, 3, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 5)
			l.row("world", everyone, c.weights...)
			s := l.snapshot()
			want, sum := map[NodeID]float64{}, 0.0
			for i := 0; i < len(c.weights); i += 2 {
				want[NodeID(c.weights[i].(string))] = float64(c.weights[i+1].(int))
				sum += want[NodeID(c.weights[i].(string))]
			}
			for id := range want {
				want[id] /= sum
			}
			d, plain := Decision{Want: c.want, Spread: true}, Decision{}
			first, any := map[NodeID]float64{}, map[NodeID]float64{}
			long := 0
			for key := range uint64(askers) {
				q := Listener{Mount: "/live.mp3", Scheme: HTTP, Key: mix(key)}
				s.Decide(&d, q, nil)
				s.Decide(&plain, q, nil)
				if d.Ranked[0].Node != plain.Ranked[0].Node || d.Outcome != plain.Outcome {
					t.Fatal("the first choice is another than without")
				}
				if d.Drawn != len(want) {
					t.Fatalf("drawn from %d nodes, want %d", d.Drawn, len(want))
				}
				seen := map[int]bool{}
				for i, r := range d.Ranked {
					if seen[r.Node] {
						t.Fatalf("an answer names a node twice: %v", d.Ranked)
					}
					seen[r.Node] = true
					any[s.NodeID(r.Node)] += 1 / float64(len(d.Ranked)) / askers
					if i == 0 {
						first[s.NodeID(r.Node)] += 1. / askers
					}
				}
				if len(d.Ranked) == min(c.want, len(want)) {
					long++
				}
			}
			for id := range want {
				for taken, got := range map[string]float64{"the first": first[id], "any": any[id]} {
					if math.Abs(got-want[id]) > 0.007 {
						t.Errorf("%s: if %s is taken it gets %.4f, want %.4f", id, taken, got, want[id])
					}
				}
			}
			if got := float64(long) / askers; got < c.least {
				t.Errorf("%.3f of the answers are as long as can be, want %.3f", got, c.least)
			}
		})
	}
}

// Who is passed over is in no place of a spread answer, in any stage of the search.
func TestSpreadNamesOnlyItsStage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		set    func(l *lab)
		expect Outcome
		out    []NodeID
	}{
		{"drained", func(l *lab) { l.cfg.Nodes[1].Drained = true }, Placed, []NodeID{"b"}},
		{"down", func(l *lab) { l.report("b", func(r *Report) { r.Health = Failed }) }, Placed, []NodeID{"b"}},
		{"at target", func(l *lab) { l.report("b", func(r *Report) { r.Listeners = 1000 }) }, Placed, []NodeID{"b"}},
		{"all at target, one at its limit", func(l *lab) {
			for _, id := range []NodeID{"a", "b", "c"} {
				l.report(id, func(r *Report) { r.Listeners = 1100 })
			}
			l.report("c", func(r *Report) { r.Listeners = 1500 })
		}, Full, []NodeID{"c"}},
		{"all down, one long ago", func(l *lab) {
			for _, id := range []NodeID{"a", "b", "c"} {
				l.report(id, func(r *Report) { r.Health, r.Since = Failed, l.now })
			}
			l.report("c", func(r *Report) { r.Since = l.now.Add(-10 * knownTogether) })
		}, Dark, []NodeID{"c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 3)
			l.row("world", everyone, "a", 1, "b", 1, "c", 1)
			c.set(l)
			s := l.snapshot()
			d := Decision{Want: 3, Spread: true}
			named := map[NodeID]int{}
			for key := range uint64(2000) {
				s.Decide(&d, Listener{Mount: "/live.mp3", Scheme: HTTP, Key: mix(key)}, nil)
				if d.Outcome != c.expect && (c.expect != Placed || d.Outcome != Spilled) {
					t.Fatalf("outcome %s, want %s", d.Outcome, c.expect)
				}
				for _, r := range d.Ranked {
					named[s.NodeID(r.Node)]++
				}
			}
			for _, id := range c.out {
				if named[id] > 0 {
					t.Errorf("%s is named %d times", id, named[id])
				}
			}
			if len(named) != 3-len(c.out) {
				t.Errorf("named are %v, want all but %v", named, c.out)
			}
		})
	}
}

// Who knows a host's name only comes to one port with the public path.
func TestListenersByName(t *testing.T) {
	t.Parallel()
	l := newLab(t, 5)
	l.cfg.Nodes[1].URLs = []string{"http://b.example:8080"}
	l.cfg.Nodes[2].URLs = []string{"http://c.example:8000/station"}
	l.cfg.Nodes[3].Paths = map[string]string{"/live.mp3": "/other.mp3"}
	l.report("d", func(r *Report) { r.Mounts = []MountReport{{Path: "/other.mp3"}} })
	l.cfg.Nodes[4].URLs = []string{"https://e.example:8000"}
	l.row("world", everyone, "a", 1, "b", 1, "c", 1, "d", 1, "e", 1)
	s := l.snapshot()
	want := map[NodeID]Reason{"a": Fit, "b": Elsewhere, "c": Elsewhere, "d": Elsewhere, "e": LacksScheme}
	x := s.Explain(Listener{Mount: "/live.mp3", Scheme: HTTP, Port: 8000}, nil)
	for _, c := range x.Candidates {
		if c.Reason != want[c.Node] {
			t.Errorf("%s: %s, want %s", c.Node, c.Reason, want[c.Node])
		}
	}
	if x := s.Explain(Listener{Mount: "/live.mp3", Scheme: HTTPS, Port: 8000}, nil); x.Node != "e" {
		t.Errorf("over https the answer is %q, want e", x.Node)
	}
	var d Decision
	for key := range uint64(100) {
		s.Decide(&d, Listener{Mount: "/live.mp3", Scheme: HTTP, Port: 8000, Key: mix(key)}, nil)
		if s.NodeID(d.Ranked[0].Node) != "a" {
			t.Fatalf("the answer is %s", s.NodeID(d.Ranked[0].Node))
		}
	}
}

// A listener who may ask for any mount is sent to nodes that carry this one or that.
func TestListenersOfTheWholeFleet(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.row("world", everyone, "a", 1, "b", 1, "c", 1).Deny = []string{"/jazz.mp3"}
	l.report("a", func(r *Report) { r.Mounts = r.Mounts[:1] })
	l.report("b", func(r *Report) { r.Health = Failed })
	s := l.snapshot()
	x := s.Explain(Listener{Scheme: HTTP}, nil)
	if x.Outcome != Placed && x.Outcome != Spilled {
		t.Fatalf("outcome %s", x.Outcome)
	}
	for _, c := range x.Candidates {
		if want := map[NodeID]Reason{"a": Fit, "b": Down, "c": Fit}[c.Node]; c.Reason != want {
			t.Errorf("%s: %s, want %s", c.Node, c.Reason, want)
		}
	}
	l.cfg.Regions[0].Deny = []string{"*"}
	if x := l.snapshot().Explain(Listener{Scheme: HTTP}, nil); x.Outcome != Denied {
		t.Errorf("outcome %s, want denied", x.Outcome)
	}
}

// The family in which a listener comes is not always that of the address it has.
func TestFamilyOfTheListener(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.cfg.Nodes[0].Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	l.cfg.Nodes[1].Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.2")}
	l.row("world", everyone, "a", 1, "b", 1)
	s := l.snapshot()
	v4 := netip.MustParseAddr("198.51.100.1")
	for _, c := range []struct {
		addr   netip.Addr
		family Family
		want   Reason
	}{{v4, AddrFamily, Fit}, {v4, IPv6, LacksFamily}, {netip.MustParseAddr("2001:db8::5"), IPv4, Fit}, {netip.Addr{}, IPv6, LacksFamily}} {
		x := s.Explain(Listener{Mount: "/live.mp3", Scheme: HTTP, Addr: c.addr, Family: c.family}, nil)
		for _, n := range x.Candidates {
			if n.Node == "b" && n.Reason != c.want {
				t.Errorf("%v over %d: b is %s, want %s", c.addr, c.family, n.Reason, c.want)
			}
		}
	}
}

// Equal Origins are decided alike, and CIDRBounds tells how far the CIDRs agree.
func TestOriginsAndBounds(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.row("office", Match{CIDRs: []netip.Prefix{netip.MustParsePrefix("198.51.100.64/26"), netip.MustParsePrefix("2001:db8::/32")}}, "a", 1)
	l.row("eu", Match{Continents: []string{"EU"}}, "b", 1)
	l.row("rest", everyone, "c", 1)
	s := l.snapshot()
	german, french := Place{Country: Code{'D', 'E'}, Continent: Code{'E', 'U'}}, Place{Country: Code{'F', 'R'}, Continent: Code{'E', 'U'}}
	addr := netip.MustParseAddr
	if s.Origin(addr("203.0.113.1"), german) != s.Origin(addr("203.0.114.1"), french) {
		t.Error("two of one region have different Origins")
	}
	if s.Origin(addr("203.0.113.1"), german) == s.Origin(addr("203.0.113.1"), Place{}) || s.Origin(addr("198.51.100.65"), german) == s.Origin(addr("203.0.113.1"), german) {
		t.Error("two of different regions have the same Origin")
	}
	for _, c := range []struct{ addr, first, last string }{
		{"198.51.100.70", "198.51.100.64", "198.51.100.127"},
		{"198.51.100.1", "", "198.51.100.63"},
		{"203.0.113.1", "198.51.100.128", ""},
		{"::ffff:198.51.100.70", "198.51.100.64", "198.51.100.127"},
		{"2001:db8::5", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"2001:db9::", "2001:db9::", ""},
	} {
		first, last := s.CIDRBounds(addr(c.addr))
		text := func(a netip.Addr) string {
			if !a.IsValid() {
				return ""
			}
			return a.String()
		}
		if text(first) != c.first || text(last) != c.last {
			t.Errorf("%s: %q to %q, want %q to %q", c.addr, text(first), text(last), c.first, c.last)
		}
	}
	if first, last := newLab(t, 1).snapshot().CIDRBounds(addr("192.0.2.1")); first.IsValid() || last.IsValid() {
		t.Error("there are bounds without CIDRs")
	}
}
