package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// serve makes the world answer on a loopback socket and returns its address.
func (w *world) serve(proxies ...netip.Prefix) string {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Serve(w.Listener(l, proxies)) }()
	w.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // whatever still runs is cut
		w.Shutdown(ctx)
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	return l.Addr().String()
}

// raw sends bytes and returns all that comes back.
func raw(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go io.WriteString(c, request) // the answer may come before all is sent
	b, _ := io.ReadAll(c)
	return string(b)
}

func TestOnTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Policy.PerKey, c.Policy.PerAddress = -1, -1 })
	addr := w.serve()
	host := "Host: radio.example\r\n"
	for name, c := range map[string]struct{ request, status, contains string }{
		"HTTP/1.1":       {"GET /live.mp3 HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 302 Found", "\r\nConnection: close\r\n"},
		"HTTP/1.0":       {"GET /live.mp3 HTTP/1.0\r\n\r\n", "HTTP/1.0 302 Found", "\r\nLocation: http://"},
		"HEAD":           {"HEAD /live.mp3 HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 302 Found", "\r\nContent-Length: 0\r\n"},
		"absolute":       {"GET http://radio.example/live.mp3 HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 302 Found", "Location: http://"},
		"query":          {"GET /live.mp3?a=%26&b=;c&d=ü HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 302 Found", "?a=%26&b=;c&d=ü\r\n"},
		"no path":        {"GET http://radio.example HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 404 Not Found", ""},
		"POST":           {"POST /live.mp3 HTTP/1.1\r\nContent-Length: 0\r\n" + host + "\r\n", "HTTP/1.1 405 Method", "\r\nAllow: GET, HEAD, OPTIONS\r\n"},
		"SOURCE":         {"SOURCE /live.mp3 HTTP/1.0\r\n\r\n", "HTTP/1.0 405 Method", "Allow"},
		"OPTIONS":        {"OPTIONS /live.mp3 HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 204", "Access-Control-Allow-Headers: Icy-MetaData, Range\r\n"},
		"garbage":        {"\x00\x01\x02\r\n\r\n", "HTTP/1.1 400", ""},
		"raw CR":         {"GET /live.mp3?a=\rb HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 400", ""},
		"a 64 KB path":   {"GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 431", ""},
		"a 10 KB path":   {"GET /" + strings.Repeat("a", 10<<10) + " HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 414", ""},
		"a 64 KB header": {"GET /live.mp3 HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "HTTP/1.1 431", ""},
		"healthz":        {"GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK", "\r\n\r\nok\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := raw(t, addr, c.request)
			if !strings.HasPrefix(got, c.status) || !strings.Contains(got, c.contains) {
				t.Errorf("%q\nwant %q with %q", got, c.status, c.contains)
			}
		})
	}
}

// A client that is refused in the middle of a request learns why, and then of an end.
func TestARefusalArrives(t *testing.T) {
	t.Parallel()
	addr := newWorld(t, nil).serve()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET /"+strings.Repeat("a", 256<<10)+" HTTP/1.1\r\nHost: radio.example\r\n\r\n"); err != nil {
		t.Errorf("the request cannot be sent: %v", err)
	}
	if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 431 ") {
		t.Errorf("%q, %v; want a 431 and an end, and no reset", got, err)
	}
}

// TestConnectionHeader makes sure that the rule for ESP8266 radios sees what it
// looks for: net/http hides some headers.
func TestConnectionHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	addr := w.serve()
	raw(t, addr, "GET /live.mp3 HTTP/1.1\r\nHost: radio.example\r\nIcy-MetaData: 1\r\nConnection: close\r\n\r\n")
	if got := w.lastRecord().Rule; got != "esp8266 radio" {
		t.Errorf("rule %q", got)
	}
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Policy.KeepAlive = true })
	addr := w.serve()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	br := bufio.NewReader(c)
	for range 3 {
		io.WriteString(c, "GET /live.mp3 HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != http.StatusFound {
			t.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
}

func TestPROXYProtocol(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Policy.Trusted = nil })
	trusting := w.serve(netip.MustParsePrefix("127.0.0.1/32"))
	get := "GET /live.mp3 HTTP/1.0\r\n\r\n"
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x7f\x00\x00\x01\x10\x00\x1f\x40"
	for name, c := range map[string]struct{ header, client string }{
		"version 1":       {"PROXY TCP4 203.0.113.9 127.0.0.1 4096 8000\r\n", "203.0.113.0/24"},
		"version 1, IPv6": {"PROXY TCP6 2001:db8:1:2::3 ::1 4096 8000\r\n", "2001:db8:1::/48"},
		"version 2":       {v2, "203.0.113.0/24"},
		"unknown":         {"PROXY UNKNOWN\r\n", "127.0.0.0/24"},
		"none":            {"", "127.0.0.0/24"},
	} {
		if got := raw(t, trusting, c.header+get); !strings.HasPrefix(got, "HTTP/1.0 302") {
			t.Errorf("%s: %q", name, got)
		} else if got := w.lastRecord().Client.String(); got != c.client {
			t.Errorf("%s: client %s, want %s", name, got, c.client)
		}
	}
	// A crude request is mended here as elsewhere, also that of who comes by no proxy.
	crude := "GET /live.mp3 HTTP/1.1 \r\nUltravox transport type: TCP\r\nIcy-MetaData : 1\r\n\r\n"
	near := w.serve(netip.MustParsePrefix("192.0.2.0/24"))
	for name, got := range map[string]string{
		"by a proxy": raw(t, trusting, "PROXY TCP4 203.0.113.9 127.0.0.1 4096 8000\r\n"+crude), "a proxy's own": raw(t, trusting, crude), "by none": raw(t, near, crude),
	} {
		if !strings.HasPrefix(got, "HTTP/1.1 302") {
			t.Errorf("crude, %s: %q", name, got)
		}
	}
	if got := raw(t, trusting, "PROXY TCP4 203.0.113.9 127.0.0.1 4096 8000\r\n"+strings.Replace(crude, "Icy-MetaData : 1", "Transfer-Encoding : chunked", 1)); !strings.Contains(got, " 400 ") {
		t.Errorf("a body in doubt: %q", got)
	}
	// HAProxy's send-proxy-v2-ssl tells that the client speaks TLS, or that it does not.
	tlv := func(client string) string { return "\x20\x00\x05" + client + "\x00\x00\x00\x00" }
	for name, c := range map[string]struct{ tlv, location string }{
		"with TLS":    {tlv("\x01"), "Location: https://"},
		"without TLS": {tlv("\x00"), "Location: http://"},
		"neither":     {"", "Location: http://"},
		"broken":      {"\x20\x00\x09\x01", "Location: http://"},
	} {
		header := v2[:15] + string(rune(12+len(c.tlv))) + v2[16:] + c.tlv
		if got := raw(t, trusting, header+get); !strings.Contains(got, c.location) {
			t.Errorf("%s: %q, want %s", name, got, c.location)
		}
	}
	if got := raw(t, trusting, "PROXY TCP4 bad\r\n"+get); strings.Contains(got, "302") {
		t.Errorf("a broken header was accepted: %q", got)
	}
	// From elsewhere the header is garbage.
	other := newWorld(t, nil)
	for _, proxies := range [][]netip.Prefix{nil, {netip.MustParsePrefix("192.0.2.0/24")}} {
		if got := raw(t, other.serve(proxies...), "PROXY TCP4 203.0.113.9 127.0.0.1 4096 8000\r\n"+get); !strings.Contains(got, " 400 ") {
			t.Errorf("trusting %v: %q", proxies, got)
		}
	}
}

func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.MaxConnections = 3 })
	w.idle.least = time.Hour
	addr := w.serve()
	var held []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "G") // the kernel hands over what says something at once
		held = append(held, c)
	}
	eventually(t, "three connections", func() bool { return w.stats.open.Load() == 3 })
	if got := raw(t, addr, "GET /live.mp3 HTTP/1.0\r\n\r\n"); got != "" {
		t.Errorf("the fourth was answered: %q", got)
	}
	for _, c := range held {
		c.Close()
	}
	eventually(t, "no connection", func() bool { return w.stats.open.Load() == 0 })
	if got := raw(t, addr, "GET /live.mp3 HTTP/1.0\r\n\r\n"); !strings.Contains(got, "302") {
		t.Errorf("after the others left: %q", got)
	}
	if w.stats.excess.Load() == 0 {
		t.Error("the refusal was not counted")
	}
}

// Connections that wait for a request make room for listeners, the one that has waited
// longest first: silent ones, those with half a request, and those that are kept open.
func TestIdleMakeRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ request, answer string }{
		"half a request": {"GET /live.mp3 HTTP/1.1\r\n", ""},
		"kept open":      {"GET /live.mp3 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 302"},
		"kept, slow":     {"GET /status-json.xsl HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 3
			w := newWorld(t, func(c *Config) {
				c.MaxConnections, c.Policy.KeepAlive, c.Policy.PerKey, c.Policy.PerAddress = most, true, -1, -1
			})
			w.idle.least = 0
			addr := w.serve()
			waits := func() bool {
				w.idle.mu.Lock()
				defer w.idle.mu.Unlock()
				return w.idle.order.Len() > 0 || !w.lane.Longest().IsZero()
			}
			var held []net.Conn
			for i := range most {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(conn, c.request)
				if c.answer != "" {
					if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || !strings.HasPrefix(c.answer, "HTTP/1.1 "+resp.Status[:3]) {
						t.Fatalf("%v, %v; want %s", resp, err, c.answer)
					}
				}
				held = append(held, conn)
				eventually(t, "it to wait", func() bool { return waits() && w.stats.open.Load() == int64(i+1) })
			}
			if got := raw(t, addr, "GET /live.mp3 HTTP/1.0\r\n\r\n"); !strings.Contains(got, "302") {
				t.Errorf("a listener was answered %q", got)
			}
			if n, err := io.Copy(io.Discard, held[0]); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the first to wait: %d bytes, %v; want its end", n, err)
			}
			if shed, refused := w.stats.shed.Load(), w.stats.excess.Load(); shed != 1 || refused != 0 {
				t.Errorf("%d made room, %d were refused", shed, refused)
			}
			eventually(t, "the others to stay", func() bool { return w.stats.open.Load() == most-1 })
		})
	}
}

// eventually polls until ok, which is expected to happen within moments.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in vain: %s", what)
		}
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	r := Readiness{Degraded: true, Reason: "store away"}
	w := newWorld(t, func(c *Config) { c.Ready = func() Readiness { return r } })
	ready := func() (int, readyAnswer) {
		rec := w.get("/readyz")
		var a readyAnswer
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return rec.Code, a
	}
	view := w.view.Load()
	w.view.Store(&director.View{})
	if code, a := ready(); code != 503 || a.Ready || a.Reason != "no snapshot yet" {
		t.Errorf("before the first snapshot: %d %+v", code, a)
	}
	if got := w.get("/healthz").Code; got != 200 {
		t.Errorf("healthz before the first snapshot: %d", got)
	}
	w.view.Store(view)
	w.tick(time.Hour) // the snapshot's own time is by the store's clock, and says nothing here
	for _, age := range []float64{0, 3} {
		r.SnapshotAge = time.Duration(age) * time.Second
		if code, a := ready(); code != 200 || !a.Ready || !a.Degraded || a.Reason != r.Reason || a.SnapshotAgeS == nil || *a.SnapshotAgeS != age {
			t.Errorf("a snapshot %v s old: %d %+v", age, code, a)
		}
	}
	w.Drain()
	if code, a := ready(); code != 503 || a.Reason != "draining" {
		t.Errorf("draining: %d %+v", code, a)
	}
	if got := w.get("/live.mp3").Code; got != 302 {
		t.Errorf("a listener while draining: %d", got)
	}
}

// TestShutdown has an inline stream running: it is let go on, no new one begins,
// and in the end it is cut.
func TestShutdown(t *testing.T) {
	t.Parallel()
	carrier := &fakeCarrier{room: true, started: make(chan struct{})}
	w := newWorld(t, func(c *Config) {
		c.Carrier, c.Policy.Rules = carrier, []Rule{{Answer: Proxy}}
	})
	addr := w.serve()
	resp, err := http.Get("http://" + addr + "/live.mp3")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-carrier.started
	w.Drain()
	if got := w.get("/live.mp3").Code; got != 503 {
		t.Errorf("a new inline stream while draining: %d", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	down := make(chan error, 1)
	go func() { down <- w.Shutdown(ctx) }()
	eventually(t, "closed listener", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case err := <-down:
		t.Fatalf("shut down under a stream: %v", err)
	default:
	}
	cancel()
	if err := <-down; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "audio" {
		t.Errorf("the listener got %q", b)
	}
}

func TestShutdownWhenIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	addr := w.serve()
	raw(t, addr, "GET /live.mp3 HTTP/1.0\r\n\r\n")
	if err := w.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.cfg.Locate = func(netip.Addr) director.Place { panic("broken") }
	rec := w.get("/live.mp3")
	golden(t, "500", rec)
	if w.stats.panics.Load() != 1 || w.lastRecord().Status != 500 {
		t.Errorf("%d panics counted, record %+v", w.stats.panics.Load(), w.lastRecord())
	}
	// The memory of a request that panicked is used again.
	w.cfg.Locate = func(netip.Addr) director.Place { return director.Place{} }
	if got := w.get("/live.mp3").Code; got != 302 {
		t.Errorf("after it: %d", got)
	}
}

func TestSetPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	err := w.SetPolicy(Policy{
		Escalate: "sometimes", PlaylistLength: 50, PublicURL: "radio.example", DefaultMount: "live",
		SIDs: map[int]string{1: "live"}, Trusted: []netip.Prefix{{}}, ForwardHeader: "X-Real-IP", Rules: []Rule{{HTTP: "9"}},
	})
	if err == nil {
		t.Fatal("a policy full of mistakes was accepted")
	}
	for _, want := range []string{
		`escalate: "sometimes": use next, off, observe, inline`, "playlist_length: must be 1 to 20", "public_url: ", "default_mount: ",
		"sids[1]: ", "trusted[0]: ", `forward_header: "X-Real-IP": use X-Forwarded-For, Forwarded`, "rules[0].http: ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if w.policy.Load().Escalate != EscalateNext {
		t.Error("the old policy is gone")
	}
	for _, u := range []string{"http://u:p@x", "https://x/?q", "ftp://x", "https://", "http://x\r\ny", "http://a b"} {
		if CheckPolicy(Policy{PublicURL: u}) == nil {
			t.Errorf("public URL %q was accepted", u)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a server without a view was made")
	}
}

// A certificate authority's question is answered wherever it arrives; it takes no mount, and
// it cannot hold up others.
func TestChallenge(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	asked := make(chan struct{}, 100)
	w := newWorld(t, func(c *Config) {
		c.Challenge = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-release
			fmt.Fprint(w, "answer to "+r.URL.Path)
		})
	})
	addr := w.serve()
	const question = "GET /.well-known/acme-challenge/abc HTTP/1.1\r\nHost: radio.example\r\nConnection: close\r\n\r\n"
	var all sync.WaitGroup
	for range maxChallenges {
		all.Go(func() {
			if got := raw(t, addr, question); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "answer to /.well-known/acme-challenge/abc") {
				t.Errorf("answered %q", got)
			}
		})
	}
	for range maxChallenges {
		<-asked
	}
	if got := raw(t, addr, question); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("one too many at a time gets %q", got)
	}
	if got := raw(t, addr, "GET /live.mp3 HTTP/1.1\r\nHost: radio.example\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 302 ") {
		t.Errorf("a listener meanwhile gets %q", got)
	}
	close(release)
	all.Wait()
	if got := raw(t, newWorld(t, nil).serve(), question); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
		t.Errorf("without certificates: %q", got)
	}
}
