package lazy

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// deferSeconds is how long the kernel holds back a connection on which nothing has
	// arrived. After that the connection can be accepted without data.
	deferSeconds = 2
	// keepAliveIdle is how long a connection is idle before the kernel sends a keep-alive
	// probe. Accepted sockets inherit it from the listening one.
	keepAliveIdle = 15 * time.Second
)

// Listen listens on a TCP address, "host:port". The listener and its connections are
// safe for concurrent use, like those of package net.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	return listen(ctx, addr, deferSeconds)
}

func listen(ctx context.Context, addr string, deferSeconds int) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return from(l.(*net.TCPListener), deferSeconds)
}

// From makes a listener of this package from one that is already open, and closes l.
func From(l *net.TCPListener) (net.Listener, error) { return from(l, deferSeconds) }

func from(l *net.TCPListener, deferSeconds int) (net.Listener, error) {
	defer l.Close() // the duplicate stays
	open, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	// Not by File: its Fd makes the socket block, also for another process that shares it.
	fd := -1
	var dup error
	err = open.Control(func(own uintptr) { fd, dup = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, os.NewSyscallError("fcntl", dup)); err != nil {
		return nil, err
	}
	if err := prepare(fd, deferSeconds); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	socket := os.NewFile(uintptr(fd), "listener") // joins the poller, as the descriptor is non-blocking
	raw, err := socket.SyscallConn()
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	return &listener{socket: socket, raw: raw, addr: l.Addr()}, nil
}

func prepare(fd, deferSeconds int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return os.NewSyscallError("setnonblock", err)
	}
	for _, o := range []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferSeconds},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(keepAliveIdle.Seconds())},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(keepAliveIdle.Seconds())},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

type listener struct {
	socket *os.File
	raw    syscall.RawConn
	addr   net.Addr
}

// Accept implements [net.Listener]. Its errors report whether they are temporary.
func (l *listener) Accept() (net.Conn, error) {
	var fd int
	var peer net.Addr
	var errno error
	err := l.raw.Read(func(listening uintptr) bool {
		fd, peer, errno = accept(int(listening))
		return !errors.Is(errno, unix.EAGAIN)
	})
	switch {
	case err != nil:
		err = net.ErrClosed // RawConn.Read fails for no other reason
	case errno != nil:
		err = os.NewSyscallError("accept4", errno)
	}
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
	}
	return &conn{fd: fd, local: l.addr, remote: peer}, nil
}

// Close implements [net.Listener].
func (l *listener) Close() error { return l.socket.Close() }

// SyscallConn implements [syscall.Conn].
func (l *listener) SyscallConn() (syscall.RawConn, error) { return l.raw, nil }

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return l.addr }
