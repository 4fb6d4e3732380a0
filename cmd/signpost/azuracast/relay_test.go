package azuracast

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

// The exchanges in testdata have the shapes of AzuraCast's public source (RelaysController,
// at commit 4923bde) and of AzuraRelay's NowPlayingCommand.

// An azura answers as the AzuraCast of testdata/relays.json.
type azura struct {
	t      *testing.T
	relays []byte

	mu      sync.Mutex
	refuses int // every request, with this status
	asked   []string
	reports [][]byte
	at      []time.Time
}

func newAzura(t *testing.T) *azura {
	t.Helper()
	b, err := os.ReadFile("testdata/relays.json")
	if err != nil {
		t.Fatal(err)
	}
	return &azura{t: t, relays: b}
}

func (a *azura) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.Method)
	answer := func(code int, body []byte) (*http.Response, error) {
		return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
	}
	switch {
	case r.URL.String() != "https://azuracast.radio.example/api/internal/relays" || r.Header.Get("Authorization") != "Bearer id:verifier":
		a.t.Errorf("%s %s, %v", r.Method, r.URL, r.Header)
		return answer(404, nil)
	case a.refuses != 0:
		return answer(a.refuses, []byte(`{"code":403,"type":"NotLoggedInException","message":"You must be logged in to access this page.","formatted_message":"You must be logged in to access this page.","extra_data":[],"success":false}`))
	case r.Method == http.MethodGet:
		return answer(200, a.relays)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/json" {
		a.t.Error(err, r.Header)
	}
	a.reports, a.at = append(a.reports, b), append(a.at, time.Now())
	return answer(200, []byte(`{"success":true,"message":"Changes saved successfully.","formatted_message":"Changes saved successfully."}`))
}

func (a *azura) relay(base string, snap *director.Snapshot) Config {
	return Config{
		Client: Client{URL: "https://azuracast.radio.example/", Key: "id:verifier", HTTP: &http.Client{Transport: a}}, BaseURL: base, Name: "Signpost",
		Snapshot: func() *director.Snapshot { return snap }, Log: slog.New(slog.DiscardHandler),
	}
}

// fleet is one in which two nodes and the AzuraCast's own server play.
func fleet(t *testing.T, mounts ...director.Mount) *director.Snapshot {
	t.Helper()
	if mounts == nil {
		mounts = []director.Mount{{Name: "/listen/studio/radio.mp3", Aliases: []string{"/radio.mp3"}, Type: "audio/mpeg"}, {Name: "/hifi.ogg", Aliases: []string{"/listen/studio/hifi.ogg"}, Type: "audio/ogg"}, {Name: "/silent.mp3"}}
	}
	var paths map[string]string
	if mounts[0].Name == "/listen/studio/radio.mp3" {
		paths = map[string]string{mounts[0].Name: "/radio.mp3"}
	}
	f, err := director.Compile(director.Config{Mounts: mounts, Nodes: []director.Node{
		{ID: "fra1", URLs: []string{"http://fra1.radio.example:8000"}, Relays: 2},
		{ID: "ams1", URLs: []string{"http://ams1.radio.example:8000"}, Paths: paths},
		{ID: "own", URLs: []string{"https://azuracast.radio.example/listen/studio"}},
		{ID: "down", URLs: []string{"http://down.radio.example"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	report := func(id director.NodeID, h director.Health, mounts ...director.MountReport) director.Report {
		return director.Report{Node: id, By: "test", Taken: now, Health: h, Since: now, Mounts: mounts}
	}
	return f.Build(nil, director.Input{Now: now, Uncounted: map[string]int{"/listen/studio/radio.mp3": 8}, Reports: map[director.NodeID]director.Report{
		"fra1": report("fra1", director.Up, director.MountReport{Path: "/listen/studio/radio.mp3", Listeners: 101}, director.MountReport{Path: "/hifi.ogg", Listeners: 5}),
		"ams1": report("ams1", director.Up, director.MountReport{Path: "/radio.mp3", Listeners: 10, Title: "Artist - Song"}, director.MountReport{Path: "/silent.mp3", Listeners: -1}),
		"own":  report("own", director.Up, director.MountReport{Path: "/listen/studio/radio.mp3", Listeners: 1000}),
		"down": report("down", director.Failed, director.MountReport{Path: "/listen/studio/radio.mp3", Listeners: 1000}),
	}})
}

// What is told: listeners at nodes that are not the AzuraCast's own, without relays and
// with those who are carried inline; nothing of a mount whose listeners nobody counts.
func TestReport(t *testing.T) {
	t.Parallel()
	a := newAzura(t)
	r := NewRelay(a.relay("https://listen.radio.example", fleet(t)))
	r.report(t.Context())
	if len(a.reports) != 1 {
		t.Fatalf("%d reports, %+v", len(a.reports), r.Troubles())
	}
	want, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	var is, should any
	if err := errors.Join(json.Unmarshal(a.reports[0], &is), json.Unmarshal(want, &should)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(should, is); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// PHP reads an empty list as something else than an empty object.
	r = NewRelay(a.relay("https://listen.radio.example", fleet(t, director.Mount{Name: "/other"})))
	r.report(t.Context())
	if !strings.Contains(string(a.reports[1]), `"nowplaying":{}`) {
		t.Errorf("%s", a.reports[1])
	}
}

// What AzuraCast shows and nothing serves is told, with the remedy, and so is why it is not
// told of the fleet.
func TestTroubles(t *testing.T) {
	t.Parallel()
	all := []director.Mount{{Name: "/listen/studio/radio.mp3"}, {Name: "/listen/studio/hifi.ogg"}, {Name: "/listen/studio/silent.mp3"}, {Name: "/listen/jazz/radio.mp3"}}
	byPort := []director.Mount{{Name: "/radio.mp3"}, {Name: "/hifi.ogg"}, {Name: "/silent.mp3"}}
	for _, c := range []struct {
		name, base string
		mounts     []director.Mount
		refuses    int
		byPort     bool
		want       []string
	}{
		{name: "all is served", base: "https://listen.radio.example", mounts: all},
		{name: "a path is missing", base: "https://listen.radio.example", mounts: all[:2], want: []string{"the AzuraCast shows https://listen.radio.example/listen/jazz/radio.mp3 and 1 more, and no mount here has that path / give the mount the alias /listen/jazz/radio.mp3"}},
		{name: "stations at ports", base: "http://listen.radio.example:8000", mounts: byPort, byPort: true, want: []string{"the AzuraCast shows this fleet at port 8010, where its stations are, and http://listen.radio.example:8000 has another / let the directors listen there too"}},
		{name: "refused", base: "https://listen.radio.example", mounts: all, refuses: 403, want: []string{`the AzuraCast is not told of this fleet: GET https://azuracast.radio.example/api/internal/relays: 403 You must be logged in to access this page.; see that the file has an API key`}},
		{name: "moved", base: "https://listen.radio.example", mounts: all, refuses: 301, want: []string{"give that URL instead, so that the key goes nowhere else"}},
		{name: "too often", base: "https://listen.radio.example", mounts: all, refuses: 429, want: []string{"so wait a minute"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := newAzura(t)
			a.refuses = c.refuses
			if c.byPort {
				a.relays = []byte(strings.NewReplacer("https://azuracast.radio.example/listen/studio", "http://azuracast.radio.example:8000", "https://azuracast.radio.example/listen/jazz", "http://azuracast.radio.example:8010").Replace(string(a.relays)))
			}
			cfg := a.relay(c.base, fleet(t, c.mounts...))
			cfg.HTTP.CheckRedirect = direct.CheckRedirect
			r := NewRelay(cfg)
			r.report(t.Context())
			var got []string
			for _, one := range r.Troubles() {
				got = append(got, one.Text+" / "+one.Remedy)
			}
			for i, want := range c.want {
				if i >= len(got) || !strings.Contains(got[i], want) {
					t.Errorf("got  %q\nwant %q", got, c.want)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if a.refuses = 0; c.refuses != 0 {
				if r.report(t.Context()); len(r.Troubles()) != 0 {
					t.Errorf("still %+v", r.Troubles())
				}
			}
		})
	}
}

// leases are of a store that may be away.
type leases struct {
	mu     sync.Mutex
	holder string
	until  time.Time
	away   bool
}

func (l *leases) claim(who string) func(context.Context, time.Duration) (bool, error) {
	return func(_ context.Context, d time.Duration) (bool, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.away {
			return false, errors.New("away")
		}
		if l.holder != who && time.Now().Before(l.until) {
			return false, nil
		}
		l.holder, l.until = who, time.Now().Add(d)
		return true, nil
	}
}

// One director at a time reports, every 15 s; when it dies another does before AzuraCast
// forgets the relay, which is after 90 s; when it leaves, at its next turn. Where the store
// is away, all report.
func TestOneReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAzura(t)
		snap := fleet(t)
		var l leases
		run := func(who string) (kill func(), leave func()) {
			ctx, cancel := context.WithCancel(t.Context())
			c := a.relay("https://listen.radio.example", snap)
			claim, dead := l.claim(who), false
			c.Claim = func(ctx context.Context, d time.Duration) (bool, error) {
				if dead {
					return false, nil
				}
				return claim(ctx, d)
			}
			go func() { _ = NewRelay(c).Run(ctx) }()
			synctest.Wait()
			return func() { dead = true; cancel() }, cancel
		}
		count := func(d time.Duration) int {
			t.Helper()
			a.mu.Lock()
			before := len(a.reports)
			a.mu.Unlock()
			time.Sleep(d)
			synctest.Wait()
			a.mu.Lock()
			defer a.mu.Unlock()
			return len(a.reports) - before
		}
		killA, _ := run("a")
		_, leaveB := run("b")
		_, leaveC := run("c")
		if n := count(10*time.Minute + time.Second); n != 40 {
			t.Errorf("%d reports in ten minutes, want one each 15 s", n)
		}
		killA()
		killed := time.Now()
		count(2 * time.Minute)
		a.mu.Lock()
		first := a.at[len(a.at)-1]
		for _, at := range a.at {
			if at.After(killed) {
				first = at
				break
			}
		}
		a.mu.Unlock()
		if silent := first.Sub(killed) + reportEvery; silent > 90*time.Second {
			t.Errorf("silent for %v", silent)
		}
		l.mu.Lock()
		second, leave, other := l.holder, leaveB, leaveC
		l.mu.Unlock()
		if second == "c" {
			leave, other = other, leave
		}
		leave()
		if n := count(reportEvery + time.Second); n == 0 {
			t.Error("nobody reports after one has left")
		}
		_, leaveD := run("d")
		l.mu.Lock()
		l.away = true
		l.mu.Unlock()
		if n := count(time.Minute); n != 8 {
			t.Errorf("%d reports in a minute without a store, want 4 of each of two", n)
		}
		leaveD()
		other()
	})
}
