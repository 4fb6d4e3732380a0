package proxy

import (
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// direct reads a TCP connection into a chunk that is borrowed only when there is
// something to read. At the pace of a stream, some 2 KB at a time, that costs
// less than splicing through a pipe: two system calls fewer, two descriptors
// fewer, and no memory either while nothing comes.
type direct struct {
	raw syscall.RawConn
	try func(fd uintptr) bool // made once, for a closure is an allocation
	c   *chunk
	err error
}

// newDirect returns nil if the connection cannot be read so.
func newDirect(conn *net.TCPConn) *direct {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	d := &direct{raw: raw}
	d.try = d.read
	return d
}

// next waits until there is something to read, under the connection's deadline.
func (d *direct) next() (*chunk, error) {
	d.c, d.err = nil, nil
	if err := d.raw.Read(d.try); err != nil {
		return nil, err
	}
	c := d.c
	d.c = nil
	return c, d.err
}

// read reports whether it is done; otherwise the runtime waits and calls it again.
func (d *direct) read(fd uintptr) bool {
	c := chunks.Get().(*chunk)
	n, err := unix.Read(int(fd), c.buf[:])
	for err == unix.EINTR {
		n, err = unix.Read(int(fd), c.buf[:])
	}
	if n > 0 {
		c.n, d.c = n, c
		return true
	}
	c.free()
	if err == unix.EAGAIN {
		return false
	}
	if d.err = err; err == nil {
		d.err = io.EOF
	}
	return true
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
