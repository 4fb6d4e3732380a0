package lane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// open serves h on a loopback address, until the test ends.
func open(t *testing.T, s *Server, at string, h http.HandlerFunc) (*Listener, string) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Skipf("%s: %v", at, err) // there may be no IPv6 here
	}
	s.Handler = h
	own, err := s.Listen(l)
	if err != nil {
		t.Fatal(err)
	}
	past := &http.Server{Handler: h, ReadHeaderTimeout: patience, ConnContext: ConnContext}
	go past.Serve(own)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		own.Close()
		s.Close()
		if err := errors.Join(past.Shutdown(ctx), s.Shutdown(ctx)); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return own, l.Addr().String()
}

func lanes() *Server { return &Server{HeadTimeout: patience, IdleTimeout: patience} }

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for by := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(by) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// Whoever says nothing, only half of a request, or every part of it slowly, is let go; so is
// who asks no more, and who does not read.
func TestTimeLimits(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("status "), 2<<20)
	short := 30 * time.Millisecond
	for name, c := range map[string]struct {
		server *Server
		say    string
		drips  bool
	}{
		"silent":         {&Server{HeadTimeout: short, IdleTimeout: patience}, "", false},
		"half a request": {&Server{HeadTimeout: short, IdleTimeout: patience}, "GET /a HTTP/1.1\r\nHo", false},
		"in drips":       {&Server{HeadTimeout: 20 * short, IdleTimeout: patience}, "GET /a HTTP/1.1\r\nHost: x", true},
		"half of the second": {&Server{HeadTimeout: short, IdleTimeout: patience},
			"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /a HT", false},
		"no second":     {&Server{HeadTimeout: patience, IdleTimeout: short}, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", false},
		"does not read": {&Server{HeadTimeout: patience, IdleTimeout: short}, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{}, 1)
			c.server.Released = func() { ended <- struct{}{} }
			_, addr := open(t, c.server, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/large" {
					w.Write(large)
				}
			})
			conn := dial(t, addr)
			io.WriteString(conn, c.say)
			for i := 0; c.drips; i++ {
				if _, err := io.WriteString(conn, "x"); err != nil {
					break
				}
				if i == 3000 {
					t.Fatal("it may go on")
				}
				time.Sleep(time.Millisecond) // the pace of a client
			}
			select {
			case <-ended:
			case <-time.After(patience):
				t.Error("it stays for ever")
			}
		})
	}
}

// Where the machine stood still for longer than a client has for its request, the request that
// came meanwhile is answered.
func TestWhatCameInTime(t *testing.T) {
	t.Parallel()
	held, release := make(chan struct{}), make(chan struct{})
	own, addr := open(t, lanes(), "127.0.0.1:0", func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			held <- struct{}{}
			<-release
		}
	})
	c := dial(t, addr)
	io.WriteString(c, "GET /a HTTP/1.0\r\n")
	until(t, "half of the request to be read", func() bool { return waiting(own.s) == 1 })
	for range own.threads {
		io.WriteString(dial(t, addr), "GET /held HTTP/1.0\r\n\r\n")
		<-held
	}
	io.WriteString(c, "\r\n")
	own.s.each(func(t2 *thread) {
		t2.mu.Lock()
		defer t2.mu.Unlock()
		if w := t2.heads.first; w != nil {
			until(t, "the rest of the request to arrive", func() bool { return isReady(w.fd, w.watched) })
			w.since = w.since.Add(-2 * patience)
			t2.due = w.since.Add(patience) // the thread is held up
		}
	})
	close(release)
	if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.0 200") {
		t.Errorf("got %q, %v", got, err)
	}
}

// A client that takes one answer slowly has no less time for the next.
func TestEachAnswerHasItsTime(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("status "), 2<<20)
	own, addr := open(t, lanes(), "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) { w.Write(large) })
	c := dial(t, addr)
	_ = c.(*net.TCPConn).SetReadBuffer(64 << 10) // or the kernel makes room for all of an answer, as one reads on
	since := func() (at time.Time) {             // when an answer began to wait
		own.s.each(func(t *thread) {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.unsent.first != nil {
				at = t.unsent.first.since
			}
		})
		return at
	}
	in := bufio.NewReader(c)
	var before time.Time
	for range 2 {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		until(t, "the answer to wait", func() bool { return since().After(before) })
		before = since()
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, large) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		until(t, "all to be sent", func() bool { return since().IsZero() })
	}
}

// While one thread is held up, the others answer.
func TestNothingWaits(t *testing.T) {
	t.Parallel()
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("one processor has one thread")
	}
	held, release := make(chan struct{}), make(chan struct{})
	_, addr := open(t, lanes(), "127.0.0.1:0", func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			close(held)
			<-release
		}
	})
	first := dial(t, addr)
	io.WriteString(first, "GET /held HTTP/1.0\r\n\r\n")
	<-held
	for range 200 {
		c := dial(t, addr)
		io.WriteString(c, "GET /other HTTP/1.0\r\n\r\n")
		if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.0 200") {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	close(release)
	if got, err := io.ReadAll(first); err != nil || !strings.HasPrefix(string(got), "HTTP/1.0 200") {
		t.Errorf("who was held up got %q, %v", got, err)
	}
}

// waiting is how many connections wait for a request, or for the rest of one.
func waiting(s *Server) (n int) {
	s.each(func(t *thread) {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, l := range []*list{&t.heads, &t.idle} {
			for c := l.first; c != nil; c = c.after {
				n++
			}
		}
	})
	return n
}

// Silent and slow connections take no thread, no goroutine, and nothing from others.
func TestManyWait(t *testing.T) {
	t.Parallel()
	s := lanes()
	_, addr := open(t, s, "127.0.0.1:0", func(http.ResponseWriter, *http.Request) {})
	const silent = 300
	var all []net.Conn
	for range silent {
		c := dial(t, addr)
		io.WriteString(c, "GET /a HTTP/1.1\r\n")
		all = append(all, c)
	}
	until(t, "all to wait", func() bool { return waiting(s) == silent })
	for i := range silent {
		io.WriteString(all[i], "A: b\r\n")
		c := dial(t, addr)
		io.WriteString(c, "GET /b HTTP/1.0\r\n\r\n")
		if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.0 200") {
			t.Fatalf("a listener got %q, %v", got, err)
		}
	}
	for i, c := range all {
		io.WriteString(c, "Host: x\r\nConnection: close\r\n\r\n")
		if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200") {
			t.Fatalf("slow client %d got %q, %v", i, got, err)
		}
	}
	until(t, "none to wait", func() bool { return waiting(s) == 0 })
}

// The last answer goes out with the connection's end, any other one at once; and whoever has
// said more than was read still gets it.
func TestLastWord(t *testing.T) {
	t.Parallel()
	for _, what := range []next{wait, end} {
		for {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client := dial(t, l.Addr().String())
			fd, err := duplicate(l.(*net.TCPListener))
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			own, _, err := accept(fd)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(client, "nobody reads this")
			began := time.Now()
			c := &conn{fd: own, next: what}
			c.send([]byte("farewell"))
			raw, err := client.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			early := false
			_ = raw.Read(func(fd uintptr) bool {
				_, err := receive(int(fd), make([]byte, 1))
				early = err == nil
				return true
			})
			if time.Since(began) > 100*time.Millisecond {
				closeSocket(own)
				continue // the kernel holds it for 200 ms
			}
			if early != (what == wait) {
				t.Errorf("what follows is %v: it arrives before the end: %v", what, early)
			}
			th := &thread{l: &Listener{s: &Server{}}}
			th.finish(c)
			if what == wait {
				break
			}
			if got, err := io.ReadAll(client); string(got) != "farewell" {
				t.Errorf("the client got %q, %v", got, err)
			}
			break
		}
	}
}

// The peer's address is the client's own, in the shape that package net gives it.
func TestPeer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ listen, dial string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "::1"}, {"[::1]:0", "::1"},
	} {
		t.Run(c.listen+" "+c.dial, func(t *testing.T) {
			_, at := open(t, lanes(), c.listen, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })
			_, port, _ := net.SplitHostPort(at)
			conn := dial(t, net.JoinHostPort(c.dial, port))
			io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
			got, err := io.ReadAll(conn)
			if want := "\r\n\r\n" + conn.LocalAddr().String(); err != nil || !strings.HasSuffix(string(got), want) {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		})
	}
}

// Many connections opened and closed at once from both sides, in the lane and past it: none
// is mistaken for another whose descriptor it got.
func TestDescriptorsAreNotMixedUp(t *testing.T) {
	t.Parallel()
	_, addr := open(t, lanes(), "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.RawQuery, " ", r.RemoteAddr)
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				ask := "GET /?%d-%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
				if j%5 == 1 {
					ask = "GET /?%d-%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\nPragma: no-cache\r\n\r\n" // net/http's
				}
				ask = fmt.Sprintf(ask, i, j)
				if j%7 == 2 { // in two parts
					io.WriteString(c, ask[:20])
					ask = ask[20:]
				}
				io.WriteString(c, ask)
				if j%3 == 0 {
					c.Close() // without waiting for the answer
					continue
				}
				answer, _ := io.ReadAll(c)
				if want := fmt.Sprintf("\r\n\r\n%d-%d %s", i, j, c.LocalAddr()); !strings.HasSuffix(string(answer), want) {
					t.Errorf("got %q, want %q", answer, want)
				}
				c.Close()
			}
		})
	}
	wg.Wait()
}

// After an error of accept a thread does not spin, and accepts again later.
func TestAcceptPauses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var said strings.Builder
	s := lanes()
	s.ErrorLog = newLog(func(line string) { said.WriteString(line) })
	fd, err := duplicate(l.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	th, err := newThread(&Listener{Listener: l, s: s, fd: fd})
	if err != nil {
		t.Fatal(err)
	}
	defer th.close()
	for _, want := range []time.Duration{leastPause, 2 * leastPause, 4 * leastPause} {
		th.rest(unix.EMFILE)
		if th.pause != want || th.accepting {
			t.Errorf("it pauses for %v, want %v; accepting: %v", th.pause, want, th.accepting)
		}
	}
	for range 20 {
		th.rest(unix.EMFILE)
	}
	if th.pause != mostPause {
		t.Errorf("it pauses for %v, want %v at most", th.pause, mostPause)
	}
	if n := strings.Count(said.String(), "too many open files; retrying in "); n != 23 {
		t.Errorf("told %d times of 23: %s", n, said.String())
	}
	th.resume = time.Now()
	for !th.accepting { // wait ends at resume, or when the kernel feels like it
		th.wait()
	}
	client := dial(t, l.Addr().String())
	for !th.wait() {
	}
	th.accept()
	if th.pause != 0 || len(th.turn) != 1 || th.turn[0].peer.String() != client.LocalAddr().String() {
		t.Errorf("after the pause: %v, %d accepted", th.pause, len(th.turn))
	}
	for _, c := range th.turn {
		th.finish(c)
	}
}
