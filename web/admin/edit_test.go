package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// edited has two nodes, of which the prober knows fra1, and two regions.
func edited(t *testing.T) *running {
	t.Helper()
	return fleetOf(t, director.Config{
		Nodes: []director.Node{
			{ID: "fra1", URLs: []string{"http://fra1.example"}, Target: 100, Limit: 150},
			{ID: "ams1", URLs: []string{"http://ams1.example"}},
			{ID: "off1", URLs: []string{"http://off1.example"}, Drained: true},
		},
		Regions: []director.Region{
			{ID: "de", Match: director.Match{Countries: []string{"DE", "AT"}}, Row: []director.Weight{{Node: "fra1", Weight: 3, Given: true}, {Node: "ams1", Weight: 1, Given: true}}, Deny: []string{"*"}},
			{ID: "rest", Match: director.Match{Default: true, Continents: []string{"NA"}}, Row: []director.Weight{{Node: "ams1"}}, Overflow: []director.RegionID{"de"}},
		},
		MayRegister: []string{"edge-*"},
	}, Config{CheckRule: func(b json.RawMessage) error {
		if strings.Contains(string(b), "bad") {
			return errors.New("answer: use redirect")
		}
		return anyJSON(b)
	}, Rules: func() []RuleUse {
		return []RuleUse{{ID: "kitchen", Hits: 7}, {Rule: json.RawMessage(`{"name":"shipped"}`), Origin: api.OriginShipped, Hits: 3}}
	}})
}

// with sends a request as an operator, who has seen a version.
func (r *running) with(token, method, path, seen, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Host = "127.0.0.1"
	req.Header.Set("Authorization", "Bearer "+token)
	if seen != "" {
		req.Header.Set("If-Match", `"`+seen+`"`)
	}
	rec := httptest.NewRecorder()
	r.h.ServeHTTP(rec, req)
	return rec
}

func decode[T any](t testing.TB, rec *httptest.ResponseRecorder, status int) (v T) {
	t.Helper()
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil || rec.Code != status {
		t.Fatalf("%d, want %d: %v: %s", rec.Code, status, err, rec.Body)
	}
	return v
}

func (r *running) region(id string) api.Region {
	r.t.Helper()
	return decode[api.Region](r.t, r.with("v", "GET", "/api/v1/regions/"+id, "", ""), 200)
}

func TestRegions(t *testing.T) {
	t.Parallel()
	r := edited(t)
	de := r.region("de")
	want := api.Region{
		ID: "de", Match: "DE AT", Row: []api.Weight{{Node: "fra1", Weight: 3}, {Node: "ams1", Weight: 1}}, Declared: []api.Weight{{Node: "fra1", Weight: 3}, {Node: "ams1", Weight: 1}},
		Overflow: []director.RegionID{}, DeclaredOverflow: []director.RegionID{}, Deny: []string{"*"}, Shares: de.Shares, Listeners: 7, Version: de.Version, OverflowVersion: de.OverflowVersion,
	}
	if diff := cmp.Diff(want, de); diff != "" || de.Version == "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	rest := r.region("rest")
	if rest.Match != "continent:NA default" || !rest.ByLoad || rest.Overflow[0] != "de" || rest.Row[0] != (api.Weight{Node: "ams1", Weight: 1}) {
		t.Errorf("rest: %+v", rest)
	}
	if p := problemIn(t, r.with("v", "GET", "/api/v1/regions/nowhere", "", "")); p.Status != 404 {
		t.Errorf("%+v", p)
	}
}

func TestWeightsAndBack(t *testing.T) {
	t.Parallel()
	r := edited(t)
	before := r.region("de")
	rec := r.with("o", "PUT", "/api/v1/regions/de/weights", before.Version, `{"weights":{"fra1":1,"ams1":0,"edge-1":2},"why":"more","for":"2h"}`)
	got := decode[api.Region](t, rec, 200)
	if diff := cmp.Diff([]api.Weight{{Node: "ams1", Weight: 0}, {Node: "edge-1", Weight: 2}, {Node: "fra1", Weight: 1}}, got.Row); diff != "" {
		t.Errorf("in force (-want +got):\n%s", diff)
	}
	o := got.Override
	if o == nil || o.By != "ops" || o.Why != "more" || time.Until(o.Until) > 2*time.Hour || time.Until(o.Until) < 119*time.Minute || o.Revision != 1 {
		t.Fatalf("override: %+v", o)
	}
	if rec.Header().Get(revisionHeader) != "1" || rec.Header().Get("ETag") != `"`+got.Version+`"` || got.Version == before.Version {
		t.Errorf("headers: %v", rec.Header())
	}
	if diff := cmp.Diff(before.Declared, got.Declared); diff != "" {
		t.Errorf("the file's row:\n%s", diff)
	}
	back := decode[api.Region](t, r.with("o", "DELETE", "/api/v1/regions/de/weights", got.Version, `{"why":"enough"}`), 200)
	if diff := cmp.Diff(before, back); diff != "" {
		t.Errorf("taken back (-before +after):\n%s", diff)
	}
}

// The order of overflow is an entry of its own: with its version, its author, its undo, and
// refused where it would have no effect.
func TestOverflowAndBack(t *testing.T) {
	t.Parallel()
	r := edited(t)
	before := r.region("rest")
	put := func(id, seen, body string) *httptest.ResponseRecorder {
		return r.with("o", "PUT", "/api/v1/regions/"+id+"/overflow", seen, body)
	}
	got := decode[api.Region](t, put("rest", before.OverflowVersion, `{"overflow":[],"why":"nobody abroad","for":"2h"}`), 200)
	o := got.OverflowOverride
	if len(got.Overflow) != 0 || len(got.DeclaredOverflow) != 1 || o == nil || o.By != "ops" || o.Why != "nobody abroad" || o.Until.IsZero() || got.Override != nil {
		t.Fatalf("%+v", got)
	}
	if got.Version != before.Version || got.OverflowVersion == before.OverflowVersion {
		t.Errorf("versions of the row %q, %q, of the overflow %q, %q: want the first two the same", before.Version, got.Version, before.OverflowVersion, got.OverflowVersion)
	}
	if p := problemIn(t, put("rest", before.OverflowVersion, `{"overflow":["de"]}`)); p.Status != 412 || p.By != "ops" {
		t.Errorf("a stale edit: %+v", p)
	}

	// What would have no effect is refused, in words, and nothing is changed.
	decode[api.Region](t, put("de", r.region("de").OverflowVersion, `{"overflow":["rest"]}`), 200)
	for body, want := range map[string]string{
		`{"overflow":["mars"]}`:       `no region has the id "mars"`,
		`{"overflow":["de","mars"]}`:  `no region has the id "mars"`,
		`{"overflow":["rest"]}`:       `does not overflow into itself`,
		`{"overflow":["de"]}`:         `overflow of de: overflow goes in a circle (de -> rest -> de)`,
		`{"overflow":["de","de"]}`:    `de is there twice`,
		`{}`:                          `[] for none`,
		`{"overflow":null,"why":"x"}`: `[] for none`,
	} {
		if p := problemIn(t, put("rest", r.region("rest").OverflowVersion, body)); p.Status != 422 || !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %d %s, want %q", body, p.Status, p.Detail, want)
		}
	}
	if p := problemIn(t, put("nowhere", "x", `{"overflow":[]}`)); p.Status != 404 {
		t.Errorf("a region that is not there: %+v", p)
	}
	if p := problemIn(t, put("rest", "", `{"overflow":[]}`)); p.Status != 428 {
		t.Errorf("without a version: %+v", p)
	}

	// The what-if knows it, and what it could not do.
	if rec := r.with("v", "POST", "/api/v1/whatif", "", `{"overflows":{"rest":null,"de":null}}`); rec.Code != 200 {
		t.Errorf("what-if: %d %s", rec.Code, rec.Body)
	}
	if p := problemIn(t, r.with("v", "POST", "/api/v1/whatif", "", `{"overflows":{"rest":["de"]}}`)); p.Status != 422 || !strings.Contains(p.Detail, "circle") {
		t.Errorf("what-if: %+v", p)
	}

	// A row and an overflow in one revision, or neither.
	both := func(version string) *httptest.ResponseRecorder {
		return r.with("o", "PUT", "/api/v1/weights", "", `{"rows":{"de":{"version":"`+r.region("de").Version+`","weights":{"fra1":1}}},"overflows":{"de":{"version":"`+version+`","overflow":null}}}`)
	}
	if p := problemIn(t, both("old")); p.Status != 412 || r.region("de").Override != nil {
		t.Errorf("half of a change was made: %+v", p)
	}
	rec := both(r.region("de").OverflowVersion)
	if de := r.region("de"); rec.Code != 200 || de.Override == nil || de.OverflowOverride != nil {
		t.Errorf("both: %d %s", rec.Code, rec.Body)
	}
	undone := decode[api.Change](t, r.with("o", "POST", "/api/v1/history/"+rec.Header().Get(revisionHeader)+"/undo", "", `{}`), 200)
	if de := r.region("de"); len(undone.Entries) != 2 || de.Override != nil || len(de.Overflow) != 1 || de.Overflow[0] != "rest" {
		t.Errorf("undone: %+v, %+v", undone, de)
	}

	// To go back is refused, too, where another would have no effect any more.
	if p := problemIn(t, r.with("o", "DELETE", "/api/v1/regions/rest/overflow", got.OverflowVersion, `{"why":"enough"}`)); p.Status != 422 || !strings.Contains(p.Detail, "overflow of de: overflow goes in a circle") {
		t.Errorf("back to the file: %+v", p)
	}
	decode[api.Region](t, r.with("o", "DELETE", "/api/v1/regions/de/overflow", r.region("de").OverflowVersion, ``), 200)
	back := decode[api.Region](t, r.with("o", "DELETE", "/api/v1/regions/rest/overflow", got.OverflowVersion, `{"why":"enough"}`), 200)
	if back.OverflowVersion != before.OverflowVersion || len(back.Overflow) != 1 {
		t.Errorf("taken back: %+v, want %+v", back, before)
	}
}

// Two operators have the same page open. The later one is told, and nothing is lost.
func TestStaleEdits(t *testing.T) {
	t.Parallel()
	r := edited(t)
	seen := r.region("de").Version
	first := decode[api.Region](t, r.with("o", "PUT", "/api/v1/regions/de/weights", seen, `{"weights":{"fra1":5}}`), 200)
	for _, c := range []struct{ method, path, seen, body string }{
		{"PUT", "/api/v1/regions/de/weights", seen, `{"weights":{"ams1":5}}`},
		{"DELETE", "/api/v1/regions/de/weights", seen, ""},
		{"PUT", "/api/v1/weights", "", `{"rows":{"rest":{"version":"` + r.region("rest").Version + `","weights":{"fra1":1}},"de":{"version":"` + seen + `","weights":null}}}`},
	} {
		rec := r.with("o2", c.method, c.path, c.seen, c.body)
		p := decode[struct {
			Now api.Region
			By  string
			At  time.Time
		}](t, rec, 412)
		if p.By != "ops" || p.At.IsZero() || p.Now.Version != first.Version || cmp.Diff(p.Now.Row, []api.Weight{{Node: "fra1", Weight: 5}}) != "" {
			t.Errorf("%s %s: %s", c.method, c.path, rec.Body)
		}
	}
	if r.region("rest").Override != nil {
		t.Error("of two rows, of which one was stale, the other was written")
	}
	for _, c := range []struct{ method, path, body string }{
		{"PUT", "/api/v1/regions/de/weights", `{"weights":{"ams1":5}}`},
		{"DELETE", "/api/v1/regions/de/weights", ""},
		{"PUT", "/api/v1/weights", `{"rows":{"de":{"weights":{"ams1":5}}}}`},
		{"PUT", "/api/v1/rules/x", `{"rule":{}}`},
		{"DELETE", "/api/v1/rules/x", ""},
	} {
		if p := problemIn(t, r.with("o2", c.method, c.path, "", c.body)); p.Status != 428 {
			t.Errorf("%s %s without a version: %+v", c.method, c.path, p)
		}
	}
	// Told, the second repeats the edit over what stands there now.
	decode[api.Region](t, r.with("o2", "PUT", "/api/v1/regions/de/weights", first.Version, `{"weights":{"ams1":5}}`), 200)
	for _, c := range []struct {
		seen   string
		status int
	}{{`"x"`, 412}, {`"x", W/"` + r.region("de").Version + `"`, 200}, {`*`, 200}} {
		req := httptest.NewRequest(http.MethodDelete, "/api/v1/regions/de/weights", nil)
		req.Host = "[::1]:80"
		req.Header.Set("Authorization", "Bearer o")
		req.Header.Set("If-Match", c.seen)
		rec := httptest.NewRecorder()
		if r.h.ServeHTTP(rec, req); rec.Code != c.status {
			t.Errorf("If-Match %s: %d %s", c.seen, rec.Code, rec.Body)
		}
	}
}

// Many operators edit at once, each what the others do not touch, and one row
// together: exactly one of them succeeds with what all had seen.
func TestEditsAtOnce(t *testing.T) {
	t.Parallel()
	r := edited(t)
	seen := r.region("de").Version
	var wg sync.WaitGroup
	codes := make([]int, 8)
	for i := range codes {
		wg.Go(func() {
			if rec := r.with("o", "PUT", fmt.Sprintf("/api/v1/notes/n%d", i), "", `{"text":"hello"}`); rec.Code != 200 {
				t.Errorf("note %d: %d %s", i, rec.Code, rec.Body)
			}
			codes[i] = r.with("o2", "PUT", "/api/v1/regions/de/weights", seen, fmt.Sprintf(`{"weights":{"fra1":%d}}`, i+1)).Code
		})
	}
	wg.Wait()
	count := map[int]int{}
	for _, c := range codes {
		count[c]++
	}
	if count[200] != 1 || count[412] != len(codes)-1 {
		t.Errorf("codes: %v", count)
	}
	if n := len(r.Overlay().Notes); n != len(codes) {
		t.Errorf("%d notes of %d", n, len(codes))
	}
}

func TestDrainAndResume(t *testing.T) {
	t.Parallel()
	r := edited(t)
	rec := r.with("o", "POST", "/api/v1/nodes/fra1/drain", "", `{"why":"disk","until":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"}`)
	n := decode[api.Node](t, rec, 200)
	if !n.Drained || n.SafeToTerminate || n.State != director.Drained || n.Drain == nil || n.Drain.Left == nil || *n.Drain.Left != 7 || n.Drain.Threshold != 0 || n.Drain.Since.IsZero() {
		t.Errorf("drained: %s", rec.Body)
	}
	if o := n.Override; o == nil || o.State != store.NodeDrained || o.By != "ops" || o.Why != "disk" || o.Until.IsZero() || rec.Header().Get(revisionHeader) != "1" {
		t.Errorf("override: %s", rec.Body)
	}
	for _, c := range []struct {
		path   string
		status int
	}{
		{"/api/v1/nodes/fra1/safe_to_terminate", 409},
		{"/api/v1/nodes/fra1/safe_to_terminate?threshold=6", 409},
		{"/api/v1/nodes/fra1/safe_to_terminate?threshold=7", 200},
		{"/api/v1/nodes/ams1/safe_to_terminate?threshold=7", 409},
		{"/api/v1/nodes/fra1/safe_to_terminate?threshold=-1", 400},
		{"/api/v1/nodes/none/safe_to_terminate", 404},
	} {
		if rec := r.with("v", "GET", c.path, "", ""); rec.Code != c.status || c.status < 400 && !strings.Contains(rec.Body.String(), `"left":7`) {
			t.Errorf("%s: %d %s", c.path, rec.Code, rec.Body)
		}
	}
	// Nobody probes off1.
	if got := decode[api.Termination](t, r.with("v", "GET", "/api/v1/nodes/off1/safe_to_terminate", "", ""), 409); !got.Drained || got.Left != nil {
		t.Errorf("a node of which nobody knows who listens: %+v", got)
	}
	if off := r.nodes()["off1"]; off.Drain == nil || off.Drain.Left != nil {
		t.Errorf("a node of which nobody knows who listens: %+v", off.Drain)
	}
	if m := r.with("v", "GET", "/metrics", "", "").Body.String(); !strings.Contains(m, "signpost_node_safe_to_terminate{node=\"fra1\"} 0\n") || !strings.Contains(m, "signpost_node_safe_to_terminate{node=\"off1\"} 0\n") {
		t.Errorf("metrics: %s", m)
	}
	began := n.Drain.Since
	n = decode[api.Node](t, r.with("o2", "POST", "/api/v1/nodes/fra1/drain", "", ""), 200)
	if !n.Override.Until.IsZero() || n.Override.By != "bert" || !n.Drain.Since.Equal(began) {
		t.Errorf("drained for good, after it was for an hour: %+v, since %v and not %v", n.Override, n.Drain.Since, began)
	}
	rec = r.with("o", "POST", "/api/v1/nodes/fra1/drain", "", "")
	again := decode[api.Node](t, rec, 200)
	if rev := rec.Header().Get(revisionHeader); rev != "" {
		t.Errorf("nothing was changed, and revision %s is told", rev)
	}
	if again.Override.By != "bert" || again.Version != n.Version {
		t.Errorf("drained twice: %+v", again.Override)
	}
	n = decode[api.Node](t, r.with("o", "POST", "/api/v1/nodes/fra1/drain", "", `{"why":"disks"}`), 200)
	if n.Override.Why != "disks" || !n.Drain.Since.Equal(began) || !n.Since.Equal(began) {
		t.Errorf("with another reason: %+v, since %v and not %v", n.Override, n.Drain.Since, began)
	}
	disabled := decode[api.Node](t, r.with("o2", "POST", "/api/v1/nodes/fra1/disable", n.Version, ""), 200)
	if disabled.Override.State != store.NodeDisabled || disabled.Override.By != "bert" || !disabled.Drained || !disabled.Since.Equal(began) {
		t.Errorf("disabled: %+v, since %v", disabled.Override, disabled.Since)
	}
	if p := problemIn(t, r.with("o", "POST", "/api/v1/nodes/fra1/resume", n.Version, "")); p.Status != 412 || p.By != "bert" || p.Now == nil {
		t.Errorf("resumed by who has not seen that it is disabled: %+v", p)
	}
	if n := decode[api.Node](t, r.with("o", "POST", "/api/v1/nodes/fra1/resume", "", ""), 200); n.Drained || n.Override != nil || n.Drain != nil {
		t.Errorf("resumed: %+v", n)
	}
	for id, status := range map[string]int{"off1": 409, "none": 404} {
		if p := problemIn(t, r.with("o", "POST", "/api/v1/nodes/"+id+"/resume", "", "")); p.Status != status {
			t.Errorf("resume of %s: %+v", id, p)
		}
	}
	if p := problemIn(t, r.with("o", "POST", "/api/v1/nodes/none/drain", "", "")); p.Status != 404 {
		t.Errorf("%+v", p)
	}
}

// Who drains a machine and takes it out has not drained the next one of that id.
func TestDrainGoesWithARegisteredNode(t *testing.T) {
	t.Parallel()
	r := fleet(t)
	do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", agent("i1", nil))
	decode[api.Node](t, r.with("o", "POST", "/api/v1/nodes/edge-1/drain", "", ""), 200)
	if rec := r.with("o", "DELETE", "/api/v1/nodes/edge-1", "", ""); rec.Code != 204 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", agent("i2", nil))
	r.eventually("the next one gets listeners", func() bool { return r.nodes()["edge-1"].State == director.Fit })
}

// An operator drains a registered node, and takes that back; its agent's own word stays.
func TestDrainOfARegisteredNode(t *testing.T) {
	t.Parallel()
	r := fleet(t)
	do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", agent("i1", nil))
	r.eventually("it is in the fleet", func() bool { n, there := r.nodes()["edge-1"]; return there && n.State == director.Fit })
	if n := decode[api.Node](t, r.with("o", "POST", "/api/v1/nodes/edge-1/drain", "", ""), 200); !n.Drained || n.Override == nil {
		t.Errorf("drained: %+v", n)
	}
	if n := decode[api.Node](t, r.with("o", "POST", "/api/v1/nodes/edge-1/resume", "", ""), 200); n.Drained {
		t.Errorf("resumed: %+v", n)
	}
	do(r.h, "POST", "/api/v1/nodes/edge-1/drain", "Bearer a", `{"instance":"i1"}`)
	r.eventually("its agent has drained it", func() bool { return r.nodes()["edge-1"].Drained })
	if p := problemIn(t, r.with("o", "POST", "/api/v1/nodes/edge-1/resume", "", "")); p.Status != 409 || !strings.Contains(p.Detail, "its agent") {
		t.Errorf("%+v", p)
	}
}

func TestRulesAtRunTime(t *testing.T) {
	t.Parallel()
	r := edited(t)
	rec := r.with("o", "POST", "/api/v1/rules", "", `{"id":"kitchen","rule":{"user_agent":"Kitchen*"},"why":"old radio"}`)
	kitchen := decode[api.Rule](t, rec, 201)
	if rec.Header().Get("Location") != "/api/v1/rules/kitchen" || kitchen.Hits != 7 || kitchen.Origin != api.OriginOverlay || kitchen.By != "ops" || kitchen.Effect != "" {
		t.Errorf("made: %v %s", rec.Header(), rec.Body)
	}
	first := decode[api.Rule](t, r.with("o", "POST", "/api/v1/rules", "", `{"rule":{"user_agent":"Bath*"},"before":"kitchen","for":"1h"}`), 201)
	ids := func() (ids []string) {
		for _, rule := range decode[api.RulesAnswer](t, r.with("v", "GET", "/api/v1/rules", "", ""), 200).Rules {
			ids = append(ids, rule.Origin+" "+rule.ID)
		}
		return ids
	}
	if diff := cmp.Diff([]string{"overlay " + first.ID, "overlay kitchen", "shipped "}, ids()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	moved := decode[api.Rule](t, r.with("o", "PUT", "/api/v1/rules/kitchen", kitchen.Version, `{"rule":{"user_agent":"Kitchen/2*"},"before":"`+first.ID+`"}`), 200)
	if diff := cmp.Diff([]string{"overlay kitchen", "overlay " + first.ID, "shipped "}, ids()); diff != "" || !strings.Contains(string(moved.Rule), "Kitchen/2") {
		t.Errorf("%s; order (-want +got):\n%s", moved.Rule, diff)
	}
	for _, c := range []struct {
		method, path, seen, body string
		status                   int
	}{
		{"POST", "/api/v1/rules", "", `{"id":"kitchen","rule":{}}`, 409},
		{"POST", "/api/v1/rules", "", `{"id":"<b>","rule":{}}`, 422},
		{"POST", "/api/v1/rules", "", `{"rule":{"name":"bad"}}`, 422},
		{"POST", "/api/v1/rules", "", `{}`, 422},
		{"POST", "/api/v1/rules", "", `{"rule":{"name":"` + strings.Repeat("x", maxRuleBytes) + `"}}`, 422},
		{"POST", "/api/v1/rules", "", `{"rule":{},"before":"nothing"}`, 422},
		{"PUT", "/api/v1/rules/kitchen", kitchen.Version, `{"rule":{}}`, 412},
		{"PUT", "/api/v1/rules/kitchen", moved.Version, `{"id":"bath","rule":{}}`, 422},
		{"PUT", "/api/v1/rules/none", "x", `{"rule":{}}`, 404},
		{"DELETE", "/api/v1/rules/kitchen", kitchen.Version, ``, 412},
		{"DELETE", "/api/v1/rules/kitchen", moved.Version, ``, 204},
		{"DELETE", "/api/v1/rules/kitchen", moved.Version, ``, 404},
	} {
		if rec := r.with("o", c.method, c.path, c.seen, c.body); rec.Code != c.status {
			t.Errorf("%s %s %.60s: %d %s", c.method, c.path, c.body, rec.Code, rec.Body)
		}
	}
}

func TestRulesAndNotesAreBounded(t *testing.T) {
	t.Parallel()
	r := edited(t)
	_, err := r.Change(t.Context(), store.Author{By: "anna"}, func(o *store.Overlay) error {
		for i := range maxRules {
			o.Rules = append(o.Rules, store.Rule{ID: fmt.Sprint(i), Rule: json.RawMessage(`{}`)})
		}
		for i := range maxNotes {
			o.Notes = append(o.Notes, store.Note{ID: fmt.Sprint(i), Text: "x"})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, method := range map[string]string{"/api/v1/rules": "POST", "/api/v1/notes/more": "PUT"} {
		if p := problemIn(t, r.with("o", method, path, "", map[string]string{"POST": `{"rule":{}}`, "PUT": `{"text":"x"}`}[method])); p.Status != 409 {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

func TestHistoryAndUndo(t *testing.T) {
	t.Parallel()
	r := edited(t)
	before := r.region("de")
	row := decode[api.Region](t, r.with("o", "PUT", "/api/v1/regions/de/weights", before.Version, `{"weights":{"fra1":5},"why":"more"}`), 200)
	decode[api.Node](t, r.with("o2", "POST", "/api/v1/nodes/ams1/drain", "", ""), 200)
	h := decode[api.HistoryAnswer](t, r.with("v", "GET", "/api/v1/history", "", ""), 200)
	if len(h.Changes) != 2 || h.Revision != 2 || h.Changes[0].By != "bert" || h.Changes[1].Why != "more" || h.Changes[1].Entries[0].Entry != "rows/de" || !h.Changes[1].Undoable {
		t.Fatalf("%+v", h)
	}
	rec := r.with("o2", "POST", "/api/v1/history/1/undo", "", `{"why":"too much"}`)
	c := decode[api.Change](t, rec, 200)
	if c.Undoes != 1 || c.By != "bert" || c.Why != "too much" || !c.Undoable || rec.Header().Get(revisionHeader) != "3" {
		t.Errorf("undo: %s", rec.Body)
	}
	if diff := cmp.Diff(before, r.region("de")); diff != "" {
		t.Errorf("(-before +undone):\n%s", diff)
	}
	if p := problemIn(t, r.with("o", "POST", "/api/v1/history/1/undo", "", "")); p.Status != 409 || p.By != "bert" {
		t.Errorf("undone twice: %+v", p)
	}
	decode[api.Change](t, r.with("o", "POST", "/api/v1/history/3/undo", "", ""), 200)
	if got := r.region("de"); cmp.Diff(row.Row, got.Row) != "" || got.Override.By != "ops" {
		t.Errorf("the undo was taken back: %+v", got)
	}
	for id, status := range map[string]int{"99": 404, "x": 404, "-1": 404} {
		if p := problemIn(t, r.with("o", "POST", "/api/v1/history/"+id+"/undo", "", "")); p.Status != status {
			t.Errorf("undo of %s: %+v", id, p)
		}
	}
	o := decode[struct {
		Overlay struct{ Revision store.Revision }
		Effects []store.Effect
	}](t, r.with("v", "GET", "/api/v1/overlay", "", ""), 200)
	if o.Overlay.Revision != 4 || len(o.Effects) == 0 {
		t.Errorf("overlay: %+v", o)
	}
}

// The whole table of a large fleet is saved and forecast at once. What is too large
// for the history is not offered for undoing.
func TestWeightsOfALargeFleet(t *testing.T) {
	t.Parallel()
	const nodes, regions = 110, 30
	c := director.Config{MayRegister: []string{"spare-*"}}
	for n := range nodes {
		id := director.NodeID(fmt.Sprintf("node-%03d.example", n))
		c.Nodes = append(c.Nodes, director.Node{ID: id, URLs: []string{"http://" + string(id)}})
	}
	for i := range regions {
		c.Regions = append(c.Regions, director.Region{ID: director.RegionID(fmt.Sprintf("region-%02d", i)), Match: director.Match{ASNs: []uint32{uint32(i + 1)}}})
	}
	c.Regions[0].Match.Default = true
	r := fleetOf(t, c, Config{})
	save := func(weight float64, more int) *httptest.ResponseRecorder {
		t.Helper()
		edit := api.RowsEdit{Rows: map[director.RegionID]api.RowVersion{}}
		question := api.WhatIfQuestion{Rows: map[director.RegionID]map[director.NodeID]float64{}}
		for _, region := range decode[api.RegionsAnswer](t, r.with("v", "GET", "/api/v1/regions", "", ""), 200).Regions {
			row := map[director.NodeID]float64{}
			for _, n := range c.Nodes {
				row[n.ID] = weight
			}
			for n := range more {
				row[director.NodeID(fmt.Sprintf("spare-%03d.example", n))] = weight
			}
			edit.Rows[region.ID], question.Rows[region.ID] = api.RowVersion{Version: region.Version, Weights: row}, row
		}
		if rec := r.with("v", "POST", "/api/v1/whatif", "", string(encoded(t, question))); rec.Code != 200 {
			t.Errorf("what if: %d %.200s", rec.Code, rec.Body)
		}
		body := encoded(t, edit)
		if len(body) <= maxEdit {
			t.Errorf("%d bytes are no test", len(body))
		}
		rec := r.with("o", "PUT", "/api/v1/weights", "", string(body))
		if rec.Code != 200 {
			t.Fatalf("%d %.200s", rec.Code, rec.Body)
		}
		return rec
	}
	if rec := save(1, 0); rec.Header().Get(revisionHeader) != "1" {
		t.Errorf("it cannot be undone: %v", rec.Header())
	}
	rec := save(2, 220)
	if rev := rec.Header().Get(revisionHeader); rev != "" || r.Overlay().Revision != 2 {
		t.Errorf("undo of revision %s is offered; %d stands", rev, r.Overlay().Revision)
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNotes(t *testing.T) {
	t.Parallel()
	r := edited(t)
	const script = `<script>alert(1)</script>`
	rec := r.with("o", "PUT", "/api/v1/notes/disk", "", `{"about":"nodes/fra1","text":"`+script+`"}`)
	n := decode[store.Note](t, rec, 200)
	if n.Text != script || n.By != "ops" || strings.Contains(rec.Body.String(), "<script>") || !strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") {
		t.Errorf("a note with script: %v %s", rec.Header(), rec.Body)
	}
	if rec := r.with("o2", "PUT", "/api/v1/notes/disk", "x", `{"text":"y"}`); rec.Code != 412 || !strings.Contains(rec.Body.String(), "nodes/fra1") {
		t.Errorf("stale: %d %s", rec.Code, rec.Body)
	}
	for _, body := range []string{`{}`, `{"text":"` + strings.Repeat("x", maxNote+1) + `"}`, `{"text":"x","about":"` + strings.Repeat("x", 200) + `"}`} {
		if p := problemIn(t, r.with("o", "PUT", "/api/v1/notes/disk", "", body)); p.Status != 422 {
			t.Errorf("%.60s: %+v", body, p)
		}
	}
	for _, status := range []int{204, 404} {
		if rec := r.with("o", "DELETE", "/api/v1/notes/disk", "", ""); rec.Code != status {
			t.Errorf("DELETE: %d %s", rec.Code, rec.Body)
		}
	}
}

func TestEditsThatAreRefused(t *testing.T) {
	t.Parallel()
	r := edited(t)
	seen := r.region("de").Version
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"no JSON", "PUT", "/api/v1/regions/de/weights", "hello", 400, "not the JSON"},
		{"a field that nobody knows", "PUT", "/api/v1/regions/de/weights", `{"weights":{"fra1":1},"wy":"x"}`, 400, "wy"},
		{"a key twice", "PUT", "/api/v1/regions/de/weights", `{"weights":{"fra1":1,"ams1":1,"fra1":2}}`, 400, "weights.fra1 occurs twice"},
		{"a key in another case", "POST", "/api/v1/nodes/fra1/drain", `{"Why":"x"}`, 400, "Why: write it why"},
		{"no UTF-8", "POST", "/api/v1/nodes/fra1/drain", "{\"why\":\"x\xfe\"}", 400, "not UTF-8"},
		{"a rule with a key twice", "POST", "/api/v1/rules", `{"rule":{"user_agent":"a","user_agent":"b","answer":"m3u"}}`, 400, "rule.user_agent occurs twice"},
		{"two documents", "PUT", "/api/v1/regions/de/weights", `{"weights":{"fra1":1}}{}`, 400, "follows"},
		{"an array", "POST", "/api/v1/nodes/fra1/drain", `[1]`, 400, "not the JSON"},
		{"a number for a reason", "POST", "/api/v1/nodes/fra1/drain", `{"why":1}`, 400, "not the JSON"},
		{"huge", "POST", "/api/v1/nodes/fra1/drain", `{"why":"` + strings.Repeat("x", maxEdit) + `"}`, 413, "64 KB"},
		{"a huge row", "PUT", "/api/v1/regions/de/weights", `{"why":"` + strings.Repeat("x", maxBody) + `"}`, 413, "1024 KB"},
		{"deep", "PUT", "/api/v1/regions/de/weights", strings.Repeat(`[`, 20000), 400, "not the JSON"},
		{"a long reason", "POST", "/api/v1/nodes/fra1/drain", `{"why":"` + strings.Repeat("x", api.MaxText+1) + `"}`, 422, "why: "},
		{"both ends", "POST", "/api/v1/nodes/fra1/drain", `{"for":"1h","until":"2100-01-01T00:00:00Z"}`, 422, "not both"},
		{"a time for a time span", "POST", "/api/v1/nodes/fra1/drain", `{"for":"tomorrow"}`, 422, "for: "},
		{"a negative time", "POST", "/api/v1/nodes/fra1/drain", `{"for":"-1h"}`, 422, "for: "},
		{"the past", "POST", "/api/v1/nodes/fra1/drain", `{"until":"2001-01-01T00:00:00Z"}`, 422, "until: "},
		{"no weights", "PUT", "/api/v1/regions/de/weights", `{}`, 422, "weights: "},
		{"all zero", "PUT", "/api/v1/regions/de/weights", `{"weights":{"fra1":0}}`, 422, "above 0"},
		{"below zero", "PUT", "/api/v1/regions/de/weights", `{"weights":{"fra1":-1,"ams1":2}}`, 422, "weights.fra1: "},
		{"beyond all numbers", "PUT", "/api/v1/regions/de/weights", `{"weights":{"fra1":1e300}}`, 422, "weights.fra1: "},
		{"no such node", "PUT", "/api/v1/regions/de/weights", `{"weights":{"fra2":1}}`, 422, "weights.fra2: no node"},
		{"script for a node", "PUT", "/api/v1/regions/de/weights", `{"weights":{"<script>":1}}`, 422, "no node"},
		{"no such region", "PUT", "/api/v1/regions/dee/weights", `{"weights":{"fra1":1}}`, 404, "dee"},
		{"no rows", "PUT", "/api/v1/weights", `{}`, 422, "rows: "},
		{"no such region among rows", "PUT", "/api/v1/weights", `{"rows":{"x":{"version":"1","weights":{"fra1":1}}}}`, 404, `"x"`},
	} {
		p := problemIn(t, r.with("o", c.method, c.path, seen, c.body))
		if p.Status != c.status || !strings.Contains(p.Detail, c.want) || len(p.Detail) > 2000 {
			t.Errorf("%s: %d %q; want %d, %q", c.name, p.Status, p.Detail, c.status, c.want)
		}
	}
	if rev := r.Overlay().Revision; rev != 0 {
		t.Errorf("something was edited: revision %d", rev)
	}
}

// While the store is away, edits are refused and nothing else is.
func TestEditsWithoutTheStore(t *testing.T) {
	t.Parallel()
	r := edited(t)
	r.close()
	if p := problemIn(t, r.with("o", "POST", "/api/v1/nodes/fra1/drain", "", "")); p.Status != 503 {
		t.Errorf("%+v", p)
	}
	if rec := r.with("o", "GET", "/api/v1/nodes", "", ""); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	r.eventually("it says so", func() bool {
		st := decode[api.StatusAnswer](t, r.with("v", "GET", "/api/v1/status", "", ""), 200)
		return st.Degraded && strings.Contains(st.Reason, "edits are refused") && len(st.Problems) > 0
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	r := edited(t)
	decode[api.Node](t, r.with("o", "POST", "/api/v1/nodes/fra1/drain", "", ""), 200)
	var st api.StatusAnswer
	r.eventually("it knows itself", func() bool {
		st = decode[api.StatusAnswer](t, r.with("v", "GET", "/api/v1/status", "", ""), 200)
		return len(st.Directors) == 1
	})
	if st.Director != st.Directors[0].ID || !st.Directors[0].SameConfig || st.Revision != 1 || len(st.Effects) != 1 || st.Effects[0].Kind != store.Masks || st.Degraded {
		t.Errorf("%+v", st)
	}
	mounts := decode[api.MountsAnswer](t, r.with("v", "GET", "/api/v1/mounts", "", ""), 200)
	if mounts.Mounts == nil {
		t.Errorf("%+v", mounts)
	}
}

// Who does not wait for an answer leaves nothing in the log; a fault does.
func TestFaultsAreLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	handler, err := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Explain: func(Question) any { return func() {} }})
	if err != nil {
		t.Fatal(err)
	}
	const path = "/api/v1/explain?addr=::1&mount=/a"
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	req.Host = "127.0.0.1"
	handler.ServeHTTP(httptest.NewRecorder(), req)
	if log.Len() > 0 {
		t.Errorf("somebody has left: %s", &log)
	}
	ask(handler, "GET", path, "")
	if !strings.Contains(log.String(), "admin request failed") {
		t.Errorf("a fault: %q", &log)
	}
}

// An old report says nothing of who listens now, and neither does a full node's, or
// one of a director whose own network may be gone.
func TestKnown(t *testing.T) {
	t.Parallel()
	fleet, err := director.Compile(director.Config{Nodes: []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}}}})
	if err != nil {
		t.Fatal(err)
	}
	d := describer{View: director.View{Snapshot: fleet.Build(nil, director.Input{Now: day})}}
	suspects := d
	suspects.suspects = true
	ago := func(d time.Duration) time.Time { return day.Add(-d) }
	heard := func(h director.Health) *store.Heard {
		return &store.Heard{Registration: store.Registration{Report: director.Report{Health: h}}}
	}
	for name, c := range map[string]struct {
		r          director.Report
		held       *store.Heard
		told       bool // somebody tells how many listen
		want, also bool // it is known how many would be cut off; also: of a director that suspects itself
	}{
		"no report":               {director.Report{}, nil, false, false, false},
		"counted":                 {director.Report{Taken: day, Health: director.Up}, nil, true, true, true},
		"counted long ago":        {director.Report{Taken: ago(2 * store.ReportLife), Health: director.Up}, nil, false, false, false},
		"not told":                {director.Report{Taken: day, Health: director.Up, Listeners: -1}, nil, false, false, false},
		"full":                    {director.Report{Taken: day, Health: director.Up, Full: true}, nil, false, false, false},
		"down":                    {director.Report{Taken: day, Since: ago(time.Minute), Health: director.Failed, Listeners: -1}, nil, false, true, false},
		"down just now":           {director.Report{Taken: day, Since: ago(time.Second), Health: director.Failed, Listeners: -1}, nil, false, false, false},
		"down, as its agent says": {director.Report{Taken: day, Since: day, Health: director.Failed, Listeners: -1}, heard(director.Failed), true, true, true},
		"its agent is silent":     {director.Report{Taken: day, Since: day, Health: director.Failed, Listeners: -1}, heard(director.Up), false, false, false},
	} {
		if got := d.told(&c.r, c.held); got != c.told {
			t.Errorf("%s: told: %t", name, got)
		}
		if got := d.counted(&c.r, c.held); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		if got := suspects.counted(&c.r, c.held); got != c.also {
			t.Errorf("%s, of one who suspects itself: %t", name, got)
		}
	}
}

// lost is the prober of a director that reaches no node.
type lost struct {
	prober
	suspects atomic.Bool
}

func (*lost) Changes(uint64) ([]director.Report, bool, uint64) {
	return []director.Report{{Node: "fra1", Taken: time.Now(), Since: day, Health: director.Failed, Listeners: -1}}, true, 0
}

func (l *lost) Suspicion() string {
	if l.suspects.Load() {
		return "all fail"
	}
	return ""
}

// TestSafeByWhoIsLost: a director without a network does not call its nodes empty.
func TestSafeByWhoIsLost(t *testing.T) {
	t.Parallel()
	l := &lost{prober: newProber()}
	r := fleetProbedBy(t, l, director.Config{Nodes: []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}, Drained: true}}}, Config{})
	safe := func() bool { return r.nodes()["fra1"].SafeToTerminate }
	r.eventually("a drained node that is down is safe", safe)
	l.suspects.Store(true)
	r.eventually("it is not, while the director suspects itself", func() bool { return !safe() })
}

// Who has seen a version has seen the row that it is of, also while a change comes into
// force: else the next change of a row would take the one before back.
func TestVersionsAreOfTheirRows(t *testing.T) {
	t.Parallel()
	r := edited(t)
	ended := make(chan struct{})
	var reading sync.WaitGroup
	for range 2 {
		reading.Go(func() {
			seen := map[string]string{} // row, by version
			for {
				all, err := r.h.Regions()
				if err != nil {
					t.Error(err)
					return
				}
				de := all.Regions[0]
				row := fmt.Sprint(de.Row)
				if before, known := seen[de.Version]; known && before != row {
					t.Errorf("one version has the rows %s and %s", before, row)
					return
				}
				seen[de.Version] = row
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	for i := range 100 {
		_, err := r.h.cfg.Syncer.Change(t.Context(), store.Author{By: "anna"}, func(o *store.Overlay) error {
			o.Rows = map[director.RegionID]store.Row{"de": {Weights: map[director.NodeID]float64{"fra1": float64(i + 1)}}}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(ended)
	reading.Wait()
}
