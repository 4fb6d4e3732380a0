package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/memstore"
)

// shared is the store of all directors: memstore, and the network and the machine below
// it.
type shared struct {
	now  func() time.Time
	root *memstore.Store

	away  int           // faults because of which it answers nobody
	slow  time.Duration // what an exchange takes besides
	lossy float64       // the part of answers that are lost

	kept []keptOverlay // what replicas know, the newest last
}

type keptOverlay struct {
	at      int64
	overlay store.Overlay
}

func newShared(now func() time.Time) *shared {
	s := &shared{now: now}
	s.flush()
	return s
}

// flush empties the store.
func (s *shared) flush() { s.root = memstore.Open(memstore.Config{Now: s.now}) }

// keep notes the overlay, as a replica does.
func (s *shared) keep(now int64, o store.Overlay) {
	if n := len(s.kept); n == 0 || s.kept[n-1].overlay.Revision != o.Revision {
		s.kept = append(s.kept, keptOverlay{now, o})
	}
}

// keptAt is what a replica knew of the overlay at a time.
func (s *shared) keptAt(at int64) (o store.Overlay) {
	for _, k := range s.kept {
		if k.at <= at {
			o = k.overlay
		}
	}
	return o
}

// failOver makes the store a replica that knows o.
func (s *shared) failOver(o store.Overlay) error {
	s.flush()
	if o.Revision == 0 {
		return nil
	}
	// A director that has left brings the replica's overlay, and nothing else.
	_, err := s.root.Sync(context.Background(), store.Offer{Director: store.Director{ID: "replica", Left: true}, Overlay: o})
	return err
}

// link is one director's way to the store. It implements [store.Store] for edits; the
// exchanges are events.
type link struct {
	*shared
	cut int // faults because of which this director does not reach it
}

func (l *link) reaches() bool { return l.away == 0 && l.cut == 0 }

func (l *link) Sync(ctx context.Context, o store.Offer) (store.Picture, error) {
	if !l.reaches() {
		return store.Picture{}, fmt.Errorf("%w: no answer", store.ErrAway)
	}
	return l.root.Sync(ctx, o)
}

func (l *link) Edit(ctx context.Context, at store.Revision, o store.Overlay) (store.Revision, error) {
	if !l.reaches() {
		return 0, fmt.Errorf("%w: no answer", store.ErrAway)
	}
	return l.root.Edit(ctx, at, o)
}

func (l *link) Watch(context.Context) <-chan struct{} { return nil }
func (l *link) Close() error                          { return nil }
