package proxy

import (
	"errors"
	"os"
	"time"

	"github.com/signpost-fm/signpost/director/wording"
)

// lookout watches a source that plays. It is used by one goroutine.
type lookout struct {
	*source
	up      *upstream
	reading *reading
	lending bool          // the reading is to end, so that a loop reads instead
	silent  *time.Timer   // fires when the node may have been silent for too long
	awake   time.Duration // when it last ran, by the Proxy's clock
	next    *seeking      // the search for another node; nil: none is running
}

// look publishes once per pace, watches for silence, and ends the source or lends it to a
// loop.
func (s *source) look(up *upstream, r *reading) {
	l := lookout{source: s, up: up, reading: r, silent: time.NewTimer(max(0, s.parser.slack(s.p.now()))), awake: s.p.now()}
	defer l.silent.Stop()
	defer func() { l.next.stop() }()
	pace := time.NewTicker(pace)
	defer pace.Stop()
	for over := false; !over; {
		select {
		case <-s.ctx.Done():
			s.over(endOf(s.ctx, EndListenerLeft))
			over = true
		case <-pace.C:
			l.wake()
			l.tick()
			if l.next == nil && l.lendable() {
				l.lending = true
				_ = l.up.conn.SetReadDeadline(time.Unix(1, 0))
			}
		case <-l.silent.C:
			l.wake()
			over = l.quiet()
		case <-s.vacate:
			if l.next == nil {
				l.next = s.seek(EndDrained, true)
			}
		case to := <-l.next.result():
			over = l.found(to)
		case <-l.reading.ended:
			switch {
			case !l.lending || !errors.Is(l.reading.err, os.ErrDeadlineExceeded):
				l.lost(l.reading.err)
				over = true
			case l.next == nil && l.lend(l.up):
				return
			default: // it is not to be lent after all
				l.lending = false
				_ = l.up.conn.SetReadDeadline(time.Time{})
				l.reading = l.startReading(l.up)
			}
		}
	}
	l.close(l.up, l.reading)
}

// wake does not count against the node the time in which this process did not run, because
// it was frozen or its machine was moved: what the node sent meanwhile is still unread.
func (l *lookout) wake() {
	now := l.p.now()
	if asleep := now - l.awake; asleep > pace*3/2 {
		l.parser.until.Add(int64(asleep))
	}
	l.awake = now
}

func (l *lookout) tick() {
	l.publish()
	if l.alone && l.reserve.Load() == 0 {
		_, took, _ := l.ring.measured()
		l.reserve.Store(int64(took))
		l.ring.shrink()
	}
	if l.next != nil && !l.next.vacating && l.parser.slack(l.p.now()) > 0 {
		l.next.stop() // it plays again
		l.next = nil
	}
}

// quiet starts a search for another node when this one seems silent. It reports whether the
// source is over because the node has been silent for too long.
func (l *lookout) quiet() bool {
	now := l.p.now()
	left := l.p.cfg.IdleTimeout - l.parser.quiet(now)
	switch slack := l.parser.slack(now); {
	case slack > 0: // it has played meanwhile
		l.silent.Reset(slack)
	case left <= 0:
		l.failed(EndUpstreamSilent, l.next)
		return true
	default:
		if l.next == nil {
			l.next = l.seek(EndUpstreamSilent, false)
		}
		l.silent.Reset(min(left, l.patience()))
	}
	return false
}

// found handles the result of a search, and reports whether the listeners went to another
// source. If not, a node that was to be left keeps them, and a node that is still silent
// leads to another search.
func (l *lookout) found(to *source) bool {
	search := l.next
	l.next, search.found = nil, nil
	if to == nil || !l.handOver(to, search) {
		return false
	}
	if search.cause == EndUpstreamSilent {
		l.evidence(l.silence())
	}
	return true
}

// lost is called when reading from the node has ended.
func (l *lookout) lost(err error) {
	if l.ctx.Err() != nil {
		l.over(endOf(l.ctx, EndListenerLeft))
		return
	}
	f := Failure{Node: l.node, Why: WhyLost, Detail: "GET " + l.ask.upstream.URL + ": in mid-stream: " + wording.Text(err)}
	if r := (*refusal)(nil); errors.As(err, &r) {
		f.Why = r.why
	}
	end := upstreamEnd(err)
	if end == EndUpstreamEnded && l.renew() {
		return
	}
	l.evidence(f)
	l.failed(end, l.next)
}
