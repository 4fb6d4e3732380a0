package lane

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// turnSize is how many connections are accepted, and how many others are looked at, in
	// one turn.
	turnSize = 16
	// keptAnswers is the largest buffer for answers that is kept for reuse, in bytes.
	keptAnswers = 256 << 10
	// A thread that has something to do again and again keeps its processor for keepFor, and
	// waits without telling Go's scheduler, up to keepWait, in milliseconds. The scheduler
	// would look for other work, sleep and be woken, which costs as much as two other system
	// calls. A signal, such as that of the garbage collector, ends the wait.
	keepFor  = 2 * time.Millisecond
	keepWait = 1
	// After an error of accept, such as that no descriptor is free, a thread accepts again
	// after leastPause, and after each further one twice as late, up to mostPause.
	leastPause = 5 * time.Millisecond
	mostPause  = time.Second
)

// A thread is a goroutine that blocks in an epoll set of its own. It takes turns: what has
// arrived at up to turnSize connections is read, then answered, then sent.
type thread struct {
	l     *Listener
	epoll int
	set   *os.File        // epoll, for the runtime's poller
	raw   syscall.RawConn // set's
	alarm int             // an eventfd that wakes the thread

	events [turnSize]unix.EpollEvent
	turn   []*conn // the connections of this turn
	in     []byte  // what they have sent
	out    []byte  // what they get
	now    time.Time
	due    time.Time // when the time of a connection is up; zero: none waits

	reader reader
	answer answer

	yielded   time.Time     // when other goroutines could run
	accepting bool          // the listening socket is in the epoll set
	pause     time.Duration // after an error of accept; 0: none
	resume    time.Time     // when the pause ends

	conns    []*conn // those in the epoll set, by descriptor
	watching int     // how many those are
	spare    []*conn

	mu     sync.Mutex // guards the lists: other threads shed connections
	heads  list       // connections that wait for a first request, or for the rest of one
	idle   list       // those that wait for another request
	unsent list       // those that do not take their answers
}

func newThread(l *Listener) (*thread, error) {
	t := &thread{l: l, in: make([]byte, 2*turnSize*maxHead)}
	ctx := l.s.Context
	if ctx == nil {
		ctx = context.Background()
	}
	t.reader.init((&http.Request{}).WithContext(ctx))
	t.answer.header = http.Header{}
	t.heads.most, t.idle.most, t.unsent.most = l.s.HeadTimeout, l.s.IdleTimeout, l.s.IdleTimeout
	var err error
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	_ = unix.SetNonblock(t.epoll, true) // or the poller would not take it
	t.set = os.NewFile(uintptr(t.epoll), "epoll")
	if t.alarm, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = t.set.Close()
		return nil, os.NewSyscallError("eventfd", err)
	}
	t.raw, err = t.set.SyscallConn()
	if err = errors.Join(err, t.control(unix.EPOLL_CTL_ADD, t.alarm, unix.EPOLLIN), t.listen()); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *thread) close() {
	_ = unix.Close(t.alarm)
	_ = t.set.Close()
}

func (t *thread) control(op, fd int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(t.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}))
}

// listen has the kernel wake this thread, or another one, for new connections.
func (t *thread) listen() error {
	t.accepting = true
	return t.control(unix.EPOLL_CTL_ADD, t.l.fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
}

func (t *thread) unlisten() {
	if t.accepting {
		t.accepting = false
		_ = t.control(unix.EPOLL_CTL_DEL, t.l.fd, 0)
	}
}

func (t *thread) wake() {
	_, _ = unix.Write(t.alarm, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // if it is full, the thread wakes anyway
}

// run takes turns until the listening socket is closed and no connection is left. It calls
// stopped when it has accepted for the last time, and has answered.
func (t *thread) run(stopped func()) {
	s := t.l.s
	for accepts := true; accepts || t.watching > 0; {
		ready := t.wait()
		if last := accepts && t.l.stopped.Load(); last {
			t.unlisten()
			for t.accept() { // who has connected is answered
				t.serve()
			}
			t.serve()
			accepts, t.pause = false, 0
			stopped()
		} else if ready && t.accepting {
			t.accept()
		}
		t.serve()
		switch {
		case s.cut.Load():
			t.end(time.Time{}, &t.heads, &t.idle, &t.unsent)
		case s.ending.Load():
			t.end(time.Time{}, &t.idle)
		}
		if !t.due.IsZero() && !t.now.Before(t.due) {
			t.due = time.Time{} // yield finds the next
			t.end(t.now, &t.heads, &t.idle, &t.unsent)
		}
	}
}

// wait waits until there is something to do. It takes the connections that are ready into
// the turn, and says whether the listening socket is.
func (t *thread) wait() (accepts bool) {
	n := 0
	if t.now.Sub(t.yielded) < keepFor {
		n = poll(t.epoll, t.events[:], keepWait)
	}
	if n == 0 {
		n = t.yield()
	}
	t.now = time.Now()
	t.answer.now = t.now
	for _, e := range t.events[:n] {
		switch fd := int(e.Fd); fd {
		case t.l.fd:
			accepts = true
		case t.alarm:
			var count [8]byte
			_, _ = unix.Read(t.alarm, count[:])
		default:
			t.turn = append(t.turn, t.conns[fd])
		}
	}
	if t.pause > 0 && !t.accepting && !t.now.Before(t.resume) {
		if err := t.listen(); err != nil {
			t.rest(err)
		}
	}
	return accepts
}

// yield lets other goroutines run, and waits until there is something to do.
func (t *thread) yield() (n int) {
	runtime.Gosched()
	t.mu.Lock()
	t.due = t.heads.due(t.idle.due(t.unsent.due(time.Time{})))
	t.mu.Unlock()
	by := t.due
	if t.pause > 0 && !t.accepting && (by.IsZero() || t.resume.Before(by)) {
		by = t.resume
	}
	_ = t.set.SetReadDeadline(by)
	_ = t.raw.Read(func(uintptr) bool { // it fails when by has come
		n = poll(t.epoll, t.events[:], 0)
		return n > 0
	})
	if n == 0 { // by was over before it could look
		n = poll(t.epoll, t.events[:], 0)
	}
	t.yielded = time.Now()
	return n
}

// accept takes new connections into the turn, and says whether there may be more.
func (t *thread) accept() (more bool) {
	s := t.l.s
	for range turnSize {
		fd, peer, err := accept(t.l.fd)
		switch {
		case err == unix.EAGAIN:
			return false
		case err != nil:
			t.rest(os.NewSyscallError("accept4", err))
			return false
		}
		t.pause = 0
		if s.Admit != nil && !s.Admit() {
			closeSocket(fd)
			continue
		}
		t.turn = append(t.turn, t.begin(fd, peer))
	}
	return true
}

// rest stops accepting for a while.
func (t *thread) rest(err error) {
	t.unlisten()
	t.pause = min(max(2*t.pause, leastPause), mostPause)
	t.resume = t.now.Add(t.pause)
	t.l.s.logf("http: Accept error: %v; retrying in %v", err, t.pause)
}

// serve reads, answers and sends, for all connections of the turn.
func (t *thread) serve() {
	in := t.in
	for _, c := range t.turn {
		in = in[c.read(in):]
	}
	for _, c := range t.turn {
		if c.next == read {
			t.respond(c)
		}
	}
	for _, c := range t.turn {
		if c.to > c.from {
			c.unsent = bytes.Clone(c.send(t.out[c.from:c.to]))
		}
		t.settle(c)
	}
	t.turn, t.out = t.turn[:0], t.out[:0]
	if cap(t.out) > keptAnswers {
		t.out, t.answer.body = nil, nil
	}
}

// respond answers all complete requests in c.in, and decides what follows.
func (t *thread) respond(c *conn) {
	c.next, c.from = wait, len(t.out)
	for c.next == wait && len(c.in) > 0 {
		size := t.reader.read(c.in)
		if size == 0 {
			if of, mended := mend(c.in); mended != nil && len(mended)+len(c.in)-of <= maxHead {
				c.in = append(mended, c.in[of:]...)
				size = t.reader.read(c.in)
			}
		}
		if size == 0 {
			if !mayGrow(c.in) {
				c.next = pass
			}
			break
		}
		if t.handle(c); c.next != wait {
			break
		}
		c.in = c.in[size:]
		last := t.l.s.ending.Load() || t.l.s.leaving.Load()
		if t.out, last = t.answer.appendTo(t.out, t.reader.req, last); last {
			c.next = end
		}
	}
	c.to = len(t.out)
}

// handle calls the handler. A panic ends the connection, as in net/http.
func (t *thread) handle(c *conn) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		c.next = end
		if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.l.s.logf("panic serving %s: %v\n%s", c.peer, p, debug.Stack())
		}
	}()
	if c.remote == "" {
		c.remote = c.peer.String()
	}
	r, a := t.reader.req, &t.answer
	r.RemoteAddr = c.remote
	a.begin()
	t.l.s.Handler.ServeHTTP(a, r)
	if a.passed {
		c.next, c.note = pass, a.note
	}
}

// settle does with a connection what follows on its answers.
func (t *thread) settle(c *conn) {
	switch {
	case len(c.unsent) > 0:
		t.park(c, &t.unsent, unix.EPOLLOUT)
	case c.next == end:
		t.finish(c)
	case c.next == pass:
		t.part(c)
		t.l.leave(departure{fd: c.fd, read: bytes.Clone(c.in), note: c.note})
		t.reuse(c)
	case len(c.in) == 0 && c.answered:
		t.park(c, &t.idle, unix.EPOLLIN)
	default:
		t.park(c, &t.heads, unix.EPOLLIN)
	}
}

// park has a connection wait on a list for an event.
func (t *thread) park(c *conn, on *list, event uint32) {
	c.rest = append(c.rest[:0], c.in...)
	if c.watched != event {
		op := unix.EPOLL_CTL_MOD
		if c.watched == 0 {
			op = unix.EPOLL_CTL_ADD
			for len(t.conns) <= c.fd {
				t.conns = append(t.conns, nil)
			}
			t.conns[c.fd] = c
			t.watching++
		}
		c.watched = event
		if err := t.control(op, c.fd, event); err != nil {
			t.finish(c)
			return
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.on == on && c.from == c.to {
		return // the rest of a request has no more time when a part of it has come
	}
	c.on.remove(c)
	on.add(c, t.now)
}

// part takes a connection out of the lists and of the epoll set.
func (t *thread) part(c *conn) {
	if c.watched == 0 {
		return
	}
	t.mu.Lock()
	c.on.remove(c)
	t.mu.Unlock()
	t.conns[c.fd] = nil
	t.watching--
	if c.next == pass {
		_ = t.control(unix.EPOLL_CTL_DEL, c.fd, 0) // closing it would do the same
	}
}

// finish closes a connection.
func (t *thread) finish(c *conn) {
	t.part(c)
	if c.held {
		shutdown(c.fd, unix.SHUT_WR) // close(2) alone would drop what is held if the client had sent more meanwhile
	}
	closeSocket(c.fd)
	t.reuse(c)
	t.l.s.released()
}

// end ends the connections of the lists whose time is up; a zero now: all. A machine may stand
// still for longer than that time: what came meanwhile is looked at first.
func (t *thread) end(now time.Time, lists ...*list) {
	for _, l := range lists {
		var over []*conn
		t.mu.Lock()
		for c := l.first; c != nil && (now.IsZero() || !now.Before(c.since.Add(l.most))); {
			after := c.after
			if now.IsZero() || !isReady(c.fd, c.watched) {
				l.remove(c)
				over = append(over, c)
			}
			c = after
		}
		t.mu.Unlock()
		for _, c := range over {
			c.next = end
			t.finish(c)
		}
	}
}

// longest is since when the connection waits that has waited longest for a request or for
// the rest of one; zero: none waits. Any goroutine may call it, and shed.
func (t *thread) longest() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.oldest(); c != nil {
		return c.since
	}
	return time.Time{}
}

func (t *thread) oldest() *conn {
	c, other := t.heads.first, t.idle.first
	if c == nil || other != nil && other.since.Before(c.since) {
		return other
	}
	return c
}

// shed ends the connection that has waited longest: the thread will find it ended, and close
// it.
func (t *thread) shed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.oldest()
	if c == nil {
		return false
	}
	c.on.remove(c)
	shutdown(c.fd, unix.SHUT_RDWR)
	return true
}
