package origin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls"
)

const multivariant = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=128000,CODECS=\"mp4a.40.2\"\n128/index.m3u8\n"

// A rig is some origins, and a Reader that reads them.
type rig struct {
	*Reader
	t     *testing.T
	fleet director.Config
	view  director.View
	mu    sync.Mutex
	asked []string // "fra1 If-None-Match"
}

// newRig starts a server for each answer, by node.
func newRig(t *testing.T, answers map[string]http.HandlerFunc, change ...func(*rig)) *rig {
	t.Helper()
	g := &rig{t: t, fleet: director.Config{Mounts: []director.Mount{{Name: "/live.m3u8"}, {Name: "/icy.mp3"}}}}
	reports := map[director.NodeID]director.Report{}
	for id, answer := range answers {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.mu.Lock()
			g.asked = append(g.asked, strings.TrimSpace(id+" "+r.Header.Get("If-None-Match")+r.Header.Get("If-Modified-Since")))
			g.mu.Unlock()
			answer(w, r)
		}))
		t.Cleanup(s.Close)
		n := director.NodeID(id)
		g.fleet.Nodes = append(g.fleet.Nodes, director.Node{
			ID: n, URLs: []string{"http://" + id + ".example:8000", "https://" + id + ".example"}, InternalURL: s.URL,
			Paths: map[string]string{"/live.m3u8": "/hls/master.m3u8"},
		})
		reports[n] = director.Report{Node: n, Health: director.Up, AnyMount: true}
	}
	f, err := director.Compile(g.fleet)
	if err != nil {
		t.Fatal(err)
	}
	g.view = director.View{Snapshot: f.Build(nil, director.Input{Now: time.Now(), Reports: reports})}
	g.Reader = New(Config{
		View:  func() director.View { return g.view },
		Wants: func(m *director.Mount) bool { return m.Name == "/live.m3u8" },
		Log:   slog.New(slog.DiscardHandler),
	})
	g.keep, g.keepMedia, g.retry, g.firstTime = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond, time.Hour
	for _, c := range change {
		c(g)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return g
}

// until waits for what has to come.
func (g *rig) until(what string, ok func() bool) {
	g.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatalf("not within a minute: %s; refusals %+v, mount %+v", what, g.Refusals(), g.Mount("/live.m3u8", director.HTTP))
		}
	}
}

func (g *rig) refused(node, text string) bool {
	return slices.ContainsFunc(g.Refusals(), func(r Refusal) bool { return string(r.Node) == node && strings.Contains(r.Text, text) })
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// TestFirst: a director is ready once all nodes' playlists were read or refused, or one of
// them takes too long.
func TestFirst(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	defer close(answer)
	answers := map[string]http.HandlerFunc{
		"fra1": says(multivariant), "html": says("<html>"),
		"slow": func(w http.ResponseWriter, _ *http.Request) { <-answer; fmt.Fprint(w, multivariant) },
	}
	first := func(g *rig) bool {
		select {
		case <-g.First():
			return true
		default:
			return false
		}
	}
	g := newRig(t, answers)
	g.until("two are known", func() bool {
		m := g.Mount("/live.m3u8", director.HTTP)
		return m != nil && len(m.Playlists) == 1 && g.refused("html", "begins with")
	})
	if first(g) {
		t.Error("it is ready before the slow node was read")
	}
	answer <- struct{}{}
	g.until("it is ready", func() bool { return first(g) })
	if m := g.Mount("/live.m3u8", director.HTTP); len(m.Playlists) != 2 {
		t.Errorf("it is ready, and knows %+v", m)
	}
	hasty := newRig(t, answers, func(g *rig) { g.firstTime = 10 * time.Millisecond })
	hasty.until("it waits no longer", func() bool { return first(hasty) })
}

// TestReads: what nodes have is told with listeners' URLs, and what cannot be used with the
// reason.
func TestReads(t *testing.T) {
	t.Parallel()
	g := newRig(t, map[string]http.HandlerFunc{
		"ber1": says(multivariant),
		"fra1": says(multivariant),
		"html": says("<html><body>It works!</body></html>"),
		"none": http.NotFound,
		"endless": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "#EXTM3U\n")
			for line := []byte(strings.Repeat("#EXT-X-MORE\n", 1000)); ; {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		},
		"other": says(strings.Replace(multivariant, "mp4a.40.2", "opus", 1)),
		"media": says("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n#EXTINF:2,\n1.ts\n"),
		"loop":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
	})
	for node, text := range map[string]string{
		"html": "begins with", "none": "404", "endless": "more than 4 MiB", "other": "unlike ber1", "media": "a media playlist here instead of a multivariant", "loop": "redirects",
	} {
		g.until(node+" is refused: "+text, func() bool { return g.refused(node, text) })
	}
	for scheme, base := range map[director.Scheme]string{director.HTTP: "http://fra1.example:8000/hls/", director.HTTPS: "https://fra1.example/hls/"} {
		m := g.Mount("/live.m3u8", scheme)
		if m.Kind != Multivariant || len(m.Playlists) != 2 || len(m.Others) != 6 || !slices.Equal(m.Odd, []director.NodeID{"media", "other"}) {
			t.Errorf("%v: %+v", scheme, m)
		}
		if got := written(t, m, "fra1"); !strings.Contains(got, base+"128/index.m3u8") {
			t.Errorf("%v: variants are not below %s:\n%s", scheme, base, got)
		}
	}
	if g.Mount("/icy.mp3", director.HTTP) != nil {
		t.Error("an ordinary stream was read")
	}
}

// TestRedirected: what an origin has elsewhere is found there.
func TestRedirected(t *testing.T) {
	t.Parallel()
	cdn := httptest.NewServer(says(multivariant))
	defer cdn.Close()
	g := newRig(t, map[string]http.HandlerFunc{"fra1": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, cdn.URL+"/far/live.m3u8", http.StatusFound)
	}})
	g.until("the playlist", func() bool { m := g.Mount("/live.m3u8", director.HTTP); return m != nil && m.Kind == Multivariant })
	if got := written(t, g.Mount("/live.m3u8", director.HTTP), "fra1"); !strings.Contains(got, cdn.URL+"/far/128/index.m3u8") {
		t.Error(got)
	}
}

// TestKeepsTheLastGood: a node whose playlist cannot be read keeps the one it had, and says
// why; it is asked whether it has another one, and not for all of it again.
func TestKeepsTheLastGood(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	state := "good"
	g := newRig(t, map[string]http.HandlerFunc{"fra1": func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case "bad":
			http.Error(w, "later", http.StatusBadGateway)
		case "good":
			w.Header().Set("Etag", `"1"`)
			if r.Header.Get("If-None-Match") == `"1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, multivariant)
		case "changed":
			fmt.Fprint(w, strings.Replace(multivariant, "128/", "other/", 1))
		}
	}})
	set := func(s string) { mu.Lock(); state = s; mu.Unlock() }
	has := func(text string) bool {
		m := g.Mount("/live.m3u8", director.HTTP)
		return m != nil && m.Playlists["fra1"] != nil && strings.Contains(written(t, m, "fra1"), text)
	}
	g.until("the playlist", func() bool { return has("/128/") })
	g.until("a conditional request", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return slices.Contains(g.asked, `fra1 "1"`)
	})
	set("bad")
	g.until("a refusal", func() bool { return g.refused("fra1", "502") })
	if !has("/128/") {
		t.Error("the last good one was lost")
	}
	set("changed")
	g.until("the new playlist", func() bool { return has("/other/") })
	if len(g.Refusals()) != 0 {
		t.Errorf("still refused: %+v", g.Refusals())
	}
}

// live is an MPD of a packager that was started at a time.
func live(start string, number int) string {
	return fmt.Sprintf(`<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" availabilityStartTime="%s" minimumUpdatePeriod="PT2S"><Period id="0"><AdaptationSet><Representation id="a" bandwidth="64000">`+
		`<SegmentTemplate media="$Number$.m4s" startNumber="%d"><SegmentTimeline><S t="%d" d="2" r="2"/></SegmentTimeline></SegmentTemplate></Representation></AdaptationSet></Period></MPD>`, start, number, 2*number)
}

// TestMPD: players of DASH are moved between nodes with the same segments. Where each node has a
// packager of its own they are not, and the reason is told.
func TestMPD(t *testing.T) {
	t.Parallel()
	const start, later = "2026-01-01T00:00:00Z", "2026-01-01T00:00:07Z"
	for name, c := range map[string]struct {
		mpds map[string]string
		kind Kind
		have string // the nodes between which players are moved
		odd  string // the node of a refusal; empty: there is none
	}{
		"the same":       {map[string]string{"ber1": live(start, 7), "fra1": live(start, 8)}, MPD, "ber1 fra1", ""},
		"one is odd":     {map[string]string{"ber1": live(start, 7), "fra1": live(start, 7), "ams1": live(later, 7)}, MPD, "ber1 fra1", "ams1"},
		"all are odd":    {map[string]string{"ber1": live(start, 7), "fra1": live(later, 7)}, Media, "", "fra1"},
		"there is one":   {map[string]string{"ber1": live(start, 7)}, MPD, "ber1", ""},
		"HLS beside MPD": {map[string]string{"ber1": live(start, 7), "fra1": multivariant}, Multivariant, "fra1", "ber1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := map[string]http.HandlerFunc{}
			for node, text := range c.mpds {
				answers[node] = says(text)
			}
			g := newRig(t, answers)
			g.until("all are known", func() bool {
				m := g.Mount("/live.m3u8", director.HTTPS)
				if m == nil || m.Kind != c.kind {
					return false
				}
				var have []string
				for id := range m.Playlists {
					have = append(have, string(id))
				}
				slices.Sort(have)
				return strings.Join(have, " ") == c.have && (c.odd == "" && len(g.Refusals()) == 0 || c.odd != "" && g.refused(c.odd, "unlike"))
			})
			m := g.Mount("/live.m3u8", director.HTTPS)
			if mpd := m.Playlists["ber1"]; mpd != nil && mpd.MPD != nil {
				out, err := hls.MergeMPD(nil, []hls.MPDPathway{{ID: "ber1", MPD: mpd.MPD}}, "https://d.example/s", "https://d.example/m")
				if err != nil || !strings.Contains(string(out), `<BaseURL serviceLocation="ber1">https://ber1.example/hls/</BaseURL>`) {
					t.Errorf("%s, %v", out, err)
				}
			}
		})
	}
}

// TestRemarks: what is odd in a playlist that is used is told, and once, however often the
// playlist changes.
func TestRemarks(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	r := New(Config{Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	d := &reading{place: &place{mount: "/live.mpd", node: "fra1", at: [2]string{"http://fra1.example/live.mpd", "https://fra1.example/live.mpd"}}}
	for n := range 3 {
		text := strings.Replace(live("2026-01-01T00:00:00Z", 7+n), "<Period", "<ContentSteering>https://other.example/</ContentSteering><Period", 1)
		r.use(d, []byte(text), "")
	}
	if d.refusal != nil || strings.Count(log.String(), "has something odd") != 1 || !strings.Contains(log.String(), "node=fra1 mount=/live.mpd what=\"its ContentSteering by https://other.example/ is replaced\"") {
		t.Errorf("%+v; log:\n%s", d.refusal, log.String())
	}
}

// TestKeepsMPDs: a live MPD is read twice as often as players read it, and is soon of no use if
// the node does not give it.
func TestKeepsMPDs(t *testing.T) {
	t.Parallel()
	for update, want := range map[string][2]time.Duration{"PT2S": {time.Second, 10 * time.Second}, "PT0.5S": {time.Second, 10 * time.Second}, "PT8S": {4 * time.Second, 32 * time.Second}, "PT500S": {keep, goodFor}} {
		p := &place{from: "http://x.test/live.mpd", at: [2]string{"http://x.test/live.mpd"}}
		lists, err := p.parse([]byte(strings.Replace(live("2026-01-01T00:00:00Z", 7), "PT2S", update, 1)), p.from)
		if err != nil {
			t.Fatal(err)
		}
		p.lists = lists
		r := New(Config{Log: slog.New(slog.DiscardHandler)})
		d := &reading{place: p, state: p.state}
		if got := [2]time.Duration{r.confirm(d), p.goodFor()}; got != want {
			t.Errorf("%s: %v, want %v", update, got, want)
		}
	}
}
