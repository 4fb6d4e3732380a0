package sim

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// fleetOf makes a fleet of regions with rows of their own and an overflow, and listeners in
// each.
func fleetOf(nodes, regions, directors, listeners int) Scenario {
	s := Scenario{Seed: 1, For: time.Hour, Every: 10 * time.Second}
	s.Fleet.Mounts = []director.Mount{{Name: "/live.mp3"}, {Name: "/live.aac"}}
	target := listeners * 3 / 2 / nodes
	for i := range nodes {
		s.Fleet.Nodes = append(s.Fleet.Nodes, director.Node{
			ID: director.NodeID(fmt.Sprintf("n%02d", i)), URLs: []string{fmt.Sprintf("http://n%02d.example:8000", i)},
			Site: fmt.Sprintf("site%d", i%10), Target: target, Limit: target * 11 / 10,
		})
		s.Nodes = append(s.Nodes, Node{Pace: -1})
	}
	for i := range regions {
		r := director.Region{ID: director.RegionID(fmt.Sprintf("r%02d", i)), Match: director.Match{ASNs: []uint32{uint32(i + 1)}}}
		for k := range min(8, nodes) {
			r.Row = append(r.Row, director.Weight{Node: s.Fleet.Nodes[(i*nodes/regions+k)%nodes].ID, Weight: float64(1 + k%3), Given: true})
		}
		if i > 0 {
			r.Overflow = []director.RegionID{"r00"}
		}
		s.Fleet.Regions = append(s.Fleet.Regions, r)
		s.Origins = append(s.Origins, Origin{Name: string(r.ID), Place: director.Place{ASN: uint32(i + 1)}, NAT: 0.2})
	}
	for i := range directors {
		s.Directors = append(s.Directors, Director{Site: fmt.Sprintf("site%d", i)})
	}
	s.Crowd.Listeners = listeners
	return s
}

// TestBar plays the size that operators are promised.
func TestBar(t *testing.T) {
	if os.Getenv("SIGNPOST_SOAK") == "" {
		t.Skip("a million listeners take most of a minute: SIGNPOST_SOAK=1")
	}
	s := fleetOf(50, 30, 5, 1_000_000)
	s.Faults = []Fault{{Kind: SiteLoss, At: 20 * time.Minute, For: 15 * time.Minute, Site: "site9"}}
	begun := time.Now()
	h, err := Run(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("an hour took %v and %d MB from the system", time.Since(begun).Round(time.Millisecond), m.Sys>>20)
	t.Logf("%x, %d events, %+v, waits %+v, back %+v", h.Hash, h.Events, h.Totals, h.Waits, h.Back)
}
