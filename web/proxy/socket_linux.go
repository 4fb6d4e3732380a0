package proxy

import (
	"crypto/tls"
	"net"

	"golang.org/x/sys/unix"
)

// takeOver takes the socket out of a connection for a loop; nil: that cannot be done.
func takeOver(conn net.Conn) *looped {
	who := &looped{conn: conn}
	if who.fd = who.takeOver(conn); who.fd < 0 {
		return nil
	}
	_ = unix.SetsockoptInt(who.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	return who
}

// takeOver takes the descriptor out of the PROXY protocol's and other wrappers that have
// NetConn or Raw and do not change the data, or out of TLS on a wire; -1: it cannot.
func (s *looped) takeOver(conn net.Conn) int {
	for {
		switch c := conn.(type) {
		case *net.TCPConn:
			return detach(c)
		case *tls.Conn:
			w, ok := c.NetConn().(*wire)
			if !ok || s.tls != nil {
				return -1
			}
			s.tls, s.wire = c, w
			w.keepEarly()
			if w.fd = s.takeOver(w.Conn); w.fd < 0 {
				return -1
			}
			w.taken = true
			return w.fd
		case encrypted:
			return -1
		default:
			if conn = within(conn); conn == nil {
				return -1
			}
		}
	}
}

// within returns the connection that a wrapper has; nil: it is none.
func within(conn net.Conn) net.Conn {
	switch c := conn.(type) {
	case interface{ NetConn() net.Conn }:
		return c.NetConn()
	case interface{ Raw() net.Conn }:
		return c.Raw()
	}
	return nil
}

// acknowledgeAtOnce has the kernel acknowledge what was received, or what comes next, and not
// wait for something to send (tcp(7), TCP_QUICKACK). It holds until something is sent.
func acknowledgeAtOnce(conn net.Conn) {
	for conn != nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			if raw, err := tcp.SyscallConn(); err == nil {
				_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }) // without it all works, later
			}
			return
		}
		conn = within(conn)
	}
}

// detach duplicates the descriptor and closes the connection, which frees what
// the runtime holds for it.
func detach(conn *net.TCPConn) int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1
	}
	fd := -1
	_ = raw.Control(func(old uintptr) {
		if fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); err != nil {
			fd = -1
		}
	})
	if fd >= 0 {
		_ = conn.Close()
	}
	return fd
}

// canAcknowledge says whether acknowledged works.
const canAcknowledge = true

// acknowledged returns how many bytes the peer of a TCP socket has acknowledged in total,
// and whether any are still unacknowledged. If none are, or the socket is broken, the
// number is 0.
func acknowledged(fd int) (bytes uint64, left bool) {
	if n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err != nil || n == 0 {
		return 0, false
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false
	}
	return info.Bytes_acked, true
}
