//go:build unix

package proxy

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/web/proxy/audio"
)

// TestIcecastFailover takes one real server after another away from under many
// listeners: no connection is lost, the metadata stays in place, and a decoder
// finds nothing wrong.
func TestIcecastFailover(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	listeners := 100
	if soaking() {
		listeners = 500
	}
	var nodes []*probetest.Node
	var ups []Upstream
	for i := range 4 {
		n := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Kbit: 128, Title: "Title " + string(rune('A'+i))}}})
		nodes = append(nodes, n)
		ups = append(ups, Upstream{nodeName(i), n.URL() + "/live.mp3"})
	}
	f := startFront(t, quick(), Request{Upstreams: ups, Mount: "/live.mp3"})
	var wg sync.WaitGroup
	recorded := make([]*recorder, listeners)
	for i := range recorded {
		recorded[i] = &recorder{icy: i%2 == 0}
		request := getRequest
		if recorded[i].icy {
			request = "GET / HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n"
		}
		conn := f.listen(t, request)
		_ = conn.SetDeadline(time.Time{})
		defer conn.Close()
		wg.Go(func() { _, _ = io.Copy(recorded[i], conn) })
	}
	for i, take := range []func(){
		nodes[0].Kill, func() { nodes[1].KillSource("/live.mp3") }, nodes[2].Stop,
	} {
		before := recorded[0].len()
		until(t, "two seconds more", func() bool { return recorded[0].len() > before+32000 })
		take()
		until(t, "a failover", func() bool { return len(f.proxy.Streams()[0].Failovers) > i })
	}
	nodes[2].Cont()
	before := recorded[0].len()
	until(t, "some seconds more", func() bool { return recorded[0].len() > before+64000 })
	if st := f.proxy.Streams()[0]; st.Listeners != listeners || len(f.ended) > 0 {
		t.Errorf("%d listeners left, %d streams ended", st.Listeners, len(f.ended))
	} else {
		for _, fo := range st.Failovers {
			t.Logf("%s -> %s: %s, %d ms without audio, %d listeners", fo.From, fo.To, fo.Cause, fo.GapMs, fo.Listeners)
			if fo.Gap > 4*time.Second { // what 64 KB hold
				t.Errorf("longer than the burst")
			}
		}
	}
	var wait sync.WaitGroup
	wait.Go(func() { stopAll(f) })
	wg.Wait()
	wait.Wait()

	limit := make(chan struct{}, runtime.NumCPU())
	for i, r := range recorded {
		sound, titles := r.stream(t)
		if units, junk := parse(sound); junk > 0 || units < 400 {
			t.Errorf("listener %d: %d frames, %d bytes of junk", i, units, junk)
		}
		if r.icy && (len(titles) == 0 || !strings.Contains(titles[len(titles)-1], "Title D")) {
			t.Errorf("listener %d: titles %q", i, titles)
		}
		if i >= 4 {
			continue // they are alike
		}
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			if said := decodeAs(t, "mp3", sound); said != "" {
				t.Errorf("listener %d: ffmpeg says %s", i, said)
			}
		})
	}
	wg.Wait()
}

func stopAll(f *front) {
	ctx, cancel := contextDone()
	defer cancel()
	_ = f.proxy.Drain(ctx)
}

// parse counts frames, and bytes that are in none, but for what ends too soon.
func parse(sound []byte) (units, junk int) {
	inFrames := 0
	audio.NewSplitter("audio/mpeg").Write(sound, func(u audio.Unit) {
		units++
		inFrames += len(u.Data)
	})
	if rest := len(sound) - inFrames; rest > 500 {
		junk = rest
	}
	return units, junk
}

// recorder keeps what one listener gets.
type recorder struct {
	icy bool
	mu  sync.Mutex
	got []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, p...)
	return len(p), nil
}

func (r *recorder) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// stream takes the answer's head and the metadata out.
func (r *recorder) stream(t *testing.T) (sound []byte, titles []string) {
	t.Helper()
	_, sound, _ = bytes.Cut(r.got, []byte("\r\n\r\n"))
	if !r.icy {
		return sound, nil
	}
	got := sound
	sound = nil
	err := audio.NewDeinterleaver(metaint).Write(got, func(b []byte) { sound = append(sound, b...) }, func(b []byte) { titles = append(titles, string(b)) })
	if err != nil {
		t.Errorf("metadata: %v", err)
	}
	return sound, titles
}
