package web

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/visits"
)

// TestEscalation follows one listener that keeps coming back.
func TestEscalation(t *testing.T) {
	t.Parallel()
	const same, other, inline, any = "same", "other", "inline", "any"
	type visit struct {
		after float64 // seconds since the one before
		want  string  // same: the node of the first visit
		step  string
	}
	for name, c := range map[string]struct {
		escalate Escalate
		visits   []visit
	}{
		"double opens":              {EscalateNext, []visit{{0, same, "first"}, {0.01, same, "again"}, {2.9, same, "again"}}},
		"comes back":                {EscalateNext, []visit{{0, same, "first"}, {5, other, "next"}, {0.5, other, "again"}}},
		"and back again":            {EscalateNext, []visit{{0, same, "first"}, {5, other, "next"}, {6, same, "next"}}},
		"later":                     {EscalateNext, []visit{{0, same, "first"}, {15.1, same, "first"}, {60, same, "first"}}},
		"later after an escalation": {EscalateNext, []visit{{0, same, "first"}, {5, other, "next"}, {20, same, "first"}}},
		"inline":                    {EscalateInline, []visit{{0, same, "first"}, {5, other, "next"}, {6, inline, "inline"}, {1, inline, "again"}, {14, inline, "inline"}}},
		"a crowd":                   {EscalateInline, []visit{{0, same, "first"}, {3.1, other, "next"}, {3.1, inline, "inline"}, {3.1, any, "crowd"}, {0, any, "crowd"}}},
		"observe":                   {EscalateObserve, []visit{{0, same, "first"}, {5, same, "next"}, {6, same, "next"}}},
		"off":                       {EscalateOff, []visit{{0, same, ""}, {5, same, ""}}},
	} {
		carrier := &fakeCarrier{room: true}
		w := newWorld(t, func(cfg *Config) { cfg.Policy.Escalate, cfg.Carrier = c.escalate, carrier })
		first := ""
		for i, v := range c.visits {
			w.tick(time.Duration(v.after * float64(time.Second)))
			w.build() // the nodes have been asked
			// A probe and a HEAD in between change nothing.
			w.do(ask{method: http.MethodHead, url: "/live.mp3"})
			w.do(ask{url: "/live.mp3", header: map[string]string{"Range": "bytes=0-1"}})
			rec := w.get("/live.mp3")
			loc := rec.Header().Get("Location")
			if i == 0 {
				first = loc
			}
			got := other
			if loc == first {
				got = same
			} else if rec.Code == http.StatusOK {
				got = inline
			}
			if got != v.want && v.want != any || w.lastRecord().Step != v.step {
				t.Errorf("%s, visit %d: %s (%s), want %s (%s)", name, i, got, w.lastRecord().Step, v.want, v.step)
			}
		}
	}
}

// TestEscalationOnTheWire: a stream is not begun by package quick, which passes the
// request on. It is one visit all the same.
func TestEscalationOnTheWire(t *testing.T) {
	t.Parallel()
	carrier := &fakeCarrier{room: true}
	w := newWorld(t, func(c *Config) { c.Policy.Escalate, c.Carrier = EscalateInline, carrier })
	addr := w.serve()
	for i, want := range []Record{{Status: 302, Step: "first"}, {Status: 302, Step: "next"}, {Status: 200, Step: "inline", Bytes: 5}} {
		w.tick(4 * time.Second)
		raw(t, addr, "GET /live.mp3 HTTP/1.1\r\nHost: x\r\nUser-Agent: Radio/1\r\nConnection: close\r\n\r\n")
		if r := w.lastRecord(); r.Status != want.Status || r.Step != want.Step || r.Bytes != want.Bytes {
			t.Errorf("visit %d: %d %s, %d bytes, want %d %s, %d", i, r.Status, r.Step, r.Bytes, want.Status, want.Step, want.Bytes)
		}
	}
	text := exposition(t, w.Collector())
	for _, line := range []string{
		`signpost_client_requests_total{client="Radio",step="first"} 1`,
		`signpost_client_requests_total{client="Radio",step="next"} 1`,
		`signpost_client_requests_total{client="Radio",step="inline"} 1`,
		`signpost_responses_total{code="200"} 1`,
		`signpost_responses_total{code="302"} 2`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("metrics lack %s", line)
		}
	}
}

// TestStraightBack: who comes straight back is not sent where it comes from, before
// that node has been asked how it is; whatever rule it has. A double open is no return,
// and a relay never opens a stream twice.
func TestStraightBack(t *testing.T) {
	t.Parallel()
	const asked = true
	type visit struct {
		after float64 // seconds since the one before
		asked bool    // whether all nodes are asked before it
		want  string  // which of the nodes, in the order in which it was sent there
	}
	for name, c := range map[string]struct {
		ua       string
		escalate Escalate
		visits   []visit
	}{
		"cmus opens twice":         {"cmus/v2.10.0", "", []visit{{0, false, "a"}, {0.3, false, "a"}, {20, false, "a"}}},
		"cmus comes back":          {"cmus/v2.10.0", "", []visit{{0, false, "a"}, {5, false, "b"}, {0.3, false, "b"}, {5, false, "c"}, {5, asked, "a"}}},
		"no longer":                {"cmus/v2.10.0", "", []visit{{0, false, "a"}, {15.1, false, "a"}}},
		"without a rule":           {"Radio/1", "", []visit{{0, false, "a"}, {5, false, "b"}, {5, false, "c"}}},
		"asked meanwhile":          {"Radio/1", "", []visit{{0, false, "a"}, {5, false, "b"}, {5, asked, "a"}}},
		"a relay":                  {"Icecast 2.4.4", "", []visit{{0, false, "a"}, {1.2, false, "b"}, {1.2, false, "c"}, {1.2, asked, "a"}, {1.2, asked, "b"}}},
		"a relay, escalate off":    {"Icecast 2.4.4", EscalateOff, []visit{{0, false, "a"}, {1.2, false, "b"}}},
		"observed only":            {"Radio/1", EscalateObserve, []visit{{0, false, "a"}, {5, false, "a"}}},
		"with a rule, observed":    {"cmus/v2.10.0", EscalateObserve, []visit{{0, false, "a"}, {5, false, "a"}}},
		"with a rule, none noted":  {"cmus/v2.10.0", EscalateOff, []visit{{0, false, "a"}, {5, false, "a"}}},
		"a relay while it is busy": {"Icecast 2.4.4", "", []visit{{0, false, "a"}, {2, asked, "b"}, {2, asked, "a"}, {2, asked, "b"}, {2, asked, "a"}}},
	} {
		w := newWorld(t, func(cfg *Config) { cfg.Policy.Escalate = c.escalate })
		names := map[director.NodeID]string{}
		for i, v := range c.visits {
			w.tick(time.Duration(v.after * float64(time.Second)))
			if v.asked {
				w.build()
			}
			w.do(ask{url: "/live.mp3", header: map[string]string{"User-Agent": c.ua}})
			node := w.lastRecord().Node
			if names[node] == "" {
				names[node] = string(rune('a' + len(names)))
			}
			if got := names[node]; got != v.want {
				t.Errorf("%s, visit %d: sent to %s, want %s", name, i, got, v.want)
			}
		}
	}
}

// TestFastRetriers: a device that cannot play at its node tries again once or twice a
// second. It does not get that node for ever, and with escalate: inline the stream.
func TestFastRetriers(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{300 * time.Millisecond, 500 * time.Millisecond, time.Second, 1700 * time.Millisecond, 2 * time.Second} {
		for escalate, want := range map[Escalate]string{EscalateNext: "302 next", EscalateInline: "200 inline"} {
			w := newWorld(t, func(cfg *Config) { cfg.Policy.Escalate, cfg.Carrier = escalate, &fakeCarrier{room: true} })
			var last, before Record
			for i := range 12 {
				if i%2 == 0 {
					w.tick(every + every/5) // nobody is that even
				} else {
					w.tick(every)
				}
				w.get("/live.mp3")
				before, last = last, w.lastRecord()
			}
			if got := fmt.Sprint(last.Status, " ", last.Step); got != want || escalate == EscalateNext && last.Node == before.Node {
				t.Errorf("every %v, escalate %s: in the end %s, at %s after %s; want %s", every, escalate, got, last.Node, before.Node, want)
			}
		}
	}
}

// TestParts: a player that reloads an HLS or DASH playlist here plays, and stays at its
// node; it is one listener. Such a stream is not carried inline.
func TestParts(t *testing.T) {
	t.Parallel()
	for _, m := range []director.Mount{{Name: "/hls/live.m3u8"}, {Name: "/dash/live.mpd"}, {Name: "/hls/1.ts"}, {Name: "/hls", Type: "application/vnd.apple.mpegurl"}} {
		told := &witness{networks: map[uint64]int{}}
		w := newWorld(t, func(c *Config) {
			c.Evidence, c.Carrier, c.Policy.Escalate = told.tell, &fakeCarrier{room: true}, EscalateInline
			c.Policy.Rules = []Rule{{UserAgent: "Deaf/*", Answer: Proxy}, {UserAgent: "Hard/*", Answer: Proxy, OrRedirect: true}}
		})
		w.fleet.Mounts = append(w.fleet.Mounts, m)
		w.build()
		node := director.NodeID("")
		for i := range 30 {
			w.tick([]time.Duration{2 * time.Second, 4 * time.Second, 6 * time.Second}[i%3])
			w.build()
			rec := w.get(m.Name)
			if r := w.lastRecord(); rec.Code != 302 || node != "" && r.Node != node || r.Step != "" {
				t.Fatalf("%s, reload %d: %d to %s after %s, step %q", m.Name, i, rec.Code, r.Node, node, r.Step)
			}
			node = w.lastRecord().Node
		}
		if n := w.live.total(); n != 1 || told.take() != "" {
			t.Errorf("%s: counted as %d listeners, evidence %q", m.Name, n, told.take())
		}
		as := func(ua string) (int, string) {
			rec := w.do(ask{url: m.Name, header: map[string]string{"User-Agent": ua}})
			return rec.Code, rec.Body.String()
		}
		if code, body := as("Deaf/1"); code != 501 || !strings.Contains(body, "HLS and DASH are not sent inline") {
			t.Errorf("%s, inline by a rule: %d %s", m.Name, code, body)
		}
		if code, _ := as("Hard/1"); code != 302 {
			t.Errorf("%s, inline or a redirect: %d", m.Name, code)
		}
		if e := w.Explain(Question{Addr: german, Path: m.Name, UserAgent: "Deaf/1"}); e.Status != 501 || e.Inline != nil {
			t.Errorf("%s: explained as %+v", m.Name, e)
		}
	}
}

// TestCrowd: many listeners behind one address, with one player, are spread by weight.
func TestCrowd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Policy.PerKey, c.Policy.PerAddress = -1, -1 })
	w.fleet.Regions[0].Row = []director.Weight{{Node: "fra1", Weight: 3, Given: true}, {Node: "ber1", Weight: 1, Given: true}}
	w.build()
	sent := map[director.NodeID]int{}
	dice := rand.New(rand.NewPCG(1, 2))
	const n = 4000
	for range n {
		w.tick(time.Duration(dice.ExpFloat64() * float64(100*time.Millisecond)))
		w.get("/live.mp3")
		sent[w.lastRecord().Node]++
	}
	// A binomial distribution's deviation is 27 here; a part of the requests still come
	// as if from one.
	if got := sent["fra1"]; got < n*3/4-300 || got > n*3/4+300 {
		t.Errorf("sent %v, want about 3 to 1", sent)
	}
	// One listener is not a crowd.
	w.tick(time.Minute)
	one := ask{url: "/live.mp3", header: map[string]string{"User-Agent": "Radio/1"}}
	w.do(one)
	node := w.lastRecord().Node
	for range 20 {
		w.tick(time.Minute)
		if w.do(one); w.lastRecord().Node != node {
			t.Fatalf("sent to %s, and before that to %s", w.lastRecord().Node, node)
		}
	}
}

func TestFamiliesInMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Policy.PerAddress = -1 })
	for i := range 300 {
		w.do(ask{url: "/live.mp3", header: map[string]string{"User-Agent": fmt.Sprintf("Box%d/1.0", i)}})
	}
	box := ask{url: "/live.mp3", header: map[string]string{"User-Agent": "Box7/1.0"}}
	w.tick(5 * time.Second)
	w.do(box)
	text := exposition(t, w.Collector())
	if n := strings.Count(text, "\nsignpost_client_requests_total{"); n != (maxFamilies+1)*visits.NumSteps {
		t.Errorf("%d series, want %d: memory is not bounded", n, (maxFamilies+1)*visits.NumSteps)
	}
	for _, line := range []string{
		`signpost_client_requests_total{client="Box7",step="next"} 1`,
		`signpost_client_requests_total{client="other",step="first"} 100`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

func TestFamilyName(t *testing.T) {
	t.Parallel()
	for ua, want := range map[string]string{
		"": "none", "VLC/3.0.24 LibVLC/3.0.24": "VLC", "MPlayer UNKNOWN-12": "MPlayer", "/x": "other",
		strings.Repeat("x", 41): "other", "gr\xc3\xb6\xc3\x9fe/1": "other", "a\x01": "other",
	} {
		if got := familyName(ua); got != want {
			t.Errorf("%q: %q, want %q", ua, got, want)
		}
	}
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Policy.KeepAlive = true })
	refused := func(n int, a func(i int) ask) (count int) {
		for i := range n {
			if rec := w.do(a(i)); rec.Code == http.StatusTooManyRequests {
				count++
				if rec.Header().Get("Connection") != "close" || rec.Header().Get("Retry-After") == "" {
					t.Errorf("429 with headers %v", rec.Header())
				}
			}
		}
		return count
	}
	same := func(int) ask { return ask{url: "/live.mp3"} }
	if got := refused(15, same); got != 5 {
		t.Errorf("one Key, 15 at once: %d refused, want 5", got)
	}
	w.tick(500 * time.Millisecond)
	if got := refused(15, same); got != 10 {
		t.Errorf("half a second later, 15 more: %d refused, want 10", got)
	}
	w.tick(time.Minute)
	nat := func(i int) ask {
		return ask{url: "/live.mp3", header: map[string]string{"User-Agent": fmt.Sprint(i)}}
	}
	if got := refused(300, nat); got != 100 {
		t.Errorf("300 devices behind one address at once: %d refused, want 100", got)
	}
	if got := refused(300, func(i int) ask { return ask{url: "/live.mp3", from: addr(i)} }); got > 1 {
		t.Errorf("300 listeners with addresses of their own: %d refused", got)
	}
	if got := refused(300, func(int) ask { return ask{url: "/live.mp3", from: balance} }); got != 0 {
		t.Errorf("the balancer's own checks: %d refused", got)
	}
	if err := w.SetPolicy(Policy{PerKey: -1, PerAddress: -1}); err != nil {
		t.Fatal(err)
	}
	if got := refused(300, same); got != 0 {
		t.Errorf("without limits: %d refused", got)
	}
}
