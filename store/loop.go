package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

// firstWait bounds how long the first snapshot waits for the prober's first round
// and the store's first answer: two attempts at a node that does not answer.
const firstWait = 5 * time.Second

var errNoAnswer = errors.New("no answer, and the call does not return")

// Run exchanges with the store and builds snapshots until ctx is done. It returns
// nil, or the error of closing the copy in StateDir. It drives the [Steps] by this
// machine's clock.
func (s *Syncer) Run(ctx context.Context) error {
	l := s.loop
	hints := s.cfg.Store.Watch(ctx)
	probed := s.cfg.Prober.First()
	wait := time.NewTimer(firstWait)
	defer wait.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	late := time.NewTimer(s.cfg.Tick)
	defer late.Stop()
	results := make(chan result, 1)
	for {
		hasty := l.hasty
		select {
		case <-ctx.Done():
			return l.stop(results)
		case <-next.C:
			next.Reset(s.cfg.Tick*9/10 + rand.N(s.cfg.Tick/5+1)) // jitter: directors must not call in step
			hasty = false
			l.turn()
		case <-s.evidence.raised:
			l.weigh()
		case <-s.cfg.Prober.News():
			l.hasty = true
		case _, open := <-hints:
			if !open {
				hints = nil
			}
			l.hurry()
		case <-s.kick:
			l.hurry()
		case r := <-results:
			late.Stop()
			if ctx.Err() != nil { // about to stop, so the answer does not matter
				l.began = time.Time{}
				continue
			}
			began := l.began
			l.receive(r)
			if r.err == nil {
				l.lapse(ctx, began)
			}
		case <-late.C:
			l.build()
		case <-probed:
			probed = nil
			l.known()
		case <-wait.C:
			Steps{l}.GiveUp()
		}
		if l.hasty && !hasty {
			next.Reset(min(soon, s.cfg.Tick))
		}
		if l.due {
			late.Reset(s.cfg.Tick / 5)
			l.exchange(ctx, results)
		}
	}
}

// loop is the state that only Run, or who goes by [Steps], uses once NewSyncer has
// returned. Its rules are a state machine: they wait for nothing and start nothing, and
// their only clock is SyncerConfig.Now. What is to be done outside, they say by due and
// hasty.
type loop struct {
	*Syncer
	probed, answered bool // what the first snapshot waits for

	began time.Time // when the exchange under way began; zero: there is none
	due   bool      // that exchange is to be started
	hasty bool      // the next tick is to come soon
	again bool      // there is news that the exchange under way may have missed

	ledgers   ledgers
	picture   Picture
	sightings sightings
	offset    time.Duration // store's clock minus ours

	fleet    *director.Fleet
	compiled compiled                   // what fleet was compiled from
	joined   map[director.NodeID]bool   // the registered nodes in fleet
	refused  map[director.NodeID]string // the other registered nodes, and why
	probing  probing
	shared   map[director.NodeID]shared
	heeded   map[heard]bool                      // doubts of others that were passed on
	verdicts map[director.NodeID]director.Report // the merged report of each node
	judged   judged
	seated   map[director.NodeID]seated // nodes with sessions
	snapshot *director.Snapshot
	counters live // of snapshot's nodes
	whole    bool // the next snapshot is built from everything, and not from what has changed

	expired bool                          // see leaseEnded
	absent  map[director.NodeID]time.Time // since when, by our clock, a node with an overlay entry is unknown
	lapsing atomic.Bool                   // a change by lapse is under way
}

// result is the outcome of an exchange, with our clock before and after it.
type result struct {
	picture      Picture
	err          error
	began, ended time.Time
}

// now returns the store's time, as well as this director knows it.
func (l *loop) now() time.Time { return l.cfg.Now().Add(l.offset).UTC().Round(0) }

// turn is the tick that is due: the regular one, or one that was brought forward because
// of news.
func (l *loop) turn() {
	if l.hasty {
		l.hasty = false
		l.hurry()
		return
	}
	l.tick()
}

// tick begins an exchange; a snapshot is built when it ends, and also before that if
// it takes long. If the previous exchange is still under way, tick builds a snapshot
// at once instead.
func (l *loop) tick() {
	l.ledgers.collect(l.now())
	l.suspect(l.cfg.Prober.Suspicion())
	l.weigh()
	if l.began.IsZero() {
		l.begin()
		return
	}
	if l.cfg.Now().Sub(l.began) > l.cfg.Timeout {
		l.away(fmt.Errorf("%w: %w", ErrAway, errNoAnswer))
	}
	l.build()
}

// hurry is a tick for news that cannot wait for the next regular one.
func (l *loop) hurry() {
	l.again = !l.began.IsZero()
	l.tick()
}

// begin has an exchange started.
func (l *loop) begin() { l.began, l.due, l.again = l.cfg.Now(), true, false }

// exchange calls the store in its own goroutine, so that no store can block the loop.
func (l *loop) exchange(ctx context.Context, results chan<- result) {
	l.due = false
	o := l.offer()
	go func() {
		ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
		defer cancel()
		l.keepCopy(o.Overlay)
		began := l.cfg.Now()
		p, err := l.cfg.Store.Sync(ctx, o)
		results <- result{p, err, began, l.cfg.Now()}
	}()
}

// known ends the wait for the prober's first round.
func (l *loop) known() {
	l.probed = true
	l.build()
}

// offer returns all that this director knows and others do not.
func (l *loop) offer() (o Offer) {
	if !l.picture.Now.IsZero() { // until the store's clock is known, our times would mislead others
		l.look()
		o.Counts, o.Reports, o.Registrations = l.ledgers.counts(), l.sightings.own, l.registry.offers()
	}
	uncounted := l.carried()
	var sessions Sessions
	var moves Moves
	if l.cfg.Sessions != nil {
		sessions = l.cfg.Sessions()
	}
	if l.cfg.Moves != nil {
		moves = l.cfg.Moves()
	}
	l.mu.Lock()
	o.Director, o.Overlay = l.self(), l.overlay
	l.mu.Unlock()
	o.Director.Uncounted, o.Director.Sessions, o.Director.Moves = uncounted, sessions, moves
	if l.cfg.Addrs != nil {
		o.Director.Addrs = l.cfg.Addrs()
	}
	return o
}

// depart tells the others that this director no longer answers listeners, so that
// they need not notice its silence or wait for its lease to end.
func (l *loop) depart() {
	if l.picture.Now.IsZero() || l.isAway() {
		return // nobody to tell
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Timeout)
	defer cancel()
	o := l.offer()
	o.Director.Left, o.Director.Addrs, o.Director.Doubts = true, nil, nil
	if _, err := l.cfg.Store.Sync(ctx, o); err != nil {
		l.cfg.Log.Warn("the other directors could not be told that this one stops; they will notice its silence", "err", err)
	}
}

func (l *loop) keepCopy(o Overlay) {
	if l.copy == nil || l.released.Load() {
		return
	}
	if kept, opened := l.copy.file.Retry(); opened {
		l.copy.saved = kept
		if kept.Revision > o.Revision {
			l.adopt(kept) // the next exchange offers it
			o = kept
		}
	}
	fail := ""
	if err := l.copy.keep(o); err != nil {
		fail = wording.Text(err)
	}
	l.update(func(st *Status) { st.CopyFail = fail })
}

func (l *loop) receive(r result) {
	l.began, l.answered = time.Time{}, true
	l.update(func(st *Status) {
		st.Syncs++
		st.Exchange = r.ended.Sub(r.began)
		if r.err != nil {
			st.Failures++
		}
	})
	if r.err != nil {
		l.away(r.err)
		clear(l.absent) // others may have heard of these nodes meanwhile
	} else {
		l.setClock(r)
		l.picture = r.picture
		l.registry.adopt(l.cfg.Now(), r.picture)
		l.back(r.picture)
		l.adopt(r.picture.Overlay)
		l.heed(r.picture)
		l.meet(r.picture)
	}
	l.exchanged.ring()
	l.build()
	if l.again {
		l.begin()
	}
}

// stop waits for the exchange under way, tells the others that this director stops,
// saves the last edit and releases StateDir. If the exchange does not end within the
// timeout, it only returns.
func (l *loop) stop(results <-chan result) error {
	if !l.began.IsZero() {
		select {
		case <-results:
		case <-time.After(l.cfg.Timeout):
			return nil // the exchange that does not end may still be using the copy
		}
	}
	l.depart()
	if l.copy == nil {
		return nil
	}
	l.keepCopy(l.Overlay())
	return l.copy.file.Close()
}
