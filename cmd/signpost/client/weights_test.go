package client

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

func TestRowsOnTheCommandLine(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"fra1=3": "", "fra1=0": "", "fra1=0.5": "", "fra1": "NODE=WEIGHT", "=3": "NODE=WEIGHT", "fra1=": "NODE=WEIGHT", "fra1=-1": "NODE=WEIGHT",
		"fra1=NaN": "NODE=WEIGHT", "fra1=Inf": "NODE=WEIGHT", "fra1=1e999": "NODE=WEIGHT", "fra1=3=4": "NODE=WEIGHT",
	} {
		var a Assignment
		if err := a.UnmarshalText([]byte(word)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v %v", word, a, err)
		}
	}
	var p Proposed
	if err := p.UnmarshalText([]byte("de:fra1=3,ams1=0")); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(Proposed{"de", map[director.NodeID]float64{"fra1": 3, "ams1": 0}}, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for word, want := range map[string]string{"de": "REGION:NODE=WEIGHT", ":fra1=3": "REGION:NODE", "de:": "REGION:NODE", "de:fra1": "NODE=WEIGHT", "de:fra1=1,fra1=2": "fra1 is given two weights"} {
		if err := new(Proposed).UnmarshalText([]byte(word)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestProposals(t *testing.T) {
	t.Parallel()
	c := WhatIfCmd{Drain: []director.NodeID{"a"}, Resume: []director.NodeID{"b"}, Disable: []director.NodeID{"c"}, Row: []Proposed{{"de", map[director.NodeID]float64{"a": 1}}}, Reset: []director.RegionID{"at"}, LostSite: []string{"fra"},
		Overflow: []ProposedOrder{{"de", []director.RegionID{"world"}}}, ResetOverflow: []director.RegionID{"at"},
	}
	p, err := c.question()
	if err != nil {
		t.Fatal(err)
	}
	want := api.WhatIfQuestion{
		Rows:  map[director.RegionID]map[director.NodeID]float64{"de": {"a": 1}, "at": nil},
		Nodes: map[director.NodeID]store.NodeState{"a": "drained", "b": "", "c": "disabled"}, LostSites: []string{"fra"},
		Overflows: map[director.RegionID][]director.RegionID{"de": {"world"}, "at": nil},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, c := range []WhatIfCmd{
		{Drain: []director.NodeID{"a"}, Resume: []director.NodeID{"a"}}, {Drain: []director.NodeID{"a", "a"}},
		{Reset: []director.RegionID{"de"}, Row: []Proposed{{Region: "de"}}}, {Row: []Proposed{{Region: "de"}, {Region: "de"}}},
		{Overflow: []ProposedOrder{{Region: "de"}, {Region: "de"}}}, {ResetOverflow: []director.RegionID{"de"}, Overflow: []ProposedOrder{{Region: "de"}}},
	} {
		if _, err := c.question(); err == nil || !strings.Contains(err.Error(), "give it one") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
