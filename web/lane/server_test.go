package lane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// seat is a server with a listener, and how many requests were answered how.
type seat struct {
	addr        string
	quick, slow atomic.Int64
	server      *http.Server
	fast        *Server
	served      chan error

	mu     sync.Mutex
	logged strings.Builder
}

func (s *seat) log(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logged.WriteString(line)
}

// serve answers with h, at first in the lane if fast is true.
func serve(t *testing.T, fast bool, h http.HandlerFunc) *seat {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &seat{addr: l.Addr().String(), served: make(chan error, 1)}
	count := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(Passer); ok {
			s.quick.Add(1)
		} else {
			s.slow.Add(1)
		}
		h(w, r)
	})
	s.server = &http.Server{Handler: count, ReadHeaderTimeout: patience, ConnContext: ConnContext, ErrorLog: newLog(s.log)}
	s.fast = &Server{Handler: count, HeadTimeout: patience, IdleTimeout: patience, ErrorLog: s.server.ErrorLog}
	if fast {
		if l, err = s.fast.Listen(l); err != nil {
			t.Fatal(err)
		}
	}
	go func() { s.served <- s.server.Serve(l) }()
	t.Cleanup(func() { s.stop(t) })
	return s
}

func (s *seat) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(s.server.Shutdown(ctx), s.fast.Shutdown(ctx)); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// everything answers in every way in which a handler may.
func everything(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["X-Seen"] = []string{fmt.Sprint(r.Method, " ", r.URL, " ", r.Proto, " ", r.Host, " ", r.Close, " ", len(r.Header), " ", r.UserAgent())}
	h["X-Twice"] = []string{"a", " b\r\nc "}
	switch r.URL.Path {
	case "/redirect":
		h["Location"] = []string{"http://node.example/a?" + r.URL.RawQuery}
		h["Content-Length"] = []string{"0"}
		w.WriteHeader(http.StatusFound)
	case "/close":
		h["Connection"] = []string{"close"}
		h["Content-Length"] = []string{"0"}
		w.WriteHeader(http.StatusFound)
	case "/text":
		io.WriteString(w, "one ")
		io.WriteString(w, "two")
	case "/none":
		w.WriteHeader(http.StatusNoContent)
	case "/notmodified":
		w.WriteHeader(http.StatusNotModified)
	case "/odd":
		h["Date"] = []string{"never"}
		w.WriteHeader(799)
		w.WriteHeader(http.StatusOK)
	case "/cut":
		panic(http.ErrAbortHandler)
	case "/silent":
	default:
		http.NotFound(w, r)
	}
}

// talk sends bytes, and reads all until the server closes or has answered n
// requests; it says what came, in a form that can be compared.
func talk(t *testing.T, addr, said string, n int) (heard []string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, said)
	in := bufio.NewReader(c)
	for range n {
		method, _, _ := strings.Cut(said, " ")
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return append(heard, "closed")
		}
		body, _ := io.ReadAll(resp.Body)
		if _, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			resp.Header.Set("Date", "now")
		}
		heard = append(heard, fmt.Sprintf("%s %s %v %d %q", resp.Proto, resp.Status, resp.Header, resp.ContentLength, body))
	}
	return heard
}

// The same clients hear the same from both, however they ask and whatever is
// answered, and most of them are answered here.
func TestLikeNetHTTP(t *testing.T) {
	t.Parallel()
	ours, theirs := serve(t, true, everything), serve(t, false, everything)
	const host = "Host: radio.example\r\n"
	compare := func(said string, n int) {
		want, got := talk(t, theirs.addr, said, n), talk(t, ours.addr, said, n)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.200q: net/http's -, ours +\n%s", said, diff)
		}
	}
	for _, path := range strings.Fields("redirect?a=b&c redirect close text none notmodified odd cut silent other %72edirect") {
		get := "GET /" + path + " HTTP/1.1\r\n" + host
		for _, said := range []string{
			get + "\r\n",
			get + "User-Agent: x/1\r\nConnection: close\r\n\r\n",
			"GET /" + path + " HTTP/1.0\r\n\r\n",
			"GET /" + path + " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
			"GET /" + path + " HTTP/1.1\n" + host + "\n",
			"HEAD /" + path + " HTTP/1.1\r\n" + host + "\r\n",
			"POST /" + path + " HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc",
		} {
			compare(said, 1)
		}
		compare(strings.Repeat(get+"\r\n", 3), 3)
		compare(get+"\r\nPOST /text HTTP/1.1\r\n"+host+"Content-Length: 3\r\n\r\nabcGET /text HTTP/1.1\r\n"+host+"\r\n", 3)
		compare(get+"\r\nGET /"+strings.Repeat("long", 3000)+" HTTP/1.1\r\n"+host+"\r\n", 2)
	}
	for _, said := range []string{
		"nonsense\r\n\r\n",
	} {
		compare(said, 2)
	}
	if q, s := ours.quick.Load(), ours.slow.Load(); q < s/2 {
		t.Errorf("%d requests were answered here, and %d left to net/http", q, s)
	}
}

// A connection that stays is answered here again and again.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	s := serve(t, true, everything)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for i := range 50 {
		fmt.Fprintf(c, "GET /redirect?%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := "http://node.example/a?" + strconv.Itoa(i); resp.Header.Get("Location") != want {
			t.Fatalf("got %q, want %q", resp.Header.Get("Location"), want)
		}
	}
	// So is a request in pieces.
	io.WriteString(c, "GET /text HT")
	io.WriteString(c, "TP/1.1\r\nHost: x\r\n\r\n")
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("got %v, %v", resp, err)
	}
	if got := s.quick.Load(); got != 51 {
		t.Errorf("%d requests were answered here", got)
	}
}

// Shutdown ends connections that wait for their next request.
func TestShutdownEndsWhoWaits(t *testing.T) {
	t.Parallel()
	s := serve(t, true, everything)
	var clients []net.Conn
	for range 5 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /redirect HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	s.stop(t)
	for _, c := range clients {
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a waiting client is told %v, want that the server has closed", err)
		}
	}
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
}

// An answer that no socket takes at once keeps nobody else waiting.
func TestWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("status "), 1<<20)
	s := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			w.Write(large)
			return
		}
		everything(w, r)
	})
	var slow []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET /text HTTP/1.1\r\nHost: x\r\n\r\n")
		slow = append(slow, c)
	}
	for range 3 {
		if got := talk(t, s.addr, "GET /text HTTP/1.1\r\nHost: x\r\n\r\n", 1); len(got) != 1 || !strings.Contains(got[0], "one two") {
			t.Fatalf("got %q", got)
		}
	}
	for _, c := range slow {
		in := bufio.NewReader(c)
		for _, want := range [][]byte{large, []byte("one two")} {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(want))
			}
		}
	}
}

// What a handler passes on comes again in net/http, once with its note, and can be
// taken over there with nothing lost.
func TestPassOn(t *testing.T) {
	t.Parallel()
	s := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
		if p, ok := w.(Passer); ok && r.URL.Path == "/long" {
			io.WriteString(w, "forgotten")
			p.PassOn(r.URL.RawQuery)
			return
		}
		note := Note(r.Context())
		if r.URL.RawQuery != "take" {
			fmt.Fprintf(w, "noted: %v, %v", note, Note(r.Context()))
			return
		}
		c, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		line, err := in.ReadString('\n')
		fmt.Fprintf(c, "%v, heard %q, %v", note, line, err)
	})
	const long = "GET /long?a HTTP/1.1\r\nHost: x\r\n\r\n"
	got := strings.Join(talk(t, s.addr, "GET /short HTTP/1.1\r\nHost: x\r\n\r\n"+long+long, 3), "\n")
	for i, want := range []string{"noted: <nil>, <nil>", "noted: a, <nil>", "noted: <nil>, <nil>"} {
		if line := strings.Split(got, "\n")[i]; !strings.Contains(line, want) {
			t.Errorf("answer %d is %s, want %q", i, line, want)
		}
	}
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /long?take HTTP/1.1\r\nHost: x\r\n\r\nand more\n")
	if answer, err := io.ReadAll(c); err != nil || string(answer) != `take, heard "and more\n", <nil>` {
		t.Errorf("got %q, %v", answer, err)
	}
}

// A handler that breaks takes its connection with it, and nothing else.
func TestPanic(t *testing.T) {
	t.Parallel()
	s := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			panic("broken")
		}
		everything(w, r)
	})
	for range 20 {
		if got := talk(t, s.addr, "GET /broken HTTP/1.1\r\nHost: x\r\n\r\n", 1); got[0] != "closed" {
			t.Errorf("got %q", got)
		}
	}
	if got := talk(t, s.addr, "GET /text HTTP/1.1\r\nHost: x\r\n\r\n", 1); got[0] == "closed" {
		t.Error("the server is gone")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := strings.Count(s.logged.String(), "panic serving 127.0.0.1:"); n != 20 {
		t.Errorf("%d panics were told of: %s", n, s.logged.String())
	}
}

type lines func(string)

func (l lines) Write(b []byte) (int, error) {
	l(string(b))
	return len(b), nil
}

func newLog(to func(line string)) *log.Logger { return log.New(lines(to), "", 0) }

// Connections that were accepted before the listening socket was closed are handed on all the
// same.
func TestHandsOnAfterClose(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fast := &Server{Handler: http.HandlerFunc(everything), HeadTimeout: patience, IdleTimeout: patience}
	own, err := fast.Listen(l)
	if err != nil {
		t.Fatal(err)
	}
	accept := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		io.WriteString(c, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
		return c
	}
	accept()
	first, err := own.Accept()
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	second := accept()
	own.Stop()
	if c, err := own.Accept(); err != nil || c.RemoteAddr().String() != second.LocalAddr().String() {
		t.Errorf("Accept: %v, %v; want the connection that was made before", c, err)
	} else {
		c.Close()
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := own.Accept()
		accepted <- err
	}()
	<-own.Quiet()
	own.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept before Close: %v", err)
	}
	if _, err := own.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if err := fast.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// After Leave, a connection that is kept open is answered once more, and ends.
func TestLeave(t *testing.T) {
	t.Parallel()
	s := serve(t, true, everything)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(c)
	for _, last := range []bool{false, true} {
		if last {
			s.fast.Leave()
		}
		_, _ = io.WriteString(c, "GET /text HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.Close != last {
			t.Errorf("Connection: close is %v, want %v", resp.Close, last)
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %v, want the end", err)
	}
}
