// Package memstore is the embedded store, for one director or for several in one
// process. It keeps the overlay in a file and everything else in memory, since that
// is of no use after a restart.
package memstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// Config says how a Store is kept.
type Config struct {
	Path string           // the overlay's file; empty: memory only
	Now  func() time.Time // the store's clock; nil: time.Now
	Log  *slog.Logger     // nil: slog.Default()
}

// Store implements [store.Store]: one director's handle.
type Store struct {
	*shared
	closed bool // guarded by shared.mu
}

// shared is the state that all handles on one store share.
type shared struct {
	now  func() time.Time
	file *store.File // nil: memory only

	// saving is held while the overlay is replaced, also during disk I/O, so that
	// revisions reach the disk in order. It is locked before mu.
	saving patientMutex

	mu        sync.Mutex // guards what follows; not held while the overlay is written to disk
	handles   int
	overlay   store.Overlay
	directors map[string]offered
	watchers  map[chan struct{}]*Store
}

// A patientMutex is a mutex for which one may wait as long as a context allows. Make it
// with a capacity of 1.
type patientMutex chan struct{}

func (m patientMutex) Lock()   { m <- struct{}{} }
func (m patientMutex) Unlock() { <-m }

// LockFor locks, or returns ctx's error if ctx is done before it could.
func (m patientMutex) LockFor(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case m <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// offered is a director's last Offer.
type offered struct {
	store.Director
	counts        []store.Count
	reports       []*director.Report
	registrations []store.Registration
}

// Open opens the store. For a file that cannot be used see [store.OpenFile]; edits
// are refused until it can be opened.
func Open(c Config) *Store {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &shared{now: c.Now, saving: make(patientMutex, 1), handles: 1, directors: map[string]offered{}, watchers: map[chan struct{}]*Store{}}
	if c.Path != "" {
		s.file, s.overlay = store.OpenFile(c.Path, c.Log)
	}
	return &Store{shared: s}
}

// Trouble implements [store.Keeper].
func (s *Store) Trouble() string {
	if s.file == nil {
		return ""
	}
	return s.file.Trouble()
}

// Release implements [store.Keeper]. An edit under way is finished before.
func (s *Store) Release() error {
	if s.file == nil {
		return nil
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	return s.file.Close()
}

// Claim implements [store.Keeper].
func (s *Store) Claim() {
	if s.file != nil {
		s.file.Claim()
		s.retry()
	}
}

// retry opens a file that could not be opened before, if it can be opened now, and
// takes over the overlay in it.
func (s *Store) retry() {
	if s.file == nil {
		return
	}
	o, opened := s.file.Retry()
	if !opened {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Revision > s.overlay.Revision {
		s.overlay = o
		s.hint()
	}
}

// hint tells watchers that the overlay may have changed. s.mu is held.
func (s *shared) hint() {
	for w := range s.watchers {
		select {
		case w <- struct{}{}:
		default: // a hint is pending already
		}
	}
}

// Join returns another handle on the same store, for another director in this
// process. What is in memory is lost when the last handle is closed.
func (s *Store) Join() (*Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	s.handles++
	return &Store{shared: s.shared}, nil
}

// Sync implements [store.Store].
func (s *Store) Sync(ctx context.Context, o store.Offer) (store.Picture, error) {
	if o.Director.ID == "" {
		return store.Picture{}, errors.New("an offer needs the id of its director")
	}
	if err := ctx.Err(); err != nil {
		return store.Picture{}, fmt.Errorf("%w: %w", store.ErrAway, err)
	}
	s.retry()
	if err := s.refill(o.Overlay); err != nil {
		return store.Picture{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.Picture{}, store.ErrClosed
	}
	now := s.now().UTC().Round(0)
	o.Director.Seen = now
	s.directors[o.Director.ID] = offered{o.Director, o.Counts, o.Reports, o.Registrations}
	return s.picture(now), nil
}

// refill takes over an overlay that is newer than the store's own.
func (s *Store) refill(o store.Overlay) error {
	if have, err := s.revision(); err != nil || o.Revision <= have {
		return err
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	if have, err := s.revision(); err != nil || o.Revision <= have {
		return err
	}
	return s.replace(o)
}

// Edit implements [store.Store]. It waits for earlier edits, which a slow disk may hold up,
// no longer than ctx allows.
func (s *Store) Edit(ctx context.Context, at store.Revision, o store.Overlay) (store.Revision, error) {
	if err := s.saving.LockFor(ctx); err != nil {
		return 0, fmt.Errorf("%w: %w", store.ErrAway, err)
	}
	defer s.saving.Unlock()
	s.retry()
	have, err := s.revision()
	if err != nil {
		return 0, err
	}
	if have != at {
		return have, fmt.Errorf("revision %d is in force, not %d: %w", have, at, store.ErrConflict)
	}
	o.Revision = at + 1
	return o.Revision, s.replace(o)
}

func (s *Store) revision() (store.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, store.ErrClosed
	}
	return s.overlay.Revision, nil
}

// replace saves o, puts it in force and tells watchers. s.saving is held.
func (s *shared) replace(o store.Overlay) error {
	if s.file != nil {
		if err := s.file.Save(o); err != nil {
			return fmt.Errorf("%w: %w", store.ErrAway, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overlay = o
	s.hint()
	return nil
}

// picture drops what has exceeded its life and returns the rest. s.mu is held.
func (s *shared) picture(now time.Time) store.Picture {
	var newest map[reportKey]int // nil: p.Reports are one director's
	p := store.Picture{Now: now, Overlay: s.overlay, Counts: map[string][]store.Count{}}
	for _, id := range slices.Sorted(maps.Keys(s.directors)) { // in an order, so that the same calls give the same Picture
		d := s.directors[id]
		if d.Seen.After(now) { // the clock was set back
			d.Seen = now
			s.directors[id] = d
		}
		age := now.Sub(d.Seen)
		if age > max(store.CountLife, store.ReportLife) {
			delete(s.directors, id)
			continue
		}
		switch {
		case age <= store.DirectorLife && !d.Left:
			p.Directors = append(p.Directors, d.Director)
		case age <= store.ReportLife:
			p.Absent = append(p.Absent, d.Director)
		}
		if age <= store.CountLife && len(d.counts) > 0 {
			p.Counts[id] = d.counts
		}
		if age > store.ReportLife {
			continue
		}
		p.Registrations = append(p.Registrations, d.registrations...)
		if p.Reports == nil {
			p.Reports = slices.Clip(d.reports) // shared: most often there is one director
			continue
		}
		if newest == nil {
			newest = positions(p.Reports)
			p.Reports = slices.Clone(p.Reports)
		}
		for _, r := range d.reports {
			key := reportKey{r.Node, r.By}
			i, known := newest[key]
			switch {
			case !known:
				newest[key] = len(p.Reports)
				p.Reports = append(p.Reports, r)
			case r.Taken.After(p.Reports[i].Taken):
				p.Reports[i] = r
			}
		}
	}
	return p
}

// positions returns where in reports each is.
func positions(reports []*director.Report) map[reportKey]int {
	at := make(map[reportKey]int, len(reports))
	for i, r := range reports {
		at[reportKey{r.Node, r.By}] = i
	}
	return at
}

type reportKey struct {
	node director.NodeID
	by   string
}

// Watch implements [store.Store].
func (s *Store) Watch(ctx context.Context) <-chan struct{} {
	w := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		close(w)
		return w
	}
	s.watchers[w] = s
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unwatch(w)
	})
	return w
}

// unwatch closes w, once. s.mu is held.
func (s *shared) unwatch(w chan struct{}) {
	if _, ok := s.watchers[w]; ok {
		delete(s.watchers, w)
		close(w)
	}
}

// Close implements [store.Store]. Closing the last handle releases the file.
func (s *Store) Close() error {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.closed = true
	for w, owner := range s.watchers {
		if owner == s {
			s.unwatch(w)
		}
	}
	if s.handles--; s.handles == 0 && s.file != nil {
		return s.file.Close()
	}
	return nil
}
