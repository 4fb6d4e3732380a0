package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// arriving is how many listeners connect at once: stock Icecast queues five.
	arriving = 5
	// smooth is the longest gap in the audio that no player notices.
	smooth = 2 * time.Second
)

// A tuner connects one listener, and returns after the response's first bytes.
type tuner func(addr string) (net.Conn, error)

// audience is many listeners, with one goroutine each that reads.
type audience struct {
	tune     tuner
	addr     string
	n        int
	mu       sync.Mutex
	conns    []net.Conn
	watching atomic.Bool
	leaving  atomic.Bool
	stalls   atomic.Int64
	lost     atomic.Int64
}

func (a *audience) arrive() error {
	todo := make(chan struct{}, a.n)
	for range a.n {
		todo <- struct{}{}
	}
	close(todo)
	errs := make(chan error, arriving)
	for range arriving {
		go func() {
			for range todo {
				conn, err := a.tune(a.addr)
				if err != nil {
					errs <- err
					return
				}
				a.mu.Lock()
				a.conns = append(a.conns, conn)
				a.mu.Unlock()
				go a.listen(conn)
			}
			errs <- nil
		}()
	}
	var all error
	for range arriving {
		all = errors.Join(all, <-errs)
	}
	return all
}

var trash = sync.Pool{New: func() any { return new([32 << 10]byte) }}

func (a *audience) listen(conn net.Conn) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		panic(err) // it is a socket
	}
	last := time.Now()
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			buf := trash.Get().(*[32 << 10]byte)
			defer trash.Put(buf)
			var err error
			n, err = unix.Read(int(fd), buf[:])
			return !errors.Is(err, unix.EAGAIN)
		})
		if err != nil || n <= 0 {
			if !a.leaving.Load() {
				a.lost.Add(1)
			}
			return
		}
		now := time.Now()
		if a.watching.Load() && now.Sub(last) > smooth {
			a.stalls.Add(1)
		}
		last = now
	}
}

func (a *audience) watch(on bool) { a.watching.Store(on) }

func (a *audience) leave() {
	a.leaving.Store(true)
	for _, c := range a.conns {
		c.Close()
	}
}

// awaitStream returns when a listener gets the stream.
func awaitStream(tune tuner, addr string) error {
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var conn net.Conn
		if conn, err = tune(addr); err == nil {
			conn.Close()
			return nil
		}
	}
	return fmt.Errorf("no stream at %s: %w", addr, err)
}

// tuneIn is a tuner for plain connections.
func tuneIn(addr string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return conn, ask(conn)
}

// tuneInTLS is a tuner for https. What comes after the response's first bytes is never
// decrypted: that would be the listener's cost.
func tuneInTLS(addr string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return conn, ask(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}))
}

// ask requests the stream. It closes the connection if it returns an error.
func ask(conn net.Conn) error {
	fmt.Fprintf(conn, "GET /live.mp3 HTTP/1.0\r\nHost: radio.example\r\nUser-Agent: bench/1\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 2048)
	n, err := io.ReadAtLeast(conn, buf, len("HTTP/1.0 200"))
	_ = conn.SetReadDeadline(time.Time{})
	if err == nil && !strings.Contains(string(buf[:n]), " 200 ") {
		err = fmt.Errorf("answered %.60q", buf[:n])
	}
	if err != nil {
		conn.Close()
	}
	return err
}
