package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/memstore"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// prober says that fra1 is up with 7 listeners, and that it reaches edge-1.
type prober struct{ first chan struct{} }

func (prober) SetNodes([]director.Node, []director.Mount)      {}
func (p prober) First() <-chan struct{}                        { return p.first }
func (prober) Suspicion() string                               { return "" }
func (prober) Doubt(director.NodeID, string, string)           {}
func (prober) Share(director.NodeID, bool, []director.Verdict) {}
func (prober) News() <-chan struct{}                           { return nil }
func (prober) Changes(uint64) ([]director.Report, bool, uint64) {
	return []director.Report{
		{Node: "fra1", Taken: time.Now(), Since: day, Health: director.Up, Listeners: 7, Detail: "fine", AnyMount: true},
		{Node: "edge-1", Taken: time.Now(), Since: day, Health: director.Up, Listeners: -1},
	}, true, 0
}

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type running struct {
	*store.Syncer
	t testing.TB
	h *API

	close func() // the store
}

// fleet has the declared node fra1, and admits edge-*. Its admin handler asks for
// the tokens "a" (agent), "a2" (agent), "v" (view) and "o" and "o2" (operate).
func fleet(t *testing.T) *running {
	t.Helper()
	return fleetOf(t, director.Config{
		Nodes:       []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}, Target: 100, Limit: 150, Site: "fra"}},
		MayRegister: []string{"edge-*"}, Self: []string{"radio.example:80"},
	}, Config{})
}

var fleetTokens = []Token{
	NewToken("agents", api.RoleAgent, "a"), NewToken("others", api.RoleAgent, "a2"), NewToken("anna", api.RoleView, "v"),
	NewToken("ops", api.RoleOperate, "o"), NewToken("bert", api.RoleOperate, "o2"),
}

func newProber() prober {
	first := make(chan struct{})
	close(first)
	return prober{first}
}

// fleetOf runs a director on an empty store, and its admin handler.
func fleetOf(t *testing.T, config director.Config, c Config, change ...func(*store.SyncerConfig)) *running {
	t.Helper()
	return fleetProbedBy(t, newProber(), config, c, change...)
}

func fleetProbedBy(t testing.TB, p store.Prober, config director.Config, c Config, change ...func(*store.SyncerConfig)) *running {
	t.Helper()
	s := memstore.Open(memstore.Config{})
	sc := store.SyncerConfig{Store: s, Config: config, Prober: p, Tick: 20 * time.Millisecond, Timeout: time.Minute, DownAfter: time.Hour, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&sc)
	}
	syncer, err := store.NewSyncer(sc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- syncer.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-syncer.Ready()
	c.Syncer = syncer
	if c.Tokens == nil {
		c.Tokens = func() []Token { return fleetTokens }
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	h.editTimeout, h.applyTimeout = patience, patience
	return &running{syncer, t, h, func() { _ = s.Close() }}
}

// agent makes an announcement of 5 listeners; change may alter it.
func agent(instance string, change func(*api.Announcement)) string {
	r := director.Report{Taken: time.Now(), Since: time.Now().Add(-time.Hour), Health: director.Up, Listeners: 5, Mounts: []director.MountReport{{Path: "/live.mp3", Listeners: 5}}}
	a := api.NewAnnouncement(instance, api.NodeSpec{URLs: []string{"http://edge.example:8000"}, Target: 50}, r, time.Now())
	if change != nil {
		change(&a)
	}
	b, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// nodes lists all nodes.
func (r *running) nodes() map[director.NodeID]api.Node {
	r.t.Helper()
	rec := get(r.h, "/api/v1/nodes", "Bearer o")
	var a api.NodesAnswer
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != 200 || a.Built.IsZero() {
		r.t.Fatalf("%d %v %s", rec.Code, err, rec.Body)
	}
	byID := map[director.NodeID]api.Node{}
	for _, n := range a.Nodes {
		byID[n.ID] = n
	}
	return byID
}

func (r *running) eventually(what string, holds func() bool) {
	r.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			r.t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}

func TestAnAgentsLife(t *testing.T) {
	t.Parallel()
	r := fleet(t)
	put := func(body string) api.Node {
		t.Helper()
		rec := do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", body)
		var n api.Node
		if err := json.Unmarshal(rec.Body.Bytes(), &n); rec.Code != 200 || err != nil {
			t.Fatalf("PUT: %d %s", rec.Code, rec.Body)
		}
		return n
	}
	if n := put(agent("i1", nil)); n.ID != "edge-1" || n.SafeToTerminate || n.Drained || n.Registered == nil || n.Registered.Instance != "i1" {
		t.Errorf("just registered: %+v", n)
	}
	r.eventually("it is in the fleet", func() bool { n, there := r.nodes()["edge-1"]; return there && n.State == director.Fit })
	want := map[director.NodeID]api.Node{
		"fra1": {ID: "fra1", URLs: []string{"http://fra1.example"}, Site: "fra", Plays: true, Health: director.Up, Detail: "fine", Since: day, Used: 7, Counted: true, Target: 100, Limit: 150,
			Room: 1, WarmUp: 1, Mounts: []string{"/live.mp3"}, Version: version(nil)},
		"edge-1": {ID: "edge-1", URLs: []string{"http://edge.example:8000"}, Registered: &api.Holder{Instance: "i1", Token: "agents"},
			Plays: true, Health: director.Up, Used: 5, Counted: true, Target: 50, Room: 1, WarmUp: 1, Mounts: []string{"/live.mp3"}, Version: version(nil)},
	}
	ignored := cmp.Options{cmpopts.IgnoreFields(api.Holder{}, "SilentMS"), cmpopts.IgnoreFields(api.Node{}, "By")}
	got := r.nodes()
	edge := got["edge-1"]
	if age := time.Since(edge.Since); age < 59*time.Minute || age > 61*time.Minute {
		t.Errorf("up since %v, want an hour", edge.Since)
	}
	edge.Since = time.Time{}
	got["edge-1"] = edge
	if diff := cmp.Diff(want, got, ignored); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}

	rec := do(r.h, "POST", "/api/v1/nodes/edge-1/drain", "Bearer a", `{"instance":"i1"}`)
	if rec.Code != 200 {
		t.Fatalf("drain: %d %s", rec.Code, rec.Body)
	}
	r.eventually("it is drained", func() bool { return put(agent("i1", nil)).Drained })
	n := r.nodes()["edge-1"]
	if n.State != director.Drained || n.SafeToTerminate || time.Since(n.Since).Abs() > time.Minute || n.Health != director.Up {
		t.Errorf("drained with listeners: %+v", n)
	}
	empty := agent("i1", func(a *api.Announcement) { a.Drained, a.Report.Listeners = true, 0 })
	r.eventually("it is safe to terminate", func() bool { return put(empty).SafeToTerminate })
	full := agent("i1", func(a *api.Announcement) { a.Report.Full, a.Report.Listeners = true, 0 })
	r.eventually("who is full is not safe, whatever it counted before", func() bool { return !put(full).SafeToTerminate })
	r.eventually("it has room again", func() bool { return put(empty).SafeToTerminate })
	unknown := agent("i1", func(a *api.Announcement) { a.Report.Listeners = -1 })
	r.eventually("who does not tell its listeners is not safe", func() bool { return !put(unknown).SafeToTerminate })
	dead := agent("i1", func(a *api.Announcement) { a.Report.Health, a.Report.Listeners = director.Failed, -1 })
	r.eventually("who is down and drained is safe", func() bool { return put(dead).SafeToTerminate })

	if rec := do(r.h, "DELETE", "/api/v1/nodes/edge-1?instance=i1", "Bearer a", ""); rec.Code != 204 || rec.Body.Len() != 0 {
		t.Errorf("DELETE: %d %s", rec.Code, rec.Body)
	}
	r.eventually("it is gone", func() bool { _, there := r.nodes()["edge-1"]; return !there })
	if p := problemIn(t, do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", agent("i1", nil))); p.Status != 404 {
		t.Errorf("a late report: %+v", p)
	}
}

func TestTwoAgentsWithOneID(t *testing.T) {
	t.Parallel()
	r := fleet(t)
	if rec := do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", agent("i1", nil)); rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	r.eventually("it is in the fleet", func() bool { n, there := r.nodes()["edge-1"]; return there && n.State == director.Fit })
	for _, c := range []struct{ method, path, body string }{
		{"PUT", "/api/v1/nodes/edge-1", agent("i2", func(a *api.Announcement) { a.Node.URLs = []string{"http://evil.example"} })},
		{"POST", "/api/v1/nodes/edge-1/drain", `{"instance":"i2"}`},
		{"DELETE", "/api/v1/nodes/edge-1?instance=i2", ""},
	} {
		p := problemIn(t, do(r.h, c.method, c.path, "Bearer a2", c.body))
		if p.Status != 409 || p.HeldBy == nil || p.HeldBy.Instance != "" || p.HeldBy.Token != "" || time.Until(p.HeldBy.Until) < time.Second || !strings.Contains(p.Detail, "--id") {
			t.Errorf("%s %s: %+v %+v", c.method, c.path, p, p.HeldBy)
		}
	}
	if n := r.nodes()["edge-1"]; n.State != director.Fit || n.URLs[0] != "http://edge.example:8000" || n.Registered.Instance != "i1" {
		t.Errorf("the other took something: %+v", n)
	}
	for _, c := range []struct{ method, path, body string }{ // with the run of another, which is no secret
		{"GET", "/api/v1/nodes/edge-1", ""},
		{"GET", "/api/v1/nodes/edge-1/safe_to_terminate", ""},
		{"GET", "/api/v1/nodes/edge-2", ""},
		{"PUT", "/api/v1/nodes/edge-1", agent("i1", nil)},
		{"POST", "/api/v1/nodes/edge-1/drain", `{"instance":"i1"}`},
		{"DELETE", "/api/v1/nodes/edge-1?instance=i1", ""},
	} {
		if p := problemIn(t, do(r.h, c.method, c.path, "Bearer a2", c.body)); p.Status != 403 {
			t.Errorf("%s %s with another agent's token: %+v", c.method, c.path, p)
		}
	}
	if rec := get(r.h, "/api/v1/nodes/edge-1/safe_to_terminate", "Bearer a"); rec.Code != 409 {
		t.Errorf("its own: %d %s", rec.Code, rec.Body)
	}
	if p := problemIn(t, do(r.h, "DELETE", "/api/v1/nodes/fra1", "Bearer o", "")); p.Status != 409 || !strings.Contains(p.Detail, "declared") {
		t.Errorf("DELETE of a declared node: %+v", p)
	}
	if rec := do(r.h, "DELETE", "/api/v1/nodes/edge-1", "Bearer o", ""); rec.Code != 204 {
		t.Errorf("an operator takes it out: %d %s", rec.Code, rec.Body)
	}
}

// A node is its agent's: no answer to another one of the same token tells what would
// let it speak for that node, and knowing the instance does not either.
func TestANodeIsBoundToItsAgent(t *testing.T) {
	t.Parallel()
	r := fleet(t)
	as := func(secret, method, path, body string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, path, strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer a")
		if secret != "" {
			req.Header.Set("Signpost-Agent-Secret", secret)
		}
		rec := httptest.NewRecorder()
		r.h.ServeHTTP(rec, req)
		return rec
	}
	const hers = "known to nobody else"
	if rec := as(hers, "PUT", "/api/v1/nodes/edge-1", agent("her-run", nil)); rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	r.eventually("it is in the fleet", func() bool { n, there := r.nodes()["edge-1"]; return there && n.State == director.Fit })
	for _, secret := range []string{"", "guessed by another"} {
		for _, run := range []string{"her-run", "his-run"} {
			for _, c := range []struct{ method, path, body string }{
				{"PUT", "/api/v1/nodes/edge-1", agent(run, func(a *api.Announcement) { a.Node.URLs = []string{"http://evil.example"} })},
				{"POST", "/api/v1/nodes/edge-1/drain", `{"instance":"` + run + `"}`},
				{"DELETE", "/api/v1/nodes/edge-1?instance=" + run, ""},
				{"GET", "/api/v1/nodes/edge-1", ""},
				{"GET", "/api/v1/nodes/edge-1/safe_to_terminate", ""},
			} {
				rec := as(secret, c.method, c.path, c.body)
				if c.method != "GET" && rec.Code != 409 {
					t.Errorf("%s %s as %s with %q: %d %s", c.method, c.path, run, secret, rec.Code, rec.Body)
				}
				all := fmt.Sprint(rec.Header(), rec.Body)
				if strings.Contains(all, "her-run") || strings.Contains(all, "agents") || strings.Contains(all, hers) || strings.Contains(all, store.HashSecret(hers)) {
					t.Errorf("%s %s gives away: %s", c.method, c.path, all)
				}
			}
		}
	}
	if n := r.nodes()["edge-1"]; n.State != director.Fit || n.Drained || n.URLs[0] != "http://edge.example:8000" {
		t.Errorf("another took something: %+v", n)
	}
	if rec := as("short", "PUT", "/api/v1/nodes/edge-2", agent("i2", nil)); rec.Code != 422 {
		t.Errorf("a secret that can be guessed: %d %s", rec.Code, rec.Body)
	}
	if rec := as(hers, "POST", "/api/v1/nodes/edge-1/drain", `{"instance":"her-run"}`); rec.Code != 200 {
		t.Errorf("its own agent drains it: %d %s", rec.Code, rec.Body)
	}
	if rec := as(hers, "DELETE", "/api/v1/nodes/edge-1?instance=her-run", ""); rec.Code != 204 {
		t.Errorf("its own agent takes it out: %d %s", rec.Code, rec.Body)
	}
}

// A token registers the ids that it may, and no more nodes than it may.
func TestTokensWithLimits(t *testing.T) {
	t.Parallel()
	r := fleet(t)
	few := NewToken("few", api.RoleAgent, "few")
	few.IDs, few.Nodes = []string{"edge-fra-*", "edge-ams-1"}, 2
	r.h.cfg.Tokens = func() []Token { return append([]Token{few}, fleetTokens...) }
	put := func(id string) *httptest.ResponseRecorder {
		return do(r.h, "PUT", "/api/v1/nodes/"+id, "Bearer few", agent("of-"+id, nil))
	}
	for _, id := range []string{"edge-1", "edge-ams-11", "edge-fra"} {
		if p := problemIn(t, put(id)); p.Status != 403 || !strings.Contains(p.Detail, "edge-fra-*, edge-ams-1 only") {
			t.Errorf("%s: %+v", id, p)
		}
	}
	for _, id := range []string{"edge-fra-1", "edge-ams-1", "edge-fra-1"} {
		if rec := put(id); rec.Code != 200 {
			t.Errorf("%s: %d %s", id, rec.Code, rec.Body)
		}
	}
	if p := problemIn(t, put("edge-fra-2")); p.Status != 403 || !strings.Contains(p.Detail, "2 nodes") {
		t.Errorf("a third: %+v", p)
	}
	if rec := do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", agent("i1", nil)); rec.Code != 200 {
		t.Errorf("with another token: %d %s", rec.Code, rec.Body)
	}
}

// verdict makes an announcement say that /live.mp3 does not play, as change has it.
func verdict(change func(*api.MeasuredVerdict)) func(*api.Announcement) {
	return func(a *api.Announcement) {
		v := api.MeasuredVerdict{Path: "/live.mp3", State: director.MountSilent, Cause: director.SourceHangs, SinceAgeMS: 4000, AgeMS: 1000}
		if change != nil {
			change(&v)
		}
		a.Report.Verdicts = []api.MeasuredVerdict{v}
	}
}

// TestAnAgentKnowsItsMounts: what an agent got who asked its own server as a listener
// counts, although the statistics list the mount.
func TestAnAgentKnowsItsMounts(t *testing.T) {
	t.Parallel()
	r := fleet(t)
	plays := func(body string) func() bool {
		return func() bool {
			if rec := do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", body); rec.Code != 200 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			n := r.nodes()["edge-1"]
			return n.State == director.Fit && n.Health == director.Up && slices.Contains(n.Mounts, "/live.mp3")
		}
	}
	r.eventually("it plays", plays(agent("i1", nil)))
	hangs := plays(agent("i1", verdict(nil)))
	r.eventually("it does not play", func() bool { return !hangs() })
	n := r.nodes()["edge-1"]
	if n.Plays || len(n.Lacks) != 1 || !strings.HasPrefix(n.Lacks[0].Text, "lacks /live.mp3 since ") || n.Lacks[0].Cause != director.SourceHangs || n.Lacks[0].By != "its agent" {
		t.Errorf("%+v", n)
	}
	r.eventually("it plays again", plays(agent("i1", nil)))
}

func TestAnnouncementsThatCannotBeTrue(t *testing.T) {
	t.Parallel()
	r := fleet(t)
	for _, c := range []struct {
		name   string
		id     string // empty: edge-1
		body   string // instead of change
		change func(*api.Announcement)
		status int
		want   string
	}{
		{name: "no JSON", body: "hello", status: 400, want: "not the JSON"},
		{name: "cut off", body: agent("i1", nil)[:40], status: 400, want: "not the JSON"},
		{name: "another type", body: `{"node":{"urls":7}}`, status: 400, want: "not the JSON"},
		{name: "a number too large", body: `{"report":{"listeners":1e40}}`, status: 400, want: "not the JSON"},
		{name: "a key twice", body: strings.Replace(agent("i1", nil), "{", `{"instance":"i0",`, 1), status: 400, want: "instance occurs twice"},
		{name: "a key in another case", body: strings.Replace(agent("i1", nil), `"urls"`, `"URLs"`, 1), status: 400, want: "node.URLs: write it urls"},
		{name: "no UTF-8", body: strings.Replace(agent("i1", nil), "i1", "i\xff", 1), status: 400, want: "not UTF-8"},
		{name: "huge", body: `{"instance":"` + strings.Repeat("x", maxBody) + `"}`, status: 413, want: "1024 KB"},
		{name: "nothing", body: "{}", status: 422, want: "instance: "},
		{name: "a declared node", id: "fra1", status: 409, want: "is in the directors' configuration"},
		{name: "an id that is not admitted", id: "fra2", status: 403, want: "edge-*"},
		{name: "an id of other letters", id: "edge-%C3%BC", status: 422, want: "the node's id: "},
		{name: "an id with a slash", id: "edge-%2F..", status: 422, want: "the node's id: "},
		{name: "a long id", id: "edge-" + strings.Repeat("x", 60), status: 422, want: "the node's id: "},
		{name: "no instance", change: func(a *api.Announcement) { a.Instance = "" }, status: 422, want: "instance: "},
		{name: "script for an instance", change: func(a *api.Announcement) { a.Instance = "<script>" }, status: 422, want: "instance: "},
		{name: "a host that DNS cannot have", change: func(a *api.Announcement) { a.Node.URLs = []string{"http://-ü.test"} }, status: 422, want: "node.urls: "},
		{name: "no URL", change: func(a *api.Announcement) { a.Node.URLs = nil }, status: 422, want: "urls: no URL"},
		{name: "a port that is none", change: func(a *api.Announcement) { a.Node.URLs = []string{"http://h:99999"} }, status: 422, want: "port"},
		{name: "port 0", change: func(a *api.Announcement) { a.Node.URLs = []string{"http://h:0"} }, status: 422, want: "port"},
		{name: "script for a host", change: func(a *api.Announcement) { a.Node.URLs = []string{"http://<script>/"} }, status: 422, want: "host"},
		{name: "quotes in a path", change: func(a *api.Announcement) { a.Node.URLs = []string{`http://h/"onclick=x`} }, status: 422, want: "%22"},
		{name: "a port that is none, internally", change: func(a *api.Announcement) { a.Node.InternalURL = "http://h:99999" }, status: 422, want: "port"},
		{name: "many URLs", change: func(a *api.Announcement) { a.Node.URLs = make([]string, 3) }, status: 422, want: "node.urls: "},
		{name: "the director itself", change: func(a *api.Announcement) { a.Node.URLs = []string{"http://radio.example"} }, status: 422, want: "points back at a director"},
		{name: "a password in the URL", change: func(a *api.Announcement) { a.Node.URLs = []string{"http://u:p@edge.example"} }, status: 422, want: "shown to every listener"},
		{name: "an internal URL without a scheme", change: func(a *api.Announcement) { a.Node.InternalURL = "10.0.0.7:8000" }, status: 422, want: "internal_url: "},
		{name: "an address that is none", body: strings.Replace(agent("i1", nil), `"urls"`, `"addresses":["edge.example"],"urls"`, 1), status: 400, want: "not the JSON"},
		{name: "an address that nobody can come to", change: func(a *api.Announcement) { a.Node.Addresses = []netip.Addr{netip.MustParseAddr("224.0.0.1")} }, status: 422, want: "addresses[0]: "},
		{name: "many addresses", change: func(a *api.Announcement) { a.Node.Addresses = make([]netip.Addr, maxNodeAddrs+1) }, status: 422, want: "node.addresses: "},
		{name: "script for a site", change: func(a *api.Announcement) { a.Node.Site = "<b>" }, status: 422, want: "node.site: "},
		{name: "a negative target", change: func(a *api.Announcement) { a.Node.Target = -1 }, status: 422, want: "node.target: -1"},
		{name: "an absurd limit", change: func(a *api.Announcement) { a.Node.Limit = maxListeners + 1 }, status: 422, want: "node.limit: "},
		{name: "nowhere on Earth", change: func(a *api.Announcement) { a.Node.Place = &api.Place{Lat: 91} }, status: 422, want: "not on Earth"},
		{name: "no country", change: func(a *api.Announcement) { a.Node.Place = &api.Place{Country: "Deutschland"} }, status: 422, want: "node.place.country: "},
		{name: "from the future", change: func(a *api.Announcement) { a.Report.AgeMS = -1 }, status: 422, want: "report.age_ms: "},
		{name: "an old report", change: func(a *api.Announcement) { a.Report.AgeMS = 3_600_000 }, status: 422, want: "report.age_ms: "},
		{name: "an age that overflows", change: func(a *api.Announcement) { a.Report.SinceAgeMS = 1 << 62 }, status: 422, want: "report.since_age_ms: "},
		{name: "no health", change: func(a *api.Announcement) { a.Report.Health = director.HealthUnknown }, status: 422, want: "report.health: "},
		{name: "negative listeners", change: func(a *api.Announcement) { a.Report.Listeners = -2 }, status: 422, want: "report.listeners: -2 cannot be true"},
		{name: "a wrapped counter", change: func(a *api.Announcement) { a.Report.Listeners = 1 << 60 }, status: 422, want: "report.listeners: "},
		{name: "a negative bitrate", change: func(a *api.Announcement) { a.Report.Kbit = -1 }, status: 422, want: "report.kbit: "},
		{name: "many mounts", change: func(a *api.Announcement) { a.Report.Mounts = make([]director.MountReport, maxMounts+1) }, status: 422, want: "report.mounts: "},
		{name: "no path", change: func(a *api.Announcement) { a.Report.Mounts[0].Path = "live" }, status: 422, want: "report.mounts[0].path: "},
		{name: "a path of two lines", change: func(a *api.Announcement) { a.Report.Mounts[0].Path = "/a\nb" }, status: 422, want: "report.mounts[0].path: "},
		{name: "a mount with negative listeners", change: func(a *api.Announcement) { a.Report.Mounts[0].Listeners = -9 }, status: 422, want: "report.mounts[0].listeners: "},
		{name: "a verdict on nothing", change: verdict(func(v *api.MeasuredVerdict) { v.Path = "" }), status: 422, want: "report.verdicts[0].path: "},
		{name: "a verdict from the future", change: verdict(func(v *api.MeasuredVerdict) { v.AgeMS = -1 }), status: 422, want: "report.verdicts[0].age_ms: "},
		{name: "a novel for a cause", change: verdict(func(v *api.MeasuredVerdict) { v.Cause = director.Cause(strings.Repeat("x", 1000)) }), status: 422, want: "report.verdicts[0].cause: "},
		{name: "many verdicts", change: func(a *api.Announcement) { a.Report.Verdicts = make([]api.MeasuredVerdict, maxMounts+1) }, status: 422, want: "report.verdicts: "},
		{name: "a novel for a title", change: func(a *api.Announcement) { a.Report.Mounts[0].Title = strings.Repeat("x", 1000) }, status: 422, want: "report.mounts[0].title: "},
	} {
		body := c.body
		if body == "" {
			body = agent("i1", c.change)
		}
		if c.id == "" {
			c.id = "edge-1"
		}
		p := problemIn(t, do(r.h, "PUT", "/api/v1/nodes/"+c.id, "Bearer a", body))
		if p.Status != c.status || !strings.Contains(p.Detail, c.want) || len(p.Detail) > 2000 {
			t.Errorf("%s: %d %q; want %d, %q", c.name, p.Status, p.Detail, c.status, c.want)
		}
	}
	if n := r.nodes(); len(n) != 1 || len(r.Registrations()) != 0 {
		t.Errorf("something was taken: %+v", n)
	}
}

// What an agent says of a node is written as everybody else prints it, and completed.
func TestAnnouncementIsCompleted(t *testing.T) {
	t.Parallel()
	r := fleetOf(t, director.Config{MayRegister: []string{"edge-*"}}, Config{Complete: func(p director.Place) director.Place {
		p.Country = director.Code{'D', 'E'}
		return p
	}})
	rec := do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", agent("i1", func(a *api.Announcement) {
		a.Node.URLs, a.Node.InternalURL = []string{"http://münchen.test:8000"}, "http://innen.münchen.test"
		a.Node.Place = &api.Place{Lat: 48.1, Lon: 11.6}
		a.Node.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}
	}))
	if rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if len(r.Registrations()) != 1 {
		t.Fatalf("registered: %+v", r.Registrations())
	}
	got := r.Registrations()[0]
	if got.URLs[0] != "http://xn--mnchen-3ya.test:8000" || got.InternalURL != "http://innen.xn--mnchen-3ya.test" || got.Place.Country.String() != "DE" {
		t.Errorf("registered: %+v", got)
	}
	r.eventually("the snapshot has its addresses, for DNS", func() bool {
		view := r.View()
		i, ok := view.FindNode("edge-1")
		return ok && len(view.Node(i).Addrs) == 2
	})
}

// What an agent measured arrives as it was, whatever its clock says.
func TestAnnouncementKeepsTheReport(t *testing.T) {
	t.Parallel()
	theirs, ours := day, day.Add(1000*time.Hour)
	r := director.Report{
		Taken: theirs.Add(-time.Second), Health: director.Failed, Since: theirs.Add(-time.Minute), Returned: theirs.Add(-time.Hour),
		Detail: "gone", Full: true, Listeners: 7, Limit: 9, Kbit: 1.5, Server: "Icecast 2.4.4", AnyMount: true,
		Mounts: []director.MountReport{{Path: "/ü.mp3", Listeners: 7, Peak: 8, Limit: 9, Type: "audio/mpeg", Name: "n", Title: "t", Started: day}},
		Verdicts: []director.Verdict{
			{Path: "/ü.mp3", State: director.MountPlays, Cause: director.PlaysFallback, Detail: "GET", Listed: true, Since: theirs.Add(-time.Hour), Taken: theirs.Add(-time.Minute)},
			{Scheme: director.HTTP, State: director.MountPlays, Since: theirs, Taken: theirs}, // of its own URL for statistics
		},
	}
	spec := api.NodeSpec{URLs: []string{"http://e.example"}, Site: "fra", Place: &api.Place{Country: "de", Lat: 50, Lon: 8}, Target: 1, Limit: 2, MaxNewPerS: 3, Pace: director.PaceHold}
	b, err := json.Marshal(api.NewAnnouncement("i1", spec, r, theirs))
	if err != nil {
		t.Fatal(err)
	}
	var a api.Announcement
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	got, err := registration(&a, "edge-1", "agents", ours)
	if err != nil {
		t.Fatal(err)
	}
	d := ours.Sub(theirs)
	r.Taken, r.Since, r.Returned = r.Taken.Add(d), r.Since.Add(d), r.Returned.Add(d)
	r.Verdicts = r.Verdicts[:1]
	r.Verdicts[0].Since, r.Verdicts[0].Taken, r.Verdicts[0].By = r.Verdicts[0].Since.Add(d), r.Verdicts[0].Taken.Add(d), "its agent"
	want := store.Registration{
		Node: "edge-1", URLs: spec.URLs, Site: "fra", Place: director.Place{Country: director.Code{'D', 'E'}, Point: director.CityPoint, Lat: 50, Lon: 8},
		Target: 1, Limit: 2, MaxNewPerS: 3, Pace: director.PaceHold, Instance: "i1", Token: "agents", Report: r,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzAnnouncement(f *testing.F) {
	f.Add(agent("i1", nil))
	f.Add(agent("i1", func(a *api.Announcement) { a.Node.Place = &api.Place{Country: "DE", Lat: 1}; a.Drained = true }))
	f.Add(agent("i1", verdict(nil)))
	f.Fuzz(func(t *testing.T, body string) {
		var a api.Announcement
		if json.Unmarshal([]byte(body), &a) != nil {
			return
		}
		r, err := registration(&a, "edge-1", "agents", day)
		if err != nil {
			if len(err.Error()) > 4000 {
				t.Errorf("an error that nobody reads: %v", err)
			}
			return
		}
		if r.Report.Listeners < -1 || r.Report.Taken.After(day) || r.Report.Since.After(day) || r.Target < 0 || len(r.URLs) > maxURLs {
			t.Errorf("taken: %+v", r)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("it cannot be stored: %v", err)
		}
	})
}

func TestReserve(t *testing.T) {
	t.Parallel()
	r := fleet(t)
	rec := get(r.h, "/api/v1/reserve", "Bearer o")
	var got map[string][]director.Loss
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, rec.Body)
	}
	want := map[string][]director.Loss{
		"nodes": {{Node: "fra1", Listeners: 7, BeyondTarget: 7, BeyondLimit: 7}},
		"sites": {{Site: "fra", Listeners: 7, BeyondTarget: 7, BeyondLimit: 7}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	metrics := get(r.h, "/metrics", "Bearer o").Body.String()
	for _, dies := range []string{`dies="node",name="fra1"`, `dies="site",name="fra"`} {
		for _, below := range []string{"limit", "target"} {
			if line := fmt.Sprintf("signpost_reserve_missing_seats{below=%q,%s} 7\n", below, dies); !strings.Contains(metrics, line) {
				t.Errorf("no %s", line)
			}
		}
	}
}
