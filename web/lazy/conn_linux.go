package lazy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// leaveCheck is how long a read that only watches for the client to leave waits before
// it asks the kernel. A server that answers sooner never asks.
const leaveCheck = 50 * time.Millisecond

// A conn is a bare descriptor at first. It becomes a *net.TCPConn when it must wait.
type conn struct {
	local, remote net.Addr

	mu     sync.Mutex // guards what follows; held over system calls, none of which waits
	fd     int        // while tcp is nil and the connection is not closed
	tcp    *net.TCPConn
	raw    syscall.RawConn // tcp's
	closed bool
	held   bool // the kernel holds back the last write until the connection ends
	// The deadlines, to be set when the connection becomes a TCPConn.
	readBy, writeBy time.Time
	// parked is closed to wake a read that only waits for the client to leave.
	parked chan struct{}
}

// Read implements [net.Conn].
//
// While a handler runs, net/http reads a single byte to learn whether the client has
// left. It interrupts that read with a deadline in the past when the handler has
// ended. Such a read looks at the socket only after leaveCheck.
func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 1 {
		if err := c.park(); err != nil {
			return 0, err
		}
	}
	raw, n, err := c.tryRead(b)
	if raw != nil {
		return c.waitRead(raw, b)
	}
	return n, err
}

// waitRead does what a TCPConn's Read does, but does not tell the scheduler of its
// system calls.
func (c *conn) waitRead(raw syscall.RawConn, b []byte) (n int, err error) {
	wait := raw.Read(func(fd uintptr) bool {
		n, err = receive(int(fd), b)
		return !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case wait != nil:
		return 0, wait
	case err != nil:
		return 0, c.fail("read", err)
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// park returns after leaveCheck, or at once if the connection is a TCPConn. It returns
// an error if the read deadline has passed or the connection is closed.
func (c *conn) park() error {
	c.mu.Lock()
	if c.tcp != nil {
		c.mu.Unlock()
		return nil
	}
	if err := c.unusable(c.readBy); err != nil {
		c.mu.Unlock()
		return err
	}
	woken := make(chan struct{})
	c.parked = woken
	c.mu.Unlock()

	timer := time.NewTimer(leaveCheck)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parked == woken {
		c.parked = nil
	}
	if c.tcp != nil {
		return nil
	}
	return c.unusable(c.readBy)
}

// wake ends a parked read. c.mu is held.
func (c *conn) wake() {
	if c.parked != nil {
		close(c.parked)
		c.parked = nil
	}
}

// unusable returns the error of a connection that is closed or whose deadline
// has passed. c.mu is held.
func (c *conn) unusable(by time.Time) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case !by.IsZero() && !time.Now().Before(by):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// tryRead reads what has arrived. If that is nothing, it returns the connection to wait on.
func (c *conn) tryRead(b []byte) (syscall.RawConn, int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tcp == nil {
		if n, err := c.readNow(b); n > 0 || err != nil || len(b) == 0 {
			return nil, n, err
		}
		if _, err := c.settle(); err != nil {
			return nil, 0, err
		}
	}
	return c.raw, 0, nil
}

// ReadNow reads what has arrived. It returns 0 and no error if it would have to wait, or
// if the connection has become a TCPConn.
func (c *conn) ReadNow(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tcp != nil {
		return 0, nil
	}
	return c.readNow(b)
}

// readNow is ReadNow with c.mu held, and without a TCPConn.
func (c *conn) readNow(b []byte) (int, error) {
	if err := c.unusable(c.readBy); err != nil || len(b) == 0 {
		return 0, err
	}
	n, err := receive(c.fd, b)
	switch {
	case n > 0:
		return n, nil
	case err == nil:
		return 0, io.EOF
	case errors.Is(err, unix.EAGAIN):
		return 0, nil
	}
	return 0, c.fail("read", err)
}

// WriteNow writes what fits into the socket's buffer. If it is the last write before
// Close, the kernel holds it back and sends it in one packet with the FIN: each packet
// costs as much as two other system calls, and a redirect needs only one.
func (c *conn) WriteNow(b []byte, last bool) (int, error) {
	flags := 0
	if last {
		flags = unix.MSG_MORE
	}
	c.mu.Lock()
	c.held = last
	raw := c.raw
	if raw == nil {
		defer c.mu.Unlock()
		return c.writeNow(b, flags)
	}
	c.mu.Unlock()
	var n int
	var err error
	if err := raw.Write(func(fd uintptr) bool {
		n, err = send(int(fd), b, flags)
		return true
	}); err != nil {
		return 0, err
	}
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return 0, c.fail("write", err)
	}
	return max(n, 0), nil
}

// writeNow is WriteNow with c.mu held, and without a TCPConn.
func (c *conn) writeNow(b []byte, flags int) (int, error) {
	if err := c.unusable(c.writeBy); err != nil {
		return 0, err
	}
	n, err := send(c.fd, b, flags)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		return 0, c.fail("write", err)
	}
	return max(n, 0), nil
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (int, error) {
	tcp, n, err := c.tryWrite(b)
	if tcp == nil {
		return n, err
	}
	m, err := tcp.Write(b[n:])
	return n + m, err
}

// tryWrite writes what fits. If that is not all, it returns the TCPConn for the rest.
func (c *conn) tryWrite(b []byte) (*net.TCPConn, int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tcp != nil {
		return c.tcp, 0, nil
	}
	n, err := c.writeNow(b, 0)
	if n == len(b) || err != nil {
		return nil, n, err
	}
	tcp, err := c.settle()
	return tcp, n, err
}

// settle makes the connection a TCPConn. c.mu is held.
func (c *conn) settle() (*net.TCPConn, error) {
	file := os.NewFile(uintptr(c.fd), "")
	made, err := net.FileConn(file) // duplicates the descriptor
	_ = file.Close()
	if err != nil {
		c.closed = true
		c.wake()
		return nil, err
	}
	tcp := made.(*net.TCPConn)
	if c.raw, err = tcp.SyscallConn(); err != nil {
		_ = tcp.Close()
		c.closed = true
		c.wake()
		return nil, err
	}
	c.tcp = tcp
	_ = c.tcp.SetReadDeadline(c.readBy)
	_ = c.tcp.SetWriteDeadline(c.writeBy)
	c.wake()
	return c.tcp, nil
}

func (c *conn) fail(call string, err error) error {
	return &net.OpError{Op: call, Net: "tcp", Source: c.local, Addr: c.remote, Err: os.NewSyscallError(call, err)}
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		_ = c.closeWrite() // close(2) alone would drop the held bytes if the client had sent more meanwhile
	}
	switch {
	case c.tcp != nil:
		return c.tcp.Close()
	case c.closed:
		return net.ErrClosed
	}
	c.closed = true
	c.wake()
	return os.NewSyscallError("close", closeSocket(c.fd))
}

// CloseWrite shuts down the sending side. net/http calls it before it closes the
// connection of a client that may still be sending.
func (c *conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closeWrite()
}

// closeWrite is CloseWrite with c.mu held.
func (c *conn) closeWrite() error {
	switch {
	case c.tcp != nil:
		return c.tcp.CloseWrite()
	case c.closed:
		return net.ErrClosed
	}
	return os.NewSyscallError("shutdown", shutdownWrite(c.fd))
}

// Detach hands over the descriptor, which is non-blocking, and marks the connection as
// closed. It is for callers that keep the descriptor and poll it themselves.
func (c *conn) Detach() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tcp != nil {
		return detach(c.tcp)
	}
	if c.closed {
		return -1, net.ErrClosed
	}
	c.closed = true
	c.wake()
	return c.fd, nil
}

// detach duplicates the descriptor of a connection that is in the runtime's poller, and
// closes that connection.
func detach(tcp *net.TCPConn) (fd int, err error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dup error
	err = raw.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, dup); err != nil {
		return -1, err
	}
	return fd, tcp.Close()
}

// NetConn makes the connection a *net.TCPConn and returns it, for callers that keep
// it. It returns nil if the connection is closed.
func (c *conn) NetConn() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tcp == nil && !c.closed {
		_, _ = c.settle()
	}
	if c.tcp == nil {
		return nil
	}
	return c.tcp
}

// LocalAddr returns the address of the listener.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tcp != nil {
		return c.tcp.SetReadDeadline(t)
	}
	c.readBy = t
	if c.closed {
		return net.ErrClosed
	}
	if c.parked != nil {
		c.wake() // it reads the new deadline itself
	}
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tcp != nil {
		return c.tcp.SetWriteDeadline(t)
	}
	c.writeBy = t
	if c.closed {
		return net.ErrClosed
	}
	return nil
}
