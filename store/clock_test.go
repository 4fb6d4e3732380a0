package store_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// A stepping clock is a store's, which somebody sets.
type stepping struct{ ahead atomic.Int64 }

func (s *stepping) now() time.Time            { return time.Now().Add(time.Duration(s.ahead.Load())) }
func (s *stepping) set(ahead time.Duration)   { s.ahead.Store(int64(ahead)) }
func bothSigns(do func(step time.Duration))   { do(time.Hour); do(-time.Hour) }
func warm(d *rig, id director.NodeID) float64 { n, _ := d.node(id); return n.WarmUp }

// stepped runs two directors at a store whose clock can be set.
func stepped(t *testing.T) (a, b *rig, clock *stepping) {
	t.Helper()
	clock = new(stepping)
	shared := memoryAt(t, clock.now)
	a = start(t, store.SyncerConfig{Store: shared, Config: edges(), Director: "a"})
	b = start(t, store.SyncerConfig{Store: join(t, shared), Config: edges(), Director: "b"})
	for _, d := range []*rig{a, b} {
		d.prober.tell(director.Report{Node: "n1", Health: director.Up, Listeners: 10, AnyMount: true, Since: time.Now().Add(-time.Hour)})
	}
	pass(3 * tick)
	return a, b, clock
}

// restart lets a node go and come back, for all.
func restart(id director.NodeID, all ...*rig) {
	tell := func(r director.Report) {
		for _, d := range all {
			r.Node, r.Listeners, r.AnyMount, r.Since = id, 10, true, time.Now()
			d.prober.tell(r)
		}
		pass(3 * tick)
	}
	tell(director.Report{Health: director.Failed})
	tell(director.Report{Health: director.Up, Returned: time.Now()})
}

// A node that came back while the store's clock was wrong is warm when its minute is
// over, whether the clock is right again by then or not.
func TestWarmUpOverStepsOfTheStoresClock(t *testing.T) {
	t.Parallel()
	bothSigns(func(step time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			a, b, clock := stepped(t)
			clock.set(step)
			pass(3 * tick)
			restart("n1", a, b)
			for _, d := range []*rig{a, b} {
				if w := warm(d, "n1"); w >= 1 {
					t.Fatalf("step %v, %s: warm-up %v right after it came back", step, d.name, w)
				}
			}
			pass(10 * time.Second)
			clock.set(0)
			for range 15 {
				pass(4 * time.Second)
				for _, d := range []*rig{a, b} {
					d.prober.mu.Lock()
					for i := range d.prober.reports {
						d.prober.reports[i].Taken = time.Now()
					}
					d.prober.mu.Unlock()
				}
			}
			for _, d := range []*rig{a, b} {
				n, _ := d.node("n1")
				if n.State != director.Fit || n.WarmUp != 1 || n.Report.Since.After(d.View().Built()) {
					t.Errorf("step %v, %s: a minute after it came back it is %v, warm-up %v, since %v (it is %v)", step, d.name, n.State, n.WarmUp, n.Report.Since, d.View().Built())
				}
				if d.log.Count("the store's clock was set") != 2 {
					t.Errorf("step %v, %s: want each step told once:\n%s", step, d.name, d.log)
				}
			}
		})
	})
}

// What another director says of a node in the future is as of now.
func TestForeignStampsAreClipped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memory(t)
		a := start(t, store.SyncerConfig{Store: shared, Director: "a"})
		pass(3 * tick)
		later := time.Now().Add(time.Hour)
		o := store.Offer{Director: store.Director{ID: "strange"}}
		for _, id := range []director.NodeID{"n1", "n2"} {
			o.Reports = append(o.Reports, &director.Report{Node: id, By: "strange", Taken: later, Since: later, Returned: later, Health: director.Up, AnyMount: true})
		}
		if _, err := join(t, shared).Sync(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		pass(3 * tick)
		for _, id := range []director.NodeID{"n1", "n2"} {
			n, _ := a.node(id)
			if r := n.Report; r.Since.IsZero() || r.Since.After(time.Now()) || r.Returned.After(time.Now()) || r.Taken.After(time.Now()) {
				t.Errorf("%s: %+v", id, r)
			}
		}
		pass(70 * time.Second)
		if w := warm(a, "n1"); w != 1 {
			t.Errorf("warm-up %v after a minute", w)
		}
	})
}

// A registered node keeps its holder, its age and its warm-up over steps of the
// store's clock, and is never taken down by one.
func TestRegistrationsOverStepsOfTheStoresClock(t *testing.T) {
	t.Parallel()
	bothSigns(func(step time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			a, b, clock := stepped(t)
			report := func(seconds int) {
				for range seconds {
					register(t, a, edge("edge-1", "i1", 7))
					pass(time.Second)
					if got := isAt("edge-1", a, b); got != "fit" {
						t.Fatalf("step %v: %s", step, got)
					}
				}
			}
			clock.set(step)
			pass(3 * tick)
			register(t, a, edge("edge-1", "i1", 7))
			pass(3 * tick)
			report(13)
			clock.set(0)
			pass(3 * tick)
			report(3)
			var held *store.HeldError
			if _, err := b.Register(edge("edge-1", "i2", 7), 0); !errors.As(err, &held) {
				t.Errorf("step %v: another agent has the id: %v", step, err)
			}
			for _, d := range []*rig{a, b} {
				r := d.Registrations()[0]
				if age := d.Now().Sub(r.Since); age < 15*time.Second || age > time.Hour+20*time.Second {
					t.Errorf("step %v, %s: registered %v ago", step, d.name, age)
				}
			}
			report(60)
			if x, y := warm(a, "edge-1"), warm(b, "edge-1"); x != 1 || y != 1 {
				t.Errorf("step %v: warm-up %v and %v after a minute", step, x, y)
			}
		})
	})
}

// An entry that expired only because the clock was wrong holds again afterwards.
func TestExpiryOverAStepOfTheStoresClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, clock := stepped(t)
		drained := func() bool { x, _ := a.node("n1"); y, _ := b.node("n1"); return x.Drained && y.Drained }
		drainFor(t, a, "n1", 2*time.Minute)
		pass(3 * tick)
		clock.set(time.Hour)
		pass(13 * time.Second)
		clock.set(0)
		pass(3 * tick)
		if !drained() {
			t.Error("a drain for two minutes ended with a step of the clock that was taken back")
		}
		pass(10 * time.Minute)
		if drained() {
			t.Error("it holds after its two minutes")
		}
	})
}

// An entry that was made while the clock was an hour ahead holds for as long as was
// meant, and operators are told.
func TestEntriesMadeInTheFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, clock := stepped(t)
		clock.set(time.Hour)
		pass(3 * tick)
		drainFor(t, a, "n1", 2*time.Minute)
		pass(13 * time.Second)
		clock.set(0)
		pass(3 * tick)
		for _, d := range []*rig{a, b} {
			st := d.Status()
			if n, _ := d.node("n1"); !n.Drained || !strings.Contains(strings.Join(st.Problems, "\n"), "nodes/n1 was made in the future") {
				t.Errorf("%s: drained %v, problems %q", d.name, n.Drained, st.Problems)
			}
			o := d.Overlay()
			if told := o.Told("nodes/n1", o.Nodes["n1"].Stamp, d.Now()); told.At.After(d.Now()) || told.Until.Sub(d.Now()) > 2*time.Minute {
				t.Errorf("%s: told as %+v at %v", d.name, told, d.Now())
			}
		}
		pass(10 * time.Minute)
		for _, d := range []*rig{a, b} {
			if n, _ := d.node("n1"); n.Drained {
				t.Errorf("%s: drained for longer than two minutes", d.name)
			}
		}
		drainFor(t, a, "n1", 2*time.Minute) // anew: that is another entry
		pass(3 * tick)
		if n, _ := b.node("n1"); !n.Drained || len(b.Overlay().Ends) != 0 {
			t.Errorf("made anew: drained %v, ends %v", n.Drained, b.Overlay().Ends)
		}
	})
}

func drainFor(t *testing.T, d *rig, id director.NodeID, life time.Duration) {
	t.Helper()
	_, err := d.Change(context.Background(), store.Author{By: "anna", Until: d.Now().Add(life)}, func(o *store.Overlay) error {
		o.Nodes = map[director.NodeID]store.NodeSetting{id: {State: store.NodeDrained}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// How far the store's clock is from this machine's is told, and from some seconds on
// as something to look at.
func TestTheDifferenceOfClocksIsTold(t *testing.T) {
	t.Parallel()
	for ahead, want := range map[time.Duration]string{time.Second: "", time.Hour: "1h0m0s ahead of", -time.Hour: "1h0m0s behind"} {
		synctest.Test(t, func(t *testing.T) {
			clock := new(stepping)
			clock.set(ahead)
			a := start(t, store.SyncerConfig{Store: memoryAt(t, clock.now)})
			pass(3 * tick)
			st := a.Status()
			if told := strings.Join(st.Problems, "\n"); st.ClockAhead != ahead || (want == "") != (told == "") || !strings.Contains(told, want) {
				t.Errorf("%v ahead: %v, %q", ahead, st.ClockAhead, told)
			}
			if st.SnapshotAge < 0 || st.SnapshotAge > 2*tick {
				t.Errorf("%v ahead: the snapshot is %v old", ahead, st.SnapshotAge)
			}
		})
	}
}
