package director

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// holding makes nodes hold so many listeners, in order of their names.
func (l *lab) holding(listeners ...int) *lab {
	for i, n := range listeners {
		l.report(l.cfg.Nodes[i].ID, func(r *Report) { r.Listeners = n })
	}
	return l
}

// hearing makes a node's report say how many hear /live.mp3 and /jazz.mp3.
func (l *lab) hearing(id NodeID, live, jazz int) {
	l.report(id, func(r *Report) { r.Mounts[0].Listeners, r.Mounts[1].Listeners = live, jazz })
}

// lost returns what a node or a site that dies would cost.
func lost(t *testing.T, s *Snapshot, name string) Loss {
	t.Helper()
	r := s.Reserve(nil)
	for _, l := range slices.Concat(r.Nodes, r.Sites) {
		if string(l.Node)+l.Site == name {
			return l
		}
	}
	t.Fatalf("no reserve for %q", name)
	return Loss{}
}

func TestReserve(t *testing.T) {
	t.Parallel()
	germany, france := Match{Countries: []string{"DE"}}, Match{Countries: []string{"FR"}}
	for _, tt := range []struct {
		name  string
		nodes int
		setup func(l *lab)
		dead  string
		want  Loss
	}{
		{"seats below target for all", 3, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1, "c", 1)
			l.holding(200, 300, 400)
		}, "a", Loss{Listeners: 200}},
		{"not below target, but below limit", 3, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1, "c", 1)
			l.holding(900, 900, 900)
		}, "a", Loss{Listeners: 900, BeyondTarget: 700}},
		{"not below limit", 3, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1, "c", 1)
			l.holding(1400, 1400, 1450)
		}, "a", Loss{Listeners: 1400, BeyondTarget: 1400, BeyondLimit: 1250}},
		{"a node above its limit has no seats, and takes none away", 3, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1, "c", 1)
			l.holding(300, 2000, 900)
		}, "a", Loss{Listeners: 300, BeyondTarget: 200}},
		{"listeners on their way count", 2, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1)
			l.holding(500, 900)
			l.input.EnRoute = map[NodeID]int{"a": 20, "b": 50}
		}, "a", Loss{Listeners: 520, BeyondTarget: 470}},
		{"the overflow's seats", 3, func(l *lab) {
			l.row("de", germany, "a", 1, "b", 1).Overflow = []RegionID{"spare"}
			l.row("spare", Match{}, "c", 1)
			l.row("rest", everyone, "c", 1)
			l.holding(900, 950, 800)
		}, "a", Loss{Listeners: 900, Overflow: 200, BeyondTarget: 650}},
		{"seats that no ladder leads to", 3, func(l *lab) {
			l.row("de", germany, "a", 1, "b", 1)
			l.row("rest", everyone, "c", 1)
			l.holding(900, 950, 0)
		}, "a", Loss{Listeners: 900, BeyondTarget: 850, BeyondLimit: 350}},
		{"a row in which nobody else has weight", 2, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 0)
			l.holding(100, 0)
		}, "a", Loss{Listeners: 100, BeyondTarget: 100, BeyondLimit: 100}},
		{"by parts of the rows, whatever the weights' scale", 4, func(l *lab) {
			// Three quarters of a's listeners come from de, and one from fr.
			l.row("de", germany, "a", 75, "b", 25)
			l.row("fr", france, "a", 1, "c", 3)
			l.row("rest", everyone, "d", 1)
			l.holding(800, 1500, 1000, 0)
		}, "a", Loss{Listeners: 800, BeyondTarget: 800, BeyondLimit: 600}},
		{"a node that is only overflowed into", 3, func(l *lab) {
			l.row("de", germany, "a", 1).Overflow = []RegionID{"spare"}
			l.row("spare", Match{}, "b", 1)
			l.row("rest", everyone, "c", 1)
			l.holding(400, 700, 0)
		}, "b", Loss{Listeners: 700, BeyondTarget: 100}},
		{"a node that no row lists any more", 3, func(l *lab) {
			l.row("de", germany, "a", 1)
			l.row("rest", everyone, "b", 1)
			l.holding(1400, 1400, 600)
		}, "c", Loss{Listeners: 600, BeyondTarget: 600, BeyondLimit: 400}},
		{"by load", 3, func(l *lab) {
			l.listed("all", everyone, "a", "b", "c")
			l.holding(800, 500, 900)
		}, "a", Loss{Listeners: 800, BeyondTarget: 200}},
		{"by distance", 3, func(l *lab) { l.holding(800, 500, 900) }, "a", Loss{Listeners: 800, BeyondTarget: 200}},
		{"nobody but nodes that are drained, down, unverified or full", 5, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1, "c", 1, "d", 1, "e", 1)
			l.holding(100, 0, 0, 0, 0)
			l.cfg.Nodes[1].Drained = true
			l.report("c", func(r *Report) { r.Health = Failed })
			l.report("d", func(r *Report) { r.Full = true })
			delete(l.reports, "e")
		}, "a", Loss{Listeners: 100, BeyondTarget: 100, BeyondLimit: 100}},
		{"a drained node's listeners need seats, too", 2, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1)
			l.holding(100, 950)
			l.cfg.Nodes[0].Drained = true
		}, "a", Loss{Listeners: 100, BeyondTarget: 50}},
		{"a site", 4, func(l *lab) {
			for i, site := range []string{"fra", "fra", "", "ams"} {
				l.cfg.Nodes[i].Site = site
			}
			l.row("all", everyone, "a", 1, "b", 1, "c", 1, "d", 1)
			l.holding(700, 700, 700, 700)
		}, "fra", Loss{Listeners: 1400, BeyondTarget: 800}},
		{"capacity that nobody knows", 2, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1)
			l.cfg.Nodes[1].Target, l.cfg.Nodes[1].Limit = 0, 0
			l.holding(900, 9000)
		}, "a", Loss{Listeners: 900, Unbounded: true}},
		{"a limit that nobody knows", 2, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1)
			l.cfg.Nodes[1].Limit = 0
			l.holding(900, 900)
		}, "a", Loss{Listeners: 900, BeyondTarget: 800, Unbounded: true}},
		{"seats at nodes that play the mount only", 4, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1, "c", 1, "d", 1)
			l.holding(900, 0, 950, 0)
			l.hearing("a", 900, 0)
			l.report("b", func(r *Report) { r.Mounts = r.Mounts[1:] })
			l.report("d", func(r *Report) {
				r.Verdicts = []Verdict{{Path: "/live.mp3", State: MountSilent, Cause: SourceHangs}}
			})
		}, "a", Loss{Listeners: 900, BeyondTarget: 850, BeyondLimit: 350}},
		{"each mount at the nodes that play it", 3, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1, "c", 1)
			l.holding(1000, 600, 600)
			l.hearing("a", 700, 300)
			l.report("b", func(r *Report) { r.Mounts = r.Mounts[:1] }) // 400 of live
			l.report("c", func(r *Report) { r.Mounts = r.Mounts[1:] }) // 300 of jazz
		}, "a", Loss{Listeners: 1000, BeyondTarget: 300}},
		{"up to the mount's own limit", 2, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1)
			l.holding(300, 80)
			l.hearing("a", 200, 100)
			l.hearing("b", 80, 0)
			l.report("b", func(r *Report) { r.Mounts[0].Limit = 100 })
		}, "a", Loss{Listeners: 300, BeyondTarget: 180, BeyondLimit: 180}},
		{"no seat where the mount is full", 2, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1)
			l.holding(300, 80)
			l.hearing("a", 200, 100)
			l.report("b", func(r *Report) { r.Verdicts = []Verdict{{Path: "/jazz.mp3", State: MountFull, Cause: SeatsTaken}} })
		}, "a", Loss{Listeners: 300, BeyondTarget: 100, BeyondLimit: 100}},
		{"a node that does not tell its mounts' listeners: as at the others", 3, func(l *lab) {
			l.row("all", everyone, "a", 1, "b", 1, "c", 1)
			l.holding(400, 400, 1500)
			l.hearing("c", 1125, 375) // a quarter hears jazz
			l.report("b", func(r *Report) { r.Mounts = r.Mounts[:1] })
		}, "a", Loss{Listeners: 400, BeyondTarget: 100, BeyondLimit: 100}},
		{"a region does not hear what it is denied", 3, func(l *lab) {
			l.row("de", germany, "a", 1, "b", 1).Deny = []string{"/jazz.mp3"}
			l.row("rest", everyone, "a", 1, "c", 1)
			l.holding(400, 1500, 0)
			l.hearing("a", 0, 400)
		}, "a", Loss{Listeners: 400}},
		{"nobody listens", 2, func(*lab) {}, "a", Loss{}},
		{"the last node", 1, func(l *lab) { l.holding(10) }, "a", Loss{Listeners: 10, BeyondTarget: 10, BeyondLimit: 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, tt.nodes)
			tt.setup(l)
			got := lost(t, l.snapshot(), tt.dead)
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Loss{}, "Node", "Site")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Regions that want the same seats share them, in whatever order they stand.
func TestReserveDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	var first []Loss
	for _, turned := range []bool{false, true} {
		l := newLab(t, 5)
		l.row("de", Match{Countries: []string{"DE"}}, "a", 2, "b", 1, "c", 1).Overflow = []RegionID{"rest"}
		l.row("fr", Match{Countries: []string{"FR"}}, "a", 1, "c", 5)
		l.row("rest", everyone, "d", 1, "c", 1, "e", 2)
		l.holding(1000, 920, 900, 700, 980)
		if turned {
			slices.Reverse(l.cfg.Regions)
		}
		got := l.snapshot().Reserve(nil).Nodes
		if first == nil {
			first = got
		}
		if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("turned round (-before +after):\n%s", diff)
		}
	}
}

// What is reckoned is what happens: a's listeners come back, are decided about
// one by one, and each is seated before the next.
func TestReserveIsWhatHappens(t *testing.T) {
	t.Parallel()
	de, err := ParseCode("DE")
	if err != nil {
		t.Fatal(err)
	}
	build := func() *lab {
		l := newLab(t, 5)
		l.row("de", Match{Countries: []string{"DE"}}, "a", 1, "b", 2, "c", 1).Overflow = []RegionID{"spare"}
		l.row("spare", Match{}, "d", 1)
		l.row("rest", everyone, "a", 1, "c", 1, "e", 2)
		for i := range l.cfg.Nodes {
			l.cfg.Nodes[i].Limit = 1100
		}
		return l.holding(1000, 950, 900, 950, 970)
	}
	want := lost(t, build().snapshot(), "a")

	l := build()
	l.report("a", func(r *Report) { r.Health = Failed })
	l.input.EnRoute = map[NodeID]int{}
	f := l.fleet()
	s := f.Build(nil, l.in())
	got := Loss{Node: "a", Listeners: 1000}
	var d Decision
	for i := range 1000 {
		// Equally many of a row's listeners come from each region, and a has a
		// quarter of either.
		listener := Listener{Mount: "/live.mp3", Scheme: HTTP, Key: hashString(fmt.Sprint("listener ", i))}
		if i%2 == 0 {
			listener.Place.Country = de
		}
		s.Decide(&d, listener, nil)
		switch d.Outcome {
		case Overflow:
			got.Overflow++
		case Full:
			got.BeyondTarget++
		}
		if len(d.Ranked) == 0 {
			got.BeyondLimit++
			continue
		}
		l.input.EnRoute[s.NodeID(d.Ranked[0].Node)]++
		s = f.Build(s, l.in())
	}
	within := cmp.Comparer(func(a, b int) bool { return max(a-b, b-a) <= 30 })
	if diff := cmp.Diff(want, got, within); diff != "" {
		t.Errorf("(-reckoned +happened):\n%s", diff)
	}
	if want.BeyondLimit == 0 || want.BeyondTarget == want.BeyondLimit {
		t.Errorf("the test is of no use: %+v", want)
	}
}

// bigLab is a fleet in 20 sites, and regions of 40 nodes each.
func bigLab(tb testing.TB, nodes, regions int) *lab {
	tb.Helper()
	l := newLab(tb, 0)
	for i := range nodes {
		id := NodeID(fmt.Sprint("n", i))
		l.cfg.Nodes = append(l.cfg.Nodes, Node{ID: id, Site: fmt.Sprint("s", i%20), URLs: []string{"http://" + string(id) + ".example"}, Target: 1000, Limit: 1500})
		l.reports[id] = Report{Node: id, Health: Up, Listeners: 500 + i, AnyMount: true}
	}
	for i := range regions {
		r := Region{ID: RegionID(fmt.Sprint("r", i)), Match: Match{ASNs: []uint32{uint32(i + 1)}}}
		for j := range 40 {
			r.Row = append(r.Row, Weight{Node: NodeID(fmt.Sprint("n", (i*20+j)%nodes)), Weight: float64(j + 1), Given: true})
		}
		l.cfg.Regions = append(l.cfg.Regions, r)
	}
	return l
}

func BenchmarkReserve(b *testing.B) {
	l := bigLab(b, 1000, 50)
	s := l.snapshot()
	b.ReportAllocs()
	for b.Loop() {
		s.Reserve(nil)
	}
}

// TestReserveKnowsWhereListenersComeFrom: a network with a row of its own, whose spare
// nodes are few, and a continent both use a node. By the rows, each would have half of
// its listeners; those that are known to be the continent's find seats at its nodes. The
// forecast with the node lost comes to the same.
func TestReserveKnowsWhereListenersComeFrom(t *testing.T) {
	t.Parallel()
	l := newLab(t, 4)
	l.row("office", Match{CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, "a", 1, "b", 1)
	l.row("europe", Match{Continents: []string{"EU"}}, "a", 1, "c", 1, "d", 1)
	l.holding(900, 1400, 0, 0)
	s := l.snapshot()
	fromEurope := func(NodeID) map[RegionID]float64 { return map[RegionID]float64{"europe": 99, "office": 1} }
	if got := s.Reserve(nil).Nodes[0]; got.BeyondLimit == 0 {
		t.Errorf("by the rows: %+v, want many of the office without a seat", got)
	}
	if got := s.Reserve(fromEurope).Nodes[0]; got.BeyondTarget > 9 || got.BeyondLimit != 0 {
		t.Errorf("as they came: %+v, want a seat for all, and below target for all but 9", got)
	}
	if got := s.Demand(fromEurope).Regions(); got["office"] != 23 || got["europe"] != 2277 {
		t.Errorf("demand: %v", got)
	}
}

// TestReserveIsTheLossOfWhatIf: the listeners of a node, in a fleet in which it has
// failed, have the seats that the reserve says, whatever the fleet and wherever they
// came from.
func TestReserveIsTheLossOfWhatIf(t *testing.T) {
	t.Parallel()
	without := 0
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 3))
		l := newLab(t, 6)
		l.row("de", Match{Countries: []string{"DE"}}, "a", 1+r.IntN(5), "b", 1+r.IntN(5), "f", 1).Overflow = []RegionID{"spare"}
		l.listed("fr", Match{Countries: []string{"FR"}}, "b", "c")
		l.row("spare", Match{}, "e", 1)
		l.row("rest", everyone, "d", 1, "e", 1, "a", r.IntN(3))
		for i := range l.cfg.Nodes {
			id := l.cfg.Nodes[i].ID
			l.cfg.Nodes[i].Drained = r.IntN(8) == 0
			l.cfg.Nodes[i].Site = []string{"fra", "ams", ""}[r.IntN(3)]
			live, jazz := r.IntN(900), r.IntN(700)
			l.hearing(id, live, jazz)
			l.report(id, func(rep *Report) {
				rep.Listeners = live + jazz
				if r.IntN(3) == 0 {
					rep.Mounts[1].Limit = 1 + r.IntN(900)
				}
				if r.IntN(4) == 0 {
					rep.Mounts = rep.Mounts[r.IntN(2):][:1]
				}
			})
		}
		mix := func(id NodeID) map[RegionID]float64 {
			return []map[RegionID]float64{nil, {"de": 3, "rest": 1}, {"fr": 1}}[hashString(string(id))%3]
		}
		now := l.snapshot()
		reserve := now.Reserve(mix)
		for _, want := range slices.Concat(reserve.Nodes, reserve.Sites) {
			var dead []NodeID
			in := l.in()
			in.Reports = maps.Clone(in.Reports)
			for _, n := range l.cfg.Nodes {
				if n.ID == want.Node || want.Site != "" && n.Site == want.Site {
					dead = append(dead, n.ID)
					report := in.Reports[n.ID]
					report.Health = Failed
					in.Reports[n.ID] = report
				}
			}
			got := l.fleet().Build(now, in).Absorb(now.Demand(mix, dead...))
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Loss{}, "Node", "Site")); diff != "" {
				t.Errorf("seed %d: %s%s (-reserve +what if):\n%s", seed, want.Node, want.Site, diff)
			}
			without += want.BeyondLimit
		}
	}
	if without == 0 {
		t.Error("the test is of no use: everybody had a seat")
	}
}
