package dns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sharesPorts says that several sockets can share an address; the kernel distributes the
// queries among them.
const sharesPorts = true

const (
	// batchSize is how many queries one system call receives, and how many answers one
	// sends.
	batchSize = 32
	// udpBuffer is larger than any sensible query and any answer, in bytes.
	udpBuffer = 2048
	// controlSize is enough for the address at which a query came in, in bytes.
	controlSize = 64
	// socketBuffer, in bytes, holds the queries that come while a batch is answered. The
	// kernel gives less if its limit is lower.
	socketBuffer = 4 << 20
	// maxFails is how often receiving may fail in a row: a failure may be the late report
	// of an earlier answer's.
	maxFails = 1000
)

// socketOptions sets up a UDP socket before it is bound.
func socketOptions(network, address string, c syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	several := err != nil || at.Addr().IsUnspecified()
	called := c.Control(func(fd uintptr) { err = setOptions(int(fd), network == "udp4", several) })
	return errors.Join(called, err)
}

// setOptions sets up a UDP socket, of IPv4 or of IPv6. several says that it receives at
// more than one address.
func setOptions(fd int, v4, several bool) error {
	var err error
	set := func(level, option, value int) {
		err = errors.Join(err, os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, value)))
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, socketBuffer)
	// An answer must come from the address that was asked; a socket for all addresses has
	// several. Path MTU discovery is off, so that nobody can forge a small path MTU.
	info := 0
	if several {
		info = 1
	}
	if v4 {
		set(unix.IPPROTO_IP, unix.IP_PKTINFO, info)
		set(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
		return err
	}
	set(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, info)
	set(unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
	return err
}

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// batch is a worker's memory for a batch of queries.
type batch struct {
	headers  [batchSize]mmsghdr
	vectors  [batchSize]unix.Iovec
	froms    [batchSize]unix.RawSockaddrInet6 // large enough for IPv4, too
	controls [batchSize][controlSize]byte
	buffers  [batchSize][udpBuffer]byte

	first, count int // the messages of the current system call
}

// packetSocket is a UDP socket for one thread, which blocks in its system calls. That takes
// half as many system calls as waiting with the runtime's poller, and no turn of its
// scheduler.
type packetSocket struct {
	fd     int
	closed atomic.Bool
	shared atomic.Bool // with another process
	mu     sync.Mutex  // guards fd against being closed while it is used to wake the thread
}

// newPacketSocket takes a socket away from the runtime's poller.
func newPacketSocket(u *net.UDPConn) (*packetSocket, error) {
	defer u.Close()
	return blocking(u)
}

// blocking duplicates a socket's descriptor for a thread that blocks in it.
func blocking(c syscall.Conn) (*packetSocket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &packetSocket{fd: -1}
	var dup error
	err = raw.Control(func(fd uintptr) { p.fd, dup = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dup); err != nil {
		return nil, err
	}
	// The timeout is for sockets that cannot be shut down: on some kernels that does not
	// wake the reader, and a shared one is not ours alone.
	wake := unix.Timeval{Sec: 1}
	return p, errors.Join(unix.SetNonblock(p.fd, false), unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wake))
}

// AsPackets returns a descriptor that another process has opened as a UDP socket. ok is
// false if it is none.
func AsPackets(file *os.File) (p Packets, ok bool) {
	raw, err := file.SyscallConn()
	if err != nil {
		return Packets{}, false
	}
	_ = raw.Control(func(fd uintptr) {
		if kind, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_DGRAM {
			return
		}
		at, _ := unix.Getsockname(int(fd)) // nil: it is no socket
		switch at := at.(type) {
		case *unix.SockaddrInet4:
			p, ok = Packets{file, netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port))}, true
		case *unix.SockaddrInet6:
			p, ok = Packets{file, netip.AddrPortFrom(netip.AddrFrom16(at.Addr), uint16(at.Port))}, true
		}
	})
	return p, ok
}

// takePacketSocket makes a socket of one that was handed over, which is shared.
func takePacketSocket(file *os.File, at netip.AddrPort) (*packetSocket, error) {
	p, err := blocking(file)
	if err != nil {
		return nil, err
	}
	p.shared.Store(true)
	return p, setOptions(p.fd, at.Addr().Is4(), at.Addr().IsUnspecified())
}

// duplicate returns a descriptor of the socket for another process.
func (p *packetSocket) duplicate() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd < 0 {
		return nil, net.ErrClosed
	}
	fd, err := unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	p.shared.Store(true)
	return os.NewFile(uintptr(fd), "dns"), nil
}

// Close makes serveUDP return, which closes the file descriptor; that of a shared socket
// takes a second. If nothing serves the socket, a second call closes it.
func (p *packetSocket) Close() error {
	if p.closed.Swap(true) {
		p.release()
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd >= 0 && !p.shared.Load() {
		_ = unix.Shutdown(p.fd, unix.SHUT_RDWR) // returns ENOTCONN, but wakes the reader
	}
	return nil
}

func (p *packetSocket) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
		p.fd = -1
	}
}

// serveUDP answers at a socket until it is closed.
func (s *Server) serveUDP(p *packetSocket) error {
	defer p.release()
	w, b := s.newPacketWorker(), newBatch()
	fails := 0
	for !p.closed.Load() {
		b.prepare()
		switch errno := b.receive(p.fd); {
		case errno == unix.EAGAIN || errno == unix.EINTR:
		case errno != 0:
			if fails++; fails == maxFails {
				return fmt.Errorf("dns: receive: %w", errno)
			}
		default:
			fails = 0
			b.sendAll(p.fd, s.answerBatch(w, b, b.count), s)
		}
	}
	return nil
}

func newBatch() *batch {
	b := new(batch)
	for i := range b.vectors {
		b.vectors[i].Base = &b.buffers[i][0]
	}
	return b
}

// prepare makes all buffers ready to receive.
func (b *batch) prepare() {
	b.first, b.count = 0, batchSize
	for i := range b.headers {
		b.vectors[i].SetLen(udpBuffer)
		h := &b.headers[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&b.froms[i])) // answerBatch has moved them
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Namelen = unix.SizeofSockaddrInet6
		h.Control = &b.controls[i][0]
		h.SetControllen(controlSize)
		h.Flags = 0
	}
}

// receive receives messages into the buffers from first on, waits if there are none, and
// sets count to their number.
func (b *batch) receive(fd int) syscall.Errno {
	return b.call(unix.SYS_RECVMMSG, fd, unix.MSG_WAITFORONE)
}

// send sends the messages from first on, waits if the socket's buffer is full, and sets
// count to the number that was sent.
func (b *batch) send(fd int) syscall.Errno { return b.call(unix.SYS_SENDMMSG, fd, 0) }

// call first tries without waiting, and does not tell the runtime: a thread that the runtime
// knows to be in a system call loses its processor to another thread within 20 us, which
// costs more than receiving a query does. Sending a whole batch holds up the runtime for
// some 0.1 ms.
func (b *batch) call(number uintptr, fd int, flags uintptr) syscall.Errno {
	at := &b.headers[b.first]
	n, _, errno := syscall.RawSyscall6(number, uintptr(fd), uintptr(unsafe.Pointer(at)), uintptr(b.count), flags|unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN {
		n, _, errno = syscall.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(at)), uintptr(b.count), flags, 0, 0)
	}
	b.count = int(n)
	return errno
}

// answerBatch answers the first n messages, moves the answers to the front and returns their
// number.
func (s *Server) answerBatch(w *worker, b *batch, n int) (answers int) {
	now := s.cfg.Now()
	for i := range n {
		h := &b.headers[i]
		size := 0
		if from, ok := b.from(i); ok && h.hdr.Flags&unix.MSG_TRUNC == 0 {
			size = s.safely(w, b.buffers[i][:], int(h.n), from, now)
		}
		if size == 0 {
			continue
		}
		b.vectors[i].SetLen(size)
		if answers != i {
			// Only the headers are exchanged; what they point to stays in place.
			b.headers[answers], b.headers[i] = b.headers[i], b.headers[answers]
		}
		answers++
	}
	return answers
}

// from returns the sender of message i. It changes the control data, which holds the address
// at which the message came in, so that the answer is sent from that address.
func (b *batch) from(i int) (netip.Addr, bool) {
	h := &b.headers[i].hdr
	control := b.controls[i][:h.Controllen]
	switch b.froms[i].Family {
	case unix.AF_INET:
		if len(control) >= unix.CmsgSpace(unix.SizeofInet4Pktinfo) {
			// Any interface may lead back to the client.
			(*unix.Inet4Pktinfo)(unsafe.Pointer(&control[unix.CmsgLen(0)])).Ifindex = 0
		}
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&b.froms[i])).Addr), true
	case unix.AF_INET6:
		a := netip.AddrFrom16(b.froms[i].Addr).Unmap()
		if len(control) >= unix.CmsgSpace(unix.SizeofInet6Pktinfo) && !a.IsLinkLocalUnicast() {
			(*unix.Inet6Pktinfo)(unsafe.Pointer(&control[unix.CmsgLen(0)])).Ifindex = 0
		}
		return a, true
	}
	return netip.Addr{}, false
}

// sendAll sends the first n answers. It counts and skips those that cannot be sent.
func (b *batch) sendAll(fd int, n int, s *Server) {
	for b.first = 0; b.first < n; {
		b.count = n - b.first
		switch errno := b.send(fd); {
		case errno == unix.EINTR:
		case errno != 0:
			s.stats.sendFails.Add(1)
			b.first++
		default:
			b.first += b.count
		}
	}
}
