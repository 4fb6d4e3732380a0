package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

func TestParseRule(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Rule{
		`{}`: {},
		`{"name":"box","user_agent":"Box/*","answer":"pls","reason":"old"}`: {Name: "box", UserAgent: "Box/*", Answer: PLS, Reason: "old"},
		`{"user_agent_regexp":"^a+","http":"1.0","answer":"proxy","http_only":true,"same_scheme":true,"icy":true,"or_redirect":true}`: {
			UserAgentRegexp: "^a+", HTTP: "1.0", Answer: Proxy, HTTPOnly: true, SameScheme: true, ICY: true, OrRedirect: true,
		},
		`{"headers":[{"name":"User-Agent","absent":true},{"name":"Icy-MetaData","glob":"1"}],"answer":"deny"}`: {
			Headers: []HeaderMatch{{Name: "User-Agent", Absent: true}, {Name: "Icy-MetaData", Glob: "1"}}, Answer: Deny,
		},
	} {
		got, err := ParseRule([]byte(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
		back, err := json.Marshal(got)
		again, err2 := ParseRule(back)
		if diff := cmp.Diff(got, again); err != nil || err2 != nil || diff != "" {
			t.Errorf("%s: %v, %v, written and read again it differs:\n%s", text, err, err2, diff)
		}
	}
	for text, want := range map[string]string{
		``:                                "JSON object",
		`[]`:                              "JSON object",
		`{"agent":"x"}`:                   `unknown field "agent"`,
		`{"User_Agent":"x"}`:              "User_Agent: write it user_agent",
		`{"answer":"m3u","answer":"pls"}`: "answer occurs twice",
		`{"answer":"teapot"}`:             "is not an answer",
		`{"answer":"json"}`:               "answer: use redirect",
		`{"user_agent":"a\\"}`:            "user_agent: pattern ends",
		`{"http":"3","icy":1}`:            "cannot unmarshal",
		`{"http":"3"} {}`:                 "something follows",
		`{"http":"3"}`:                    `http: "3" is not`,
		`{"headers":[{"name":""}]}`:       "headers[0].name",
		`{"user_agent_regexp":"("}`:       "user_agent_regexp",
	} {
		if _, err := ParseRule([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// Whatever is read as a rule can be written and is the same rule again.
func FuzzParseRule(f *testing.F) {
	for _, r := range ShippedRules() {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"HEADERS":[{"name":"a","glob":"\\*"}],"answer":"deny","name":"\u0000"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", r, err)
		}
		again, err := ParseRule(b)
		if diff := cmp.Diff(r, again); err != nil || diff != "" {
			t.Fatalf("%s: %v\n%s", b, err, diff)
		}
	})
}

// hitsOf returns the rules that were hit, in order of precedence.
func hitsOf(s *Server) string {
	var out []string
	for _, u := range s.RuleUses() {
		if u.Hits > 0 {
			out = append(out, fmt.Sprintf("%s %s%s %d", u.Origin, u.ID, u.Name, u.Hits))
		}
	}
	return strings.Join(out, ", ")
}

// TestARuleHoldsOnce: a stream is planned in package quick and carried in net/http, and
// its rule has held once.
func TestARuleHoldsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Carrier = &fakeCarrier{room: true}
		c.Policy.Rules = []Rule{{Name: "deaf", UserAgent: "Deaf/*", Answer: Proxy}}
	})
	addr := w.serve()
	for range 3 {
		w.tick(time.Minute)
		if got := raw(t, addr, "GET /live.mp3 HTTP/1.1\r\nHost: x\r\nUser-Agent: Deaf/1\r\nConnection: close\r\n\r\n"); !strings.Contains(got, "audio") {
			t.Errorf("not carried: %q", got)
		}
	}
	if diff := cmp.Diff("file deaf 3", hitsOf(w.Server)); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
}

func TestRuleHits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	policy := func(overlay ...Rule) {
		t.Helper()
		file := []Rule{{Name: "box", UserAgent: "Box/*", Answer: PLS}, {UserAgent: "Nameless/*", Answer: M3U}}
		if err := w.SetPolicy(Policy{Overlay: overlay, Rules: file}); err != nil {
			t.Fatal(err)
		}
	}
	as := func(ua string) int {
		w.tick(time.Minute)
		return w.do(ask{url: "/live.mp3", header: map[string]string{"User-Agent": ua}}).Code
	}
	policy()
	for _, ua := range []string{"Box/1", "Box/2", "Nameless/1", "cmus/v2", "VLC/3"} {
		as(ua)
	}
	w.do(ask{method: http.MethodHead, url: "/live.mp3", header: map[string]string{"User-Agent": "Box/1"}})
	w.Explain(Question{Addr: german, Path: "/live.mp3", UserAgent: "Box/1"})
	if diff := cmp.Diff("file box 2, file  1, shipped cmus 1", hitsOf(w.Server)); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
	policy(Rule{ID: "no-box", UserAgent: "Box/*", Answer: Deny})
	if code := as("Box/1"); code != http.StatusForbidden {
		t.Errorf("with a rule made at run time: %d, want 403", code)
	}
	if e := w.Explain(Question{Addr: german, Path: "/live.mp3", UserAgent: "Box/1"}); e.Rule == nil || e.Rule.Name != "no-box" || e.Rule.Origin != OriginOverlay {
		t.Errorf("explained as %+v", e.Rule)
	}
	policy(Rule{ID: "first", UserAgent: "x"}, Rule{ID: "no-box", UserAgent: "Box/?", Answer: Deny})
	as("Box/1")
	if diff := cmp.Diff("overlay no-box 2, file box 2, file  1, shipped cmus 1", hitsOf(w.Server)); diff != "" {
		t.Errorf("hits under other policies (-want +got):\n%s", diff)
	}
	policy()
	if code := as("Box/1"); code != http.StatusOK {
		t.Errorf("without it again: %d", code)
	}
	if err := w.SetPolicy(Policy{Overlay: []Rule{{HTTP: "3"}}}); err == nil || !strings.Contains(err.Error(), "overlay[0].http") {
		t.Errorf("a mistake in it: %v", err)
	}
}

// TestClients: who comes back again and again is suspect, and a rule made of the
// suggestion takes it off the list.
func TestClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Carrier = &fakeCarrier{room: true} })
	visit := func(ua string, from int, after ...time.Duration) {
		for _, d := range append(after, time.Minute) {
			h := map[string]string{}
			if ua != "" {
				h["User-Agent"] = ua
			}
			w.do(ask{url: "/live.mp3", from: addr(from), header: h})
			w.tick(d)
		}
	}
	retry := 5 * time.Second
	tv := "Mozilla/5.0 (SmartTV; *) Tizen"
	for i := range 6 {
		visit("VLC/3.0.20 LibVLC", i)
		visit("cmus/2", i, retry, retry)                 // a rule holds
		visit("Twice/1", i, 100*time.Millisecond)        // a double open
		visit("Radio Box/1.0", i, retry, retry, retry)   // cannot follow
		visit("", i, retry)                              // nor can it
		visit(tv, i, retry, retry)                       // nor that
		visit("\xff\x01", i, retry, retry, retry, retry) // nor can whoever this is
	}
	for i := range 20 {
		visit("Fine/1", i, []time.Duration{retry, time.Minute, time.Minute}[i%3]) // a dead node, now and then
	}
	visit("Loop/7", 1, slices.Repeat([]time.Duration{time.Second}, 40)...)
	got := map[string]ClientUse{}
	var order []string
	for _, c := range w.Clients() {
		got[c.Family] = c
		order = append(order, c.Family)
	}
	if diff := cmp.Diff([]string{"Loop", "other", "Radio", "Mozilla", "none", "Fine", "Twice", "VLC"}, order); diff != "" {
		t.Fatalf("families (-want +got):\n%s", diff)
	}
	for family, want := range map[string]*Rule{
		"VLC":     {UserAgent: "VLC/*"},
		"Radio":   {UserAgent: "Radio *"},
		"Mozilla": {UserAgent: `Mozilla/5.0 (SmartTV; \*) Tizen`},
		"none":    {Headers: []HeaderMatch{{Name: "User-Agent", Absent: true}}},
		"other":   nil,
		"Loop":    {UserAgent: "Loop/*"},
	} {
		c := got[family]
		if suspect := family != "VLC"; c.Suspect != suspect || (c.Why != "") != suspect {
			t.Errorf("%s: suspect %v, %q", family, c.Suspect, c.Why)
		}
		if want != nil {
			want.Name, want.Answer, want.OrRedirect, want.Reason = family, Proxy, true, c.Why
		}
		if diff := cmp.Diff(want, c.Suggestion); diff != "" {
			t.Errorf("%s: suggestion (-want +got):\n%s", family, diff)
		}
	}
	if c := got["Radio"]; c.Example != "Radio Box/1.0" || c.Requests != 24 || c.First != 6 || c.Next == 0 || got["Twice"].Again != 6 || got["Twice"].Suspect || got["Fine"].Next < suspectBack || got["Fine"].Suspect {
		t.Errorf("%+v, %+v", c, got["Twice"])
	}
	if err := w.SetPolicy(Policy{Overlay: []Rule{*got["Radio"].Suggestion, *got["Mozilla"].Suggestion}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.Clients() {
		if c.Family == "Radio" || c.Family == "Mozilla" {
			t.Errorf("%s has a rule now, and is still listed", c.Family)
		}
	}
	w.tick(time.Hour)
	if rec := w.do(ask{url: "/live.mp3", header: map[string]string{"User-Agent": "Radio Box/2"}}); rec.Code != http.StatusOK {
		t.Errorf("by its rule it gets %d", rec.Code)
	}
}

func TestTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for i := range 20 {
		w.do(ask{url: "/live.mp3", from: addr(i)})
		w.do(ask{url: "/live.mp3", from: addr(i)}) // the same listener
	}
	w.do(ask{url: "/live.mp3.m3u", from: addr(50)}) // counts as one, too
	w.do(ask{url: "/live.mp3", from: denied})
	got := w.Traffic()
	sent := w.Sent()["home"]
	if sent["fra1"]+sent["ber1"] != 21 || sent["fra1"] == 0 || len(w.Sent()) != 1 {
		t.Errorf("sent %v", w.Sent())
	}
	want := Traffic{
		Answers:  map[string]uint64{"redirect": 40, "m3u": 1, "none": 1},
		Outcomes: map[string]uint64{"placed": 41, "denied": 1},
		Nodes:    sent,
		Regions:  map[director.RegionID]uint64{"home": 21},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
