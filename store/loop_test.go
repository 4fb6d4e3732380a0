package store

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// still is a prober whose reports do not change.
type still []director.Report

func (s still) SetNodes([]director.Node, []director.Mount) {}
func (s still) Changes(since uint64) ([]director.Report, bool, uint64) {
	if since == 1 {
		return nil, false, 1
	}
	return slices.Clone(s), true, 1
}
func (s still) Doubt(director.NodeID, string, string)           {}
func (s still) Share(director.NodeID, bool, []director.Verdict) {}
func (s still) News() <-chan struct{}                           { return nil }
func (s still) Suspicion() string                               { return "" }
func (s still) First() <-chan struct{}                          { return nil }

func byPointer(all []director.Report) (out []*director.Report) {
	for i := range all {
		out = append(out, &all[i])
	}
	return out
}

// bigLoop has a fleet of this size, a second of listeners of four directors, and
// is past its first tick.
func bigLoop(t testing.TB, nodes, regions int) *loop {
	c := director.Config{Mounts: []director.Mount{{Name: "/live.mp3"}, {Name: "/low.mp3"}, {Name: "/talk.aac"}}}
	var reports still
	var counts []Count
	for i := range nodes {
		id := director.NodeID(fmt.Sprintf("node-%04d", i))
		c.Nodes = append(c.Nodes, director.Node{ID: id, Target: 1000, URLs: []string{fmt.Sprintf("http://127.0.%d.%d:8000", i/250, i%250+1)}})
		r := director.Report{Node: id, By: "self", Taken: noon, Health: director.Up, Listeners: 500 + i%100}
		for _, m := range c.Mounts {
			r.Mounts = append(r.Mounts, director.MountReport{Path: m.Name, Listeners: 100})
		}
		reports = append(reports, r)
		counts = append(counts, Count{Node: id, At: noon.Add(-time.Duration(i%4) * BucketWidth), N: 1 + i%3})
	}
	for i := range regions {
		r := director.Region{ID: director.RegionID(fmt.Sprintf("region-%02d", i)), Match: director.Match{ASNs: []uint32{uint32(i + 1)}}}
		for j := range min(nodes, 40) {
			r.Row = append(r.Row, director.Weight{Node: c.Nodes[(i*nodes/regions+j)%nodes].ID, Weight: 1, Given: true})
		}
		c.Regions = append(c.Regions, r)
	}
	s, err := NewSyncer(SyncerConfig{Config: c, Prober: reports, Director: "self", Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l := s.loop
	l.picture = Picture{Now: noon, Counts: map[string][]Count{"b": counts, "c": counts, "d": counts}, Reports: byPointer(reports)}
	l.probed, l.answered = true, true
	l.build()
	return l
}

func TestCompileOnlyOnChange(t *testing.T) {
	t.Parallel()
	l := bigLoop(t, 10, 3)
	before := l.fleet
	l.adopt(Overlay{})
	l.build()
	if l.fleet != before {
		t.Error("compiled again although nothing changed")
	}
	o := Overlay{Revision: 1, Nodes: map[director.NodeID]NodeSetting{"node-0001": {State: NodeDrained, Stamp: until(time.Hour)}}}
	l.adopt(o)
	l.build()
	drained := l.fleet
	if drained == before {
		t.Error("not compiled again although the overlay changed")
	}
	stored, err := o.asStored() // equal, but not the same memory
	if err != nil {
		t.Fatal(err)
	}
	l.adopt(stored)
	l.build()
	if l.fleet != drained {
		t.Error("compiled again for an overlay that came back from the store")
	}
	if err := l.SetConfig(l.declared.config); err != nil {
		t.Fatal(err)
	}
	l.build()
	if l.fleet == drained {
		t.Error("not compiled again for a new configuration")
	}
}

// A listener who is counted while an exchange is under way is neither lost when
// the next snapshot comes nor counted twice.
func TestCountDuringExchange(t *testing.T) {
	t.Parallel()
	l := bigLoop(t, 10, 3)
	before := l.View().Live.Used(0)
	for i := range 3 {
		l.View().Live.Count(0)
		l.ledgers.collect(noon.Add(time.Duration(i) * BucketWidth))
		l.View().Live.Count(0)
		l.build()
		if got, want := l.View().Live.Used(0), before+2*(i+1); got != want {
			t.Errorf("after %d listeners: used %d, want %d", 2*(i+1), got, want)
		}
	}
}

// BenchmarkTick is what a tick costs the director besides the store: to collect
// and offer, and to build.
func BenchmarkTick(b *testing.B) {
	l := bigLoop(b, 1000, 50)
	view := l.View()
	b.ReportAllocs()
	for b.Loop() {
		for n := 0; n < 1000; n += 10 {
			view.Live.Count(n)
		}
		l.ledgers.collect(noon)
		l.look()
		_ = l.ledgers.counts()
		l.build()
	}
}

func BenchmarkCompile(b *testing.B) {
	l := bigLoop(b, 1000, 50)
	b.ReportAllocs()
	for b.Loop() {
		l.fleet = nil
		l.compile(noon)
	}
}
