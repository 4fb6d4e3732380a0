package store

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

var anna = Stamp{By: "anna", At: noon}

func until(after time.Duration) Stamp {
	s := anna
	s.Until = noon.Add(after)
	return s
}

func weights(kv ...any) map[director.NodeID]float64 {
	m := map[director.NodeID]float64{}
	for i := 0; i < len(kv); i += 2 {
		m[director.NodeID(kv[i].(string))] = kv[i+1].(float64)
	}
	return m
}

func TestOverlayExpiry(t *testing.T) {
	t.Parallel()
	o := Overlay{
		Revision:  3,
		Rows:      map[director.RegionID]Row{"de": {Stamp: until(time.Hour)}, "fr": {Stamp: anna}},
		Nodes:     map[director.NodeID]NodeSetting{"n1": {Stamp: until(2 * time.Hour)}},
		Overflows: map[director.RegionID]Overflow{"de": {Stamp: until(time.Hour)}},
		Rules:     []Rule{{ID: "r1", Stamp: until(3 * time.Hour)}, {ID: "r2", Stamp: anna}},
		Notes:     []Note{{ID: "n1", Stamp: until(4 * time.Hour)}},
	}
	before := o.Clone()
	names := func(o Overlay) (names []string) {
		for name := range o.stamps() {
			names = append(names, name)
		}
		return names
	}
	for i, want := range [][]string{
		{"rows/de", "rows/fr", "overflows/de", "nodes/n1", "rules/r1", "rules/r2", "notes/n1"},
		{"rows/fr", "nodes/n1", "rules/r1", "rules/r2", "notes/n1"},
		{"rows/fr", "rules/r1", "rules/r2", "notes/n1"},
		{"rows/fr", "rules/r2", "notes/n1"},
		{"rows/fr", "rules/r2"},
	} {
		at := noon.Add(time.Duration(i) * time.Hour) // at the very moment it has expired
		got := o.InForce(at)
		if diff := cmp.Diff(want, names(got), sorted); diff != "" || got.Revision != 3 {
			t.Errorf("after %d h (-want +got):\n%s", i, diff)
		}
		next := at.Add(time.Hour)
		if i == 4 {
			next = time.Time{}
		}
		if got := o.NextExpiry(at); !got.Equal(next) {
			t.Errorf("next expiry after %d h: %v, want %v", i, got, next)
		}
	}
	if diff := cmp.Diff(before, o); diff != "" {
		t.Errorf("InForce changed what it was called on:\n%s", diff)
	}
}

var sorted = cmp.Transformer("sorted", func(s []string) map[string]int {
	m := map[string]int{}
	for _, v := range s {
		m[v]++
	}
	return m
})

func TestOverlayValidate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		o    Overlay
		want string // in the error; empty: none
	}{
		{"empty", Overlay{}, ""},
		{"good", Overlay{
			Rows:  map[director.RegionID]Row{"de": {weights("n1", 0.0, "n2", 1.0), anna}},
			Nodes: map[director.NodeID]NodeSetting{"n1": {State: NodeDrained, Stamp: until(1)}},
			Rules: []Rule{{"r", json.RawMessage(`{}`), anna}},
			Notes: []Note{{ID: "n", Stamp: anna}},
		}, ""},
		{"below zero", Overlay{Rows: map[director.RegionID]Row{"de": {weights("n1", -1.0, "n2", 3.0), anna}}}, "rows/de: weight -1 of node n1"},
		{"all zero", Overlay{Rows: map[director.RegionID]Row{"de": {weights("n1", 0.0), anna}}}, "rows/de: no weight is above 0"},
		{"overflow into itself", Overlay{Overflows: map[director.RegionID]Overflow{"de": {[]director.RegionID{"de"}, anna}}}, "overflows/de: a region does not overflow into itself"},
		{"overflow twice", Overlay{Overflows: map[director.RegionID]Overflow{"de": {[]director.RegionID{"fr", "at", "fr"}, anna}}}, `overflows/de: "fr" is there twice`},
		{"no overflow", Overlay{Overflows: map[director.RegionID]Overflow{"de": {nil, anna}}}, ""},
		{"no weights", Overlay{Rows: map[director.RegionID]Row{"de": {nil, anna}}}, "rows/de: no weight is above 0"},
		{"a newer kind of row", Overlay{Rows: map[director.RegionID]Row{"de": {nil, Stamp{By: "x", At: noon, Unknown: map[string]json.RawMessage{"nodes": nil}}}}}, ""},
		{"no state", Overlay{Nodes: map[director.NodeID]NodeSetting{"n1": {State: "", Stamp: anna}}}, "nodes/n1: has no state"},
		{"a newer state", Overlay{Nodes: map[director.NodeID]NodeSetting{"n1": {State: "resting", Stamp: anna}}}, ""},
		{"rule twice", Overlay{Rules: []Rule{{"r", json.RawMessage(`1`), anna}, {"r", json.RawMessage(`1`), anna}}}, "rules/r: needs an id of its own"},
		{"rule not JSON", Overlay{Rules: []Rule{{"r", json.RawMessage(`{`), anna}}}, "rules/r: its content is not JSON"},
		{"nameless note", Overlay{Notes: []Note{{Stamp: anna}}}, "notes/: needs an id"},
		{"nobody", Overlay{Notes: []Note{{ID: "n", Stamp: Stamp{At: noon}}}}, "notes/n: does not say who"},
		{"no time", Overlay{Notes: []Note{{ID: "n", Stamp: Stamp{By: "anna"}}}}, "notes/n: does not say who made it and when"},
		{"expired when made", Overlay{Notes: []Note{{ID: "n", Stamp: until(-1)}}}, "notes/n: expires before"},
	} {
		switch err := tc.o.Validate(); {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestOverlayKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	doc := `{"schema":1,"revision":7,` +
		`"rows":{"de":{"weights":{"n1":1},"by":"anna","at":"2026-03-01T12:00:00Z","mode":"soft"}},` +
		`"nodes":{"n1":{"state":"drained","by":"anna","at":"2026-03-01T12:00:00Z","until":"2026-03-01T13:00:00Z","depth":2}},` +
		`"rules":[{"id":"r","rule":{"agent":"a*"},"by":"anna","at":"2026-03-01T12:00:00Z","hits":3}],` +
		`"notes":[{"id":"n","text":"t","by":"anna","at":"2026-03-01T12:00:00Z","pinned":true}],` +
		`"history":[{"revision":6,"by":"ben","at":"2026-03-01T11:00:00Z","entries":[{"entry":"notes/n","after":{"x":1},"depth":1}],"via":"api"}],"moods":[{"x":1}]}`
	var o Overlay
	if err := json.Unmarshal([]byte(doc), &o); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(doc, string(b)); diff != "" {
		t.Errorf("after reading and writing (-want +got):\n%s", diff)
	}
	if o.Rows["de"].Weights["n1"] != 1 || o.Nodes["n1"].State != NodeDrained || !o.Nodes["n1"].Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("what is known was not read: %+v", o)
	}
}

func TestOverlayRefusesOtherSchemas(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`{"schema":2,"revision":1}`:  "a newer signpost",
		`{"revision":1}`:             "not written by signpost",
		`null`:                       "not written by signpost",
		`{"schema":1,"revision":-1}`: "cannot unmarshal",
		`{"schema":1,"revision":9007199254740992}`:   "not written by signpost",
		`{"schema":1,"rows":{"de":{"weights":[1]}}}`: "cannot unmarshal",
	} {
		var o Overlay
		if err := json.Unmarshal([]byte(doc), &o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", doc, err, want)
		}
	}
}

// Whatever bytes are an overlay stay the same one when they are written and read
// again, and laying it over a configuration neither panics nor takes the
// director down.
func FuzzOverlay(f *testing.F) {
	f.Add([]byte(`{"schema":1,"revision":7,"rows":{"de":{"weights":{"n1":1,"x":0},"by":"a","at":"2026-03-01T12:00:00Z"}}}`))
	f.Add([]byte(`{"schema":1,"rows":{"de":{"weights":{"n1":-1,"n2":1e308}},"fr":{}},"nodes":{"n1":{"state":"?"},"":{}}}`))
	f.Add([]byte(`{"SCHEMA":1,"Rules":[{"id":"","rule":[1, 2]},null],"x":{"<":" "},"notes":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var o Overlay
		if json.Unmarshal(doc, &o) != nil {
			return
		}
		stored, err := o.asStored()
		if err != nil {
			t.Fatalf("it was read and cannot be written: %v", err)
		}
		again, err := stored.asStored()
		if err != nil || !reflect.DeepEqual(stored, again) {
			t.Fatalf("%v: read again it differs:\n%s", err, cmp.Diff(stored, again))
		}
		_ = o.Validate()
		if _, _, _, err := compile(threeNodes(), o, noon); err != nil {
			t.Fatalf("the overlay took the configuration down: %v", err)
		}
	})
}
