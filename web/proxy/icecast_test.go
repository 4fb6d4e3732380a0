//go:build unix

package proxy

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/director/probe/proctest"
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

// TestMembers: a mount with listener authentication plays for those who know the
// password, each over a connection of its own, and the node's challenge is everybody
// else's.
func TestMembers(t *testing.T) {
	t.Parallel()
	n := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Member: "ann:secret"}}})
	var blamed atomic.Int64
	cfg := quick()
	cfg.Evidence = func(Failure) { blamed.Add(1) }
	cfg.Linger = time.Minute // nobody may find a member's upstream
	f := startFront(t, cfg, Request{Upstreams: []Upstream{{Node: "node0", URL: n.URL() + "/live.mp3"}}, Mount: "/live.mp3"})
	ask := func(name, password string) string {
		r := "GET /live.mp3 HTTP/1.0\r\nHost: x\r\n"
		if name != "" {
			r += "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password)) + "\r\n"
		}
		return r + "\r\n"
	}
	refused := func(when, request string) {
		t.Helper()
		head, _ := f.play(t, request)
		if !strings.HasPrefix(head, "HTTP/1.0 401 ") || !strings.Contains(head, "\r\nWww-Authenticate: Basic realm=") {
			t.Errorf("%s: %q, want the node's challenge", when, head)
		}
		var why *RefusedError
		if res := f.result(t); !errors.As(res.err, &why) || why.Why != WhyMembers || why.Status != http.StatusUnauthorized {
			t.Errorf("%s: result %+v", when, res)
		}
	}
	refused("nobody has asked before", ask("", ""))
	refused("the wrong password", ask("ann", "guess"))
	var playing []*heard
	for range 2 {
		h := f.hear(t, ask("ann", "secret"))
		if !strings.HasPrefix(h.head, "HTTP/1.0 200 OK\r\n") {
			t.Fatalf("with the password: %q", h.head)
		}
		if _, err := h.br.Discard(10_000); err != nil {
			t.Fatal(err)
		}
		playing = append(playing, h)
	}
	refused("while members listen", ask("", ""))
	refused("while members listen, with the wrong password", ask("ann", "guess"))
	until(t, "the node counts each member", func() bool { return n.Listeners() == 2 })
	for _, h := range playing {
		_ = h.conn.Close()
		f.result(t)
	}
	until(t, "members' upstreams end with them", func() bool { return n.Listeners() == 0 })
	refused("after they have left", ask("", ""))
	if got := blamed.Load(); got != 0 || len(f.proxy.Failing("/live.mp3")) != 0 {
		t.Errorf("%d times the node was blamed, troubles %+v", got, f.proxy.Failing("/live.mp3"))
	}
}

// TestTokens: a token in the URL opens what is closed without one, whatever the node
// answers then; and a wrong one is the listener's.
func TestTokens(t *testing.T) {
	t.Parallel()
	for _, closed := range []string{"401 Unauthorized\r\nWWW-Authenticate: Bearer", "403 Forbidden"} {
		var n *node
		n = startNode(t, func(conn net.Conn) {
			if strings.Contains(<-n.requests, "token=good") {
				saysAndWaits(okHead + sound)(conn)
				return
			}
			says("HTTP/1.1 " + closed + "\r\n\r\n")(conn)
		})
		var blamed atomic.Int64
		cfg := quick()
		cfg.Evidence = func(Failure) { blamed.Add(1) }
		f := startFront(t, cfg, Request{Upstreams: []Upstream{{Node: "node0", URL: "http://" + n.Addr().String() + "/live.mp3"}}, Mount: "/live.mp3"})
		h := f.hear(t, "GET /live.mp3?token=good HTTP/1.0\r\n\r\n")
		if !strings.HasPrefix(h.head, "HTTP/1.0 200 ") {
			t.Errorf("%.3s, the right token: %q", closed, h.head)
		}
		before := blamed.Load() // who shows nothing learns of a 403 only that it may be full
		if head, _ := f.play(t, "GET /live.mp3?token=bad HTTP/1.0\r\n\r\n"); !strings.HasPrefix(head, "HTTP/1.0 "+closed[:3]) {
			t.Errorf("%.3s, a wrong token: %q", closed, head)
		}
		if closed[:3] == "401" && blamed.Load() != before {
			t.Errorf("a wrong token is evidence against the node")
		}
		_ = h.conn.Close()
	}
}

// TestMaxListenerDuration: Icecast ends a connection after a while, whoever came a moment
// ago. They go on with the very next frame, and nobody is blamed. At 32 kbit/s the node's
// burst goes back 16 s, so a connection that is opened late still begins with what was
// heard already.
func TestMaxListenerDuration(t *testing.T) {
	t.Parallel()
	proctest.Need(t, "icecast2", "ffmpeg")
	file := filepath.Join(t.TempDir(), "noise.mp3")
	made := exec.Command("ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "anoisesrc=duration=150:amplitude=0.1:seed=1",
		"-c:a", "libmp3lame", "-ac", "1", "-b:a", "32k", "-write_xing", "0", "-id3v2_version", "0", file)
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, dir := range []string{filepath.Dir(file), filepath.Dir(filepath.Dir(file))} {
		if err := os.Chmod(dir, 0o755); err != nil { // the source runs as somebody else
			t.Fatal(err)
		}
	}
	n := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", File: file, MaxSeconds: 3}}})
	var blamed atomic.Int64
	cfg := quick()
	cfg.Evidence = func(Failure) { blamed.Add(1) }
	f := startFront(t, cfg, Request{Upstreams: []Upstream{{Node: "node0", URL: n.URL() + "/live.mp3"}}, Mount: "/live.mp3", Kbit: 32})
	h := f.hear(t, getRequest)
	var heard []byte
	read := func(n int) {
		t.Helper()
		piece := make([]byte, n)
		if _, err := io.ReadFull(h.br, piece); err != nil {
			t.Fatalf("after %d bytes: %v", len(heard), err)
		}
		heard = append(heard, piece...)
	}
	for f.proxy.Streams()[0].Renewed < 2 { // the connection's deadline ends it
		read(1000)
	}
	read(12_000) // 3 s: what was on its way, and more
	if st := f.proxy.Streams()[0]; len(st.Failovers) != 0 || blamed.Load() != 0 {
		t.Errorf("failovers %+v, blamed %d times", st.Failovers, blamed.Load())
	}
	played, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	heard = heard[1000:] // a stream that is joined begins with a frame made for it
	at := bytes.Index(played, heard[:2000])
	if at < 0 || !bytes.HasPrefix(played[at:], heard) {
		t.Errorf("what was heard is not what was played, from byte %d on", at)
	}
}
