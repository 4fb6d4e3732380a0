package director

import (
	"encoding/json"
	"testing"
	"time"
)

var eight = time.Date(2026, 11, 30, 20, 4, 0, 0, time.UTC)

// TestVerdicts: what a listener's own GET got stands above what statistics list, and a
// scheme that fails takes only that scheme away.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const mount = "/live.mp3"
	silent := func(path string, s Scheme, c Cause) Verdict {
		return Verdict{Path: path, Scheme: s, State: MountSilent, Cause: c, Since: eight, Taken: eight}
	}
	for name, tc := range map[string]struct {
		verdicts []Verdict
		gone     bool // from the list
		any      bool // there is no list
		http     string
		https    string
		either   string
		reason   Reason // of a, for a listener by http
		state    MountState
	}{
		"nothing but the list":        {http: "placed a", https: "placed a", either: "placed a", reason: Fit, state: MountPlays},
		"not in the list":             {gone: true, http: "mount_down", https: "mount_down", either: "mount_down", reason: LacksMount, state: MountSilent},
		"not in the list, but played": {gone: true, verdicts: []Verdict{{Path: mount, State: MountPlays, Cause: PlaysFallback}}, http: "mount_down", https: "mount_down", either: "mount_down", reason: LacksMount, state: MountSilent}, // whoever reports it adds it to the list
		"refused":                     {verdicts: []Verdict{silent(mount, 0, SourceGone)}, http: "mount_down", https: "mount_down", either: "mount_down", reason: LacksMount, state: MountSilent},
		"refused, without a list":     {any: true, verdicts: []Verdict{silent(mount, 0, NotThere)}, http: "mount_down", https: "mount_down", either: "mount_down", reason: LacksMount, state: MountSilent},
		"another is refused":          {verdicts: []Verdict{silent("/jazz.mp3", 0, SourceGone)}, http: "placed a", https: "placed a", either: "placed a", reason: Fit, state: MountPlays},
		"full":                        {verdicts: []Verdict{{Path: mount, State: MountFull, Cause: SeatsTaken}}, http: "full", https: "full", either: "full", reason: NodeFull, state: MountFull},
		"bad certificate":             {verdicts: []Verdict{silent("", HTTPS, BadCertificate)}, http: "placed a", https: "nobody", either: "placed a", reason: Fit, state: MountPlays},
		"http is not reached":         {verdicts: []Verdict{silent("", HTTP, Unreachable)}, http: "nobody", https: "placed a", either: "placed a", reason: LacksScheme, state: MountSilent},
		"one mount by https":          {verdicts: []Verdict{silent(mount, HTTPS, NotThere)}, http: "placed a", https: "nobody", either: "placed a", reason: Fit, state: MountPlays},
		"neither":                     {verdicts: []Verdict{silent("", HTTPS, BadCertificate), silent("", HTTP, Unreachable)}, http: "nobody", https: "nobody", either: "nobody", reason: LacksScheme, state: MountSilent},
		"plays in spite of a doubt":   {verdicts: []Verdict{{Path: mount, State: MountPlays, Cause: PlaysOnDemand}, {Path: "", Scheme: HTTPS, State: MountPlays}}, http: "placed a", https: "placed a", either: "placed a", reason: Fit, state: MountPlays},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			l.cfg.Nodes[0].URLs = append(l.cfg.Nodes[0].URLs, "https://a.example")
			l.report("a", func(r *Report) {
				if tc.gone || tc.any {
					r.Mounts = r.Mounts[1:]
				}
				r.AnyMount, r.Verdicts = tc.any, tc.verdicts
			})
			s := l.snapshot()
			for scheme, want := range map[Scheme]string{HTTP: tc.http, HTTPS: tc.https, AnyScheme: tc.either} {
				if got := decide(s, Listener{Scheme: scheme}, 1); got != want {
					t.Errorf("by %v: %s, want %s", scheme, got, want)
				}
			}
			x := s.Explain(Listener{Mount: mount, Scheme: HTTP}, nil)
			if c := x.Candidates[0]; c.Reason != tc.reason || c.Verdict.State != tc.state {
				t.Errorf("explain: %v, %v", c.Reason, c.Verdict)
			}
			base, _ := s.URL(0, 0, AnyScheme)
			if want := "http://a.example:8000"; tc.http == "placed a" && base != want {
				t.Errorf("URL %s, want %s", base, want)
			}
			up, _ := s.Upstream(0, 0)
			if want := "https://a.example"; name == "http is not reached" && (base != want || up != want) {
				t.Errorf("URL %s and upstream %s, want %s", base, up, want)
			}
		})
	}
}

// TestVerdictsBetweenReports: a verdict that comes between two probes counts at once.
func TestVerdictsBetweenReports(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	f := l.fleet()
	s := f.Build(nil, l.in())
	l.report("a", func(r *Report) { r.Verdicts = []Verdict{{Path: "/live.mp3", State: MountSilent}} })
	l.report("b", func(r *Report) { r.Verdicts = []Verdict{{Path: "/live.mp3", State: MountSilent}} })
	if got := decide(f.Build(s, l.in()), Listener{}, 1); got != "mount_down" {
		t.Errorf("%s, want mount_down", got)
	}
}

// TestSeatsOfWhatPlays: a node that plays nothing has no seats to spare.
func TestSeatsOfWhatPlays(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.row("world", everyone, "a", 1, "b", 1, "c", 1)
	l.report("a", func(r *Report) { r.Listeners = 900 })
	before := l.snapshot()
	l.report("b", func(r *Report) { r.Mounts = nil })
	l.report("c", func(r *Report) {
		r.Verdicts = []Verdict{{Path: "/live.mp3", State: MountSilent}, {Path: "/jazz.mp3", State: MountSilent}}
	})
	after := l.snapshot()
	if lost := before.Reserve(nil).Nodes[0].BeyondLimit; lost != 0 {
		t.Errorf("%d without a seat, while all play", lost)
	}
	if lost := after.Reserve(nil).Nodes[0].BeyondLimit; lost != 900 {
		t.Errorf("%d without a seat, want all 900: nobody else plays", lost)
	}
	if f := after.Forecast(wanting(map[RegionID]int{"world": 3000})); f.BeyondLimit != 1500 {
		t.Errorf("%d without a seat, want 1500", f.BeyondLimit)
	}
}

func TestVerdictAsJSON(t *testing.T) {
	t.Parallel()
	v := Verdict{Path: "/live.mp3", Scheme: HTTPS, State: MountSilent, Cause: SourceGone, Detail: "GET /live.mp3: 404 Not Found", Since: eight, Taken: eight, By: "d1"}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"path":"/live.mp3","scheme":"https","state":"does_not_play","cause":"source gone","detail":"GET /live.mp3: 404 Not Found","since":"2026-11-30T20:04:00Z","taken":"2026-11-30T20:04:00Z","by":"d1"}`
	if string(b) != want {
		t.Errorf("%s, want %s", b, want)
	}
	var got Verdict
	if err := json.Unmarshal(b, &got); err != nil || got != v {
		t.Errorf("read back: %+v, %v", got, err)
	}
	// What another version says of schemes and states that it alone knows holds for nobody.
	if err := json.Unmarshal([]byte(`{"scheme":"quic","state":"sings"}`), &got); err != nil || got.Scheme&AnyScheme != 0 || got.Scheme == 0 || got.State != MountUnknown {
		t.Errorf("%+v, %v", got, err)
	}
	if got := v.String(); got != "source gone (GET /live.mp3: 404 Not Found)" {
		t.Errorf("String: %s", got)
	}
}
