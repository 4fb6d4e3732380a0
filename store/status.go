package store

import (
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director/wording"
)

// Status is how a [Syncer] is doing. Ages and times are by the director's own clock.
type Status struct {
	Ready       bool          // there is a snapshot
	SnapshotAge time.Duration // since it was built; 0 before the first
	BuildTime   time.Duration // how long building it took
	PictureAge  time.Duration // since the store last answered; 0 before that
	// ClockAhead is how far the store's clock was ahead of this machine's when the store
	// last answered. Below 0: behind.
	ClockAhead time.Duration

	// Degraded says that the store does not answer: snapshots are built from what
	// this director itself knows, and from the last Picture.
	Degraded bool
	Since    time.Time // when Degraded last changed; zero: it never has
	Error    string    // why Degraded
	Suspect  string    // why this director does not trust its own probes; empty: it does
	CopyFail string    // why the copy in StateDir cannot be written; empty: it can
	Lost     []string  // which operators' changes are lost or may be, and why; edits are still accepted

	Syncs, Failures int64         // exchanges with the store, and those of them that failed
	Exchange        time.Duration // how long the newest of them took
	// PeerAge is the time since the last Sync of the live director that is furthest
	// behind, when the store last answered: the age of the other directors' counts. 0:
	// there are no others.
	PeerAge time.Duration
	// EditLag is how long it took until this director knew the newest edit, from when
	// it was made; 0: there was none since the first snapshot. If another director made
	// it, EditLag is as exact as both directors know the store's clock.
	EditLag time.Duration

	Director  Director   // this one, as it is offered
	Directors []Director // live ones in the last Picture, including this one
	Missing   []Missing  // those that fell silent without saying that they stop
	Revision  Revision   // of the overlay that the snapshot obeys
	Effects   []Effect   // what became of the overlay's entries
	Problems  []string   // what is wrong in the store or with its clock, while it still works
}

// Status returns how the Syncer is doing now. The caller must not change the slices.
func (s *Syncer) Status() Status {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Director, st.Missing = s.self(), s.missing(now)
	if !s.built.IsZero() {
		st.Ready = true
		st.SnapshotAge = now.Sub(s.built)
	}
	if !s.synced.IsZero() {
		st.PictureAge = now.Sub(s.synced)
	}
	if s.copy != nil && st.CopyFail == "" {
		st.lose("the copy of the operators' changes: ", s.copy.file.Trouble())
	}
	if k, ok := s.cfg.Store.(Keeper); ok {
		st.lose("", k.Trouble())
	}
	if d, ok := s.cfg.Store.(Doctor); ok {
		for _, p := range d.Problems() {
			st.Problems = append(st.Problems, p.Key+": "+p.Detail)
		}
	}
	if st.ClockAhead.Abs() > clockTold {
		st.Problems = append(st.Problems, fmt.Sprintf("the store's clock is %s this machine's: set the one that is wrong, for changes and drains are told and ended by the store's",
			aheadOf(st.ClockAhead)))
	}
	for _, name := range slices.Sorted(maps.Keys(s.overlay.Ends)) {
		st.Problems = append(st.Problems, fmt.Sprintf("%s was made in the future, by a clock that has been set back since: it ends at %s, after the time that was meant, unless it is changed",
			name, s.overlay.Ends[name].UTC().Format(time.RFC3339)))
	}
	return st
}

// lose adds what and trouble to Lost, unless trouble is empty.
func (s *Status) lose(what, trouble string) {
	if trouble != "" {
		s.Lost = append(s.Lost, what+trouble)
	}
}

// clockTold is the difference between the store's clock and this machine's above
// which operators are told: the times that they read are wrong by as much.
const clockTold = 5 * time.Second

// aheadOf says in words how far a clock is ahead of another.
func aheadOf(d time.Duration) string {
	if d < 0 {
		return (-d).Round(time.Second).String() + " behind"
	}
	return d.Round(time.Second).String() + " ahead of"
}

// self returns this director as it is offered to others. s.mu is held.
func (s *Syncer) self() Director {
	if s.begun.IsZero() && !s.synced.IsZero() {
		s.begun = s.started.Add(time.Duration(s.ahead.Load())).UTC().Truncate(time.Second)
	}
	d := Director{ID: s.cfg.Director, Name: s.cfg.Name, Site: s.cfg.Site, Version: s.cfg.Version, Started: s.begun, Config: s.declared.hash, Suspect: s.status.Suspect, Doubts: s.doubts, AsOf: s.asOf}
	if s.cfg.Leaving != nil {
		d.Leaving = s.cfg.Leaving()
	}
	return d
}

// update calls change with the status, while it holds s.mu.
func (s *Syncer) update(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

// away notes that an exchange failed, and logs that if the one before did not.
func (s *Syncer) away(err error) {
	news := false
	s.update(func(st *Status) {
		news = !st.Degraded
		if news {
			st.Degraded, st.Since = true, s.cfg.Now()
		}
		st.Error = wording.Text(err)
	})
	if news {
		s.cfg.Log.Warn("the store is away; listeners are served as before, edits are refused",
			"err", err, "overlay_revision", s.Overlay().Revision)
	}
}

// isAway says whether the last exchange failed.
func (s *Syncer) isAway() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.Degraded
}

// back notes that the store answered, and logs that if it was away.
func (s *Syncer) back(p Picture) {
	news, away := false, time.Duration(0)
	s.update(func(st *Status) {
		now := s.cfg.Now()
		s.synced, st.Directors, st.PeerAge = now, p.Directors, 0
		for _, d := range p.Directors {
			if d.ID != s.cfg.Director {
				st.PeerAge = max(st.PeerAge, p.Now.Sub(d.Seen))
			}
		}
		if news = st.Degraded; news {
			away = now.Sub(st.Since)
			st.Degraded, st.Since, st.Error = false, now, ""
		}
	})
	if news {
		s.cfg.Log.Info("the store is back", "away", away)
	}
}

// suspect notes why the prober does not trust what it measures (empty: it does), and
// logs when that begins and ends.
func (s *Syncer) suspect(why string) {
	was := ""
	s.update(func(st *Status) { was, st.Suspect = st.Suspect, why })
	switch {
	case was == "" && why != "":
		s.cfg.Log.Warn("this director suspects itself and not the nodes; other directors ignore its bad reports until its probes succeed again", "why", why)
	case was != "" && why == "":
		s.cfg.Log.Info("this director trusts its own probes again")
	}
}

// A stateCopy keeps the overlay on disk in case the store loses it. It is not safe
// for concurrent use.
type stateCopy struct {
	file  *File
	saved Overlay
	log   *slog.Logger
	fails bool
}

// keep saves o if it differs from what was saved last.
func (c *stateCopy) keep(o Overlay) error {
	if reflect.DeepEqual(o, c.saved) {
		c.saved = o // sharing its memory makes the next comparison faster
		return nil
	}
	err := c.file.Save(o)
	if err == nil {
		c.saved = o
	}
	if fails := err != nil; fails != c.fails {
		c.fails = fails
		if fails {
			c.log.Error("the copy of the operators' changes cannot be written; if the store loses them too, they are lost", "err", err)
		} else {
			c.log.Info("the copy of the operators' changes can be written again")
		}
	}
	return err
}
