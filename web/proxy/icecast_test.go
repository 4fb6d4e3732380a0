//go:build unix

package proxy

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// TestIcecast carries from a real server, through what befalls one.
func TestIcecast(t *testing.T) {
	t.Parallel()
	const title = "Artist - Title"
	n := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{
		{Path: "/live.mp3", Kbit: 128, Title: title},
		{Path: "/full.mp3", Kbit: 128, MaxListeners: 1},
	}})
	carry := func(t *testing.T, path string) *front {
		cfg := quick()
		cfg.IdleTimeout = 2 * time.Second
		return startFront(t, cfg, Request{Upstreams: []Upstream{{Node: "node0", URL: n.URL() + path}}})
	}
	awaitListeners := func(t *testing.T, want int) {
		t.Helper()
		for deadline := time.Now().Add(patience); n.Listeners() != want; {
			if time.Now().After(deadline) {
				t.Fatalf("Icecast counts %d listeners, want %d", n.Listeners(), want)
			}
		}
	}

	live := carry(t, "/live.mp3")
	conn := live.listen(t, "GET /live.mp3 HTTP/1.0\r\nHost: x\r\nIcy-MetaData: 1\r\n\r\n")
	br := bufio.NewReader(conn)
	head := readAnswer(t, br)
	for _, want := range []string{"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nServer: Icecast 2.4", "\r\nicy-metaint:16000\r\n", "\r\nicy-name:"} {
		if !strings.Contains(head, want) {
			t.Errorf("no %q in the head %q", want, head)
		}
	}
	for told := ""; !strings.HasPrefix(told, "StreamTitle='"+title+"';"); { // the burst may be older than the title
		if _, err := br.Discard(16000); err != nil {
			t.Fatalf("last metadata %q: %v", told, err)
		}
		units, _ := br.ReadByte()
		block := make([]byte, 16*int(units))
		if _, err := io.ReadFull(br, block); err != nil || units > 0 && !strings.HasPrefix(string(block), "StreamTitle='") {
			t.Fatalf("metadata %q, %v", block, err)
		}
		told = string(block)
	}
	awaitListeners(t, 1)
	_ = conn.Close()
	if res := live.result(t); res.End != EndListenerLeft || res.Bytes < 16000 {
		t.Errorf("result %+v", res)
	}
	awaitListeners(t, 0)

	full := carry(t, "/full.mp3")
	first := full.listen(t, getRequest)
	readAnswer(t, bufio.NewReader(first))
	readAnswer(t, bufio.NewReader(full.listen(t, getRequest))) // to Icecast, both are one
	awaitListeners(t, 1)
	other := carry(t, "/full.mp3")
	other.play(t, getRequest)
	if res := other.result(t); len(res.Failed) != 1 || res.Failed[0].Why != WhyFull {
		t.Errorf("at a full mount: %+v", res)
	}
	n.KillSource("/full.mp3")
	for range 2 {
		if res := full.result(t); res.End != EndUpstreamEnded {
			t.Errorf("source killed: %+v", res)
		}
	}
	missing := carry(t, "/none.mp3")
	missing.play(t, getRequest)
	if res := missing.result(t); len(res.Failed) != 1 || res.Failed[0].Why != WhyStatus {
		t.Errorf("at a missing mount: %+v", res)
	}

	frozen := carry(t, "/live.mp3")
	frozen.playUntil(t, n.Stop)
	if res := frozen.result(t); res.End != EndUpstreamSilent {
		t.Errorf("server frozen: %+v", res)
	}
	n.Cont()
	killed := carry(t, "/live.mp3")
	killed.playUntil(t, n.Kill)
	if res := killed.result(t); res.End != EndUpstreamFailed && res.End != EndUpstreamEnded {
		t.Errorf("server killed: %+v", res)
	}
}

// playUntil listens until something has happened to the node and the stream has ended.
func (f *front) playUntil(t *testing.T, happen func()) {
	t.Helper()
	br := bufio.NewReader(f.listen(t, getRequest))
	readAnswer(t, br)
	happen()
	_, _ = io.Copy(io.Discard, br)
}
