package lane

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls in this file do not wait, or poll a millisecond at most. So
// they are made without telling Go's scheduler. Telling it is expensive where a send
// runs all the way through the loopback or a network card's queue: the scheduler then
// takes the call for a blocked one and lets another thread continue.

// receive reads into b. It returns EAGAIN rather than wait.
func receive(fd int, b []byte) (int, error) { return transfer(unix.SYS_RECVFROM, fd, b, 0) }

// send writes from b, with the flags of send(2). It returns EAGAIN rather than wait.
func send(fd int, b []byte, flags int) (int, error) { return transfer(unix.SYS_SENDTO, fd, b, flags) }

func transfer(call uintptr, fd int, b []byte, flags int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(flags), 0, 0) //nolint:gosec // as in package syscall
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

func shutdown(fd, how int) {
	_, _, _ = unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
}

func closeSocket(fd int) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// accept returns a non-blocking connection and its peer's address, or EAGAIN if there is
// none. [unix.Accept4] would also ask the kernel for the protocol.
func accept(listening int) (int, netip.AddrPort, error) {
	var peer [unix.SizeofSockaddrInet6]byte
	size := uint32(len(peer))
	for {
		fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listening),
			uintptr(unsafe.Pointer(&peer)), uintptr(unsafe.Pointer(&size)), //nolint:gosec // as in package syscall
			unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(fd), addrOf(&peer), nil
		case unix.EINTR, unix.ECONNABORTED:
		default:
			return -1, netip.AddrPort{}, errno
		}
	}
}

// addrOf reads a struct sockaddr_in or sockaddr_in6 (ip(7), ipv6(7)).
func addrOf(peer *[unix.SizeofSockaddrInet6]byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(peer[2:])
	addr := netip.AddrFrom4([4]byte(peer[4:8]))
	if binary.NativeEndian.Uint16(peer[:]) == unix.AF_INET6 {
		addr = netip.AddrFrom16([16]byte(peer[8:24])).Unmap()
	}
	return netip.AddrPortFrom(addr, port)
}

// poll is epoll_wait(2) for up to the given milliseconds. It returns 0 if a signal ends it.
func poll(epoll int, events []unix.EpollEvent, ms int) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(ms), 0, 0) //nolint:gosec // as in package syscall
	if errno != 0 {
		return 0
	}
	return int(n)
}

// isReady says whether one of the events of epoll(7), or a connection's end, is there.
func isReady(fd int, events uint32) bool {
	p := unix.PollFd{Fd: int32(fd), Events: int16(events)}                                                                              //nolint:gosec // EPOLLIN and EPOLLOUT are as in poll(2)
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&unix.Timespec{})), 0, 0, 0) //nolint:gosec // as in package syscall
	return errno == 0 && n > 0
}
