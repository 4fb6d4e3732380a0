package lazy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// pair connects a client to an accepted connection.
func pair(tb testing.TB) (client, server net.Conn, stop func()) {
	tb.Helper()
	l, err := listen(tb.Context(), "127.0.0.1:0", 0)
	if err != nil {
		tb.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			tb.Error(err)
		}
		accepted <- c
	}()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	server = <-accepted
	return client, server, func() { client.Close(); server.Close(); l.Close() }
}

// The connections keep every promise of net.Conn, from either side.
func TestConn(t *testing.T) {
	t.Parallel()
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c2, c1, stop = pair(t)
		return c1, c2, stop, nil
	})
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: patience}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

func TestManyShortRequests(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		fmt.Fprint(w, r.URL.Path, " ", r.RemoteAddr)
	})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintf(c, "GET /%d/%d HTTP/1.1\r\nHost: x\r\n\r\n", i, j)
				answer, err := io.ReadAll(c)
				want := fmt.Sprintf("/%d/%d %s", i, j, c.LocalAddr())
				if err != nil || !strings.HasSuffix(string(answer), want) {
					t.Errorf("got %q, %v; want %q at the end", answer, err, want)
				}
				c.Close()
			}
		})
	}
	wg.Wait()
}

// The peer's address is the client's own, in the shape that package net gives it.
func TestPeer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ listen, dial string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "::1"}, {"[::1]:0", "::1"},
	} {
		l, err := listen(t.Context(), c.listen, 0)
		if err != nil {
			t.Logf("%s: %v", c.listen, err) // there may be no IPv6 here
			continue
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		client, err := net.Dial("tcp", net.JoinHostPort(c.dial, port))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if got, want := server.RemoteAddr().String(), client.LocalAddr().String(); got != want {
			t.Errorf("%s: the peer is %s, want %s", c.listen, got, want)
		}
	}
}

// A request that trickles in, an answer that does not fit into any buffer, and a
// second request on the same connection.
func TestSlowAndLarge(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("audio"), 1<<20)
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(large) })
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	for range 2 {
		for _, part := range []string{"GET / HT", "TP/1.1\r\nHo", "st: x\r\n\r", "\n"} {
			if _, err := io.WriteString(c, part); err != nil {
				t.Fatal(err)
			}
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(body, large) {
			t.Fatalf("%d bytes, %v; want %d", len(body), err, len(large))
		}
	}
}

// A handler that takes long still learns that its client has left.
func TestTheClientLeaves(t *testing.T) {
	t.Parallel()
	arrived, left := make(chan bool), make(chan bool)
	addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-r.Context().Done()
		left <- true
	})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-arrived
	c.Close()
	select {
	case <-left:
	case <-time.After(patience):
		t.Fatalf("the handler was not told within %v", patience)
	}
}

// A connection that is taken over becomes an ordinary one, and loses nothing.
func TestHijack(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		tcp, ok := c.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn)
		if !ok {
			t.Error("no TCPConn under it")
			return
		}
		line, err := buffered.ReadString('\n')
		fmt.Fprintf(tcp, "heard %q, %v", line, err)
	})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\nand more\n")
	if answer, err := io.ReadAll(c); err != nil || string(answer) != `heard "and more\n", <nil>` {
		t.Errorf("got %q, %v", answer, err)
	}
}

// A descriptor that is handed over is its new owner's alone, whether the
// connection has had to wait before or not.
func TestDetach(t *testing.T) {
	t.Parallel()
	for name, settled := range map[string]bool{"at once": false, "after waiting": true} {
		client, server, stop := pair(t)
		c := server.(*conn)
		if settled {
			c.NetConn()
		}
		fd, err := c.Detach()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := server.Write([]byte("x")); err == nil {
			t.Errorf("%s: the connection still writes", name)
		}
		server.Close()
		if _, err := unix.Write(fd, []byte("mine")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		unix.Close(fd)
		if got, err := io.ReadAll(client); err != nil || string(got) != "mine" {
			t.Errorf("%s: the client got %q, %v", name, got, err)
		}
		if _, err := c.Detach(); err == nil {
			t.Errorf("%s: handed over twice", name)
		}
		stop()
	}
}

// The last that is written goes out with the connection's end, and also if the client
// has said more than was read.
func TestLastWord(t *testing.T) {
	t.Parallel()
	for name, settled := range map[string]bool{"at once": false, "after waiting": true} {
		for {
			client, server, stop := pair(t)
			defer stop()
			c := server.(*conn)
			if settled {
				c.NetConn()
			}
			fmt.Fprint(client, "nobody reads this")
			began := time.Now()
			if n, err := c.WriteNow([]byte("farewell"), true); n != len("farewell") || err != nil {
				t.Fatalf("%s: wrote %d, %v", name, n, err)
			}
			raw, err := client.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			early := false
			if err := raw.Read(func(fd uintptr) bool {
				_, err := receive(int(fd), make([]byte, 1))
				early = err == nil
				return true
			}); err != nil {
				t.Fatal(err)
			}
			if time.Since(began) > 100*time.Millisecond {
				continue // the kernel holds it for 200 ms
			}
			server.Close()
			if got, err := io.ReadAll(client); early || string(got) != "farewell" {
				t.Errorf("%s: the client got %q, %v; before the end: %t", name, got, err, early)
			}
			break
		}
	}
}

// Whoever says nothing is let go by the header timeout, not kept for ever.
func TestSilentClient(t *testing.T) {
	t.Parallel()
	client, server, stop := pair(t)
	defer stop()
	server.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if _, err := server.Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want that the deadline has passed", err)
	}
	client.Close()
}

func TestClosedListener(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v, want net.ErrClosed", err)
	}
}

// Many connections opened and closed at once from both sides: none is mistaken
// for another whose descriptor it got.
func TestDescriptorsAreNotMixedUp(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, r.URL.RawQuery)
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
				fmt.Fprintf(c, "GET /?%d-%d HTTP/1.1\r\nHost: x\r\n\r\n", i, j)
				if j%3 == 0 {
					c.Close() // without waiting for the answer
					continue
				}
				answer, _ := io.ReadAll(c)
				if want := fmt.Sprintf("\r\n\r\n%d-%d", i, j); !strings.HasSuffix(string(answer), want) {
					t.Errorf("got %q, want %q", answer, want)
				}
				c.Close()
			}
		})
	}
	wg.Wait()
}
