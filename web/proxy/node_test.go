package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// TestMain checks, when every test is over, that no stream left a goroutine or a
// socket behind.
func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	for deadline := time.Now().Add(patience); code == 0; {
		left := leftovers()
		if left == "" {
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintln(os.Stderr, "left behind:", left)
			code = 1
		}
		runtime.Gosched()
	}
	os.Exit(code)
}

func leftovers() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for g := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(g, "web/proxy.(") {
			return g
		}
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return "" // not Linux
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			return to
		}
	}
	return ""
}

// node is a fake upstream that speaks raw TCP.
type node struct {
	net.Listener
	requests chan string // heads of the requests that came
}

// startNode serves each connection with play once its request head has come, and
// closes the connection when play returns.
func startNode(t testing.TB, play func(net.Conn)) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Listener: l, requests: make(chan string, 10_000)}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				n.requests <- readRequest(bufio.NewReader(conn))
				play(conn)
			}()
		}
	}()
	return n
}

func readRequest(br *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := br.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

func (n *node) url() string { return "http://" + n.Addr().String() + "/live.mp3?token=a%20b" }

// says answers with fixed bytes, then closes.
func says(reply string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, reply) }
}

// saysAndWaits answers with fixed bytes and then is silent until the proxy closes.
func saysAndWaits(reply string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, reply)
		_, _ = io.Copy(io.Discard, conn)
	}
}

// floods answers and then sends as fast as it can.
func floods(conn net.Conn) { flood(conn, okHead) }

// floodsUnknown does so in a format that is only passed through.
func floodsUnknown(conn net.Conn) {
	flood(conn, "HTTP/1.0 200 OK\r\nContent-Type: audio/x-unknown\r\n\r\n")
}

func flood(conn net.Conn, head string) {
	_, err := io.WriteString(conn, head)
	for piece := []byte(frames(20)); err == nil; {
		_, err = conn.Write(piece)
	}
}

// frames are MPEG-1 Layer III, 128 kbit/s at 44.1 kHz: 417 bytes and 26 ms each,
// with a number in it. They use no bit reservoir, and hold no byte of a header.
func frames(n int) string { return numbered(0, n) }

func numbered(first, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("\xff\xfb\x90\x64" + strings.Repeat("\x00", 32))
		fmt.Fprintf(&b, "%0381d", first+i)
	}
	return b.String()
}

// sound is the shortest stream that a parser believes in.
var sound = frames(4)

const okHead = "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n"

// ended is what one Serve returned.
type ended struct {
	Result
	err error
}

// front is a director with nothing but a proxy.
type front struct {
	*httptest.Server
	proxy *Proxy
	ended chan ended
}

// quick has no time that passes before a test gives up.
func quick() Config {
	return Config{
		ConnectTimeout: patience, HeaderTimeout: patience, IdleTimeout: patience, StallTimeout: patience,
		Log: slog.New(slog.DiscardHandler), patience: patience, halfClose: -1, renewWithin: patience,
	}
}

// watchful takes a silent node for one that has failed as soon as a director does.
func watchful() Config {
	cfg := quick()
	cfg.patience = 0
	return cfg
}

// newFront makes a front that is not started yet, and serves req to everybody.
func newFront(t testing.TB, cfg Config, req Request) *front {
	t.Helper()
	f := &front{proxy: New(cfg), ended: make(chan ended, 100_000)}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.serve(w, r, req)
	}))
	f.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = f.proxy.Drain(ctx)
		f.Close()
	})
	return f
}

func startFront(t testing.TB, cfg Config, req Request) *front {
	t.Helper()
	f := newFront(t, cfg, req)
	f.Start()
	return f
}

// A link is what listeners come by.
type link string

const (
	plainTCP link = "TCP"
	wiredTLS link = "TLS"         // a loop writes to it
	otherTLS link = "TLS unwired" // a goroutine does
)

var links = []link{plainTCP, wiredTLS, otherTLS}

func (f *front) start(l link) {
	if l == wiredTLS {
		f.Listener = Wired(f.Listener)
	}
	if l == plainTCP {
		f.Start()
	} else {
		f.StartTLS()
	}
}

// over is a connection over a link.
func over(conn net.Conn, l link) net.Conn {
	if l == plainTCP {
		return conn
	}
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
}

func (f *front) serve(w http.ResponseWriter, r *http.Request, req Request) {
	req.Metadata, req.UserAgent = r.Header.Get("Icy-MetaData") == "1", r.UserAgent()
	req.Authorization = r.Header.Get("Authorization")
	if r.URL.RawQuery != "" {
		req.Query = r.URL.RawQuery
	}
	err := f.proxy.Serve(w, r, req, func(res Result) { f.ended <- ended{res, nil} })
	if err != nil {
		w.Header().Set("Connection", "close")
		status := http.StatusServiceUnavailable
		if refused := (*RefusedError)(nil); errors.As(err, &refused) {
			status, w.Header()["Www-Authenticate"] = refused.Status, refused.Challenges
		}
		http.Error(w, err.Error(), status)
		var res Result
		if none := (*NoUpstreamError)(nil); errors.As(err, &none) {
			res.Failed = none.Failed
		}
		f.ended <- ended{res, err}
	}
}

// withoutHijacking makes the front hide all of its ResponseWriter but what
// writing and flushing under a deadline needs.
func (f *front) withoutHijacking(req Request) {
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.serve(struct {
			http.ResponseWriter
			http.Flusher
			deadliner
		}{w, w.(http.Flusher), w.(deadliner)}, r, req)
	})
}

type deadliner interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

func upstreams(nodes ...*node) []Upstream {
	var ups []Upstream
	for i, n := range nodes {
		ups = append(ups, Upstream{Node: nodeName(i), URL: n.url()})
	}
	return ups
}

func (f *front) result(t testing.TB) ended {
	t.Helper()
	select {
	case e := <-f.ended:
		return e
	case <-time.After(patience):
		t.Fatal("the stream did not end")
		panic("unreachable")
	}
}

const getRequest = "GET /live.mp3 HTTP/1.1\r\nHost: radio.example\r\nUser-Agent: test/1\r\n\r\n"

func (f *front) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// listen opens a connection of a listener and sends a request.
func (f *front) listen(t testing.TB, request string) *net.TCPConn {
	t.Helper()
	conn := f.dial(t)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

// readAnswer reads a head, raw.
func readAnswer(t testing.TB, br *bufio.Reader) string {
	t.Helper()
	head := readRequest(br)
	if !strings.HasSuffix(head, "\r\n\r\n") {
		t.Fatalf("the head is cut short: %q", head)
	}
	return head
}

// play reads a whole answer, raw.
func (f *front) play(t testing.TB, request string) (head, body string) {
	t.Helper()
	br := bufio.NewReader(f.listen(t, request))
	head = readAnswer(t, br)
	rest, err := io.ReadAll(br)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("reading the body: %v", err)
	}
	return head, string(rest)
}
