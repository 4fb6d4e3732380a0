package web

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// What clients send as Accept: browsers that open a page; Chromium's, Firefox' and Safari's
// media elements; Java's URLConnection.
const (
	acceptPage    = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	acceptAny     = "*/*"
	acceptFirefox = "audio/webm,audio/ogg,audio/wav,audio/*;q=0.9,application/ogg;q=0.7,video/*;q=0.6,*/*;q=0.5"
	acceptJava    = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
)

// inline is what stands in the page itself.
var inline = regexp.MustCompile(`(?s)(<style>|<script>).*?(</style>|</script>)`)

func paged(c *Config) { c.Policy.Page = true }

func TestWhoGetsThePage(t *testing.T) {
	t.Parallel()
	withDefault := func(c *Config) { c.Policy.Page, c.Policy.DefaultMount = true, "/live.mp3" }
	off := func(c *Config) { c.Policy.DefaultMount = "/live.mp3" }
	for name, c := range map[string]struct {
		change func(*Config)
		url    string
		header map[string]string
		want   string
	}{
		"a browser":                           {paged, "/", map[string]string{"Accept": acceptPage}, "page"},
		"a browser, where / is a stream":      {withDefault, "/", map[string]string{"Accept": acceptPage}, "page"},
		"a browser that follows an ad":        {paged, "/?utm_source=x", map[string]string{"Accept": acceptPage}, "page"},
		"curl":                                {paged, "/", map[string]string{"Accept": acceptAny}, "page"},
		"no header at all":                    {paged, "/", nil, "page"},
		"curl, where / is a stream":           {withDefault, "/", map[string]string{"Accept": acceptAny}, "302"},
		"a media element":                     {paged, "/", map[string]string{"Accept": acceptFirefox}, "404"},
		"a media element, where / is one":     {withDefault, "/", map[string]string{"Accept": acceptFirefox}, "302"},
		"Java, where / is a stream":           {withDefault, "/", map[string]string{"Accept": acceptJava}, "302"},
		"a player":                            {paged, "/", map[string]string{"Icy-MetaData": "1"}, "404"},
		"a player that takes HTML, too":       {withDefault, "/", map[string]string{"Icy-MetaData": "1", "Accept": acceptPage}, "302"},
		"a player that is known":              {paged, "/", map[string]string{"User-Agent": "cmus/2.10"}, "404"},
		"a browser that wants stream 1":       {withDefault, "/?sid=1", map[string]string{"Accept": acceptPage}, "302"},
		"a browser that opens a stream":       {paged, "/live.mp3", map[string]string{"Accept": acceptPage}, "302"},
		"a browser and a playlist":            {paged, "/live.mp3.m3u", map[string]string{"Accept": acceptPage}, "playlist"},
		"a browser that errs":                 {paged, "/nothing", map[string]string{"Accept": acceptPage}, "page 404"},
		"a browser, where it is off the air":  {paged, "/off.mp3", map[string]string{"Accept": acceptPage}, "page 503"},
		"Java, where it is off the air":       {paged, "/off.mp3", map[string]string{"Accept": acceptJava}, "503"},
		"without page: a browser":             {nil, "/", map[string]string{"Accept": acceptPage}, "404"},
		"without page: a browser, a stream":   {off, "/", map[string]string{"Accept": acceptPage}, "302"},
		"without page: a browser that errs":   {nil, "/nothing", map[string]string{"Accept": acceptPage}, "404"},
		"a page of statistics is none for us": {paged, "/7.html", map[string]string{"Accept": acceptPage}, "statistics"},
	} {
		w := newWorld(t, c.change)
		rec := w.do(ask{url: c.url, header: c.header})
		body := rec.Body.String()
		got := strings.Fields(rec.Result().Status)[0]
		switch page := strings.HasPrefix(body, "<!doctype html>"); {
		case page && rec.Code == http.StatusOK:
			got = "page"
		case page:
			got = "page " + got
		case strings.HasPrefix(body, "#EXTM3U"):
			got = "playlist"
		case strings.HasPrefix(body, "<html><body>"):
			got = "statistics"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if page := strings.Contains(c.want, "page"); page && w.live.total() != 0 {
			t.Errorf("%s: counts as a listener", name)
		}
	}
}

// The pages as they stand on the wire, without style and script.
func TestPages(t *testing.T) {
	t.Parallel()
	browser := func(url string) ask { return ask{url: url, header: map[string]string{"Accept": acceptPage}} }
	for name, c := range map[string]struct {
		ask    ask
		change func(*Config)
		world  func(*world)
	}{
		"page":     {ask: browser("/")},
		"page_404": {ask: browser("/nothing")},
		"page_429": {ask: browser("/live.mp3"), world: func(w *world) { w.exhaust("/live.mp3") }},
		"page_451": {ask: ask{url: "/live.mp3", from: denied, header: map[string]string{"Accept": acceptPage}}},
		"page_503": {ask: browser("/live.mp3"), world: allFull("")},
		"page_titles": {ask: browser("/"), change: func(c *Config) { c.Policy.PageTitle = "Radio <b>Größe</b>" }, world: func(w *world) {
			w.fleet.Mounts = []director.Mount{{Name: "/live.mp3", Kbit: 128}, {Name: "//evil.example/x?y", Type: "audio/aac"}, {Name: `/"><script>`}}
			w.fleet.Nodes[1].Paths = nil
			w.reports(
				up("fra1", director.MountReport{Path: "/live.mp3", Listeners: 1, Type: "audio/mpeg", Name: "A node's name\x00", Title: `</p><script>alert(1)</script>`}),
				up("ber1", director.MountReport{Path: "//evil.example/x?y", Title: "x"}), up("ams1"))
		}},
		"page_discovered": {ask: browser("/"), world: func(w *world) {
			w.fleet.Mounts, w.fleet.Nodes[1].Paths = nil, nil
			w.reports(up("fra1", director.MountReport{Path: "/found.ogg", Type: "application/ogg; codecs=opus", Name: "Found"}))
		}},
		"page_public_url": {ask: browser("/"), change: func(c *Config) { c.Policy.PublicURL = "https://radio.example:8443" }, world: func(w *world) {
			w.fleet.Mounts, w.fleet.Nodes[1].Paths = nil, nil
			w.reports()
		}},
	} {
		w := newWorld(t, func(cfg *Config) {
			cfg.Policy.Page = true
			if c.change != nil {
				c.change(cfg)
			}
		})
		if c.world != nil {
			c.world(w)
		}
		rec := w.do(c.ask)
		whole := rec.Body.String()
		rec.Body.Reset()
		rec.Body.WriteString(inline.ReplaceAllString(whole, "$1$2"))
		rec.Header().Set("Content-Security-Policy", regexp.MustCompile(`sha256-[^']*`).ReplaceAllString(rec.Header().Get("Content-Security-Policy"), "sha256"))
		rec.Header().Del("Content-Length")
		golden(t, name, rec)
	}
}

// The page is made once for a snapshot, and again for a new one, and for a new policy.
func TestThePageIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, paged)
	page := func() *cachedPage {
		w.tick(time.Minute) // no rate limit
		w.get("/")
		return w.page.Load()
	}
	first := page()
	if first == nil || page() != first {
		t.Error("the page was made again for the same snapshot")
	}
	w.build()
	second := page()
	if second == first {
		t.Error("the page is of the snapshot before")
	}
	if err := w.SetPolicy(Policy{Page: true, PageTitle: "Another"}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page().body), "<h1>Another</h1>") {
		t.Error("the page is of the policy before")
	}
}
