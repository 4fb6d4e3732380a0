package director

import (
	"math"
	"testing"
	"time"
)

func TestRoomHoldsUntilSpillAtAndIsGoneAtTarget(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fill float64
		want int
	}{{0, 8}, {0.5, 8}, {0.85, 8}, {0.88, 7}, {0.925, 4}, {0.99, 1}, {1, 0}, {1.2, 0}} {
		if got := roomStep(tt.fill, 0.85, -1); got != tt.want {
			t.Errorf("fill %v: room %d/8, want %d/8", tt.fill, got, tt.want)
		}
	}
}

// A load that trembles round any value changes the step at most once.
func TestStepsDoNotTremble(t *testing.T) {
	t.Parallel()
	const tremble = 0.002 // of target: a step of room is 0.019 wide, one of free 0.05
	for fill := 0.5; fill < 0.995; fill += 0.001 {
		room, free := roomStep(fill, 0.85, -1), freeStep(fill, -1)
		changes := 0
		for i := range 20 {
			f := fill + tremble*math.Cos(math.Pi*float64(i))
			r2, f2 := roomStep(f, 0.85, room), freeStep(f, free)
			if i > 1 && (r2 != room || f2 != free) {
				changes++
			}
			room, free = r2, f2
		}
		if changes > 0 {
			t.Fatalf("fill %.3f +- %v: the step changed %d times", fill, tremble, changes)
		}
	}
}

func TestStepsReachTheirEnds(t *testing.T) {
	t.Parallel()
	for prev := -1; prev <= roomSteps; prev++ {
		if got := roomStep(1, 0.85, prev); got != 0 {
			t.Errorf("at target, coming from %d: %d, want 0", prev, got)
		}
		if got := roomStep(0.5, 0.85, prev); got != roomSteps {
			t.Errorf("half full, coming from %d: %d, want %d", prev, got, roomSteps)
		}
	}
}

func TestHysteresisIsKeptAcrossSnapshots(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.row("all", everyone, "a", 1)
	f := l.fleet()
	l.report("a", func(r *Report) { r.Listeners = 866 }) // room 7.15 steps: 8 for a new one
	first := f.Build(nil, l.in())
	l.report("a", func(r *Report) { r.Listeners = 870 }) // 6.93 steps
	if got := f.Build(first, l.in()).nodes[0].roomStep; got != 8 {
		t.Errorf("room %d/8 after trembling, want it to stay at 8", got)
	}
	if got := f.Build(nil, l.in()).nodes[0].roomStep; got != 7 {
		t.Errorf("room %d/8 without a history, want 7", got)
	}
}

func TestWarmUpRisesAndIsWaivedWhenNeeded(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.row("all", everyone, "a", 1, "b", 1, "c", 1)
	l.report("a", func(r *Report) { r.Returned = l.now.Add(-30 * time.Second) })
	wantShares(t, shares(t, l.snapshot(), Listener{}, 50_000), map[NodeID]float64{"a": .55 / 2.55, "b": 1 / 2.55, "c": 1 / 2.55})

	l.report("b", func(r *Report) { r.Health = Failed })
	wantShares(t, shares(t, l.snapshot(), Listener{}, 50_000), map[NodeID]float64{"a": .5, "c": .5})

	l.report("b", func(r *Report) { r.Health = Up })
	l.now = l.now.Add(time.Minute)
	wantShares(t, shares(t, l.snapshot(), Listener{}, 50_000), map[NodeID]float64{"a": 1. / 3, "b": 1. / 3, "c": 1. / 3})
}

func TestDistanceKm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lat1, lon1, lat2, lon2, want float64
	}{
		{50.11, 8.68, 52.52, 13.40, 424},    // Frankfurt - Berlin
		{51.47, -0.45, 40.64, -73.78, 5540}, // London Heathrow - New York JFK
		{0, 179.5, 0, -179.5, 111},          // across the date line
		{90, 0, -90, 0, 20015},
	} {
		if got := distanceKm(tt.lat1, tt.lon1, tt.lat2, tt.lon2); math.Abs(got-tt.want) > tt.want*0.005 {
			t.Errorf("%v: %.0f km, want %.0f", tt, got, tt.want)
		}
	}
}

func TestNearestNodesFirst(t *testing.T) {
	t.Parallel()
	l := newLab(t, 4)
	at := func(lat, lon float32, country string) Place {
		c, _ := ParseCode(country)
		return Place{Point: CityPoint, Lat: lat, Lon: lon, Country: c}
	}
	l.cfg.Nodes[0].Place = at(50.1, 8.7, "DE")   // Frankfurt
	l.cfg.Nodes[1].Place = at(52.4, 4.9, "NL")   // Amsterdam
	l.cfg.Nodes[2].Place = at(40.7, -74.0, "US") // New York
	l.cfg.Nodes[3].Place = at(34.0, -118., "US") // Los Angeles
	for i, continent := range []string{"EU", "EU", "NA", "NA"} {
		l.cfg.Nodes[i].Place.Continent = Code([]byte(continent))
	}
	s := l.snapshot()
	for _, tt := range []struct {
		name  string
		place Place
		near  map[NodeID]float64
	}{
		{"Cologne has two about as near", at(50.9, 7.0, ""), map[NodeID]float64{"a": .5, "b": .5}},
		{"Boston has one", at(42.4, -71.1, ""), map[NodeID]float64{"c": 1}},
		{"of the USA only the centre: its nodes, not the one nearest to Kansas",
			Place{Point: CountryCentre, Country: Code{'U', 'S'}, Lat: 39.8, Lon: -98.6}, map[NodeID]float64{"c": .5, "d": .5}},
		{"coordinates without a country", Place{Point: CountryCentre, Continent: Code{'E', 'U'}, Lat: 48, Lon: 9}, map[NodeID]float64{"a": .5, "b": .5}},
		{"coordinates and nothing else", Place{Point: ContinentCentre, Lat: 48, Lon: 9}, map[NodeID]float64{"a": .5, "b": .5}},
		{"a continent alone: its nodes", Place{Point: ContinentCentre, Continent: Code{'N', 'A'}, Lat: 20, Lon: -75}, map[NodeID]float64{"c": .5, "d": .5}},
		{"a continent without coordinates", Place{Continent: Code{'E', 'U'}}, map[NodeID]float64{"a": .5, "b": .5}},
		{"a country without coordinates", Place{Country: Code{'N', 'L'}, Continent: Code{'E', 'U'}}, map[NodeID]float64{"b": 1}},
		{"a continent without nodes: those around its middle", Place{Point: ContinentCentre, Continent: Code{'A', 'F'}, Lat: 20, Lon: 10},
			map[NodeID]float64{"a": .5, "b": .5}},
		{"a continent without nodes or coordinates: all", Place{Continent: Code{'A', 'F'}}, map[NodeID]float64{"a": .25, "b": .25, "c": .25, "d": .25}},
		{"where the network is registered", Place{Point: RegisteredCentre, Country: Code{'U', 'S'}, Lat: 39.8, Lon: -98.6}, map[NodeID]float64{"c": .5, "d": .5}},
		{"nowhere known: all", Place{}, map[NodeID]float64{"a": .25, "b": .25, "c": .25, "d": .25}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantShares(t, shares(t, s, Listener{Place: tt.place}, 50_000), tt.near)
		})
	}
	l.report("c", func(r *Report) { r.Health = Failed })
	q := Listener{Place: at(42.4, -71.1, ""), Mount: "/live.mp3", Scheme: HTTP}
	var d Decision
	if l.snapshot().Decide(&d, q, nil); d.Outcome != Overflow {
		t.Errorf("the nearest is down: %v, want overflow to the others", d.Outcome)
	}
}

// For a country alone nodes count as near in a wide circle; with a city, those
// hardly further away than the nearest.
func TestAboutAsNear(t *testing.T) {
	t.Parallel()
	east := func(km float32) Place { return Place{Point: CityPoint, Lat: 0.5, Lon: 0.5 + km/111.2} }
	l := newLab(t, 3)
	l.cfg.Nodes[0].Place, l.cfg.Nodes[1].Place, l.cfg.Nodes[2].Place = east(600), east(750), east(1100)
	s := l.snapshot()
	wantShares(t, shares(t, s, Listener{Place: east(0)}, 20_000), map[NodeID]float64{"a": .5, "b": .5})
	centre := Place{Point: CountryCentre, Country: Code{'G', 'H'}, Lat: 0.5, Lon: 0.5 + 150/111.2}
	wantShares(t, shares(t, s, Listener{Place: centre}, 20_000), map[NodeID]float64{"a": 1. / 3, "b": 1. / 3, "c": 1. / 3})
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		node          Node
		report        Report
		target, limit int
	}{
		{"as declared", Node{Target: 1000, Limit: 1500}, Report{}, 1000, 1500},
		{"the server's own limit is lower", Node{Target: 1000, Limit: 1500}, Report{Limit: 800}, 800, 800},
		{"only the server tells: two thirds of it", Node{}, Report{Limit: 900}, 600, 900},
		{"nobody tells", Node{}, Report{}, 0, 0},
		{"megabits of 128 kbit/s each", Node{Mbit: Mbit{Target: 64, Limit: 128}}, Report{}, 500, 1000},
		{"megabits as measured", Node{Mbit: Mbit{Target: 64, Limit: 128}}, Report{Kbit: 6400, Listeners: 100}, 1000, 2000},
		{"only a limit in megabits", Node{Mbit: Mbit{Limit: 192}}, Report{}, 1000, 1500},
		{"whichever comes first", Node{Target: 100, Limit: 5000, Mbit: Mbit{Target: 64, Limit: 128}}, Report{}, 100, 1000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			tt.node.ID, tt.node.URLs = "a", []string{"http://a.example"}
			l.cfg.Nodes[0] = tt.node
			l.reports["a"] = tt.report
			st := l.snapshot().Node(0)
			if st.EffectiveTarget != tt.target || st.EffectiveLimit != tt.limit {
				t.Errorf("target %d, limit %d; want %d, %d", st.EffectiveTarget, st.EffectiveLimit, tt.target, tt.limit)
			}
		})
	}
}

// A node of unknown capacity among known ones is taken for a middle-sized one,
// and is never left out for it.
func TestUnknownCapacityAmongKnown(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.cfg.Nodes[1].Target, l.cfg.Nodes[1].Limit = 0, 0
	l.listed("all", everyone, "a", "b")
	wantShares(t, shares(t, l.snapshot(), Listener{}, 20_000), map[NodeID]float64{"a": .5, "b": .5})
	l.report("b", func(r *Report) { r.Listeners = 5000 })
	wantShares(t, shares(t, l.snapshot(), Listener{}, 20_000), map[NodeID]float64{"a": 20. / 21, "b": 1. / 21})
}

func TestMountsAreDiscoveredAndRemembered(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.cfg.Mounts = nil
	l.cfg.Nodes[0].Paths = map[string]string{"/public.mp3": "/live.mp3"}
	f := l.fleet()
	s := f.Build(nil, l.in())
	if got := decide(s, Listener{Mount: "/public.mp3"}, 1); got != "placed a" {
		t.Errorf("a mount under its public path: %q", got)
	}
	if base, path := s.URL(0, s.names["/public.mp3"], HTTP); base+path != "http://a.example:8000/live.mp3" {
		t.Errorf("URL %s%s", base, path)
	}
	if base, path := s.Upstream(0, s.names["/public.mp3"]); base+path != "http://a.example:8000/live.mp3" {
		t.Errorf("upstream %s%s", base, path)
	}
	l.report("a", func(r *Report) { r.Mounts = r.Mounts[:1]; r.Taken = l.now })
	if got := decide(f.Build(s, l.in()), Listener{Mount: "/jazz.mp3"}, 1); got != "mount_down" {
		t.Errorf("a mount that is gone: %q, want mount_down", got)
	}
}

func BenchmarkBuild(b *testing.B) {
	s := sized(b, 1000, true)
	in := Input{Now: time.Unix(1, 0), Reports: map[NodeID]Report{}}
	for i := range s.nodes {
		in.Reports[s.NodeID(i)] = s.nodes[i].report
	}
	b.ReportAllocs()
	for b.Loop() {
		s = s.fleet.Build(s, in)
	}
}
