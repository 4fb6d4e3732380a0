package web

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/signpost-fm/signpost/web/lane"
)

// Listener prepares a listening socket for [Server.Serve]. A connection beyond
// [Config.MaxConnections] takes the place of one that waits for a request; where none does,
// it is closed at once: a player that is refused tries elsewhere, and one that waits in a
// queue does not. Connections from the networks in proxies may begin with a PROXY
// header, version 1 or 2, that tells the client's address, and in version 2 whether the
// client uses TLS to the proxy. From other addresses such a header is not recognised. TLS is
// added on top of this listener.
func (s *Server) Listener(l net.Listener, proxies []netip.Prefix) net.Listener {
	l = &limitedListener{Listener: l, s: s}
	if len(proxies) == 0 {
		return l
	}
	trusted := trust{}
	for _, p := range proxies {
		trusted.proxies = append(trusted.proxies, plainPrefix(p))
	}
	return &proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: proxyHeaderTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if trusted.trusts(addrOf(o.Upstream)) {
				return proxyproto.USE, nil // without a header, it is the proxy's health check
			}
			return proxyproto.SKIP, nil
		},
	}
}

type proxyHeaderKey struct{}

// connContext puts the connection into the context, so that the first request can read its
// PROXY header. Reading it here would hold up all other connections.
func connContext(ctx context.Context, c net.Conn) context.Context {
	for inner := c; ; {
		switch w := inner.(type) {
		case *proxyproto.Conn:
			return context.WithValue(ctx, proxyHeaderKey{}, w)
		case interface{ NetConn() net.Conn }:
			inner = w.NetConn()
		default:
			return lane.ConnContext(ctx, c)
		}
	}
}

// tlsByProxy says whether the PROXY header of a request's connection tells that the client
// uses TLS to the proxy (the PROXY protocol, 2.2.5: PP2_TYPE_SSL).
func tlsByProxy(ctx context.Context) bool {
	c, ok := ctx.Value(proxyHeaderKey{}).(*proxyproto.Conn)
	if !ok {
		return false
	}
	h := c.ProxyHeader()
	if h == nil {
		return false
	}
	tlvs, err := h.TLVs()
	if err != nil {
		return false
	}
	for _, tlv := range tlvs {
		if tlv.Type == proxyproto.PP2_TYPE_SSL && len(tlv.Value) > 0 {
			const clientSSL = 1 // PP2_CLIENT_SSL
			return tlv.Value[0]&clientSSL != 0
		}
	}
	return false
}

// proxyHeaderTimeout is how long a trusted proxy may take to send its PROXY header, which
// comes first.
const proxyHeaderTimeout = 3 * time.Second

func addrOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return plain(ap.Addr())
}

type limitedListener struct {
	net.Listener
	s *Server

	mu     sync.Mutex
	closed bool
	front  *lane.Listener // what [Server.Serve] answers through; nil: nothing, or nothing yet
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.s.letIn() {
			return &countedConn{Conn: c, s: l.s}, nil
		}
		c.Close()
	}
}

func (l *limitedListener) answers(front *lane.Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.front = front; l.closed {
		_ = front.Stop()
	}
}

func (l *limitedListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.front != nil {
		return l.front.Stop()
	}
	return l.Listener.Close()
}

// departures accepts the connections that leave the lane, which has counted them.
type departures struct {
	*lane.Listener
	s *Server
}

func (l departures) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: c, s: l.s}, nil
}

// letIn counts a new connection, and says whether there is room for it.
func (s *Server) letIn() bool {
	if s.stats.open.Add(1) > s.connLimit && !s.makeRoom() {
		s.stats.open.Add(-1)
		s.stats.excess.Add(1)
		return false
	}
	return true
}

func (s *Server) letOut() { s.stats.open.Add(-1) }

// makeRoom closes the connection that has waited longest for a request; false: none does.
func (s *Server) makeRoom() bool {
	shed := s.idle.shed
	if since := s.lane.Longest(); s.idle.mayShed(since) && since.Before(s.idle.longest()) {
		shed = s.lane.Shed
	}
	if !shed() {
		return false
	}
	s.stats.shed.Add(1)
	return true
}

type countedConn struct {
	net.Conn
	s    *Server
	once sync.Once
}

// NetConn returns the underlying connection, for callers that set socket options.
func (c *countedConn) NetConn() net.Conn { return c.Conn }

// CloseWrite closes the sending side, so that net/http can end the answer to a client that
// is still sending, and wait a moment before it closes the connection: a connection that is
// closed with unread data is reset.
func (c *countedConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

func (c *countedConn) Close() error {
	c.once.Do(c.s.letOut)
	return c.Conn.Close()
}
