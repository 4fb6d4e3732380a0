package proxy

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// takeOver makes a connection a loop's own, if it is plain TCP; -1: it is not.
func takeOver(conn net.Conn, stall time.Duration) int {
	fd := descriptor(conn)
	if fd >= 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(stall.Milliseconds()))
	}
	return fd
}

// descriptor finds the socket under the PROXY protocol and other wrappers that
// have NetConn or Raw and only look on. Under TLS there is none to write to.
func descriptor(conn net.Conn) int {
	for {
		switch c := conn.(type) {
		case interface{ Detach() (int, error) }:
			fd, err := c.Detach()
			if err != nil {
				return -1
			}
			return fd
		case *net.TCPConn:
			return detach(c)
		case encrypted:
			return -1
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		case interface{ Raw() net.Conn }:
			conn = c.Raw()
		default:
			return -1
		}
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

// setUserTimeout makes the kernel give up a connection whose peer has taken or
// acknowledged nothing for d. A write deadline alone cuts a stalled listener
// only when the send buffer is full as well, and none at all while the node is silent.
func setUserTimeout(conn *net.TCPConn, d time.Duration) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}
