package director

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func held(f Forecast) (all []int) {
	for _, n := range f.Nodes {
		all = append(all, n.Listeners)
	}
	return all
}

// wanting is a demand for /live.mp3.
func wanting(regions map[RegionID]int) Demand {
	d := Demand{}
	for id, n := range regions {
		d[Crowd{id, "/live.mp3"}] = float64(n)
	}
	return d
}

func TestForecast(t *testing.T) {
	t.Parallel()
	germany := Match{Countries: []string{"DE"}}
	for _, tt := range []struct {
		name   string
		nodes  int
		setup  func(l *lab)
		demand map[RegionID]int
		held   []int
		beyond [2]int // target, limit
	}{
		{"by weight", 2, func(l *lab) { l.row("all", everyone, "a", 3, "b", 1) }, map[RegionID]int{"all": 400}, []int{300, 100}, [2]int{}},
		{"by weight until one is full", 2, func(l *lab) { l.row("all", everyone, "a", 3, "b", 1) }, map[RegionID]int{"all": 1600}, []int{1000, 600}, [2]int{}},
		{"beyond target", 2, func(l *lab) { l.row("all", everyone, "a", 3, "b", 1) }, map[RegionID]int{"all": 2500}, []int{1250, 1250}, [2]int{500, 0}},
		{"beyond limit", 2, func(l *lab) { l.row("all", everyone, "a", 3, "b", 1) }, map[RegionID]int{"all": 3500}, []int{1500, 1500}, [2]int{1500, 500}},
		{"where they are now does not matter", 2, func(l *lab) {
			l.row("all", everyone, "a", 3, "b", 1)
			l.holding(0, 400)
		}, map[RegionID]int{"all": 400}, []int{300, 100}, [2]int{}},
		{"a drained node holds nobody", 3, func(l *lab) {
			l.row("all", everyone, "a", 2, "b", 1, "c", 1)
			l.cfg.Nodes[0].Drained = true
			l.holding(400, 0, 0)
		}, map[RegionID]int{"all": 400}, []int{0, 200, 200}, [2]int{}},
		{"overflow", 2, func(l *lab) {
			l.row("de", germany, "a", 1).Overflow = []RegionID{"rest"}
			l.row("rest", everyone, "b", 1)
		}, map[RegionID]int{"de": 1200, "rest": 100}, []int{1000, 300}, [2]int{}},
		{"by load", 2, func(l *lab) {
			l.listed("all", everyone, "a", "b")
			l.cfg.Nodes[0].Target = 250
		}, map[RegionID]int{"all": 500}, []int{100, 400}, [2]int{}},
		{"no region, and one that is not there", 2, func(*lab) {}, map[RegionID]int{"": 500, "gone": 77}, []int{250, 250}, [2]int{}},
		{"nobody", 1, func(l *lab) { l.row("all", everyone, "a", 1) }, nil, []int{0}, [2]int{}},
	} {
		l := newLab(t, tt.nodes)
		tt.setup(l)
		f := l.snapshot().Forecast(wanting(tt.demand))
		var sum [2]int
		for _, r := range f.Regions {
			sum[0] += r.BeyondTarget
			sum[1] += r.BeyondLimit
		}
		if sum != tt.beyond {
			t.Errorf("%s: of all regions, %d are beyond target and limit", tt.name, sum)
		}
		if diff := cmp.Diff(tt.held, held(f)); diff != "" || [2]int{f.BeyondTarget, f.BeyondLimit} != tt.beyond || f.Unbounded {
			t.Errorf("%s: beyond %d and %d, unbounded %v; nodes hold (-want +got):\n%s", tt.name, f.BeyondTarget, f.BeyondLimit, f.Unbounded, diff)
		}
	}
}

// TestForecastOfMounts: seats count for the mounts that a node plays, and a node or a
// mount that is full holds as many as now.
func TestForecastOfMounts(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.row("all", everyone, "a", 1, "b", 1, "c", 1)
	l.report("a", func(r *Report) { r.Mounts = r.Mounts[:1] })
	l.report("b", func(r *Report) { r.Full, r.Listeners = true, 300 })
	l.report("c", func(r *Report) {
		r.Mounts[1].Listeners = 50
		r.Verdicts = []Verdict{{Path: "/jazz.mp3", State: MountFull}}
	})
	f := l.snapshot().Forecast(Demand{{"all", "/live.mp3"}: 100, {"all", "/jazz.mp3"}: 1000, {"all", "/gone.mp3"}: 7})
	want := []MountForecast{
		{Mount: "/gone.mp3", Listeners: 7, BeyondTarget: 7, BeyondLimit: 7},
		{Mount: "/jazz.mp3", Listeners: 1000, BeyondTarget: 669, BeyondLimit: 669}, // 50 at c, and b shares its 300 with the others
		{Mount: "/live.mp3", Listeners: 100},
	}
	if diff := cmp.Diff(want, f.Mounts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{41, 300, 91}, held(f)); diff != "" {
		t.Errorf("nodes hold (-want +got):\n%s", diff)
	}
}

func TestForecastOfRegions(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.row("de", Match{Countries: []string{"DE"}}, "a", 3, "b", 1).Overflow = []RegionID{"spare"}
	l.row("spare", Match{}, "c", 1)
	l.row("rest", everyone, "b", 1)
	l.holding(900, 0, 0) // of the room of a, two thirds are gone
	l.cfg.Nodes[2].Limit, l.cfg.Nodes[2].Target = 0, 0
	got := l.snapshot().Forecast(wanting(map[RegionID]int{"de": 2200, "rest": 400}))
	want := Forecast{
		Regions: []RegionForecast{
			{Region: "de", Listeners: 2200, Overflow: 600, Shares: []NodeShare{{"a", 18.0 / 26}, {"b", 8.0 / 26}}},
			{Region: "rest", Listeners: 400, Shares: []NodeShare{{"b", 1}}},
		},
		Nodes: []NodeForecast{
			{Node: "a", Share: 18.0 / 26 * 2200 / 2600, Listeners: 1000, Target: 1000, Limit: 1500},
			{Node: "b", Share: 8.0/26*2200/2600 + 400.0/2600, Listeners: 1000, Target: 1000, Limit: 1500},
			{Node: "c", Listeners: 600},
		},
		Mounts:    []MountForecast{{Mount: "/live.mp3", Listeners: 2600}},
		Listeners: 2600, Overflow: 600, Unbounded: true,
	}
	about := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })
	if diff := cmp.Diff(want, got, about); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The shares of newcomers are those by which listeners are decided, whatever
// state the fleet is in.
func TestForecastSharesAreThoseOfDecide(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := newLab(t, 6)
		l.row("all", everyone, "a", 1+r.IntN(9), "b", 1+r.IntN(9), "c", r.IntN(3)).Overflow = []RegionID{"spare"}
		l.row("spare", Match{}, "d", 1, "e", 2, "f", 3)
		for i := range l.cfg.Nodes {
			if r.IntN(8) == 0 {
				l.cfg.Nodes[i].Drained = true
			}
			l.report(l.cfg.Nodes[i].ID, func(rep *Report) {
				rep.Listeners = r.IntN(1600)
				if seed%4 == 1 {
					rep.Listeners = 1000 + r.IntN(600) // all at target, some at their limit
				}
				if r.IntN(5) == 0 {
					rep.Health = Failed
				}
				if r.IntN(3) == 0 {
					rep.Returned = l.now.Add(-30 * time.Second)
				}
			})
		}
		s := l.snapshot()
		shares := map[NodeID]float64{}
		for _, n := range s.Forecast(nil).Regions[0].Shares {
			shares[n.Node] = n.Share
		}
		var d Decision
		const n = 5000
		got := map[NodeID]float64{}
		for i := range uint64(n) {
			s.Decide(&d, Listener{Mount: "/live.mp3", Scheme: HTTP, Key: i * 0x9e3779b97f4a7c15}, nil)
			if len(d.Ranked) > 0 && d.Outcome != Dark {
				got[s.NodeID(d.Ranked[0].Node)] += 1.0 / n
			}
		}
		for _, node := range l.cfg.Nodes {
			if math.Abs(shares[node.ID]-got[node.ID]) > 0.03 {
				t.Errorf("seed %d: node %s: forecast %.3f, decided %.3f (%v)", seed, node.ID, shares[node.ID], got[node.ID], d.Outcome)
			}
		}
	}
}

// Whatever is asked, everybody has a seat or is counted as without one.
func TestForecastLosesNobody(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		l := newLab(t, 5)
		l.row("de", Match{Countries: []string{"DE"}}, "a", r.IntN(5)+1, "b", r.IntN(5)).Overflow = []RegionID{"spare"}
		l.listed("fr", Match{Countries: []string{"FR"}}, "b", "c")
		l.row("spare", Match{}, "e", 1)
		l.row("rest", everyone, "d", 1, "e", 1)
		l.cfg.Nodes[r.IntN(5)].Drained = true
		demand := map[RegionID]int{"de": r.IntN(3000), "fr": r.IntN(3000), "rest": r.IntN(2000)}
		f := l.snapshot().Forecast(wanting(demand))
		seated := 0
		for _, n := range f.Nodes {
			seated += n.Listeners
			if n.Listeners > n.Limit {
				t.Errorf("seed %d: %s holds %d of %d", seed, n.Node, n.Listeners, n.Limit)
			}
		}
		if off := f.Listeners - seated - f.BeyondLimit; off < -3 || off > 3 { // each node is rounded
			t.Errorf("seed %d: %d listeners, %d seated, %d without", seed, f.Listeners, seated, f.BeyondLimit)
		}
	}
}

func TestDemand(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.row("de", Match{Countries: []string{"DE"}}, "a", 1, "b", 1)
	l.row("fr", Match{Countries: []string{"FR"}}, "b", 1)
	l.row("rest", everyone, "c", 1)
	l.holding(301, 300, 101)
	s := l.snapshot()
	for _, tt := range []struct {
		name string
		mix  func(NodeID) map[RegionID]float64
		want map[RegionID]int
	}{
		{"nothing is known: a third of b is of de, by the rows", nil, map[RegionID]int{"de": 401, "fr": 200, "rest": 101}},
		{"as this director sent them", func(n NodeID) map[RegionID]float64 {
			return map[NodeID]map[RegionID]float64{"a": {"fr": 2, "rest": 1, "gone": 50}, "b": {"": 0.5}, "c": {"gone": 3}}[n]
		}, map[RegionID]int{"": 300, "fr": 201, "rest": 201, "de": 0}},
	} {
		got := s.Demand(tt.mix).Regions()
		sum := 0
		for region, n := range got {
			sum += n
			if off := n - tt.want[region]; off < -1 || off > 1 {
				t.Errorf("%s: %s %d, want %d", tt.name, region, n, tt.want[region])
			}
		}
		if sum != 702 {
			t.Errorf("%s: %d in all, want 702", tt.name, sum)
		}
	}
}

func BenchmarkForecast(b *testing.B) {
	l := bigLab(b, 200, 30)
	s := l.snapshot()
	demand := s.Demand(nil)
	b.ReportAllocs()
	for b.Loop() {
		s.Forecast(demand)
	}
}
