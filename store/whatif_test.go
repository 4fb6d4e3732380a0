package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// standing writes "n1 300 0.75, n2 ..." of what nodes would hold and their share.
func standing(f director.Forecast) string {
	var out []string
	for _, n := range f.Nodes {
		out = append(out, fmt.Sprintf("%s %d %.2f", n.Node, n.Listeners, n.Share))
	}
	return strings.Join(out, ", ")
}

func TestWhatIf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := config("n1", "n2", "n3")
		c.Regions = append(c.Regions, director.Region{
			ID: "de", Match: director.Match{Countries: []string{"DE"}},
			Row: []director.Weight{{Node: "n1", Weight: 1, Given: true}, {Node: "n2", Weight: 1, Given: true}},
		})
		c.Nodes[0].Site, c.Nodes[1].Site = "fra", "fra"
		for i := range c.Nodes {
			c.Nodes[i].Limit = 1200
		}
		d := start(t, store.SyncerConfig{Store: memory(t), Config: c})
		for _, n := range c.Nodes {
			d.prober.report(n.ID, 400)
		}
		pass(tick * 2)
		mix := func(id director.NodeID) map[director.RegionID]float64 {
			if id == "n3" {
				return map[director.RegionID]float64{"world": 1}
			}
			return map[director.RegionID]float64{"de": 9}
		}
		weights := map[director.NodeID]float64{"n1": 3, "n2": 1}
		for _, tt := range []struct {
			name   string
			p      store.Proposal
			want   string
			beyond int
			loss   *director.Loss
		}{
			{"nothing", store.Proposal{}, "n1 533 0.44, n2 533 0.44, n3 133 0.11", 0, nil},
			{"a row", store.Proposal{Rows: map[director.RegionID]map[director.NodeID]float64{"de": weights}}, "n1 733 0.61, n2 333 0.28, n3 133 0.11", 0, nil},
			{"a drain", store.Proposal{Nodes: map[director.NodeID]store.NodeState{"n1": store.NodeDrained}}, "n1 0 0.00, n2 1000 0.83, n3 200 0.17", 0, &director.Loss{Listeners: 400}},
			{"a site is lost", store.Proposal{LostSites: []string{"fra"}}, "n1 0 0.00, n2 0 0.00, n3 400 0.33", 800, &director.Loss{Listeners: 800, BeyondTarget: 800, BeyondLimit: 800}},
			{"a node is lost", store.Proposal{LostNodes: []director.NodeID{"n2"}}, "n1 1000 0.83, n2 0 0.00, n3 200 0.17", 0, &director.Loss{Listeners: 400}},
		} {
			got, err := d.WhatIf(tt.p, mix)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			now, then := got.Now, got.Then
			if diff := cmp.Diff("n1 533 0.44, n2 533 0.44, n3 133 0.11", standing(now)); diff != "" {
				t.Errorf("%s: now (-want +got):\n%s", tt.name, diff)
			}
			if diff := cmp.Diff(tt.want, standing(then)); diff != "" || then.BeyondLimit != tt.beyond || then.Listeners != 1200 {
				t.Errorf("%s: %d of %d without a seat; then (-want +got):\n%s", tt.name, then.BeyondLimit, then.Listeners, diff)
			}
			if diff := cmp.Diff(tt.loss, got.Loss); diff != "" {
				t.Errorf("%s: at once (-want +got):\n%s", tt.name, diff)
			}
		}

		// An overflow decides where those go for whom the row has no room.
		if got, err := d.WhatIf(store.Proposal{
			Overflows: map[director.RegionID][]director.RegionID{"de": {"world"}}, Nodes: map[director.NodeID]store.NodeState{"n1": store.NodeDrained, "n2": store.NodeDrained},
		}, mix); err != nil {
			t.Error(err)
		} else if diff := cmp.Diff("n1 0 0.00, n2 0 0.00, n3 1200 1.00", standing(got.Then)); diff != "" {
			t.Errorf("with an overflow (-want +got):\n%s", diff)
		}

		// What was made at run time is the ground, and can be proposed away.
		change(t, d, anna, func(o *store.Overlay) error {
			o.Rows = map[director.RegionID]store.Row{"de": {Weights: weights}}
			o.Nodes = map[director.NodeID]store.NodeSetting{"n3": {State: store.NodeDrained}}
			return nil
		})
		pass(tick)
		got, err := d.WhatIf(store.Proposal{
			Rows:  map[director.RegionID]map[director.NodeID]float64{"de": nil},
			Nodes: map[director.NodeID]store.NodeState{"n3": ""},
		}, mix)
		if now, then := got.Now, got.Then; err != nil || standing(now) != "n1 800 0.67, n2 400 0.33, n3 0 0.00" || standing(then) != "n1 533 0.44, n2 533 0.44, n3 133 0.11" {
			t.Errorf("taken back: %v\nnow  %s\nthen %s", err, standing(now), standing(then))
		}
		if o := d.Overlay(); o.Revision != 1 || len(o.Rows) != 1 {
			t.Errorf("asking changed the overlay: %+v", o)
		}
	})
}

func TestWhatIfMistakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := config("n1", "n2")
		c.MayRegister = []string{"edge-*"}
		c.Regions = append(c.Regions, director.Region{ID: "other", Match: director.Match{Countries: []string{"DE"}}, Row: c.Regions[0].Row})
		d := start(t, store.SyncerConfig{Store: memory(t), Config: c})
		row := func(kv ...any) map[director.RegionID]map[director.NodeID]float64 {
			w := map[director.NodeID]float64{}
			for i := 1; i+1 < len(kv); i += 2 {
				w[director.NodeID(kv[i].(string))] = kv[i+1].(float64)
			}
			return map[director.RegionID]map[director.NodeID]float64{director.RegionID(kv[0].(string)): w}
		}
		pass(tick)
		for _, tt := range []struct {
			want string
			p    store.Proposal
		}{
			{"rows/mars: no region", store.Proposal{Rows: map[director.RegionID]map[director.NodeID]float64{"mars": nil}}},
			{"rows/world: no node has the id n9", store.Proposal{Rows: row("world", "n9", 1.0)}},
			{"rows/world: no weight is above 0", store.Proposal{Rows: row("world", "n1", 0.0)}},
			{"rows/world: no weight is above 0", store.Proposal{Rows: row("world")}},
			{"rows/world: weight -1 of node n1", store.Proposal{Rows: row("world", "n1", -1.0, "n2", 2.0)}},
			{"rows/world: no node that is there", store.Proposal{Rows: row("world", "edge-7", 1.0)}},
			{"overflows/mars: no region", store.Proposal{Overflows: map[director.RegionID][]director.RegionID{"mars": {"world"}}}},
			{"overflow of world: no region has the id mars", store.Proposal{Overflows: map[director.RegionID][]director.RegionID{"world": {"mars", "other"}}}},
			{"overflows/world: a region does not", store.Proposal{Overflows: map[director.RegionID][]director.RegionID{"world": {"world"}}}},
			{"overflow of world: overflow goes in a circle", store.Proposal{Overflows: map[director.RegionID][]director.RegionID{"other": {"world"}, "world": {"other"}}}},
			{"nodes/n9: no node", store.Proposal{Nodes: map[director.NodeID]store.NodeState{"n9": store.NodeDrained}}},
			{`nodes/n1: "asleep" is no state`, store.Proposal{Nodes: map[director.NodeID]store.NodeState{"n1": "asleep"}}},
			{"nodes/n9: no node has this id, so", store.Proposal{LostNodes: []director.NodeID{"n9"}}},
			{"sites/fra: no node stands there", store.Proposal{LostSites: []string{"fra"}}},
		} {
			if _, err := d.WhatIf(tt.p, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		}
		if _, err := d.WhatIf(store.Proposal{Rows: row("world", "edge-7", 1.0, "n1", 1.0)}, nil); err != nil && !strings.Contains(err.Error(), "edge-7") {
			t.Errorf("a node that may register: %v", err)
		}
	})
}

func TestWhatIfBeforeTheFirstSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProber()
		p.first = make(chan struct{})
		d := start(t, store.SyncerConfig{Store: memory(t), Prober: p})
		if _, err := d.WhatIf(store.Proposal{}, nil); !errors.Is(err, store.ErrNoSnapshot) {
			t.Errorf("%v", err)
		}
		pass(10 * time.Second)
	})
}
