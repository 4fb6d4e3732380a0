package proxy

import (
	"errors"
	"time"
)

// lookout is what looks after a source that plays. It belongs to one goroutine.
type lookout struct {
	*source
	silent *time.Timer   // fires when the node may have been silent for too long
	awake  time.Duration // when it last looked, by the Proxy's clock
	next   *seeking      // for another node; nil: this one is good
}

// look publishes at the pace, watches for silence, and ends the source. What ends
// the reading comes by read.
func (s *source) look(read chan error) {
	l := lookout{source: s, silent: time.NewTimer(s.patience()), awake: s.p.now()}
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
		case <-l.silent.C:
			l.wake()
			over = l.quiet()
		case <-s.vacate:
			if l.next == nil {
				l.next = s.seek(EndDrained, true)
			}
		case to := <-l.next.result():
			over = l.found(to)
		case err := <-read:
			read <- nil // for who waits for the reader's end
			l.lost(err)
			over = true
		}
	}
}

// wake gives the node back the time for which this process did not run, being
// frozen or moved with its machine: what the node sent meanwhile is still to be read.
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

// quiet looks for another node when this one seems to be silent, and says whether
// the source is over because it has been for too long.
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

// found takes the end of a search, and says whether the listeners are gone. If not,
// a node that should be left keeps them, and one that is still silent makes for
// another search.
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

// lost is the end of the reading.
func (l *lookout) lost(err error) {
	if l.ctx.Err() != nil {
		l.over(endOf(l.ctx, EndListenerLeft))
		return
	}
	f := Failure{Node: l.node, Why: WhyLost, Detail: "GET " + l.ask.upstream.URL + ": in mid-stream: " + err.Error()}
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
