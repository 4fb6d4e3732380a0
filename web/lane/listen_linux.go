package lane

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
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

// start starts the threads.
func (p *Listener) start() (err error) {
	l, ok := p.Listener.(*net.TCPListener)
	if !ok {
		return nil
	}
	if p.fd, err = duplicate(l); err != nil {
		return err
	}
	var threads []*thread
	err = prepare(p.fd)
	for range runtime.GOMAXPROCS(0) {
		if err == nil {
			var t *thread
			if t, err = newThread(p); err == nil {
				threads = append(threads, t)
			}
		}
	}
	if err != nil {
		for _, t := range threads {
			t.close()
		}
		_ = unix.Close(p.fd)
		return err
	}
	p.threads = threads
	p.s.enter(p)
	var accepting, running sync.WaitGroup
	for _, t := range threads {
		accepting.Add(1)
		running.Go(func() { t.run(accepting.Done) })
	}
	go func() {
		accepting.Wait()
		_ = unix.Close(p.fd)
		p.leave(departure{fd: noMore})
	}()
	p.s.busy.Go(func() {
		running.Wait()
		p.s.exit(p) // nobody wakes the threads any more
		for _, t := range threads {
			t.close()
		}
	})
	return nil
}

func (s *Server) enter(p *Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listeners == nil {
		s.listeners = map[*Listener]struct{}{}
	}
	s.listeners[p] = struct{}{}
}

func (s *Server) exit(p *Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, p)
}

// duplicate returns a descriptor of the socket of l. [net.TCPListener.File] would make the
// socket block, also for another process that shares it.
func duplicate(l *net.TCPListener) (fd int, err error) {
	open, err := l.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dup error
	err = open.Control(func(own uintptr) { fd, dup = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, os.NewSyscallError("fcntl", dup))
}

func prepare(fd int) error {
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

// adopt makes a connection of package net of one that was handed on; nil: it cannot be, and
// is closed.
func (p *Listener) adopt(d departure) net.Conn {
	file := os.NewFile(uintptr(d.fd), "")
	c, err := net.FileConn(file) // duplicates the descriptor
	_ = file.Close()
	if err != nil {
		p.s.logf("http: a connection cannot be handed on: %v", err)
		p.s.released()
		return nil
	}
	return &passed{Conn: c, read: d.read, note: d.note}
}

func (d departure) close() { closeSocket(d.fd) }
