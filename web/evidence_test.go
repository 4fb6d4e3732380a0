package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/visits"
)

// witness keeps what it is told, with networks numbered as they come.
type witness struct {
	networks map[uint64]int
	told     []string
}

func (w *witness) tell(node director.NodeID, _ string, network uint64) {
	if w.networks[network] == 0 {
		w.networks[network] = len(w.networks) + 1
	}
	w.told = append(w.told, fmt.Sprint(node, " by ", w.networks[network]))
}

func (w *witness) take() string {
	defer func() { w.told = nil }()
	return strings.Join(w.told, ", ")
}

// TestEvidence: who is back from a node speaks against it, and nobody else does.
func TestEvidence(t *testing.T) {
	t.Parallel()
	told := &witness{networks: map[uint64]int{}}
	w := newWorld(t, func(c *Config) { c.Evidence = told.tell })
	last := func() string { return string(w.lastRecord().Node) }
	want := func(when, text string) {
		t.Helper()
		if got := told.take(); got != text {
			t.Errorf("%s: told %q, want %q", when, got, text)
		}
	}
	w.get("/live.mp3")
	first := last()
	want("a first request", "")
	w.tick(100 * time.Millisecond)
	w.do(ask{method: http.MethodHead, url: "/live.mp3"})
	w.do(ask{url: "/live.mp3", header: map[string]string{"Range": "bytes=0-1"}})
	want("a dry run", "")
	w.get("/live.mp3")
	want("back at once", first+" by 1")
	w.tick(4 * time.Second)
	w.get("/live.mp3")
	want("back soon", first+" by 1")
	second := last()
	w.tick(7 * time.Second)
	w.get("/live.mp3")
	want("back from the next node", second+" by 1")
	w.get("/live.mp3")
	told.take()
	w.get("/live.mp3")
	want("a crowd", "")
	w.tick(20 * time.Second)
	w.get("/live.mp3")
	want("later", "")

	// Neighbours are one network, others are not, and a proxy is nobody.
	for i, from := range []string{"203.0.113.200", "203.0.114.7", "2001:db8:1:2::3", "2001:db8:1:ffff::3", "2001:db8:2::3"} {
		a := ask{url: "/live.mp3", from: netip.MustParseAddr(from)}
		w.do(a)
		w.tick(time.Millisecond)
		node := last()
		w.do(a)
		want(from, fmt.Sprint(node, " by ", []int{1, 2, 3, 3, 4}[i]))
	}
	w.do(ask{url: "/live.mp3", from: balance})
	w.do(ask{url: "/live.mp3", from: balance})
	want("a trusted proxy itself", "")

	// A rule changes the answer, and not what it means to come back. Who opens a stream
	// twice stays where it is, and who comes back later does not.
	agent := func(ua string) ask { return ask{url: "/live.mp3", header: map[string]string{"User-Agent": ua}} }
	for _, ua := range []string{
		"AppleCoreMedia/1.0.0.20G75 (iPhone; U; CPU OS 16_6)", "Radio/1 (Linux;Android 14) AndroidXMedia3/1.3.1", "cmus/v2.10.0",
	} {
		w.do(agent(ua))
		node := last()
		for _, after := range []time.Duration{time.Second, 5 * time.Second} {
			w.tick(after)
			w.do(agent(ua))
			want(ua, node+" by 1")
			if stays := last() == node; stays != (after < visits.DoubleOpen) {
				t.Errorf("%s: back from %s after %v, and sent to %s", ua, node, after, last())
			}
		}
		w.tick(20 * time.Second)
	}
	shaped := ask{url: "/live.mp3", header: map[string]string{"Icy-MetaData": "1", "Connection": "close"}} // like an ESP8266 radio
	playlist := agent("AppleCoreMedia/1.0.0.20G75 (iPhone; U; CPU OS 16_6)")
	playlist.url = "/live.mp3.m3u"
	for _, a := range []ask{shaped, playlist} {
		w.do(a)
		w.do(a)
		want("who is not redirected", "")
	}
}

// TestNoEvidenceWithoutVisits: with escalate off nobody's visits are noted.
func TestNoEvidenceWithoutVisits(t *testing.T) {
	t.Parallel()
	told := &witness{networks: map[uint64]int{}}
	w := newWorld(t, func(c *Config) { c.Evidence, c.Policy.Escalate = told.tell, EscalateOff })
	for _, ua := range []string{"VLC/3.0.20 LibVLC/3.0.20", "AppleCoreMedia/1.0.0.20G75 (iPhone; U; CPU OS 16_6)"} {
		a := ask{url: "/live.mp3", header: map[string]string{"User-Agent": ua}}
		w.do(a)
		w.do(a)
	}
	if got := told.take(); got != "" {
		t.Errorf("told %q", got)
	}
}
