package client

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return noon.Add(-d) }

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// What a director may tell, with words in it such as may come.
var (
	anna    = &api.Override{By: "anna", At: before(3 * time.Hour), Why: "match night", Until: noon.Add(100 * time.Minute), Revision: 12}
	drained = &api.Override{State: store.NodeDrained, By: "bert", At: before(4 * time.Minute), Why: "new \x1b[31mdisks\x1b[0m\nnext line"}
	nodes   = []api.Node{
		{ID: "fra1", URLs: []string{"http://fra1.example:8000", "https://fra1.example"}, Site: "fra", Health: director.Up, Detail: "fine", By: "d1", Server: "Icecast 2.4.4",
			Since: before(9 * 24 * time.Hour), Counted: true, Used: 6120, EnRoute: 12, Estimated: 5, Target: 10000, Limit: 15000, Kbit: 783_360, SentPerS: 2.5, Room: 1, WarmUp: 1, Mounts: []string{"/live.mp3", "/live.aac"}},
		{ID: "ams1", State: director.Drained, Health: director.Up, Since: drained.At, Counted: true, Used: 130, Target: 10000, Limit: 15000, Drained: true, WarmUp: 1, Override: drained,
			Sessions: []api.Sessions{{Mount: "/live.m3u8", Node: "ams1", Playing: 90, Moved: api.Moved{Drained: 40, Weights: 2}}, {Mount: "/talk.mpd", Node: "ams1", Playing: 7}},
			Drain:    &api.Drain{Since: drained.At, Left: new(130)}},
		{ID: "nyc1", State: director.Down, Health: director.Failed, Detail: "GET /: connection refused (5 in a row)", Since: before(40 * time.Second), Target: 5000, Limit: 7500, WarmUp: 1},
		{ID: "edge-1", Registered: &api.Holder{Instance: "host-1", Token: "edges", SilentMS: 300}, Health: director.Up, Counted: true, Used: 10, KbitReckoned: 1280, WarmUp: 0.4},
		{ID: "edge-2", State: director.Drained, Health: director.Up, Drained: true, SafeToTerminate: true, WarmUp: 1, Override: &api.Override{State: store.NodeDisabled, By: "anna", At: before(time.Hour)}},
	}
	probed = api.NodeDetail{
		Node: nodes[2],
		Sightings: []api.Sighting{
			{By: "d1", Health: director.Failed, Since: before(40 * time.Second), Taken: before(2 * time.Second), Detail: "GET /: connection refused (5 in a row)"},
			{By: "d2", Health: director.Up, Since: before(9 * time.Hour), Taken: before(time.Second), Listeners: new(812), Detail: "GET /status-json.xsl: Icecast 2.4.4, 2 mounts"},
		},
		Probes: []api.Probe{
			{At: before(2 * time.Second), TookMS: 1.2, URL: "http://nyc1.example:8000", Failed: true, Detail: "GET /: connection refused"},
			{At: before(5 * time.Second), TookMS: 2000, URL: "http://nyc1.example:8000", Failed: true, Detail: "GET /: no whole answer within 2s"},
			{At: before(7 * time.Second), TookMS: 8, URL: "http://nyc1.example:8000", Mount: "/live.mp3", Detail: "GET /live.mp3: 200 OK"},
		},
	}
	weights = []api.Weight{{Node: "fra1", Weight: 3}, {Node: "ams1", Weight: 1}}
	europe  = api.Region{ID: "europe", Match: "continent:EU", Row: weights, Declared: []api.Weight{{Node: "fra1", Weight: 1}, {Node: "nyc1", Weight: 1}},
		Override: anna, Overflow: []director.RegionID{"world"}, Shares: []director.NodeShare{{Node: "fra1", Share: 0.75}, {Node: "ams1", Share: 0.25}}}
	regions = []api.Region{europe,
		{ID: "world", Match: "default", Row: []api.Weight{{Node: "nyc1", Weight: 1}, {Node: "fra1", Weight: 1}}, ByLoad: true},
		{ID: "many", Match: "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ"},
	}
	whatIf = forecasts{
		Now: director.Forecast{Listeners: 8160, Regions: []director.RegionForecast{
			{Region: "europe", Shares: []director.NodeShare{{Node: "fra1", Share: 0.75}, {Node: "ams1", Share: 0.25}}},
			{Region: "world", Shares: []director.NodeShare{{Node: "nyc1", Share: 1}}},
		}, Nodes: []director.NodeForecast{
			{Node: "fra1", Share: 0.5, Listeners: 6120, Target: 10000, Limit: 15000},
			{Node: "ams1", Share: 0.25, Listeners: 2040, Target: 10000, Limit: 15000},
			{Node: "nyc1", Share: 0.25, Listeners: 300, Target: 5000, Limit: 7500},
		}},
		Then: director.Forecast{Listeners: 8160, BeyondTarget: 120, Unbounded: true, Regions: []director.RegionForecast{
			{Region: "europe", Shares: []director.NodeShare{{Node: "ams1", Share: 1}}},
			{Region: "world", Shares: []director.NodeShare{{Node: "nyc1", Share: 1}}},
		}, Nodes: []director.NodeForecast{
			{Node: "fra1", State: director.Drained, Target: 10000, Limit: 15000},
			{Node: "ams1", Share: 0.75, Listeners: 10120, Target: 10000, Limit: 15000},
		}, Mounts: []director.MountForecast{{Mount: "/jazz.mp3", Listeners: 60, BeyondLimit: 3}, {Mount: "/live.mp3", Listeners: 8100}}},
		Loss: &director.Loss{Listeners: 6420, BeyondTarget: 120, BeyondLimit: 3},
	}
	rules = []api.Rule{
		{ID: "kitchen", Rule: json.RawMessage(`{"name":"kitchen","user_agent":"Kitchen/*","answer":"proxy","or_redirect":true}`), Origin: "overlay", Hits: 12, By: "anna", Why: "no redirects", At: before(time.Hour)},
		{ID: "broken", Rule: json.RawMessage(`{"name":"broken","new_key":1}`), Origin: "overlay", By: "bert", Effect: "unknown key new_key"},
		{Rule: json.RawMessage(`{"name":"frame","headers":[{"name":"X-Device","glob":"frame*"},{"name":"Accept","absent":true},{"name":"Icy-MetaData"}],"http":"1.0","answer":"deny"}`), Origin: "file"},
		{Rule: json.RawMessage(`{"name":"cmus","user_agent":"cmus/*","http_only":true}`), Origin: "shipped", Hits: 3},
	}
	clients = []api.Client{
		{Family: "Kitchen", Requests: 60, Again: 20, Next: 15, Inline: 5, Suspect: true, Why: "60 requests, 40 of them at once after a redirect", Suggestion: &api.RuleSuggestion{
			Rule: raw(`{"name":"Kitchen Radio","user_agent":"Kitchen/*","headers":[{"name":"Accept","absent":true}],"answer":"proxy","or_redirect":true,"reason":"it can't follow"}`)}},
		{Family: "$(reboot)'", Requests: 9, Suspect: true, Suggestion: &api.RuleSuggestion{Rule: raw(`{"name":"$(reboot)'","user_agent":"$(reboot)'*","answer":"m3u"}`)}},
		{Family: "VLC", Requests: 900, First: 900},
	}
	changes = []api.Change{
		{Revision: 13, By: "anna", At: before(90 * time.Second), Undoes: 11, Why: "too early", Undoable: true, Entries: []api.EntryChange{{Entry: "nodes/ams1", Before: raw(`{"state":"drained"}`)}}},
		{Revision: 12, By: "anna", At: before(3 * time.Hour), Why: "match night", Undoable: true, Entries: []api.EntryChange{
			{Entry: "rows/europe", After: raw(`{"weights":{"fra1":3,"ams1":1},"by":"anna"}`)},
			{Entry: "rows/world", Before: raw(`{"weights":{"fra1":2}}`), After: raw(`{"weights":{"fra1":1}}`)}}},
		{Revision: 11, By: "bert", At: before(50 * time.Hour), Entries: []api.EntryChange{{Entry: "nodes/ams1", After: raw(`{"state":"drained"}`)}}},
		{Revision: 10, By: "bert", At: before(51 * time.Hour), Undoable: true, Entries: []api.EntryChange{
			{Entry: "rules/kitchen", After: raw(`{"id":"kitchen","rule":{"user_agent":"Kitchen/*","answer":"proxy"}}`)},
			{Entry: "notes/x", After: raw(`{"id":"x","text":"ask anna before you touch the Frankfurt nodes tonight"}`)},
			{Entry: "rules", Before: raw(`["a","kitchen"]`), After: raw(`["kitchen","a"]`)}}},
	}
	status = api.StatusAnswer{Director: "d1-7F3K", Name: "d1", Site: "fra", Version: "v1.2.3", UptimeS: 7300, Degraded: true, SnapshotAgeMS: 120, PictureAgeMS: 5230, Revision: 13, Store: "redis",
		Problems:  []string{"edits are refused: dial tcp: connection refused", "director d2 has another configuration file"},
		Directors: []api.Director{{ID: "d1-7F3K", Name: "d1", Site: "fra", SameConfig: true}, {ID: "d2", Site: "ams", Suspect: "6 of 7 nodes failed at once"}},
		Effects:   []store.Effect{{Entry: "rows/europe", Kind: store.Masks, Detail: "fra1=3 instead of fra1=1"}}}
)

// TestTables compares what people see with the files of testdata.
func TestTables(t *testing.T) {
	t.Parallel()
	for name, show := range map[string]func(*Terminal){
		"nodes": func(to *Terminal) { printNodes(to, nodes) },
		"node": func(to *Terminal) {
			printNode(to, &api.NodeDetail{Node: nodes[0]})
			to.say("")
			printNode(to, &api.NodeDetail{Node: nodes[1]})
			to.say("")
			printNode(to, &api.NodeDetail{Node: nodes[3]})
			to.say("")
			printNode(to, &probed)
		},
		"regions":     func(to *Terminal) { printRegions(to, regions) },
		"region":      func(to *Terminal) { printRegion(to, europe) },
		"whatif":      func(to *Terminal) { whatIf.print(to) },
		"whatif-one":  func(to *Terminal) { whatIf.print(to, "world") },
		"rules":       func(to *Terminal) { printRules(to, rules, false) },
		"rules-all":   func(to *Terminal) { printRules(to, rules, true) },
		"clients":     func(to *Terminal) { printClients(to, clients, false) },
		"clients-all": func(to *Terminal) { printClients(to, clients[2:], false); printClients(to, clients, true) },
		"history":     func(to *Terminal) { printHistory(to, changes, 0) },
		"history-two": func(to *Terminal) { printHistory(to, changes, 2); to.say(""); printHistory(to, nil, 2) },
		"status":      func(to *Terminal) { printStatus(to, status) },
	} {
		var b bytes.Buffer
		show(&Terminal{Out: &b, Getenv: func(string) string { return "" }, Now: func() time.Time { return noon }})
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for _, line := range bytes.Split(b.Bytes(), []byte("\n")) {
			if bytes.ContainsAny(line, "\x1b\r") {
				t.Errorf("%s: what controls a terminal came through: %q", name, line)
			}
		}
	}
}
