package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// feedStep is the grid on which feeds are read: all whose turn has come are read by
	// one waking of the loop.
	feedStep = 50 * time.Millisecond
	// feedSize is how much of a feed is to arrive between two turns, in bytes: 1 s at 256
	// kbit/s. It is half of what Linux lets a node send ahead at first.
	feedSize = 32 << 10
	// feedMost is how much is read of a feed at one turn, in bytes.
	feedMost = 2 * feedSize
	// shortest is the least that a frame takes, in bytes: the header of one in ADTS.
	shortest = 7
)

// A feed is a source with a single listener whose upstream is read by the loop that writes
// to this listener. Nothing wakes the loop when audio arrives: it reads each feed once per
// pace, or more often at high bitrates, and writes at once what it has read. So neither of
// them needs a goroutine, and audio that the listener has got needs no memory.
//
// A loop reads only while all is well. When the node falls silent, ends, or is to be left,
// a goroutine looks after the source again (see lookout).
type feed struct {
	*source
	up    *upstream
	fd    int
	steps int           // of the grid, up to its next turn
	awake time.Duration // when it was last read, by the Proxy's clock
	stop  func() bool   // of the watch over the source's context
}

// feeds are those of one loop, used by its goroutine only.
type feeds struct {
	of    map[*source]*feed
	turns [pace / feedStep][]*feed // those of each step of the grid; some may have left
	turn  int
	due   time.Duration // of the next turn, by the Proxy's clock; 0: there is none
	spare []*feed       // memory for a turn
	inbox []byte        // what has just been read
	room  room          // chunks of it, until they are written
}

// lendable reports whether a loop can read the upstream from here on.
func (l *lookout) lendable() bool {
	_, plain := l.up.conn.(*net.TCPConn)
	return l.alone && !l.paced() && plain && l.up.body == nil &&
		l.parser.held.Load() == 0 && l.loop() != nil
}

// loop returns the loop that writes to listeners of s; nil: none does.
func (s *source) loop() *loop {
	shards := s.shards.Load()
	if shards == 0 { // there may be no loops yet
		return nil
	}
	for _, l := range s.p.loops {
		if shards&l.bit != 0 {
			return l
		}
	}
	return nil
}

// lend hands the upstream, which nobody reads any more, to the loop. It reports whether it
// did.
func (s *source) lend(up *upstream) bool {
	if s.parser.ahead(s.p.now()) > maxAhead || up.br != nil {
		return false
	}
	up.unhook()
	fd := detach(up.conn.(*net.TCPConn))
	if fd < 0 {
		up.hook(s.ctx)
		return false
	}
	up.conn = nil
	for i := range s.heads {
		s.heads[i].Store(nil) // the listener has got it
	}
	s.loop().post(task{kind: taskFeed, feed: &feed{source: s, up: up, fd: fd}})
	return true
}

// take begins to read a feed.
func (l *loop) take(f *feed, now time.Duration) {
	fs := &l.feeds
	if fs.of == nil {
		fs.of, fs.inbox, fs.room = map[*source]*feed{}, make([]byte, feedMost), room{make([]byte, feedMost), make([]int32, feedMost/shortest+1)}
	}
	fs.of[f.source] = f
	f.lent.Store(true)
	l.own(f.fd, f)
	f.awake = now
	f.stop = context.AfterFunc(f.ctx, func() { l.post(task{kind: taskRecall, src: f.source}) })
	// The events of a listener's socket, but not those of audio.
	err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, f.fd, &unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(f.fd)})
	if err != nil {
		l.giveBack(f, refuse(WhyOwn, "%v", err))
		return
	}
	if fs.due == 0 {
		fs.due = now + feedStep
		_ = l.poll.SetReadDeadline(l.p.epoch.Add(fs.due))
	}
	if l.pull(f, now); fs.of[f.source] == f {
		fs.schedule(f)
	}
}

// schedule sets when f is read next.
func (fs *feeds) schedule(f *feed) {
	at := (fs.turn + f.steps) % len(fs.turns)
	fs.turns[at] = append(fs.turns[at], f)
}

// readFeeds reads the feeds whose turn has come, and sets when the next ones are read.
func (l *loop) readFeeds(now time.Duration) {
	fs := &l.feeds
	if fs.due == 0 || now < fs.due {
		return
	}
	for fs.due = max(fs.due, now-pace); fs.due <= now; fs.due += feedStep {
		fs.turn = (fs.turn + 1) % len(fs.turns)
		turn := fs.turns[fs.turn]
		fs.turns[fs.turn] = fs.spare[:0]
		for _, f := range turn {
			if fs.of[f.source] != f {
				continue // it has left
			}
			if l.pull(f, now); fs.of[f.source] == f {
				fs.schedule(f)
			}
		}
		clear(turn)
		fs.spare = turn
	}
	next := l.p.epoch.Add(fs.due)
	if len(fs.of) == 0 {
		fs.due, next = 0, time.Time{}
	}
	_ = l.poll.SetReadDeadline(next)
}

// pull reads what has arrived of f and writes it to the listener. It returns how much that
// was. If f needs more than that, it gives f back.
func (l *loop) pull(f *feed, now time.Duration) int {
	p := f.parser
	since := now - f.awake
	f.awake = now
	if since > pace*3/2 { // as in lookout.wake
		p.until.Add(int64(since))
	}
	n, err := unix.Read(f.fd, l.feeds.inbox)
	switch {
	case n > 0:
		f.arrived.Add(int64(n))
		listener := l.cursor(f.source)
		lent := listener != nil && listener.due() == nil
		if lent {
			f.ring.lend(l.feeds.room)
		}
		err = p.write(l.feeds.inbox[:n], now)
		f.ring.publish(now)
		l.more(f.source, now)
		if lent {
			f.ring.settle(listener)
		}
	case n == 0 && err == nil:
		err = io.EOF
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		err = nil
	}
	slack := p.slack(now)
	if err != nil || slack <= 0 || p.ahead(now) > maxAhead || len(f.vacate) > 0 {
		l.giveBack(f, err)
		return 0
	}
	next := min(pace, slack)
	if n > 0 {
		next = min(next, since*feedSize/time.Duration(n))
	}
	f.steps = max(1, int(next/feedStep))
	return n
}

// cursor returns the position of the only listener of a source; nil: it has none.
func (l *loop) cursor(src *source) *cursor {
	for _, s := range l.members[src] {
		return &s.cur
	}
	return nil
}

// drain reads a feed that the node has ended, as far as it has arrived.
func (l *loop) drain(f *feed, now time.Duration) {
	for l.pull(f, now) > 0 {
	}
}

// giveBack has a goroutine look after a source again. err is what has ended the reading, if
// anything has.
func (l *loop) giveBack(f *feed, err error) {
	delete(l.feeds.of, f.source)
	f.lent.Store(false)
	l.byFD[f.fd] = nil
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, f.fd, nil)
	f.stop()
	socket := os.NewFile(uintptr(f.fd), f.ask.upstream.URL)
	defer socket.Close()
	if f.ctx.Err() != nil {
		f.over(endOf(f.ctx, EndListenerLeft))
		f.cancel(nil)
		f.p.open.Done()
		return
	}
	if err == nil {
		var conn net.Conn
		if conn, err = net.FileConn(socket); err != nil {
			err = refuse(WhyOwn, "%v", err)
		} else {
			f.up.conn = conn
			f.up.hook(f.ctx)
			go f.look(f.up, f.startReading(f.up))
			return
		}
	}
	r := &reading{ended: make(chan struct{}), err: err}
	close(r.ended)
	go f.look(f.up, r)
}
