package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	chromeAgent  = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	firefoxAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	safariAgent  = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)

// TestBrowsersToHTTPS: a rule that says https, without any condition, sends browsers there,
// and no player.
func TestBrowsersToHTTPS(t *testing.T) {
	t.Parallel()
	works := true
	w := newWorld(t, func(c *Config) {
		c.Policy.Rules = []Rule{{Name: "browsers", Answer: HTTPS}}
		c.Policy.HTTPSPort = 443
		c.HTTPSWorks = func(host string) bool { return works && host == "radio.example" }
	})
	languages := http.Header{"Accept-Language": {"de,en;q=0.5"}}
	media := http.Header{"Accept-Language": {"en-US"}, "Accept": {"*/*"}, "Range": {"bytes=0-"}}
	icy := http.Header{"Icy-Metadata": {"1"}}
	do := func(url, agent string, h http.Header) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, url, nil)
		r.RemoteAddr = german.String() + ":4711"
		if r.Header = h.Clone(); h == nil {
			r.Header = http.Header{}
		}
		if agent != "" {
			r.Header.Set("User-Agent", agent)
		}
		rec := httptest.NewRecorder()
		w.Handler().ServeHTTP(rec, r)
		return rec
	}
	to := func(url, agent string, h http.Header) string {
		t.Helper()
		w.tick(time.Minute) // each is a new visit
		a := do(url, agent, h)
		if a.Code != http.StatusFound {
			t.Fatalf("%s for %q: %d", url, agent, a.Code)
		}
		return a.Header().Get("Location")
	}
	for agent, h := range map[string]http.Header{chromeAgent: media, firefoxAgent: languages, safariAgent: languages} {
		if got, want := to("http://radio.example/live.mp3?a=b%20c", agent, h), "https://radio.example/live.mp3?a=b%20c"; got != want {
			t.Errorf("%s is sent to %s, want %s", agent, got, want)
		}
	}
	if rec := w.lastRecord(); rec.Answer != HTTPS || rec.Rule != "browsers" || rec.Decided {
		t.Errorf("the record is %+v", rec)
	}
	if n := w.live.total(); n != 0 {
		t.Errorf("%d listeners counted before they came by https", n)
	}
	for agent, h := range map[string]http.Header{
		// Players, as measured, and two that call themselves Mozilla.
		"": icy, "curl/7.88.1": nil, "libmpv": icy, "Lavf/59.27.100": icy, "VLC/3.0.24 LibVLC/3.0.24": nil,
		"GStreamer souphttpsrc 1.22.0 libsoup/3.2.3": icy, "Audacious/4.2 neon/0.32.5": nil, "Music Player Daemon 0.23.12": icy,
		"NSPlayer/4.1.0.3856": nil, "iTunes/12.9": icy, "WinampMPEG/5.66, Ultravox/2.1": icy, "Sonos/57.3 (ZPS1)": icy,
		"AppleCoreMedia/1.0.0.20G75 (iPhone; U; CPU OS 16_6)":          languages,
		"app/1 (Linux;Android 14) AndroidXMedia3/1.4.1":                languages,
		"Mozilla/5.0 (DirectFB; U; Linux) AppleWebKit/533.3 MAG200":    nil,
		"Mozilla/5.0 (compatible; InternetRadio)":                      languages,
		"Mozilla/4.0 (compatible; MSIE 6.0; RealPlayer)":               languages,
		chromeAgent + " with an app's player, which asks for metadata": {"Accept-Language": {"en"}, "Icy-Metadata": {"1"}},
	} {
		if got := to("http://radio.example/live.mp3", agent, h); strings.HasPrefix(got, "https://radio.example/") {
			t.Errorf("%q is sent to %s: players are never sent to https", agent, got)
		}
	}

	// It is left alone by https, at another name, and where https does not work.
	for _, url := range []string{"https://radio.example/live.mp3", "http://other.example/live.mp3", "http://192.0.2.1/live.mp3"} {
		if got := to(url, chromeAgent, media); strings.HasSuffix(strings.TrimSuffix(got, "/live.mp3"), "radio.example") || strings.Contains(got, "other.example") {
			t.Errorf("%s leads to %s", url, got)
		}
	}
	if a := do("http://radio.example/live.mp3.m3u", chromeAgent, languages); a.Code != http.StatusOK {
		t.Errorf("a playlist is answered %d", a.Code)
	}
	works = false
	if got := to("http://radio.example/live.mp3", chromeAgent, media); strings.HasPrefix(got, "https://radio.example") {
		t.Errorf("without a certificate that holds, a browser is sent to %s", got)
	}
	works = true
	e := w.Explain(Question{Addr: german, Path: "/live.mp3", UserAgent: chromeAgent, Header: languages})
	if e.Answer == HTTPS { // a question has no host
		t.Errorf("explain: %+v", e)
	}

	p := w.policy.Load().Policy
	p.HTTPSURL, p.HSTS = "https://radio.example:8443/", 180*24*time.Hour
	if err := w.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	if got, want := to("http://go.radio.example/live.mp3", chromeAgent, media), "https://radio.example:8443/live.mp3"; got != want {
		t.Errorf("with a public URL, a browser is sent to %s, want %s", got, want)
	}
	if e := w.Explain(Question{Addr: german, Path: "/live.mp3", UserAgent: chromeAgent, Header: languages}); e.Answer != HTTPS || e.Location != "https://radio.example:8443/live.mp3" || e.Status != http.StatusFound || e.Rule == nil {
		t.Errorf("explain: %+v", e)
	}
	for url, want := range map[string]string{"https://radio.example/live.mp3": "max-age=15552000", "http://radio.example/live.mp3": ""} {
		if got := do(url, "libmpv", nil).Header().Get("Strict-Transport-Security"); got != want {
			t.Errorf("%s: Strict-Transport-Security %q, want %q", url, got, want)
		}
	}
	p.HTTPSPort = 0
	if err := w.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	if got := to("http://radio.example/live.mp3", chromeAgent, media); strings.HasPrefix(got, "https://radio.example") {
		t.Errorf("without https, a browser is sent to %s", got)
	}
}
