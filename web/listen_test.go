package web

import (
	"net"
	"net/netip"
	"testing"
)

// Whoever carries a stream finds the socket under all that is wrapped round it,
// and can bound what the kernel holds for a listener.
func TestTheSocketIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, proxies := range map[string][]netip.Prefix{
		"direct": nil, "PROXY protocol": {netip.MustParsePrefix("127.0.0.0/8")},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		conn, err := w.Listener(l, proxies).Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if !hasSocket(conn) {
			t.Errorf("%s: no *net.TCPConn under a %T", name, conn)
		}
	}
}

func hasSocket(c net.Conn) bool {
	switch c := c.(type) {
	case *net.TCPConn:
		return true
	case interface{ NetConn() net.Conn }:
		return hasSocket(c.NetConn())
	case interface{ Raw() net.Conn }:
		return hasSocket(c.Raw())
	}
	return false
}
