package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// The time limits of a TCP connection (RFC 7766, 6.2.3 and 6.1). A whole query must arrive
// within tcpIdle of the answer before it, so that a client that sends single bytes is cut
// too. No connection lasts longer than tcpLife.
const (
	tcpIdle  = 10 * time.Second
	tcpLife  = 2 * time.Minute
	tcpWrite = 5 * time.Second
	// tcpLast is how long a query may take that comes while the server stops.
	tcpLast = 500 * time.Millisecond
	// tcpPerClient is how many connections one network may have open at once, so that one
	// network alone cannot shut out the others.
	tcpPerClient = 16
	// maxTCPQuery is larger than any sensible query; a connection that announces a longer
	// one is closed.
	maxTCPQuery = 4096
)

// connections counts open connections by the client's network, as records show it.
type connections struct {
	mu   sync.Mutex
	open map[netip.Prefix]int
}

func (c *connections) enter(n netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[netip.Prefix]int{}
	}
	if c.open[n] >= tcpPerClient {
		return false
	}
	c.open[n]++
	return true
}

func (c *connections) leave(n netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[n]--; c.open[n] <= 0 {
		delete(c.open, n)
	}
}

// serveTCP answers at a listening socket until it is closed, and waits for its connections.
func (s *Server) serveTCP(ctx context.Context, l *net.TCPListener) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := l.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			// Temporary: no file descriptor is free, or the client is gone.
			s.cfg.Log.Warn("a TCP connection for DNS could not be accepted", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		from, _ := s.cfg.Unmap(c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
		if s.tcp.Add(1) > int64(s.policy.Load().MaxTCP) || !s.clients.enter(network(from)) {
			s.tcp.Add(-1)
			s.refused.Add(1)
			_ = c.Close()
			continue
		}
		all.Go(func() {
			defer s.tcp.Add(-1)
			defer s.clients.leave(network(from))
			defer c.Close()
			defer context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now().Add(tcpLast)) })()
			s.converse(ctx, c, from)
		})
	}
}

// converse answers the queries of one connection in order. Once ctx is done, it answers one
// more that comes within tcpLast.
func (s *Server) converse(ctx context.Context, c net.Conn, from netip.Addr) {
	defer func() {
		if p := recover(); p != nil {
			s.stats.panics.Add(1)
			s.cfg.Log.Error("a DNS query panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	w := s.newWorker()
	// Two bytes of length, then the message, at most as long as an answer may be. An answer
	// touches no more of it than it needs.
	b := make([]byte, 2+math.MaxUint16)
	end := time.Now().Add(tcpLife)
	for {
		if err := c.SetDeadline(earlier(time.Now().Add(tcpIdle), end)); err != nil {
			return
		}
		last := ctx.Err() != nil
		if last {
			_ = c.SetReadDeadline(time.Now().Add(tcpLast))
		}
		if _, err := io.ReadFull(c, b[:2]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(b))
		if n > maxTCPQuery {
			s.stats.junk.Add(1)
			return
		}
		if _, err := io.ReadFull(c, b[2:2+n]); err != nil {
			return
		}
		size := w.answer(b[2:], n, from, true, s.cfg.Now())
		if size == 0 {
			return // it was junk
		}
		binary.BigEndian.PutUint16(b, uint16(size))
		if err := c.SetWriteDeadline(earlier(time.Now().Add(tcpWrite), end)); err != nil {
			return
		}
		if _, err := c.Write(b[:2+size]); err != nil || last {
			return
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// noFamily says whether an error means that the machine lacks an address family.
func noFamily(err error) bool {
	var at *net.OpError
	return errors.As(err, &at) && (errors.Is(at.Err, syscall.EAFNOSUPPORT) || errors.Is(at.Err, syscall.EADDRNOTAVAIL))
}

// explained adds the remedy to an error of opening sockets.
func explained(addr string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("listen for DNS at %s (dns.listen): %w; ports below 1024 need the capability CAP_NET_BIND_SERVICE: "+
			"systemd gives it with AmbientCapabilities (the unit in deploy/ has it), a container with cap_add, and setcap cap_net_bind_service=+ep to the program", addr, err)
	}
	return fmt.Errorf("listen for DNS at %s: %w; is another DNS server there, such as systemd-resolved? Choose another address under dns.listen", addr, err)
}
