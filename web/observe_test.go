package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/signpost-fm/signpost/director"
)

func exposition(t *testing.T, c prometheus.Collector) string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return rec.Body.String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.get("/live.mp3")
	w.get("/nothing")
	w.get("/live.mp3.m3u")
	w.exhaust("/off.mp3")
	text := exposition(t, w.Collector())
	if problems, err := promlint.New(strings.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	for _, want := range []string{
		`signpost_requests_total{answer="redirect",outcome="placed"} 1`,
		`signpost_requests_total{answer="m3u",outcome="placed"} 1`,
		`signpost_requests_total{answer="none",outcome="no_mount"} 1`,
		`signpost_responses_total{code="404"} 1`,
		`signpost_rate_limited_total{scope="key"} 1`,
		`signpost_listeners_sent_total{node="fra1",region="home"} 1`,
		`signpost_client_requests_total{client="none",step="first"} 2`,
		`signpost_request_duration_seconds_bucket{le="2e-05"} 14`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s in\n%s", want, text)
		}
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.get("/nothing")
	if r := w.lastRecord(); r.Mount != "" || r.Outcome != director.NoMount || !r.Decided {
		t.Errorf("of a stream that there is not: %+v", r)
	}
	w.do(ask{url: "/live", header: map[string]string{"User-Agent": "VLC/3"}})
	got := w.lastRecord()
	want := Record{
		Time: epoch, Method: "GET", Path: "/live", Status: 302, Answer: Redirect, Decided: true,
		Mount: "/live.mp3", Node: got.Node, Region: "home", Step: "first", Country: director.Code{'D', 'E'},
		Client: netip.MustParsePrefix("203.0.113.0/24"), Listener: got.Listener, UserAgent: "VLC/3",
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Node == "" || got.Listener == 0 {
		t.Errorf("node %q, listener %x", got.Node, got.Listener)
	}
	w.do(ask{url: "/live", header: map[string]string{"User-Agent": "VLC/3"}})
	if again := w.lastRecord(); again.Listener != got.Listener {
		t.Error("another pseudonym on the same day")
	}
	w.tick(24 * time.Hour)
	w.do(ask{url: "/live", header: map[string]string{"User-Agent": "VLC/3"}})
	if next := w.lastRecord(); next.Listener == got.Listener {
		t.Error("the same pseudonym on the next day")
	}
	w.do(ask{url: "/live", from: netip.MustParseAddr("2001:db8:1:2:3::4")})
	if got := w.lastRecord().Client.String(); got != "2001:db8:1::/48" {
		t.Errorf("IPv6 client %s", got)
	}
	w.get("/off.mp3")
	if r := w.lastRecord(); r.Status != 503 || r.Outcome != director.MountDown || r.Node != "" || r.Fault == "" || r.Mount != "/off.mp3" {
		t.Errorf("%+v", r)
	}
	if err := w.SetPolicy(Policy{FullAddresses: true}); err != nil {
		t.Fatal(err)
	}
	w.get("/live")
	if got := w.lastRecord().Client.String(); got != "203.0.113.7/32" {
		t.Errorf("full address %s", got)
	}
}

// TestPseudonyms: without a secret nobody else can make them, with one all directors agree.
func TestPseudonyms(t *testing.T) {
	t.Parallel()
	a, b := newKeyer([]byte("s")), newKeyer([]byte("s"))
	own, other := newKeyer(nil), newKeyer(nil)
	if a.listener(epoch, german, 1) != b.listener(epoch, german, 1) {
		t.Error("two directors with one secret disagree on a pseudonym")
	}
	if own.listener(epoch, german, 1) == other.listener(epoch, german, 1) {
		t.Error("without a secret, pseudonyms can be made by anybody")
	}
	if own.placement(german, 1, "/m") != other.placement(german, 1, "/m") {
		t.Error("without a secret, directors disagree on placement")
	}
	v6 := netip.MustParseAddr("2001:db8:1:2::1")
	same := netip.MustParseAddr("2001:db8:1:2:ffff::1")
	next := netip.MustParseAddr("2001:db8:1:3::1")
	if k := a.placement(v6, 1, "/m"); k != a.placement(same, 1, "/m") || k == a.placement(next, 1, "/m") || k == a.placement(v6, 2, "/m") || k == a.placement(v6, 1, "/n") {
		t.Error("a Key is of the /64, the user agent and the mount")
	}
	if a.placement(german, 1, "/m") == a.placement(netip.MustParseAddr("203.0.113.8"), 1, "/m") {
		t.Error("neighbours over IPv4 share a Key")
	}
}

// TestExplain asks what a request would get, and then makes it.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Carrier = &fakeCarrier{room: true}
		c.Policy.Rules = []Rule{{Name: "box", UserAgent: "Box/*", Answer: PLS, Reason: "an old box"}}
	})
	for name, c := range map[string]struct {
		q    Question
		want Explanation
	}{
		"redirect": {
			Question{Addr: german, Path: "/live", UserAgent: "VLC/3"},
			Explanation{Mount: "/live.mp3", Escalate: "next: first", Answer: Redirect, Status: 302, Why: "no rule holds: the default"},
		},
		"https": {
			Question{Addr: german, Path: "/live.mp3", TLS: true},
			Explanation{Mount: "/live.mp3", Escalate: "next: first", Answer: Redirect, Status: 302, Why: "no rule holds: the default"},
		},
		"rule": {
			Question{Addr: german, Path: "/live.mp3", UserAgent: "Box/1"},
			Explanation{Mount: "/live.mp3", Rule: &RuleExplanation{Name: "box", Origin: OriginFile, Number: 1, Answer: PLS, Reason: "an old box"}, Escalate: "not for clients with a rule", Answer: PLS, Status: 200, Why: `rule "box"`},
		},
		"playlist": {
			Question{Addr: german, Path: "/live.mp3.m3u"},
			Explanation{Mount: "/live.mp3", Escalate: "next: first", Answer: M3U, Status: 200, Why: "the URL is a playlist's"},
		},
		"mismatch": {
			Question{Addr: german, Path: "/plain.mp3", TLS: true},
			Explanation{Mount: "/plain.mp3", Escalate: "next: first", Answer: Proxy, Status: 200, Why: "no node serves this mount in the listener's scheme", Inline: &InlineExplanation{Kbit: 128, Room: true}},
		},
		"denied": {
			Question{Addr: denied, Path: "/live.mp3"},
			Explanation{Mount: "/live.mp3", Escalate: "next: first", Answer: NoAnswer, Status: 451, Why: "this stream is not licensed for your region"},
		},
		"no mount": {
			Question{Addr: german, Path: "/nothing"},
			Explanation{Mount: "/nothing", Escalate: "next: first", Answer: NoAnswer, Status: 404, Why: "no such stream"},
		},
	} {
		got := w.Explain(c.q)
		opts := cmpopts.IgnoreFields(Explanation{}, "Client", "Location", "Decision")
		if diff := cmp.Diff(c.want, got, opts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got.Answer == Redirect {
			a := ask{url: c.q.Path, from: c.q.Addr, header: map[string]string{"User-Agent": c.q.UserAgent}}
			if c.q.TLS {
				a = overHTTPS().at(c.q.Path)
			}
			if loc := w.do(a).Header().Get("Location"); loc != got.Location || got.Decision.Node == "" || !strings.Contains(loc, string(got.Decision.Node)) {
				t.Errorf("%s: explained %s (%s), answered %s", name, got.Location, got.Decision.Node, loc)
			}
		}
	}
	w.cfg.Carrier = &fakeCarrier{}
	if got := w.Explain(Question{Addr: german, Path: "/plain.mp3", TLS: true}); got.Answer != NoAnswer || got.Status != 503 || got.Inline == nil || got.Inline.Room {
		t.Errorf("without room: %+v", got)
	}
	w.Explain(Question{Addr: addr(1), Path: "/live.mp3"})
	w.do(ask{url: "/live.mp3", from: addr(1)})
	if got := w.lastRecord().Step; got != "first" {
		t.Errorf("after explaining, a first request is %q", got)
	}
	if n := w.live.total(); n != 3 {
		t.Errorf("%d listeners counted; explaining counts nobody", n)
	}
	got := w.Explain(Question{Addr: balance, Path: "/live.mp3", Header: http.Header{"X-Forwarded-For": {"1.2.3.4, 203.0.113.7"}}})
	want := ClientExplanation{Addr: "203.0.113.7", Peer: "10.0.0.5", Taken: endClient.String(), Hops: 1, Scheme: "http", Place: "DE"}
	if diff := cmp.Diff(want, got.Client); diff != "" {
		t.Errorf("forwarded (-want +got):\n%s", diff)
	}
	w.view.Store(&director.View{})
	if got := w.Explain(Question{Addr: german, Path: "/live.mp3"}); got.Status != 503 {
		t.Errorf("without a snapshot: %+v", got)
	}
}
