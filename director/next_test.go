package director

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// A snapshot that was made by what changed is the one that is built from everything,
// whatever came before. The seed chooses the fleet and the changes.
func FuzzNext(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		dice := rand.New(rand.NewPCG(seed, 1))
		fleet := diceFleet(t, dice)
		now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
		reports := map[NodeID]Report{}
		in := Input{Now: now}
		next := fleet.Build(nil, in)
		built := next
		for step := range 30 {
			now = now.Add(time.Duration(dice.IntN(3000)) * time.Millisecond)
			news := map[NodeID]Report{}
			for range dice.IntN(4) {
				r := diceReport(fleet, dice, now)
				news[r.Node] = r
			}
			maps.Copy(reports, news)
			in = Input{Now: now, EnRoute: diceCounts(fleet, dice), Recent: diceCounts(fleet, dice)}
			in.Estimated = maps.Clone(in.EnRoute)
			in.Reports = maps.Clone(reports)
			built = fleet.Build(built, in)
			in.Reports = news
			before := render(next)
			following := next.Next(in)
			if after := render(next); !reflect.DeepEqual(before, after) {
				t.Fatalf("step %d changed the snapshot before it", step)
			}
			next = following
			if got, want := render(next), render(built); !reflect.DeepEqual(got, want) {
				t.Fatalf("step %d, news %+v:\n got %+v\nwant %+v", step, news, got, want)
			}
		}
	})
}

// rendered is all that a snapshot says, without what snapshots share.
type rendered struct {
	Built    time.Time
	Nodes    []nodeState
	Mounts   []Mount
	Names    map[string]int
	Paths    []string
	Carries  [][]carried
	FullAt   [][]int
	Restless []int
	Warming  bool
}

func render(s *Snapshot) rendered {
	r := rendered{Built: s.built, Mounts: slices.Clone(s.mounts), Names: s.names, Paths: s.paths, Restless: slices.Clone(s.restless), Warming: s.warming}
	for _, st := range s.nodes {
		r.Nodes = append(r.Nodes, *st)
	}
	for m := range s.mounts {
		r.Carries = append(r.Carries, slices.Clone(s.carries[m]))
		column := make([]int, len(s.nodes))
		for n := range s.nodes {
			column[n] = s.mountFullAt(m, n)
		}
		r.FullAt = append(r.FullAt, column)
	}
	return r
}

// diceFleet has nodes with and without a target, and declared mounts or none.
func diceFleet(t *testing.T, dice *rand.Rand) *Fleet {
	var c Config
	for i := range 1 + dice.IntN(8) {
		n := Node{ID: NodeID(fmt.Sprintf("n%d", i)), URLs: []string{fmt.Sprintf("http://n%d.example:8000", i)}}
		switch dice.IntN(4) {
		case 0:
			n.Target = 1 + dice.IntN(1000)
		case 1:
			n.Mbit.Limit = float64(1 + dice.IntN(100))
		case 2:
			n.Paths = map[string]string{"/0.mp3": "/other.mp3"}
		}
		c.Nodes = append(c.Nodes, n)
	}
	c.Mounts = []Mount{{Name: "/0.mp3"}, {Name: "/1.mp3", Kbit: 64}}
	fleet, err := Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	if dice.IntN(2) == 0 {
		c.Mounts = nil
		for i := range c.Nodes {
			c.Nodes[i].Paths = nil
		}
		if fleet, err = Compile(c); err != nil {
			t.Fatal(err)
		}
	}
	return fleet
}

func diceReport(f *Fleet, dice *rand.Rand, now time.Time) Report {
	r := Report{
		Node: f.nodes[dice.IntN(len(f.nodes))].ID, By: "d", Taken: now, Since: now, Health: Health(dice.IntN(3)),
		Full: dice.IntN(8) == 0, Listeners: dice.IntN(1200) - 1, AnyMount: dice.IntN(4) == 0, IPv4: dice.IntN(2) == 0,
	}
	if dice.IntN(2) == 0 {
		r.Limit = dice.IntN(1500)
	}
	if dice.IntN(4) == 0 {
		r.Kbit = float64(dice.IntN(100_000))
	}
	if dice.IntN(3) == 0 {
		r.Returned = now.Add(-time.Duration(dice.IntN(90)) * time.Second)
	}
	for i := range dice.IntN(4) {
		m := MountReport{Path: fmt.Sprintf("/%d.mp3", i), Listeners: dice.IntN(300)}
		if dice.IntN(3) == 0 {
			m.Limit = dice.IntN(300)
		}
		r.Mounts = append(r.Mounts, m)
		if dice.IntN(4) == 0 {
			r.Verdicts = append(r.Verdicts, Verdict{Path: m.Path, Scheme: Scheme(dice.IntN(3)), State: MountState(dice.IntN(int(numMountStates)))})
		}
	}
	return r
}

func diceCounts(f *Fleet, dice *rand.Rand) map[NodeID]int {
	counts := map[NodeID]int{}
	for range dice.IntN(3) {
		counts[f.nodes[dice.IntN(len(f.nodes))].ID] = 1 + dice.IntN(200)
	}
	return counts
}
