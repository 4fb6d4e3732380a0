package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// Whatever ails the store, snapshots go on at the same pace, with own counts and
// reports; the change is told once each way.
func TestStoreUnwell(t *testing.T) {
	t.Parallel()
	for ailment, name := range map[ailment]string{away: "away", hung: "hung", stuck: "stuck"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newUnwell(t, well)
				d := start(t, store.SyncerConfig{Store: s})
				if _, err := d.Edit(t.Context(), 0, drain("n2", store.NodeDrained)); err != nil {
					t.Fatal(err)
				}
				pass(time.Second)
				s.set(ailment)
				fell := time.Now()
				for time.Since(fell) < time.Minute {
					pass(tick * 3 / 2)
					if age := d.Status().SnapshotAge; age > tick*3/2 {
						t.Fatalf("the snapshot is %v old %v into it", age, time.Since(fell))
					}
				}
				st := d.Status()
				if !st.Degraded || st.Error == "" || st.Since.Sub(fell) > 2*time.Second || st.PictureAge < time.Minute {
					t.Errorf("status: %+v", st)
				}
				d.View().Live.Count(0)
				d.prober.report("n1", 7)
				pass(twoTicks)
				if n := d.View().Node(0); n.EnRoute != 1 || n.Report.Listeners != 7 {
					t.Errorf("own count and report are not in the snapshot: %+v", n)
				}
				if d.View().Node(1).State != director.Drained {
					t.Error("the overlay was lost")
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := d.Edit(ctx, 1, store.Overlay{}); !errors.Is(err, store.ErrAway) {
					t.Errorf("Edit: %v, want ErrAway", err)
				}
				// A change that is none by what this director knows may be one.
				if _, err := d.Change(ctx, anna, func(*store.Overlay) error { return nil }); !errors.Is(err, store.ErrAway) {
					t.Errorf("Change: %v, want ErrAway", err)
				}

				s.set(well)
				pass(twoTicks)
				if ailment == hung {
					pass(time.Second) // until the last exchange that hangs is given up
				}
				if st := d.Status(); st.Degraded || st.Error != "" || st.PictureAge > twoTicks {
					t.Errorf("after it is well: %+v", st)
				}
				pass(time.Minute)
				if d.log.Count(`msg="the store is away`) != 1 || d.log.Count("is back") != 1 || d.log.Count("\n") > 4 {
					t.Errorf("want one line each way:\n%s", d.log)
				}
			})
		})
	}
}

// A store that takes longer than a tick holds up nothing, and is not away.
func TestSlowStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newUnwell(t, slow)
		d := start(t, store.SyncerConfig{Store: s})
		pass(3 * time.Second)
		for range 100 {
			pass(tick * 3 / 2)
			if st := d.Status(); st.Degraded || st.SnapshotAge > tick*3/2 || st.PictureAge > 2*slowness+tick {
				t.Fatalf("status: %+v", st)
			}
		}
	})
}

// A hint that comes while an exchange is under way leads to another: the first
// may have missed the edit.
func TestHintDuringExchange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newUnwell(t, slow)
		d := start(t, store.SyncerConfig{Store: s, Tick: time.Hour})
		pass(slowness / 2)
		if _, err := s.Store.Edit(t.Context(), 0, drain("n1", store.NodeDrained)); err != nil {
			t.Fatal(err)
		}
		pass(2 * slowness)
		if d.View().Snapshot == nil || d.View().Node(0).State != director.Drained {
			t.Error("the edit waits for the next tick")
		}
	})
}

// A director that starts without a store serves from its file.
func TestStartWithoutStore(t *testing.T) {
	t.Parallel()
	for ailment, name := range map[ailment]string{away: "away", hung: "hung", stuck: "stuck"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := start(t, store.SyncerConfig{Store: newUnwell(t, ailment)})
				pass(5*time.Second + tick)
				if st := d.Status(); d.View().Snapshot == nil || !st.Ready || !st.Degraded || st.PictureAge != 0 {
					t.Errorf("status: %+v", st)
				}
			})
		})
	}
}

// Listeners who were sent away before the store's clock was known are en route
// all the same, and others learn of them once it is.
func TestClockLearntLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memoryAt(t, func() time.Time { return time.Now().Add(10 * time.Minute) })
		s := newUnwell(t, away)
		s.replace(shared)
		a := start(t, store.SyncerConfig{Store: s, Director: "a"})
		b := start(t, store.SyncerConfig{Store: join(t, shared), Director: "b"})
		pass(3 * tick)
		a.View().Live.Count(0)
		pass(3 * tick)
		s.set(well)
		for range 4 {
			pass(tick)
			if got := a.View().Node(0).EnRoute; got != 1 {
				t.Errorf("en route at the director that counted: %d, want 1", got)
			}
		}
		if got := b.View().Node(0).EnRoute; got != 1 {
			t.Errorf("en route at the other: %d, want 1", got)
		}
	})
}

// A store that forgets everything is filled again by any director that knew,
// and an edit that was acknowledged stays in force everywhere.
func TestStoreForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		forgetful := newUnwell(t, well)
		a := start(t, store.SyncerConfig{Store: forgetful, Director: "a"})
		b := start(t, store.SyncerConfig{Store: &unwell{Store: forgetful}, Director: "b"})
		pass(time.Second)
		if _, err := a.Edit(t.Context(), 0, drain("n1", store.NodeDrained)); err != nil {
			t.Fatal(err)
		}
		pass(twoTicks)
		forgetful.replace(memory(t))
		for range 10 {
			pass(tick / 2)
			for _, d := range []*rig{a, b} {
				if d.View().Node(0).State != director.Drained {
					t.Fatalf("%s forgot with the store", d.name)
				}
			}
		}
		if _, err := b.Edit(t.Context(), 1, store.Overlay{}); err != nil {
			t.Errorf("an edit after the store was filled again: %v", err)
		}
		pass(twoTicks)
		if got := fmt.Sprint(a.Status().Revision, b.Status().Revision); got != "2 2" {
			t.Errorf("revisions %s, want 2 2", got)
		}
		if got := len(a.Status().Directors); got != 2 {
			t.Errorf("%d live directors, want 2", got)
		}
	})
}
