package store

import "time"

// Steps are the steps that [Syncer.Run] takes, for who keeps the time instead: a
// simulation. What they read of a clock is SyncerConfig.Now; they wait for nothing and
// start nothing. They are not safe for concurrent use, and exclude Run. The copy in
// StateDir, and the removal of lapsed entries, are left to Run.
type Steps struct{ l *loop }

// Steps returns the steps, for use in place of Run.
func (s *Syncer) Steps() Steps { return Steps{s.loop} }

// Tick is what is due each SyncerConfig.Tick, give or take a tenth, and when Soon says
// so. An exchange may be due after it.
func (t Steps) Tick() { t.l.turn() }

// Hint is for a receive from [Store.Watch]. An exchange may be due after it.
func (t Steps) Hint() { t.l.hurry() }

// News is for a receive from [Prober.News].
func (t Steps) News() { t.l.hasty = true }

// Heed takes up what came from outside since the last step: evidence, changes, and a new
// configuration. An exchange may be due after it.
func (t Steps) Heed() {
	select {
	case <-t.l.evidence.raised:
		t.l.weigh()
	default:
	}
	select {
	case <-t.l.kick:
		t.l.hurry()
	default:
	}
}

// Soon says whether there is news for which the next tick is to be brought forward, and
// by when it is due from now on.
func (t Steps) Soon() (within time.Duration, ok bool) {
	return min(soon, t.l.cfg.Tick), t.l.hasty
}

// Exchange returns the offer for [Store.Sync], if an exchange is due. Receive, with its
// outcome, must follow at some time.
func (t Steps) Exchange() (o Offer, due bool) {
	if due = t.l.due; due {
		t.l.due = false
		o = t.l.offer()
	}
	return o, due
}

// Late builds a snapshot while an exchange is under way, which is due a fifth of a tick
// after it began.
func (t Steps) Late() { t.l.build() }

// Receive takes the outcome of an exchange, and when it began and ended by
// SyncerConfig.Now. Another exchange may be due after it.
func (t Steps) Receive(p Picture, err error, began, ended time.Time) {
	t.l.receive(result{p, err, began, ended})
}

// Probed says that the prober's first round is over.
func (t Steps) Probed() { t.l.known() }

// GiveUp ends the wait for the prober's first round and the store's first answer, which
// Run ends after 5 s.
func (t Steps) GiveUp() {
	t.l.answered = true
	t.l.known()
}
