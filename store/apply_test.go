package store

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signpost-fm/signpost/director"
)

// threeNodes has a region with weights, one by load, and one by distance.
func threeNodes() director.Config {
	c := director.Config{Mounts: []director.Mount{{Name: "/live.mp3"}}}
	for i := range 3 {
		id := director.NodeID(fmt.Sprint("n", i+1))
		c.Nodes = append(c.Nodes, director.Node{ID: id, URLs: []string{fmt.Sprintf("http://127.0.0.%d:8000", i+1)}, Target: 100})
	}
	c.Regions = []director.Region{
		{ID: "de", Match: director.Match{Countries: []string{"DE"}}, Row: []director.Weight{{Node: "n1", Weight: 50, Given: true}, {Node: "n2", Weight: 50, Given: true}}},
		{ID: "fr", Match: director.Match{Countries: []string{"FR"}}, Row: []director.Weight{{Node: "n1"}, {Node: "n3"}}},
		{ID: "world", Match: director.Match{Default: true}},
	}
	c.MayRegister = []string{"edge-*"}
	return c
}

func row(kv ...any) []director.Weight {
	var out []director.Weight
	for i := 0; i < len(kv); i += 2 {
		out = append(out, director.Weight{Node: director.NodeID(kv[i].(string)), Weight: kv[i+1].(float64), Given: true})
	}
	return out
}

func TestApply(t *testing.T) {
	t.Parallel()
	type rows map[director.RegionID]Row
	type nodes map[director.NodeID]NodeSetting
	why := anna
	why.Why = "new disk"
	const stamp = " (anna, 2026-03-01T12:00:00Z)"
	for _, tc := range []struct {
		name  string
		rows  rows
		nodes nodes
		rules []Rule
		want  func(c *director.Config)
		made  []Effect
	}{
		{name: "nothing"},
		{
			name: "a row instead of weights", rows: rows{"de": {weights("n3", 10.0, "n1", 0.0), anna}},
			want: func(c *director.Config) { c.Regions[0].Row = row("n1", 0.0, "n3", 10.0) },
			made: []Effect{{"rows/de", Masks, "n1=0 n3=10 instead of n1=50 n2=50" + stamp}},
		},
		{
			name: "a row instead of a list", rows: rows{"fr": {weights("n2", 0.5), anna}},
			want: func(c *director.Config) { c.Regions[1].Row = row("n2", 0.5) },
			made: []Effect{{"rows/fr", Masks, "n2=0.5 instead of n1 n3" + stamp}},
		},
		{
			name: "a row instead of distance", rows: rows{"world": {weights("n2", 1.0), anna}},
			want: func(c *director.Config) { c.Regions[2].Row = row("n2", 1.0) },
			made: []Effect{{"rows/world", Masks, "n2=1 instead of distance" + stamp}},
		},
		{
			name: "a region that is not there", rows: rows{"es": {weights("n2", 1.0), anna}},
			made: []Effect{{"rows/es", Dormant, "no region has this id"}},
		},
		{
			name: "a row with nodes that are not there", rows: rows{"de": {weights("n2", 1.0, "n9", 1.0, "n8", 1.0), anna}},
			want: func(c *director.Config) { c.Regions[0].Row = row("n2", 1.0) },
			made: []Effect{{"rows/de", Masks, "n2=1 instead of n1=50 n2=50" + stamp}, {"rows/de", Dormant, "no node has the id n8, n9"}},
		},
		{
			name: "a row with a node that may register yet", rows: rows{"de": {weights("n2", 1.0, "edge-1", 3.0), anna}},
			want: func(c *director.Config) { c.Regions[0].Row = row("edge-1", 3.0, "n2", 1.0) },
			made: []Effect{{"rows/de", Masks, "edge-1=3 n2=1 instead of n1=50 n2=50" + stamp}, {"rows/de", Dormant, "no node has the id edge-1"}},
		},
		{
			name: "a row whose weight is all on a node that may register yet", rows: rows{"de": {weights("n2", 0.0, "edge-1", 1.0), anna}},
			made: []Effect{{"rows/de", Dormant, "no node that is there has a weight above 0 in it"}},
		},
		{
			name: "a row whose weight is all on nodes that are not there", rows: rows{"de": {weights("n2", 0.0, "n9", 1.0), anna}},
			made: []Effect{{"rows/de", Dormant, "no node that is there has a weight above 0 in it"}},
		},
		{
			name: "an empty row", rows: rows{"de": {nil, anna}},
			made: []Effect{{"rows/de", Dormant, "no node that is there has a weight above 0 in it"}},
		},
		{
			name: "nodes", nodes: nodes{"n1": {State: NodeDrained, Stamp: why}, "n2": {State: NodeDisabled, Stamp: anna}, "n3": {State: "resting", Stamp: anna}, "n9": {State: NodeDrained, Stamp: anna}},
			want: func(c *director.Config) { c.Nodes[0].Drained, c.Nodes[1].Drained = true, true },
			made: []Effect{
				{"nodes/n1", Masks, "drained (anna, 2026-03-01T12:00:00Z: new disk)"},
				{"nodes/n2", Masks, "disabled" + stamp},
				{"nodes/n3", Dormant, `this version of signpost does not know the state "resting"`},
				{"nodes/n9", Dormant, "no node has this id"},
			},
		},
		{
			name: "expired", rows: rows{"de": {weights("n2", 1.0), until(0)}}, nodes: nodes{"n1": {State: NodeDrained, Stamp: until(-time.Hour)}},
		},
		{
			name: "rules are not its business", rules: []Rule{{"r", json.RawMessage(`{}`), anna}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			declared, o := threeNodes(), Overlay{Revision: 1, Rows: tc.rows, Nodes: tc.nodes, Rules: tc.rules}
			oBefore := o.Clone()
			want := threeNodes()
			if tc.want != nil {
				tc.want(&want)
			}
			got, effects := Apply(declared, o, noon)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.made, effects); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(threeNodes(), declared); diff != "" {
				t.Errorf("it changed the declared configuration:\n%s", diff)
			}
			if diff := cmp.Diff(oBefore, o); diff != "" {
				t.Errorf("it changed the overlay:\n%s", diff)
			}
		})
	}
}

func TestCompileSkipsOffenders(t *testing.T) {
	t.Parallel()
	o := Overlay{
		Rows: map[director.RegionID]Row{
			"de":    {weights("n1", -5.0, "n2", 1.0), anna},
			"fr":    {weights("n2", 1.0), anna},
			"world": {weights("n3", math.Inf(1)), anna},
		},
		Nodes: map[director.NodeID]NodeSetting{"n1": {State: NodeDrained, Stamp: anna}},
	}
	before := o.Clone()
	_, applied, effects, err := compile(threeNodes(), o, noon)
	if err != nil {
		t.Fatal(err)
	}
	want := threeNodes()
	want.Nodes[0].Drained = true
	want.Regions[1].Row = row("n2", 1.0)
	if diff := cmp.Diff(want, applied); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	kinds := map[string]EffectKind{}
	for _, e := range effects {
		kinds[e.Entry] = e.Kind
		if e.Kind == Skipped && !strings.Contains(e.Detail, "weight") {
			t.Errorf("%s does not say why: %q", e.Entry, e.Detail)
		}
	}
	wantKinds := map[string]EffectKind{"nodes/n1": Masks, "rows/de": Skipped, "rows/fr": Masks, "rows/world": Skipped}
	if diff := cmp.Diff(wantKinds, kinds); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, o); diff != "" {
		t.Errorf("it changed the overlay:\n%s", diff)
	}
}

func TestApplyOverflow(t *testing.T) {
	t.Parallel()
	c := threeNodes()
	c.Regions[0].Overflow, c.Regions[2].Row = []director.RegionID{"world"}, []director.Weight{{Node: "n3"}}
	overflow := func(ids ...director.RegionID) Overlay {
		return Overlay{Overflows: map[director.RegionID]Overflow{"de": {ids, anna}}}
	}
	for _, tt := range []struct {
		name string
		with Overlay
		want []director.RegionID // of de
		said string
	}{
		{"another order", overflow("fr", "world"), []director.RegionID{"fr", "world"}, "overflows/de masks fr, world instead of world (anna, 2026-03-01T12:00:00Z)"},
		{"none", overflow(), nil, "overflows/de masks none instead of world (anna, 2026-03-01T12:00:00Z)"},
		{"one that is gone", overflow("mars", "fr"), []director.RegionID{"fr"}, "overflows/de masks fr instead of world (anna, 2026-03-01T12:00:00Z); overflows/de dormant no region has the id mars"},
		{"none that exists", overflow("mars"), []director.RegionID{"world"}, "overflows/de dormant none of its regions exists"},
		{"of no region", Overlay{Overflows: map[director.RegionID]Overflow{"mars": {[]director.RegionID{"de"}, anna}}}, []director.RegionID{"world"}, "overflows/mars dormant no region has this id"},
		{"a circle", Overlay{Overflows: map[director.RegionID]Overflow{"de": {[]director.RegionID{"fr"}, anna}, "fr": {[]director.RegionID{"de"}, anna}}}, []director.RegionID{"fr"}, "overflows/de masks fr instead of world (anna, 2026-03-01T12:00:00Z); overflows/fr skipped regions"},
		{"not a circle together, beside a row that is refused", Overlay{
			Overflows: map[director.RegionID]Overflow{
				"de": {nil, Stamp{By: "anna", At: noon, Revision: 2}}, "world": {[]director.RegionID{"de"}, Stamp{By: "anna", At: noon, Revision: 1}},
			},
			Rows: map[director.RegionID]Row{"fr": {weights("n1", -5.0), anna}},
		}, nil, "overflows/de masks none instead of world (anna, 2026-03-01T12:00:00Z); overflows/world masks de instead of none (anna, 2026-03-01T12:00:00Z); rows/fr skipped"},
	} {
		_, applied, effects, err := compile(c, tt.with, noon)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var said []string
		for _, e := range effects {
			said = append(said, e.Entry+" "+string(e.Kind)+" "+e.Detail)
		}
		if diff := cmp.Diff(tt.want, applied.Regions[0].Overflow, cmpopts.EquateEmpty()); diff != "" || !strings.HasPrefix(strings.Join(said, "; "), tt.said) {
			t.Errorf("%s: %q, want %q; order (-want +got):\n%s", tt.name, said, tt.said, diff)
		}
	}
}
