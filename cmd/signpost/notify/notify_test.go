package notify

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// receiver answers posts with the codes of a list, and then with 204.
type receiver struct {
	mu    sync.Mutex
	codes []int
	posts []Event
	at    []time.Time
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var e Event
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, err
	}
	r.posts, r.at = append(r.posts, e), append(r.at, time.Now())
	code := 204
	if len(r.codes) > 0 {
		code, r.codes = r.codes[0], r.codes[1:]
	}
	if code == 0 {
		return nil, net.ErrClosed
	}
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

func run(t *testing.T, hooks []Hook, r *receiver) *Notifier {
	n := New(hooks, slog.New(slog.DiscardHandler))
	n.client.Transport = r
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return n
}

// TestPostedAgain: an event is posted until it is taken, in order, or given up in the end.
func TestPostedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{codes: []int{0, 500, 302}}
		n := run(t, []Hook{{URL: "http://hook.example/x"}}, r)
		n.Tell(Event{Kind: OffAir, Mount: "/live.mp3", Text: "/live.mp3 is off the air"})
		n.Tell(Event{Kind: OnAir, Mount: "/live.mp3"})
		time.Sleep(time.Minute)
		synctest.Wait()
		var kinds []string
		for _, e := range r.posts {
			kinds = append(kinds, string(e.Kind))
		}
		if got := strings.Join(kinds, " "); got != "off_air off_air off_air off_air on_air" {
			t.Errorf("posts %s", got)
		}
		if e := r.posts[0]; e.Mount != "/live.mp3" || e.Text != "/live.mp3 is off the air" {
			t.Errorf("posted %+v", e)
		}
		r.mu.Lock()
		r.codes = make([]int, tries)
		r.mu.Unlock()
		n.Tell(Event{Kind: NodeDown})
		time.Sleep(time.Hour)
		synctest.Wait()
		if n.Dropped() != 1 {
			t.Errorf("%d dropped, want the one that nobody took", n.Dropped())
		}
	})
}

// TestTellDoesNotWait: whoever tells is not held up by a hook that takes nothing.
func TestTellDoesNotWait(t *testing.T) {
	t.Parallel()
	n := New([]Hook{{URL: "http://127.0.0.1:1", Events: []Kind{OffAir}}}, slog.New(slog.DiscardHandler))
	for range maxWaiting + 5 {
		n.Tell(Event{Kind: OffAir})
		n.Tell(Event{Kind: NodeDown}) // which it does not want
	}
	if n.Dropped() != 5 {
		t.Errorf("%d dropped, want 5", n.Dropped())
	}
}

// TestWatch: a station without Prometheus is told what changes.
func TestWatch(t *testing.T) {
	t.Parallel()
	f, err := director.Compile(director.Config{
		Nodes:  []director.Node{{ID: "a", URLs: []string{"http://a.example"}, Target: 50, Limit: 100}, {ID: "b", URLs: []string{"http://b.example"}}},
		Mounts: []director.Mount{{Name: "/live.mp3"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 20, 4, 0, 0, time.UTC)
	up := func(id director.NodeID) director.Report {
		return director.Report{Node: id, Health: director.Up, Taken: now, Mounts: []director.MountReport{{Path: "/live.mp3"}}}
	}
	gone := func(id director.NodeID) director.Report {
		return director.Report{Node: id, Health: director.Up, Taken: now, Verdicts: []director.Verdict{{Path: "/live.mp3", State: director.MountSilent, Cause: director.SourceGone, Since: now}}}
	}
	down := func(id director.NodeID) director.Report {
		return director.Report{Node: id, Health: director.Failed, Taken: now, Detail: "refused"}
	}
	ends := up("a")
	ends.CertificateEnds = now.Add(100 * time.Hour)
	full, nearly := up("a"), up("a")
	full.Listeners, nearly.Listeners = 100, 96
	redis := Condition{Kind: Warning, Key: "store", Text: "the store is away", Over: "the store answers again"}
	w := NewWatch("d1")
	for i, step := range []struct {
		a, b   director.Report
		others []Condition
		want   string
	}{
		{up("a"), up("b"), nil, ""},
		{gone("a"), up("b"), nil, "mount_lost: node a lacks /live.mp3: source gone"},
		{gone("a"), up("b"), nil, ""},
		{gone("a"), down("b"), nil, "node_down: node b is down: refused|off_air: /live.mp3 is off the air"},
		{gone("a"), up("b"), nil, "on_air: /live.mp3 is on the air again|node_up: node b is up"},
		{up("a"), up("b"), nil, "mount_back: node a no longer lacks /live.mp3 since 20:04: source gone"},
		{ends, up("b"), nil, "certificate_ends: the certificate of node a ends at 2026-12-05T00:04:00Z"},
		{ends, up("b"), nil, ""},
		{full, up("b"), []Condition{redis}, "warning: the store is away|node_full: node a is full: its limit is 100 listeners"},
		{nearly, up("b"), []Condition{redis}, ""},
		{up("a"), up("b"), nil, "node_has_room: node a has room again|warning_over: the store answers again"},
	} {
		var got []string
		for _, e := range w.See(now, f.Build(nil, director.Input{Now: now, Reports: map[director.NodeID]director.Report{"a": step.a, "b": step.b}}), step.others) {
			got = append(got, string(e.Kind)+": "+e.Text)
			if !e.Since.Equal(now) || e.Remedy == "" && e.Kind.over() != "" && e.Kind != Warning {
				t.Errorf("step %d: %+v, want its time and the remedy", i, e)
			}
		}
		if g := strings.Join(got, "|"); g != step.want {
			t.Errorf("step %d: %s, want %s", i, g, step.want)
		}
		for _, c := range w.Standing(now.Add(time.Hour), nil, step.others) {
			if !c.Since.Equal(now) {
				t.Errorf("step %d: %s since %v, want when it was first seen", i, c.Key, c.Since)
			}
		}
	}
}
