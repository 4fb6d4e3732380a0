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
func newRig(t *testing.T, answers map[string]http.HandlerFunc) *rig {
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
	g.keep, g.keepMedia, g.retry = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
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
