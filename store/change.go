package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Author is who makes a change, why, and when its entries expire.
type Author struct {
	By, Why string
	Until   time.Time // zero: never, until they are taken back
}

// Change edits the overlay in the store and at this director. edit gets a clone
// of the newest overlay and changes its entries; it may refuse with an error of
// its own, which is returned unchanged. Every entry that differs is stamped with
// a, the store's time and the new revision, whatever Stamp edit left in it, and
// the history keeps the entry's previous value. If nothing differs, nothing is
// done: the returned Change has no entries and the current revision. While the store is
// away, that cannot be known, and is refused as any other edit is.
//
// If another edit came first, edit is called again with the current overlay, until
// ctx is done: edits of different entries all succeed, and edit sees what became
// of its own. After a success [Syncer.Overlay] returns the result, and the next
// View, some milliseconds later, obeys it; other directors follow within a
// fraction of a second.
//
// Errors other than edit's are a refusal by [Overlay.Validate], or wrap [ErrAway].
// In the latter case the change may have been made nevertheless; the history
// shows whether it was.
func (s *Syncer) Change(ctx context.Context, a Author, edit func(o *Overlay) error) (Change, error) {
	return s.change(ctx, a, func(base Overlay, c *Change) (Overlay, error) {
		o := base.Clone()
		if err := edit(&o); err != nil {
			return o, err
		}
		o.restamp(base.entries(), Stamp{By: c.By, At: c.At, Why: c.Why, Until: a.Until.UTC(), Revision: c.Revision})
		return o, nil
	})
}

// Undo takes back the change that made revision r, as a change of its own: it
// restores the previous values of its entries, with their stamps. a.Until is
// ignored. The error is a *[StaleError] if one of the entries is no longer as r
// left it, and [ErrNoSuchChange] if the history does not reach back to r. Other
// errors are those of [Syncer.Change].
func (s *Syncer) Undo(ctx context.Context, a Author, r Revision) (Change, error) {
	return s.change(ctx, a, func(base Overlay, c *Change) (Overlay, error) {
		c.Undoes = r
		return base.undone(r)
	})
}

// change commits the overlay that draft makes from the newest one. It tries again
// after each conflict, until it succeeds or ctx is done.
func (s *Syncer) change(ctx context.Context, a Author, draft func(base Overlay, c *Change) (Overlay, error)) (Change, error) {
	if a.By == "" {
		return Change{}, errors.New("the edit is refused: it does not name its author")
	}
	for {
		exchanged := s.exchanged.wait()
		base := s.Overlay()
		c := Change{Revision: base.Revision + 1, By: a.By, At: s.Now().Truncate(time.Millisecond), Why: a.Why}
		o, err := draft(base, &c)
		if err != nil {
			return Change{}, err
		}
		if c.Entries = diff(base, o); len(c.Entries) == 0 {
			if s.Status().Degraded { // another director may have been told otherwise
				return Change{}, fmt.Errorf("%w: it is so by what this director heard last, and it cannot ask whether it still is", ErrAway)
			}
			return Change{Revision: base.Revision}, nil
		}
		o.History = base.History
		o.remember(c)
		_, err = s.edit(ctx, base.Revision, o)
		switch {
		case err == nil:
			return c, nil
		case !errors.Is(err, ErrConflict):
			return Change{}, err
		}
		select { // the next exchange brings the current overlay
		case <-exchanged:
		case <-ctx.Done():
			return Change{}, fmt.Errorf("%w: others keep editing, or the store does not answer: %w", ErrAway, ctx.Err())
		}
	}
}

// Changes returns a channel that is closed when the overlay, or the configuration
// that snapshots are built from, may have changed. Get the channel first and read
// the state after that, so that no change is missed. Any number may wait.
func (s *Syncer) Changes() <-chan struct{} { return s.changed.wait() }

// Now returns the store's time, as well as this director knows it.
func (s *Syncer) Now() time.Time {
	return s.cfg.Now().Add(time.Duration(s.ahead.Load())).UTC().Round(0)
}
