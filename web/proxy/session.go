package proxy

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	// late is how far a listener may fall behind, besides the burst it began with, before
	// it skips to the newest audio. By then the network's buffers toward it are full as
	// well, so it has been too slow for about half a minute.
	late = 10 * time.Second
	// maxSkips is how often a listener may skip before it is cut, unless it keeps
	// up for forgiven in between.
	maxSkips = 3
	forgiven = 5 * time.Minute
	// halfClose is how long after a stream's beginning a listener's FIN is taken to end
	// its sending side only. A request and the FIN after it arrive together, or in two
	// packets. The second may have to be retransmitted, which takes at most a second the
	// first time.
	halfClose = time.Second
)

// A session is one listener. It is used only by the goroutine that writes to it.
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
	half    bool          // its sending side is closed: only a write tells whether it has left

	kbit   int
	client netip.Addr
	failed []Failure // nodes that were tried before
}

// join makes a session for a new listener, and returns it with the chunk to begin with.
func (s *source) join() (session, *chunk) {
	now := s.p.now()
	at := s.ring.begin(now)
	return session{p: s.p, src: s, began: now, grace: now - at.at}, at
}

// wrote records that n bytes were written.
func (s *session) wrote(n int) {
	s.cur.advance(n)
	before := max(0, s.bytes)
	s.bytes += int64(n)
	s.src.mount.sent.Add(uint64(max(0, s.bytes) - before))
	if s.src.paced() {
		s.src.took(s.cur.audio)
	}
}

// overdue makes a listener that has fallen behind skip to the newest audio. It returns
// why the listener must be cut; empty: it need not be.
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

// halves reports whether a FIN that arrives now ends only the listener's sending side.
func (s *session) halves(now time.Duration) bool {
	s.half = s.half || now-s.began < s.p.cfg.halfClose
	return s.half
}

// finish releases what the session holds, and reports the result to done.
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

// listenerEnd tells a listener that left from a stalled one. Stalled means that the write
// deadline passed, or that the kernel gave up (ETIMEDOUT, as keep-alive probes were not
// answered).
func listenerEnd(err error) End {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) {
		return EndListenerStalled
	}
	return EndListenerLeft
}
