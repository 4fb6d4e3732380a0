package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/web/proxy"
)

// inline has everybody's stream carried inline.
const inline = "rules: [{name: everyone, answer: proxy}]\n"

// patience is how long a test waits for what must happen.
const patience = 5 * time.Minute

const askForLive = "GET /live.mp3 HTTP/1.0\r\nHost: radio.example\r\nUser-Agent: synthetic listener\r\n"

// tuneIn connects a listener and sends a request: askForLive and more fields.
func (s *signpost) tuneIn(t *testing.T, fields string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, askForLive+fields+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// streams is what the director says of what it carries.
func (s *signpost) streams(t *testing.T) []proxy.StreamState {
	t.Helper()
	resp, err := client.Get(s.admin + "/api/v1/streams")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct {
		Streams []proxy.StreamState `json:"streams"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return all.Streams
}

// A tap stands between the directors and a node, and tells when they ask it for a
// stream and let go of it.
type tap struct {
	net.Listener
	asked chan struct{}
	freed chan time.Time
}

func tapOf(t *testing.T, n *probetest.Node) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{Listener: l, asked: make(chan struct{}, 1000), freed: make(chan time.Time, 1000)}
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { p.relay(conn.(*net.TCPConn), strings.TrimPrefix(n.URL(), "http://")) })
		}
	}()
	return p
}

// url is the node's, for directors.
func (p *tap) url() string { return "http://" + p.Addr().String() }

func (p *tap) relay(from *net.TCPConn, node string) {
	defer from.Close()
	to, err := net.Dial("tcp", node)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(from, to)
		_ = from.CloseWrite()
	}()
	br := bufio.NewReader(from)
	line, err := br.ReadSlice('\n')
	if err != nil {
		return
	}
	stream := bytes.HasPrefix(line, []byte("GET /live.mp3 "))
	if _, err := to.Write(line); err != nil {
		return
	}
	if stream {
		p.asked <- struct{}{}
	}
	_, _ = io.Copy(to, br)
	if stream {
		p.freed <- time.Now()
	}
}

// after waits for an event of the tap's.
func after[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("in vain: ", what)
		panic("unreachable")
	}
}

// When a node's last seat is the director's own, listeners who are carried inline still
// share it, and nobody else is sent there.
func TestInlineListenersShareTheLastSeat(t *testing.T) {
	t.Parallel()
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Kbit: 128}}})
	s := directFile(t, "listen: {http: ['127.0.0.1:0'], max_per_key: 0}\nadmin: {listen: '127.0.0.1:0'}\n"+quickProbes+
		"mounts: [/live.mp3]\nnodes: [{id: n1, urls: ['"+node.URL()+"'], limit: 1}]\n"+
		"rules: [{name: old, user_agent: 'synthetic*', answer: proxy}]\n")
	gatherAudience(t, s, 1).hearMore(1000)
	s.eventually(patience, "the node is at its limit", func() bool { return strings.Contains(s.explain(), `"reason":"at_limit"`) })
	gatherAudience(t, s, 3).hearMore(burst)
	if up := s.streams(t)[0].Upstreams; len(up) != 1 || up[0].Listeners != 4 {
		t.Errorf("upstreams %+v, want one with 4 listeners", up)
	}
	resp := s.get("/live.mp3", "", "modern player")
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one who follows redirects: %s, want 503", resp.Status)
	}
}
