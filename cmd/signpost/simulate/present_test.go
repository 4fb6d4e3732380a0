package simulate

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// present is a fleet of which fra1 holds 200 listeners and nyc1 100, and a third node is
// down.
func present(t *testing.T, scale int) Present {
	t.Helper()
	c := plan().Fleet
	c.Nodes = append(c.Nodes, director.Node{ID: "fra2", URLs: []string{"http://fra2.example:8000"}, Site: "fra", Target: 300, Limit: 400})
	for i := range c.Nodes {
		c.Nodes[i].Target *= scale
		c.Nodes[i].Limit *= scale
	}
	fleet, err := director.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 29, 20, 5, 0, 0, time.UTC)
	in := director.Input{Now: now, Reports: map[director.NodeID]director.Report{}}
	for id, n := range map[director.NodeID]int{"fra1": 200 * scale, "nyc1": 100 * scale} {
		in.Reports[id] = director.Report{Node: id, Taken: now, Health: director.Up, Since: now.Add(-time.Hour), Listeners: n, Mounts: []director.MountReport{{Path: "/live.mp3", Listeners: n}}}
	}
	in.Reports["fra2"] = director.Report{Node: "fra2", Taken: now, Health: director.Failed, Since: now.Add(-time.Hour), Listeners: -1}
	return Present{Now: fleet.Build(nil, in), Then: c, Sites: []string{""}, For: 5 * time.Minute}
}

func playedGently(t *testing.T, p Present) *Report {
	t.Helper()
	play, err := p.Play(time.Date(2026, 11, 29, 20, 5, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	h, err := play.Gently(t.Context(), func(float64) {})
	if err != nil {
		t.Fatal(err)
	}
	return NewReport(h, &play, nil)
}

// TestPresent: what is played begins with who listens where now, and what is down stays
// down.
func TestPresent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := present(t, 1)
		p.LoseNodes = []director.NodeID{"fra1"}
		r := playedGently(t, p)
		if s := r.Samples; s.Nodes["fra1"][0] != 200 || s.Nodes["nyc1"][0] != 100 || s.Nodes["fra2"][0] != 0 {
			t.Errorf("at the beginning: %v, %v, %v", s.Nodes["fra1"][0], s.Nodes["nyc1"][0], s.Nodes["fra2"][0])
		}
		last := len(r.Samples.Listening) - 1
		if s := r.Samples; s.Nodes["fra1"][last] != 0 || s.Nodes["nyc1"][last] < 200 || s.Nodes["fra2"][last] != 0 {
			t.Errorf("in the end: %v, %v, %v", s.Nodes["fra1"][last], s.Nodes["nyc1"][last], s.Nodes["fra2"][last])
		}
		if r.From != "20:05" || r.Until != "20:10" || len(r.Broken) > 0 {
			t.Errorf("from %s until %s, broken %v", r.From, r.Until, r.Broken)
		}
	})
}

// TestPresentOfMany: of a large fleet a part is played, in proportion.
func TestPresentOfMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := present(t, 1000)
		p.For = 30 * time.Second
		r := playedGently(t, p)
		if n := r.Nodes[0]; r.Samples.Nodes["fra1"][0] != 13333 || n.Target != 20_000 || n.Limit != 26_667 {
			t.Errorf("fra1 is %+v, with %d listeners", n, r.Samples.Nodes["fra1"][0])
		}
		if len(r.Remarks) == 0 || r.Remarks[0] != "of 300000 listeners 1 in 15 is played, and so are targets, limits and paces; numbers are of those that are played" {
			t.Errorf("remarks %q", r.Remarks)
		}
	})
}

// TestGently: playing ends when it is left.
func TestGently(t *testing.T) {
	t.Parallel()
	p := present(t, 1)
	play, err := p.Play(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h, err := play.Gently(ctx, func(float64) { cancel() })
	if err != nil || len(h.Samples) == 0 || h.Samples[len(h.Samples)-1].At >= play.For {
		t.Errorf("it was played to the end, or not at all: %d samples, %v", len(h.Samples), err)
	}
}
