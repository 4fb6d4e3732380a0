package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// patience is how long a test waits for anything; it says more of the machine than of
// the program.
const patience = 2 * time.Minute

// A fakeDirector keeps what it is asked, and answers what it is told to.
type fakeDirector struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string // "PUT /api/v1/nodes/edge-1"
	bodies []api.Announcement
	answer func(n int, w http.ResponseWriter, r *http.Request) // to the nth question
}

func newFakeDirector(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *fakeDirector {
	t.Helper()
	d := &fakeDirector{answer: answer}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var a api.Announcement
		_ = json.NewDecoder(r.Body).Decode(&a) // not every question has a body
		d.mu.Lock()
		d.asked = append(d.asked, r.Method+" "+r.URL.RequestURI())
		d.bodies = append(d.bodies, a)
		n := len(d.asked)
		d.mu.Unlock()
		d.answer(n, w, r)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *fakeDirector) questions() ([]string, []api.Announcement) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked, d.bodies
}

// sees answers that this is how the fleet sees the node.
func sees(n api.Node) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(n) }
}

func refuses(p api.Problem) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(p)
	}
}

// measured is a prober that has one report.
type measured struct{ report director.Report }

func (m measured) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (m measured) Reports() []director.Report    { return []director.Report{m.report} }
func (measured) First() <-chan struct{}          { c := make(chan struct{}); close(c); return c }

func newAgent(log *bytes.Buffer, directors ...string) *Agent {
	r := registrar{id: "edge-1", identity: identity{instance: "i1", secret: "known to nobody else"}}
	for _, d := range directors {
		r.directors = append(r.directors, client.Directors{URLs: []string{d}, Token: "secret", Timeout: patience})
	}
	return &Agent{
		log: slog.New(slog.NewTextHandler(log, nil)), interval: time.Millisecond, pause: time.Millisecond,
		prober:    measured{director.Report{Taken: time.Now(), Health: director.Up, Listeners: 3}},
		registrar: r,
	}
}

// Every director is told with every report, whatever becomes of the others.
func TestAgentTellsAllDirectors(t *testing.T) {
	t.Parallel()
	broken := newFakeDirector(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	moved := newFakeDirector(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, broken.URL+"/stolen", http.StatusTemporaryRedirect)
	})
	good := func(used int, safe bool) *fakeDirector {
		return newFakeDirector(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Signpost-Agent-Secret") != "known to nobody else" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			sees(api.Node{ID: "edge-1", Used: used, SafeToTerminate: safe})(0, w, r)
		})
	}
	one, other := good(2, true), good(3, false)
	var log bytes.Buffer
	a := newAgent(&log, proctest.Nowhere, broken.URL, one.URL, moved.URL, other.URL)
	for range 3 {
		if seen, ok, _ := a.report(t.Context(), false); !ok || seen.Used != 3 || seen.SafeToTerminate {
			t.Fatalf("%+v %v, want the more listeners, and what all agree on\n%s", seen, ok, &log)
		}
	}
	for _, d := range []*fakeDirector{broken, moved, one, other} {
		asked, bodies := d.questions()
		if len(asked) != 3 || asked[0] != "PUT /api/v1/nodes/edge-1" || strings.Contains(strings.Join(asked, " "), "stolen") {
			t.Errorf("asked: %v; want each report, and that nobody is followed", asked)
		}
		if b := bodies[0]; b.Instance != "i1" || b.Drained || b.Report.Listeners != 3 || b.Report.Health != director.Up {
			t.Errorf("told: %+v", b)
		}
	}
	if strings.Count(log.String(), "level=") != 2 || !strings.Contains(log.String(), "directors=2") || !strings.Contains(log.String(), "did not reach all directors") || strings.Contains(log.String(), "secret") {
		t.Errorf("want one line for each change:\n%s", &log)
	}
	one.Close()
	other.Close()
	if _, ok, _ := a.report(t.Context(), false); ok || !a.registered || !strings.Contains(log.String(), "the next report tries again") {
		t.Errorf("nobody answers: %v, registered %v\n%s", ok, a.registered, &log)
	}
}

// A refusal is logged once, and tried again with the next report.
func TestAgentThatIsRefused(t *testing.T) {
	t.Parallel()
	strict := newFakeDirector(t, refuses(api.Problem{Status: 403, Detail: "ask anna for a token"}))
	var log bytes.Buffer
	a := newAgent(&log, strict.URL)
	for range 5 {
		if _, ok, _ := a.report(t.Context(), false); ok {
			t.Fatal("refused, and registered")
		}
	}
	if strings.Count(log.String(), "ask anna for a token") != 1 || strings.Contains(log.String(), "secret") {
		t.Errorf("log:\n%s", &log)
	}
	good := newFakeDirector(t, sees(api.Node{ID: "edge-1"}))
	a.registrar.directors = append(a.registrar.directors, client.Directors{URLs: []string{good.URL}, Timeout: patience})
	if _, ok, _ := a.report(t.Context(), false); !ok {
		t.Errorf("refused by one and taken in by another:\n%s", &log)
	}
}

func TestAgentLeaves(t *testing.T) {
	t.Parallel()
	// Two listeners leave one after the other; the director then says three times
	// that nobody is there.
	d := newFakeDirector(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		used := max(0, 4-n)
		sees(api.Node{ID: "edge-1", Used: used, Drained: n > 1, SafeToTerminate: n > 1 && used == 0})(n, w, r)
	})
	var log bytes.Buffer
	a := newAgent(&log, d.URL)
	a.report(t.Context(), false)
	a.Leave(t.Context(), patience)
	asked, bodies := d.questions()
	if len(asked) != 7 || asked[6] != "DELETE /api/v1/nodes/edge-1?instance=i1" {
		t.Fatalf("asked: %v", asked)
	}
	for i, b := range bodies[:6] {
		if b.Drained != (i > 0) {
			t.Errorf("report %d says drained: %v", i, b.Drained)
		}
	}
	if !strings.Contains(log.String(), "the node is deregistered") {
		t.Errorf("log:\n%s", &log)
	}
}

func TestAgentLeavesWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	d := newFakeDirector(t, sees(api.Node{ID: "edge-1", Used: 9, Drained: true}))
	var log bytes.Buffer
	a := newAgent(&log, d.URL)
	a.report(t.Context(), false)
	a.Leave(t.Context(), 20*time.Millisecond)
	// A report that was cancelled may arrive after the rest.
	asked, _ := d.questions()
	if !slices.ContainsFunc(asked, func(q string) bool { return strings.HasPrefix(q, "DELETE ") }) || !strings.Contains(log.String(), "listeners on it") {
		t.Errorf("asked %q, log:\n%s", asked, &log)
	}
}

// Where the server does not tell how much comes in, the agent listens whether a source hangs.
func TestAgentListens(t *testing.T) {
	t.Parallel()
	listened := make(chan struct{})
	once := sync.OnceFunc(func() { close(listened) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live.mp3" {
			once()
			return
		}
		_, _ = io.WriteString(w, `{"icestats":{"server_id":"Icecast 2.4.4","source":{"listenurl":"http://127.0.0.1/live.mp3","listeners":1,"stream_start":"now"}}}`)
	}))
	t.Cleanup(server.Close)
	a, err := New(Config{
		Directors: []string{proctest.Nowhere}, ID: "edge-1", Status: server.URL, Kind: "icecast",
		Interval: 10 * time.Millisecond, Sample: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Probe()()
	select {
	case <-listened:
	case <-time.After(patience):
		t.Errorf("nobody listened; reports: %+v", a.prober.Reports())
	}
}

// A node that an operator took out has nothing to drain, and the next agent is
// another instance.
func TestAgentWhoseNodeWasTakenOut(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"it was told so": 2, "it learns so": 1} {
		d := newFakeDirector(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				sees(api.Node{ID: "edge-1", Used: 9})(n, w, r)
				return
			}
			refuses(api.Problem{Status: 404, Detail: "edge-1 was taken out"})(n, w, r)
		})
		file := filepath.Join(t.TempDir(), "instance")
		kept, _, _, err := openInstance(file)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		a := newAgent(&log, d.URL)
		a.instance = kept
		for range before {
			a.report(t.Context(), false)
		}
		a.Leave(t.Context(), 10*patience)
		if asked, _ := d.questions(); strings.Contains(strings.Join(asked, " "), "DELETE") || !strings.Contains(log.String(), "msg=\"stopped") {
			t.Errorf("%s: asked %v\n%s", name, asked, &log)
		}
		if text, err := os.ReadFile(file); err != nil || len(text) > 0 {
			t.Errorf("%s: %q is left for the next (%v)", name, text, err)
		}
	}
}

// A node has left the fleet as soon as one director knows it, which tells the others: one
// that does not answer is no failure. It is one if no director does.
func TestDeregisteredByOneDirector(t *testing.T) {
	t.Parallel()
	gone := refuses(api.Problem{Status: http.StatusNotFound})
	for name, c := range map[string]struct {
		directors []string
		fails     bool
	}{
		"all answer":      {[]string{newFakeDirector(t, sees(api.Node{})).URL, newFakeDirector(t, sees(api.Node{})).URL}, false},
		"one is away":     {[]string{proctest.Nowhere, newFakeDirector(t, sees(api.Node{})).URL}, false},
		"it is not known": {[]string{proctest.Nowhere, newFakeDirector(t, gone).URL}, false},
		"all are away":    {[]string{proctest.Nowhere, proctest.Nowhere}, true},
	} {
		var log bytes.Buffer
		a := newAgent(&log, c.directors...)
		if err := a.registrar.deregister(t.Context()); (err != nil) != c.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever never registered, or whose id another agent has taken, takes nobody out.
func TestAgentThatHoldsNothingLeavesAtOnce(t *testing.T) {
	t.Parallel()
	held := api.Problem{Status: 409, Detail: "held", HeldBy: &api.Holder{Instance: "i2"}}
	d := newFakeDirector(t, refuses(held))
	var log bytes.Buffer
	a := newAgent(&log, d.URL)
	a.report(t.Context(), false)
	a.Leave(t.Context(), patience)
	a.registered = true // until another came
	a.Leave(t.Context(), patience)
	if asked, _ := d.questions(); strings.Contains(strings.Join(asked, " "), "DELETE") || len(asked) != 2 {
		t.Errorf("asked: %v", asked)
	}
	if !strings.Contains(log.String(), "was not registered") || !strings.Contains(log.String(), "another agent holds") {
		t.Errorf("log:\n%s", &log)
	}
}

// What is in an instance file and cannot be an instance is replaced: directors would
// refuse it for ever.
func TestInstanceFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text    string
		resumed bool
	}{
		"nothing":     {"", false},
		"an instance": {"edge-1.example-ABC_123", true},
		"both":        {"edge-1.example-ABC_123\nABCDEFGHIJKLMNOPQRSTUVWXYZ\n", true},
		"three lines": {"edge-1.example\nABCDEFGHIJKLMNOPQRSTUVWXYZ\nx", false},
		"short":       {"edge-1.example\nsecret\n", false},
		"no text":     {"\x00\x01\x02", false},
		"a novel":     {strings.Repeat("x", longestInstance+1), false},
		"a library":   {strings.Repeat("x", 1000), false},
	} {
		file := filepath.Join(t.TempDir(), "instance")
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		f, id, resumed, err := openInstance(file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		hers, secret, _ := strings.Cut(c.text, "\n")
		kept := id.instance == hers && (secret == "" || secret == id.secret+"\n")
		if err != nil || string(text) != id.instance+"\n"+id.secret+"\n" || resumed != c.resumed || resumed != kept || len(id.instance) < 12 || len(id.secret) < 20 {
			t.Errorf("%s: %+v (resumed: %v), and the file has %q (%v)", name, id, resumed, text, err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v, which others can read", name, info.Mode(), err)
		}
		if _, _, _, err := openInstance(file); err == nil || !strings.Contains(err.Error(), "another agent") {
			t.Errorf("%s: two have it (%v)", name, err)
		}
		if err := f.clear(); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(file); err != nil || len(text) > 0 {
			t.Errorf("%s: %q is left for the next (%v)", name, text, err)
		}
	}
	if _, _, _, err := openInstance(filepath.Join(t.TempDir(), "missing", "instance")); err == nil {
		t.Error("a file in a directory that is not there")
	}
}
