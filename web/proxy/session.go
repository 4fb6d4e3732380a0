package proxy

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	// late is how old what a listener is written may become, besides the burst it
	// began with, before it skips to what is new. Then the network's buffers toward
	// it are full as well, so that it has been too slow for half a minute or so.
	late = 10 * time.Second
	// maxSkips is how often a listener may skip before it is cut, unless it keeps
	// up for forgiven in between.
	maxSkips = 3
	forgiven = 5 * time.Minute
	// halfClose is how long after a stream's beginning a listener's FIN ends its sending
	// side only. A request and the FIN behind it arrive together, or in two packets of
	// which the second may have to be sent again: that takes a second at most at first.
	halfClose = time.Second
)

// A session is one listener. It is used by whoever writes to it, but for claim,
// which is guarded by Proxy.mu.
type session struct {
	p    *Proxy
	src  *source
	done func(Result)

	cur     cursor
	bytes   int64         // written, without the answer's head
	began   time.Duration // by the Proxy's clock
	skipped time.Duration // when it last skipped, by the Proxy's clock
	skips   int
	grace   time.Duration // how old what it began with was
	half    bool          // its sending side is closed: only a write tells whether it is there

	kbit   int
	client netip.Addr
	failed []Failure // nodes that were tried before
}

// join makes a session of one who begins to listen, with the chunk to begin with.
func (s *source) join() (session, *chunk) {
	now := s.p.now()
	at := s.ring.begin(now)
	return session{p: s.p, src: s, began: now, grace: now - at.at}, at
}

// wrote moves over n bytes that the network took.
func (s *session) wrote(n int) {
	s.cur.advance(n)
	before := max(0, s.bytes)
	s.bytes += int64(n)
	s.src.mount.sent.Add(uint64(max(0, s.bytes) - before))
	if s.src.paced() {
		s.src.took(s.cur.audio)
	}
}

// overdue looks after a listener that takes less than there is: it skips to what is
// new. overdue says why it must be cut; empty: it need not.
func (s *session) overdue(now time.Duration) End {
	due := s.cur.due()
	if due == nil || s.src.paced() || now-due.at-s.grace <= late {
		return ""
	}
	to := s.src.ring.latest()
	if to == nil || to == due {
		return ""
	}
	if now-s.skipped > forgiven {
		s.skips = 0
	}
	if s.skips++; s.skips > maxSkips {
		return EndListenerSlow
	}
	s.skipped = now
	s.cur.skip(to)
	s.src.mount.skips.Add(1)
	return ""
}

// halves says whether a FIN that came just now leaves the listener listening.
func (s *session) halves(now time.Duration) bool {
	s.half = s.half || now-s.began < s.p.cfg.halfClose
	return s.half
}

// finish gives everything back and says how it went.
func (s *session) finish(end End) {
	p := s.p
	p.mu.Lock()
	src := s.src.followed()
	node := src.node
	p.mu.Unlock()
	p.release(src)
	src.mount.ended(end)
	p.budget.release(s.kbit, src.mount.name, s.client)
	if s.done != nil {
		s.done(Result{Node: node, Bytes: max(0, s.bytes), Duration: p.now() - s.began, End: end, Failed: s.failed})
	}
	p.running.Done()
}

// listenerEnd tells a listener who left from one who takes nothing more: the
// write deadline passed, or the kernel gave up (ETIMEDOUT, for want of an answer to
// keep-alives).
func listenerEnd(err error) End {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) {
		return EndListenerStalled
	}
	return EndListenerLeft
}
