//go:build unix

package probetest_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

func TestIcecastLife(t *testing.T) {
	t.Parallel()
	n := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.2", Mounts: []probetest.Mount{
		{Path: "/live.mp3", Title: "A & B – <Live>"},
		{Path: "/dü st.mp3", Hz: 880, Kbit: 128},
		{Path: "/later.mp3", Silent: true},
	}})
	get := func(path string) *http.Response {
		t.Helper()
		resp, err := http.Get(n.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	resp := get("/live.mp3")
	if got := resp.Header.Get("Content-Type"); got != "audio/mpeg" {
		t.Errorf("content type = %q", got)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 8192)); err != nil {
		t.Errorf("audio: %v", err)
	}
	eventually(t, "one listener", func() bool { return n.Listeners() == 1 })
	if resp := get("/later.mp3"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a silent mount answers %s", resp.Status)
	}
	n.StartSource("/later.mp3")
	if resp := get("/later.mp3"); resp.StatusCode != http.StatusOK {
		t.Errorf("a mount with a source answers %s", resp.Status)
	}

	n.KillSource("/live.mp3")
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Logf("the end of the stream: %v", err)
	}
	n.Kill()
	if got := n.Listeners(); got != -1 {
		t.Errorf("a dead server counts %d listeners", got)
	}
	n.Restart()
	if resp := get("/live.mp3"); resp.StatusCode != http.StatusOK {
		t.Errorf("after the restart: %s", resp.Status)
	}
}

func TestFleet(t *testing.T) {
	t.Parallel()
	mounts := []probetest.Mount{{Path: "/live.mp3"}}
	begun := time.Now()
	nodes := probetest.Fleet(t,
		probetest.Options{Addr: "127.0.0.2", Mounts: mounts},
		probetest.Options{Addr: "127.0.0.3", Mounts: mounts},
		probetest.Options{Addr: "127.0.0.4", Mounts: mounts})
	t.Logf("three servers with a mount each took %v", time.Since(begun).Round(time.Millisecond))
	nodes[1].Kill()
	for i, want := range []int{0, -1, 0} {
		if got := nodes[i].Listeners(); got != want {
			t.Errorf("server %d counts %d listeners, want %d", i, got, want)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
