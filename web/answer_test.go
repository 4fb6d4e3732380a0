package web

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/signpost-fm/signpost/director"
)

// TestAnswers shows each answer as it stands on the wire.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ask    ask
		change func(*Config)
		world  func(*world)
	}{
		"302":             {ask: ask{url: "/live.mp3?token=a%2Fb&x=1"}},
		"302_https":       {ask: overHTTPS().at("/live.mp3")},
		"302_unicode":     {ask: ask{url: "/studio/gr%C3%B6%C3%9Fe.ogg"}},
		"302_keepalive":   {ask: ask{url: "/live.mp3"}, change: func(c *Config) { c.Policy.KeepAlive = true }},
		"302_overflow":    {ask: ask{url: "/live.mp3?t=1"}, world: allFull("https://cdn.example{mount}")},
		"options":         {ask: ask{method: "OPTIONS", url: "/live.mp3"}},
		"m3u":             {ask: ask{url: "/live.mp3.m3u?t=1"}},
		"pls":             {ask: ask{url: "/live.mp3.pls"}},
		"xspf":            {ask: ask{url: "/live.mp3.xspf?a=1&b=<2>"}},
		"asx":             {ask: ask{url: "/live.mp3.asx?a=1&b=2"}},
		"json":            {ask: ask{url: "/live.mp3.json?a=1&b=2"}},
		"m3u_director":    {ask: ask{url: "/live.mp3.m3u?t=1"}, change: func(c *Config) { c.Policy.Entries = EntriesDirector }},
		"400":             {ask: ask{url: "/live.mp3%0d%0aLocation:%20evil"}},
		"403":             {ask: ask{url: "/live.mp3"}, change: func(c *Config) { c.Policy.Rules = []Rule{{Answer: Deny}} }},
		"404":             {ask: ask{url: "/nothing.mp3"}},
		"405":             {ask: ask{method: "POST", url: "/live.mp3"}},
		"429":             {ask: ask{url: "/live.mp3"}, world: func(w *world) { w.exhaust("/live.mp3") }},
		"451":             {ask: ask{url: "/live.mp3", from: denied}},
		"503_off_the_air": {ask: ask{url: "/off.mp3"}},
		"503_full":        {ask: ask{url: "/live.mp3"}, world: allFull("")},
		"503_starting":    {ask: ask{url: "/live.mp3"}, world: func(w *world) { w.view.Store(&director.View{}) }},
		"503_no_scheme":   {ask: overHTTPS().at("/plain.mp3"), change: func(c *Config) { c.Policy.SchemeMismatch = MismatchDeny }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.change)
			if c.world != nil {
				c.world(w)
			}
			rec := w.do(c.ask)
			golden(t, name, rec)
			paged := newWorld(t, func(cfg *Config) {
				if c.change != nil {
					c.change(cfg)
				}
				cfg.Policy.Page = true
			})
			if c.world != nil {
				c.world(paged)
			}
			golden(t, name, paged.do(c.ask)) // players get the same where browsers get pages
			if rec.Code == http.StatusOK && rec.Header().Get("Content-Type") == "text/plain; charset=utf-8" {
				t.Error("200 with text: a player takes it for audio")
			}
			if rec.Header().Get("Cache-Control") != "no-store" {
				t.Error("the answer may be cached")
			}
		})
	}
}

func allFull(overflow string) func(*world) {
	return func(w *world) {
		w.fleet.OverflowURL = overflow
		for _, n := range w.fleet.Nodes {
			w.full[n.ID] = true
		}
		w.build()
	}
}

// exhaust asks until the rate limit says no.
func (w *world) exhaust(url string) {
	for range 50 {
		if w.get(url).Code == http.StatusTooManyRequests {
			return
		}
	}
	w.t.Fatal("no rate limit")
}

// TestHEAD asks everything again with HEAD: the same headers, no body, and
// nothing counted.
func TestHEAD(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/live.mp3", "/live.mp3.m3u", "/live.mp3.json", "/nothing", "/off.mp3"} {
		w := newWorld(t, nil)
		head := w.do(ask{method: "HEAD", url: path})
		if n := w.live.total(); n != 0 {
			t.Errorf("HEAD %s counted %d listeners", path, n)
		}
		get := w.get(path)
		if head.Code != get.Code || head.Body.Len() != 0 {
			t.Errorf("HEAD %s: status %d, %d bytes; GET: %d", path, head.Code, head.Body.Len(), get.Code)
		}
		head.Header().Del("Retry-After")
		get.Header().Del("Retry-After")
		if d := diffHeaders(get, head); d != "" {
			t.Errorf("HEAD %s: %s", path, d)
		}
	}
}

func diffHeaders(want, got *httptest.ResponseRecorder) string {
	for k := range want.Header() {
		if got.Header().Get(k) != want.Header().Get(k) {
			return k + ": " + got.Header().Get(k) + ", want " + want.Header().Get(k)
		}
	}
	if len(got.Header()) != len(want.Header()) {
		return "another number of headers"
	}
	return ""
}

func TestCounting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asks []ask
		want int
	}{
		"redirect":               {asks: []ask{{url: "/live.mp3"}}, want: 1},
		"double open":            {asks: []ask{{url: "/live.mp3"}, {url: "/live.mp3"}}, want: 1},
		"alias is the same":      {asks: []ask{{url: "/live.mp3"}, {url: "/live"}}, want: 1},
		"another user agent":     {asks: []ask{{url: "/live.mp3"}, {url: "/live.mp3", header: map[string]string{"User-Agent": "b"}}}, want: 2},
		"probe":                  {asks: []ask{{url: "/live.mp3", header: map[string]string{"Range": "bytes=0-1"}}}},
		"range that is no probe": {asks: []ask{{url: "/live.mp3", header: map[string]string{"Range": "bytes=0-"}}}, want: 1},
		"playlist of nodes":      {asks: []ask{{url: "/live.mp3.pls"}}, want: 1},
		"not found":              {asks: []ask{{url: "/nothing"}}},
		"preflight":              {asks: []ask{{method: "OPTIONS", url: "/live.mp3"}}},
	} {
		w := newWorld(t, nil)
		for _, a := range c.asks {
			w.do(a)
		}
		if got := w.live.total(); got != c.want {
			t.Errorf("%s: %d listeners counted, want %d", name, got, c.want)
		}
	}
	w := newWorld(t, func(c *Config) { c.Policy.Entries = EntriesDirector })
	w.get("/live.mp3.m3u")
	if got := w.live.total(); got != 0 {
		t.Errorf("a playlist of the director's own URL counted %d listeners", got)
	}
}

// TestPlacement asks as many listeners and again: the same gets the same node.
func TestPlacement(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t, nil), newWorld(t, nil)
	seen := map[string]int{}
	for i := range 200 {
		a := ask{url: "/live.mp3", from: addr(i)}
		first := w.do(a).Header().Get("Location")
		if again := w.do(a).Header().Get("Location"); again != first {
			t.Fatalf("listener %d: %s, then %s", i, first, again)
		}
		if there := other.do(a).Header().Get("Location"); there != first {
			t.Fatalf("listener %d: %s at one director, %s at the other", i, first, there)
		}
		seen[first]++
	}
	for loc, n := range seen {
		if n < 60 {
			t.Errorf("%s got %d of 200 listeners, want about 100", loc, n)
		}
	}
}
