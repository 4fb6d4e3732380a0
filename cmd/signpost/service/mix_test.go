package service

import (
	"maps"
	"math"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

func TestMixForgets(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	sent := sentCounts{}
	m := newMix(func() sentCounts {
		out := sentCounts{}
		for region, nodes := range sent {
			out[region] = maps.Clone(nodes)
		}
		return out
	}, func() time.Time { return now })
	want := func(region director.RegionID, n float64) {
		t.Helper()
		if got := m.of("n1")[region]; math.Abs(got-n) > 0.1 {
			t.Errorf("%s: %.1f, want %.1f", region, got, n)
		}
	}
	if len(m.of("n1")) != 0 {
		t.Error("a mix of nobody")
	}
	now = now.Add(2 * time.Second)
	sent["de"] = map[director.NodeID]uint64{"n1": 1000, "n2": 7}
	want("de", 1000)
	now = now.Add(time.Hour)
	sent["fr"] = map[director.NodeID]uint64{"n1": 300}
	want("de", 1000/math.E)
	want("fr", 300)
	now = now.Add(24 * time.Hour)
	if got := m.of("n1"); len(got) != 0 {
		t.Errorf("a day later: %v", got)
	}
	sent["de"]["n1"] = 40 // it was forgotten, and came back
	now = now.Add(time.Minute)
	want("de", 40)
	delete(sent["de"], "n1")
	delete(sent["fr"], "n1")
	now = now.Add(time.Minute)
	want("de", 0)
	if _, kept := m.sent["n1"]; kept || len(m.sent) != 1 {
		t.Errorf("of nodes that are counted no longer is kept: %v", m.sent)
	}
}
