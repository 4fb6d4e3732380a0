package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// mode is what a client does with its connection.
type mode string

const (
	closing   mode = "close"      // sends Connection: close and reads to the end
	hangUp    mode = "hang up"    // lets the server keep it open, but closes it after the answer, as players do
	openLoop  mode = "open loop"  // hangs up too, but connects at a fixed rate, ready or not
	keepAlive mode = "keep-alive" // asks again on the same connection
)

// askCmd is a process of clients, on another core than the servers. Each client has a
// blocking socket and a thread: a net.Conn would cost the client several times what the
// connection costs the server, and the bench would measure its client.
type askCmd struct {
	Addr     string  `arg:""`
	Mode     mode    `arg:""`
	Requests int     `arg:""`
	Clients  int     `arg:""`
	Rate     float64 `help:"Connections a second, of an open loop."`
	Path     string  `default:"/live.mp3"`
	Agents   string  `help:"Format of user agents, with a number in it."`
	Paths    string  `help:"A file of paths, one a line, to ask for in turn in place of the one."`
	Status   int     `default:"302" help:"The status of good answers."`
}

// asked is what the clients measured.
type asked struct {
	PerSecond float64 `json:"per_second"`
	P50, P99  float64 // microseconds, from when a request was due
}

// Run prints an asked as JSON.
func (c *askCmd) Run() error {
	to, err := netip.ParseAddrPort(c.Addr)
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(c.Clients + 4) // a thread in a blocking call may keep its processor (P)
	s := swarm{askCmd: c, to: &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}, redirected: fmt.Appendf(nil, " %d ", c.Status)}
	if s.requests, err = c.requests(10_000); err != nil {
		return err
	}
	s.took = make([]time.Duration, c.Requests)
	s.began = time.Now()
	var wg sync.WaitGroup
	errs := make([]error, c.Clients)
	for i := range errs {
		wg.Go(func() { errs[i] = s.client() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	took := time.Since(s.began)
	slices.Sort(s.took)
	us := func(q float64) float64 { return float64(s.took[int(q*float64(len(s.took)-1))].Nanoseconds()) / 1000 }
	return json.NewEncoder(os.Stdout).Encode(asked{float64(c.Requests) / took.Seconds(), us(0.5), us(0.99)})
}

// requests returns n prepared requests, from different addresses and players.
func (c *askCmd) requests(n int) ([][]byte, error) {
	paths := []string{c.Path}
	if c.Paths != "" {
		text, err := os.ReadFile(c.Paths)
		if err != nil {
			return nil, err
		}
		paths = strings.Fields(string(text))
	}
	players := []string{"VLC/3.0.20 LibVLC/3.0.20", "Lavf/59.27.100", "mpg123/1.31.2", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Music Player Daemon 0.23.12"}
	dice := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		player := players[i%len(players)]
		if c.Agents != "" {
			player = fmt.Sprintf(c.Agents, i)
		}
		var b strings.Builder
		// Addresses from 24.0.0.0 to 95.255.255.255, where listeners are.
		fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: radio.example\r\nUser-Agent: %s\r\nAccept: */*\r\nIcy-MetaData: 1\r\nX-Forwarded-For: %d.%d.%d.%d\r\n",
			paths[i%len(paths)], player, 24+dice.IntN(72), dice.IntN(256), dice.IntN(256), 1+dice.IntN(254))
		if c.Mode.closes() {
			b.WriteString("Connection: close\r\n")
		}
		b.WriteString("\r\n")
		out[i] = []byte(b.String())
	}
	return out, nil
}

// swarm is the state that the clients share.
type swarm struct {
	*askCmd
	to         unix.Sockaddr
	requests   [][]byte
	redirected []byte // of a good answer's status line
	next       atomic.Int64
	began      time.Time
	took       []time.Duration
}

func (s *swarm) client() error {
	runtime.LockOSThread()
	var conn io.ReadWriteCloser
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	speaks, err := s.Mode.tls()
	if err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		i := int(s.next.Add(1)) - 1
		if i >= len(s.took) {
			return nil
		}
		due := time.Now()
		if s.Rate > 0 {
			due = s.began.Add(time.Duration(float64(i) / s.Rate * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		if conn == nil {
			c, err := s.dial(speaks)
			if err != nil {
				return err
			}
			conn = c
		}
		stays, err := s.ask(conn, s.requests[i%len(s.requests)], buf)
		if err != nil {
			return err
		}
		s.took[i] = time.Since(due)
		if s.Mode != keepAlive || !stays {
			conn.Close()
			conn = nil
		}
	}
}

// dial connects, and shakes hands if speaks is not nil.
func (s *swarm) dial(speaks *speaker) (io.ReadWriteCloser, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	conn := socket(fd)
	timeout := unix.Timeval{Sec: 20}
	err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout), unix.Connect(fd, s.to))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	if speaks != nil {
		return speaks.shake(conn)
	}
	return conn, nil
}

// socket is a blocking socket.
type socket int

func (s socket) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(s), b)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (s socket) Write(b []byte) (int, error) { return unix.Write(int(s), b) }

func (s socket) Close() error { return unix.Close(int(s)) }

var (
	endOfHead = []byte("\r\n\r\n")
	saysClose = []byte("\r\nconnection: close\r\n")
)

// ask sends a request, reads its redirect, and says whether the server keeps the
// connection open. Who asked it to close waits until it has.
func (s *swarm) ask(conn io.ReadWriter, request, buf []byte) (stays bool, err error) {
	if _, err := conn.Write(request); err != nil {
		return false, fmt.Errorf("send: %w", err)
	}
	n, end := 0, -1
	for end < 0 {
		m, err := conn.Read(buf[n:])
		n += m
		if end = bytes.Index(buf[:n], endOfHead); end < 0 && err != nil {
			return false, fmt.Errorf("read: the connection ended after %q: %w", buf[:n], err)
		}
	}
	if n < 16 || !bytes.Equal(buf[8:13], s.redirected) {
		return false, fmt.Errorf("not the answer that was expected: %.60q", buf[:n])
	}
	if s.Mode == keepAlive {
		return !bytes.Contains(bytes.ToLower(buf[:end+2]), saysClose), nil
	}
	for s.Mode.closes() {
		if _, err := conn.Read(buf); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return false, fmt.Errorf("read the end: %w", err)
		}
	}
	return false, nil
}
