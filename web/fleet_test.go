package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
)

// reports gives the world's nodes these reports, and nothing else.
func (w *world) reports(reports ...director.Report) {
	w.t.Helper()
	f, err := director.Compile(w.fleet)
	if err != nil {
		w.t.Fatal(err)
	}
	in := director.Input{Now: epoch, Reports: map[director.NodeID]director.Report{}}
	for _, r := range reports {
		in.Reports[r.Node] = r
	}
	w.view.Store(&director.View{Snapshot: f.Build(nil, in), Live: w.live})
}

func up(node director.NodeID, mounts ...director.MountReport) director.Report {
	return director.Report{Node: node, Taken: epoch, Health: director.Up, Mounts: mounts}
}

// status reads the page as a strict reader of JSON does.
func (w *world) status(url string) map[string]any {
	w.t.Helper()
	rec := w.get(url)
	if rec.Code != http.StatusOK {
		w.t.Fatalf("GET %s: %d", url, rec.Code)
	}
	var page map[string]map[string]any
	d := json.NewDecoder(rec.Body)
	d.UseNumber()
	if err := d.Decode(&page); err != nil || d.More() {
		w.t.Fatalf("GET %s: %v\n%s", url, err, rec.Body)
	}
	return page["icestats"]
}

func TestFleetStatusSumsTheNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.fleet.Nodes[2].Relays = 4
	started := epoch.Add(-time.Hour)
	down := up("ber1", director.MountReport{Path: "/radio/live", Listeners: 1000})
	down.Health = director.Failed
	live := func(path string, listeners, peak int, started time.Time, name, title string) director.MountReport {
		return director.MountReport{Path: path, Listeners: listeners, Peak: peak, Started: started, Name: name, Title: title}
	}
	w.fleet.Nodes = append(w.fleet.Nodes, director.Node{ID: "drained", Drained: true, URLs: []string{"http://d.example"}})
	w.reports(
		up("fra1",
			live("/live.mp3", 10, 31, started, "not the declared name", "what fewer hear"),
			live("/live", 7, 0, started, "", "a mount of its own, for the alias is only ours"),
			live("/undeclared", 7, 7, started, "", "")),
		up("ams1", live("/live.mp3", 22, 25, started.Add(-time.Minute), "", "what most hear"), live("/plain.mp3", 1, 1, time.Time{}, "Plain", "")),
		up("drained", live("/live.mp3", -1, 0, time.Time{}, "", "")),
		down)
	want := map[string]any{
		"admin": "", "location": "", "host": "radio.example", "server_id": "Signpost",
		"server_start": "Mon, 04 May 2026 12:00:00 +0000", "server_start_iso8601": "2026-05-04T12:00:00+0000",
		"source": []any{
			map[string]any{
				"genre": "", "server_description": "", "server_name": `Tom & Jerry's <"Radio">`, "server_type": "audio/mpeg",
				"listeners": json.Number("30"), "listener_peak": json.Number("56"), "listenurl": "http://radio.example/live.mp3",
				"stream_start": "Mon, 04 May 2026 10:59:00 +0000", "stream_start_iso8601": "2026-05-04T10:59:00+0000",
				"title": "what most hear",
			},
			map[string]any{
				"genre": "", "server_description": "", "server_name": "Plain", "server_type": "audio/mpeg",
				"listeners": json.Number("0"), "listener_peak": json.Number("1"), "listenurl": "http://radio.example/plain.mp3",
			},
		},
	}
	if diff := cmp.Diff(want, w.status("/status-json.xsl")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	one := w.status("/status-json.xsl?mount=/live")
	if diff := cmp.Diff(want["source"].([]any)[0], one["source"]); diff != "" {
		t.Errorf("one mount by its alias (-want +got):\n%s", diff)
	}
	for _, none := range []string{"/off.mp3", "/never.mp3", "x"} {
		if page := w.status("/status-json.xsl?mount=" + none); page["source"] != nil || page["host"] == nil {
			t.Errorf("mount=%s: %v", none, page)
		}
	}
}

// Whom directors carry over one connection, the nodes count as one.
func TestFleetStatusCountsWhomDirectorsCarry(t *testing.T) {
	t.Parallel()
	for uncounted, want := range map[int]string{0: "3", 40: "43", -1: "2", -9: "0"} {
		w := newWorld(t, nil)
		f, err := director.Compile(w.fleet)
		if err != nil {
			t.Fatal(err)
		}
		in := director.Input{
			Now:       epoch,
			Reports:   map[director.NodeID]director.Report{"fra1": up("fra1", director.MountReport{Path: "/live.mp3", Listeners: 3, Peak: 3})},
			Uncounted: map[string]int{"/live.mp3": uncounted, "/never.mp3": 7},
		}
		w.view.Store(&director.View{Snapshot: f.Build(nil, in), Live: w.live})
		source, _ := w.status("/status-json.xsl")["source"].(map[string]any)
		if source["listeners"] != json.Number(want) {
			t.Errorf("%d that no node counts: %v listeners, want %s", uncounted, source["listeners"], want)
		}
		if peak, _ := source["listener_peak"].(json.Number).Int64(); uncounted > 0 && peak < 43 {
			t.Errorf("the peak is %d", peak)
		}
	}
}

func TestFleetStatusFollowsPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.reports(up("ber1", director.MountReport{Path: "/radio/live", Listeners: 3}, director.MountReport{Path: "/live.mp3", Listeners: 500}))
	source, _ := w.status("/status-json.xsl")["source"].(map[string]any)
	if source["listeners"] != json.Number("3") || source["listenurl"] != "http://radio.example/live.mp3" {
		t.Errorf("one mount at another path: %v", source)
	}
	unlisted := director.Report{Node: "fra1", Taken: epoch, Health: director.Up, Listeners: -1, AnyMount: true}
	w.reports(unlisted)
	if list, _ := w.status("/status-json.xsl")["source"].([]any); len(list) != len(w.fleet.Mounts) {
		t.Errorf("a node that cannot list its mounts: %v", list)
	}
	w.reports()
	if page := w.status("/status-json.xsl"); page["source"] != nil {
		t.Errorf("nobody carries anything: %v", page)
	}
}

// Whatever a song is called, the page is JSON, and the title is what it was.
func TestFleetStatusIsAlwaysJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Policy.PerKey = -1 })
	for _, title := range []string{
		"-", " - ", ".5", "5.", "-01", "1e999", "true", "null", "99", `"`, `\`, `\u00`, "a\x01b", "a\nb", "</script>", `"},{"x":"`,
		"Björk – 日本 🎵", "\u2028", "caf\xe9", strings.Repeat("ü", 3000), "\xed\xa0\xbc",
	} {
		w.reports(up("fra1", director.MountReport{Path: "/live.mp3", Title: title, Name: title, Type: title}))
		source, _ := w.status("/status-json.xsl")["source"].(map[string]any)
		if got := source["title"]; got != strings.ToValidUTF8(title, "\uFFFD") && !(got != "" && !utf8.ValidString(title)) {
			t.Errorf("title %q reads %q", title, got)
		}
	}
}

// Tools that were written for Icecast find the keys that they know, with values
// of the same types.
func TestFleetStatusHasIcecastsKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	r := director.MountReport{Path: "/live.mp3", Title: "Artist - Title", Started: epoch}
	for sample, reported := range map[string]director.Report{
		"icecast-2.4.4-nosource":     up("fra1"),
		"icecast-2.4.4-artist-title": up("fra1", r),
		"icecast-2.4.4-many":         up("ams1", r, director.MountReport{Path: "/plain.mp3", Started: epoch}),
		"icecast-2.5.0-one":          up("fra1", r),
		"icecast-2.5.0-many":         up("ams1", r, director.MountReport{Path: "/plain.mp3", Started: epoch}),
	} {
		b, err := os.ReadFile(filepath.Join("..", "director", "probe", "testdata", "status", sample+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var theirs struct {
			Icestats map[string]any `json:"icestats"`
		}
		if err := json.Unmarshal(b, &theirs); err != nil {
			t.Fatal(err)
		}
		w.reports(reported)
		var ours struct {
			Icestats map[string]any `json:"icestats"`
		}
		if err := json.Unmarshal(w.get("/status-json.xsl").Body.Bytes(), &ours); err != nil {
			t.Fatal(err)
		}
		sameShape(t, sample, theirs.Icestats, ours.Icestats)
	}
}

// ofOneServer are keys that have no meaning for a fleet, or that only one version
// of Icecast writes.
var ofOneServer = map[string]bool{
	"dummy": true, "modules": true, "authentication": true, "authenticator": true, "instance_uuid": true, "subtype": true,
	"allow-direct-access": true, "playlist": true, "metadata": true, "content-type": true,
}

func sameShape(t *testing.T, at string, theirs, ours any) {
	t.Helper()
	if a, b := fmt.Sprintf("%T", theirs), fmt.Sprintf("%T", ours); a != b {
		t.Errorf("%s: Icecast has %s here, we have %s", at, a, b)
		return
	}
	switch theirs := theirs.(type) {
	case map[string]any:
		for key, value := range theirs {
			if !ofOneServer[key] {
				sameShape(t, at+"."+key, value, ours.(map[string]any)[key])
			}
		}
	case []any:
		sameShape(t, at+"[0]", theirs[0], ours.([]any)[0])
	}
}

func TestFleetStatusAsAnAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	rec := w.get("/status-json.xsl")
	h := rec.Header()
	if h.Get("Content-Type") != "application/json" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("header: %v", h)
	}
	if head := w.do(ask{method: http.MethodHead, url: "/status-json.xsl"}); head.Body.Len() != 0 || head.Header().Get("Content-Length") != h.Get("Content-Length") {
		t.Errorf("HEAD: %v, %d bytes", head.Header(), head.Body.Len())
	}
	if w.live.total() != 0 {
		t.Error("who reads statistics was counted as a listener")
	}
	for host, want := range map[string]string{
		"radio.example:8000": "http://radio.example:8000/live.mp3",
		"[2001:db8::1]:8000": "http://[2001:db8::1]:8000/live.mp3",
		"münchen.test:8000":  "http://xn--mnchen-3ya.test:8000/live.mp3",
		`evil"><script>`:     "http://localhost/live.mp3",
		" ":                  "http://localhost/live.mp3",
	} {
		if page := w.do(ask{url: "/status-json.xsl", host: host}).Body.String(); !strings.Contains(page, `"listenurl":"`+want+`"`) {
			t.Errorf("Host %q: %s", host, page)
		}
	}
	if page := w.do(overHTTPS().at("/status-json.xsl")).Body.String(); !strings.Contains(page, `"https://radio.example/live.mp3"`) {
		t.Errorf("over https: %s", page)
	}
	if err := w.SetPolicy(Policy{NoStatus: true}); err != nil {
		t.Fatal(err)
	}
	if got := w.get("/status-json.xsl").Code; got != http.StatusNotFound {
		t.Errorf("switched off: %d", got)
	}
	w.view.Store(&director.View{})
	if got := w.get("/status-json.xsl").Code; got != http.StatusServiceUnavailable {
		t.Errorf("before the first snapshot: %d", got)
	}
}

// The prober, which reads what real servers write, takes the fleet for one server.
func TestFleetStatusIsProbed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.reports(up("ams1",
		director.MountReport{Path: "/live.mp3", Listeners: 3, Peak: 5, Title: "-", Started: epoch},
		director.MountReport{Path: "/studio/größe.ogg", Listeners: 4, Peak: 4, Type: "application/ogg", Name: "Größe"}))
	r := w.probed(probe.Config{}, nil)
	want := []director.MountReport{
		{Path: "/live.mp3", Listeners: 3, Peak: 5, Type: "audio/mpeg", Name: `Tom & Jerry's <"Radio">`, Title: "-", Started: epoch},
		{Path: "/studio/größe.ogg", Listeners: 4, Peak: 4, Type: "application/ogg", Name: "Größe"},
	}
	if diff := cmp.Diff(want, r.Mounts); diff != "" || r.Listeners != 7 || r.Server != "Signpost" {
		t.Errorf("%+v (-want +got):\n%s", r, diff)
	}
}

// probed returns the report of a prober that takes the director for a node with the mounts.
func (w *world) probed(c probe.Config, mounts []director.Mount) director.Report {
	server := httptest.NewServer(w.Handler())
	defer server.Close()
	p := probe.New(c)
	p.SetNodes([]director.Node{{ID: "fleet", URLs: []string{server.URL}}}, mounts)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	<-p.First()
	cancel()
	<-done
	return p.Reports()[0]
}

// The page is made once for a snapshot, and anew with the next.
func TestFleetStatusIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	count := func(n int) {
		w.reports(up("fra1", director.MountReport{Path: "/live.mp3", Listeners: n}))
	}
	count(1)
	w.get("/status-json.xsl")
	made := w.Server.fleet.Load()
	w.get("/status-json.xsl?mount=/live.mp3")
	w.get("/status-json.xsl")
	if w.Server.fleet.Load() != made {
		t.Error("it was made twice for one snapshot")
	}
	count(2)
	if page := w.get("/status-json.xsl").Body.String(); !strings.Contains(page, `"listeners":2`) {
		t.Errorf("the next snapshot's: %s", page)
	}
}

func BenchmarkFleetStatus(b *testing.B) {
	c := director.Config{}
	reports := map[director.NodeID]director.Report{}
	for i := range 1000 {
		id := director.NodeID(fmt.Sprint("n", i))
		c.Nodes = append(c.Nodes, director.Node{ID: id, URLs: []string{fmt.Sprintf("http://n%d.example", i)}})
		reports[id] = up(id, director.MountReport{Path: "/live.mp3", Listeners: i, Title: "A - B"}, director.MountReport{Path: "/live.aac", Listeners: i})
	}
	f, err := director.Compile(c)
	if err != nil {
		b.Fatal(err)
	}
	s := f.Build(nil, director.Input{Now: epoch, Reports: reports})
	b.ReportAllocs()
	for b.Loop() {
		if got := fleetSources(s); len(got) != 2 {
			b.Fatal(got)
		}
	}
}
