package memstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/store"
)

// An edit behind one whose disk does not answer is told so in time, and the store takes
// edits again afterwards.
func TestEditBehindASlowDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := Open(Config{})
		s.saving.Lock() // as an edit does that is being written
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := s.Edit(ctx, 0, store.Overlay{}); !errors.Is(err, store.ErrAway) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the edit has %v, want that the store is away", err)
		}
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("it waited %v", waited)
		}
		s.saving.Unlock()
		if r, err := s.Edit(t.Context(), 0, store.Overlay{}); r != 1 || err != nil {
			t.Errorf("afterwards: revision %d, %v", r, err)
		}
	})
}
