package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxLoops bounds the number of loops: a source has one bit for each.
	maxLoops = 64
	// maxPieces bounds how many pieces are written in one call.
	maxPieces = 16
	// maxStray bounds how many unexpected bytes a listener may send.
	maxStray = 64 << 10
)

// A loop writes to many listeners from one goroutine. Each listener costs it a descriptor
// and about 300 bytes, and no buffer: what is written are pieces of chunks that all
// listeners share, or, over TLS, records that are made of them one after another. The sockets are non-blocking. An epoll instance, which
// itself waits in the runtime's poller, reports which listeners have left and which can
// be written to again.
type loop struct {
	p     *Proxy
	bit   uint64
	epoll int
	poll  *os.File // the same, for the runtime
	raw   syscall.RawConn
	bell  int // an eventfd

	mu    sync.Mutex
	queue []task
	rung  bool // the bell was rung and not read yet, or it is closed

	// Used only by run's goroutine.
	byFD    []any // a *looped or a *feed
	members map[*source][]*looped
	pieces  [][]byte
	record  []byte // what is encrypted next
	stray   []byte
	events  []unix.EpollEvent
	closing bool
	feeds   feeds
}

// looped is a session that a loop writes to.
type looped struct {
	session
	fd    int
	place int       // index in members[src]
	conn  net.Conn  // the connection that fd was taken from, to be closed with it
	tls   *tls.Conn // nil: what is written is not encrypted
	wire  *wire     // below tls
	stray int
	in    intake
}

// A task is what other goroutines ask of a loop.
type task struct {
	kind taskKind
	src  *source
	to   *source
	who  *looped
	feed *feed
}

type taskKind uint8

const (
	taskMore   taskKind = iota // src has published
	taskJoin                   // who begins to listen
	taskMove                   // src's listeners go to the source to
	taskEnd                    // src is over
	taskCut                    // all streams end
	taskFeed                   // feed is to be read
	taskRecall                 // src is to be looked after by a goroutine again
	taskStop                   // the loop ends once it has no listeners
)

// newLoops starts a loop for each processor.
func newLoops(p *Proxy) []*loop {
	var loops []*loop
	for i := range min(runtime.GOMAXPROCS(0), maxLoops) {
		l, err := newLoop(p, 1<<i)
		if err != nil {
			p.cfg.Log.Warn("inline listeners cost more than necessary", "err", err)
			break
		}
		loops = append(loops, l)
	}
	return loops
}

func newLoop(p *Proxy, bit uint64) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	_ = unix.SetNonblock(epoll, true) // otherwise the runtime's poller does not accept it
	poll := os.NewFile(uintptr(epoll), "epoll")
	bell, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = poll.Close()
		return nil, os.NewSyscallError("eventfd", err)
	}
	l := &loop{
		p: p, bit: bit, epoll: epoll, poll: poll, bell: bell, members: map[*source][]*looped{},
		pieces: make([][]byte, 0, maxPieces), record: make([]byte, chunkSize), stray: make([]byte, 2<<10), events: make([]unix.EpollEvent, 128),
	}
	err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(bell)})
	if err == nil {
		l.raw, err = poll.SyscallConn()
	}
	if err != nil {
		l.close()
		return nil, err
	}
	go l.run()
	return l, nil
}

func (l *loop) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rung = true
	_ = l.poll.Close()
	_ = unix.Close(l.bell)
}

// post hands a task to the loop. Safe for concurrent use.
func (l *loop) post(t task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, t)
	if !l.rung {
		l.rung = true
		_, _ = unix.Write(l.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (l *loop) run() {
	defer l.close()
	var n int
	wait := func(uintptr) bool {
		var err error
		n, err = unix.EpollWait(l.epoll, l.events, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	}
	var tasks []task
	for !l.closing || len(l.members) > 0 || len(l.feeds.of) > 0 {
		if err := l.raw.Read(wait); errors.Is(err, os.ErrDeadlineExceeded) {
			_ = wait(0) // feeds are due, and perhaps already were before: events have their turn all the same
		} else if err != nil {
			return // cannot happen: nothing else closes it
		}
		now := l.p.now()
		for _, e := range l.events[:max(n, 0)] {
			if int(e.Fd) == l.bell {
				tasks = l.listen(tasks[:0])
				for _, t := range tasks {
					l.do(t, now)
				}
				clear(tasks)
				continue
			}
			switch who := l.byFD[e.Fd].(type) {
			case *looped:
				l.event(who, e.Events, now)
			case *feed:
				l.drain(who, now)
			}
		}
		l.readFeeds(now)
	}
}

// listen appends the posted tasks to into, and empties the queue.
func (l *loop) listen(into []task) []task {
	l.mu.Lock()
	defer l.mu.Unlock()
	var count [8]byte
	_, _ = unix.Read(l.bell, count[:])
	l.rung = false
	into = append(into, l.queue...)
	clear(l.queue)
	l.queue = l.queue[:0]
	return into
}

func (l *loop) do(t task, now time.Duration) {
	switch t.kind {
	case taskMore:
		l.more(t.src, now)
	case taskJoin:
		l.join(t.who, now)
	case taskMove:
		l.move(t.src, t.to, now)
	case taskEnd:
		l.each(t.src, func(s *looped) { l.end(s, now) })
	case taskCut:
		for src := range l.members {
			l.each(src, func(s *looped) { l.part(s, EndDrained, now) })
		}
	case taskFeed:
		l.take(t.feed, now)
	case taskRecall:
		if f := l.feeds.of[t.src]; f != nil {
			l.giveBack(f, nil)
		}
	case taskStop:
		l.closing = true
	}
}

// more writes what a source has published.
func (l *loop) more(src *source, now time.Duration) {
	l.each(src, func(s *looped) {
		if l.look(s, now) {
			l.write(s, now)
		}
	})
}

// each calls do for every listener of a source. do may remove that listener.
func (l *loop) each(src *source, do func(*looped)) {
	for i := len(l.members[src]) - 1; i >= 0; i-- {
		do(l.members[src][i])
	}
}

func (l *loop) join(s *looped, now time.Duration) {
	err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(s.fd),
	})
	l.own(s.fd, s)
	s.in.looked = now
	l.p.mu.Lock()
	s.src = s.src.followed()
	over := s.src.end
	s.src.shards.Or(l.bit)
	l.p.mu.Unlock()
	l.add(s)
	switch {
	case err != nil:
		l.leave(s, EndListenerLeft, false)
	case over != "":
		l.end(s, now)
	case l.p.cutoff.Err() != nil:
		l.leave(s, EndDrained, false)
	case s.tls != nil && !l.read(s, now): // crypto/tls may have read what no event will tell of
	default:
		l.write(s, now)
	}
}

// own makes events of a descriptor those of who.
func (l *loop) own(fd int, who any) {
	for len(l.byFD) <= fd {
		l.byFD = append(l.byFD, nil)
	}
	l.byFD[fd] = who
}

func (l *loop) add(s *looped) {
	s.place = len(l.members[s.src])
	l.members[s.src] = append(l.members[s.src], s)
}

func (l *loop) move(from, to *source, now time.Duration) {
	l.p.mu.Lock()
	to = to.followed()
	over := to.end != ""
	to.shards.Or(l.bit)
	l.p.mu.Unlock()
	for _, s := range l.members[from] {
		s.src = to
		l.add(s)
	}
	delete(l.members, from)
	if over { // before the listeners arrived
		l.each(to, func(s *looped) { l.end(s, now) })
	}
}

// event handles an epoll event of a listener. Events are only hints: reading or writing
// tells what they mean.
func (l *loop) event(s *looped, events uint32, now time.Duration) {
	if events&^unix.EPOLLOUT != 0 && !l.read(s, now) {
		return
	}
	if s.half && events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 { // reading would only report the earlier FIN, for ever
		l.leave(s, EndListenerLeft, false)
		return
	}
	if events&unix.EPOLLOUT != 0 {
		l.write(s, now)
	}
}

// read reports whether a listener is still there. It drops what the listener has sent.
func (l *loop) read(s *looped, now time.Duration) bool {
	for {
		n, err := s.read(l.stray)
		switch {
		case n > 0:
			if s.stray += n; s.stray > maxStray {
				l.leave(s, EndListenerLeft, true)
				return false
			}
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return true
		case n == 0 && err == nil && s.halves(now):
			return true
		default: // a FIN that ends the stream, or an error
			l.leave(s, listenerEnd(err), false)
			return false
		}
	}
}

// look cuts a listener that has taken nothing for StallTimeout, and reports whether it is
// still there.
func (l *loop) look(s *looped, now time.Duration) bool {
	stall := l.p.cfg.StallTimeout
	if now-s.in.looked < min(pace/2, stall/8) || s.in.look(s.fd, now) < stall {
		return true
	}
	l.leave(s, EndListenerStalled, true)
	return false
}

// write writes what a listener has not got yet, as far as its socket takes it.
func (l *loop) write(s *looped, now time.Duration) {
	for {
		n, err := l.writeSome(s)
		if n > 0 {
			s.wrote(n)
		}
		switch {
		case n == 0 && err == nil:
			return // it has everything
		case err == nil, errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if end := s.overdue(now); end != "" {
				l.leave(s, end, true)
			}
			return
		default:
			l.leave(s, listenerEnd(err), false)
			return
		}
	}
}

// writeSome writes what comes next for a listener, and returns how much of the stream that
// was; 0 without an error: there is nothing to write.
func (l *loop) writeSome(s *looped) (int, error) {
	if s.tls != nil {
		return s.encrypt(l.record)
	}
	pieces := s.cur.gather(l.pieces)
	defer clear(pieces)
	switch len(pieces) {
	case 0:
		return 0, nil
	case 1:
		return unix.Write(s.fd, pieces[0])
	default:
		return unix.Writev(s.fd, pieces)
	}
}

// end ends the stream of a listener whose source is over.
func (l *loop) end(s *looped, now time.Duration) {
	l.p.mu.Lock()
	end := s.src.end
	l.p.mu.Unlock()
	l.part(s, end, now)
}

// part writes what is left, as far as the listener's socket takes it now, and ends the
// stream.
func (l *loop) part(s *looped, end End, now time.Duration) {
	l.write(s, now)
	if l.byFD[s.fd] == s {
		l.leave(s, end, false)
	}
}

// leave closes a listener's connection. With abort, the kernel drops what it still holds
// for the listener, which a stalled one would never fetch.
func (l *loop) leave(s *looped, end End, abort bool) {
	l.byFD[s.fd] = nil
	all := l.members[s.src]
	last := len(all) - 1
	all[s.place] = all[last]
	all[s.place].place = s.place
	all[last] = nil
	if l.members[s.src] = all[:last]; last == 0 {
		delete(l.members, s.src)
	}
	if abort {
		_ = unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = s.conn.Close() // over TLS, it says first that this is the end
	_ = unix.Close(s.fd)
	s.finish(end)
}
