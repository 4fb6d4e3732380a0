package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/memstore"
)

var anna = store.Author{By: "anna", Why: "maintenance"}

func weigh(region director.RegionID, w float64) func(o *store.Overlay) error {
	return func(o *store.Overlay) error {
		if o.Rows == nil {
			o.Rows = map[director.RegionID]store.Row{}
		}
		o.Rows[region] = store.Row{Weights: map[director.NodeID]float64{"n1": w, "n2": 1}}
		return nil
	}
}

func change(t *testing.T, d *rig, a store.Author, edit func(o *store.Overlay) error) store.Change {
	t.Helper()
	c, err := d.Change(t.Context(), a, edit)
	if err != nil {
		t.Fatalf("Change: %v", err)
	}
	return c
}

func undo(t *testing.T, d *rig, r store.Revision) store.Change {
	t.Helper()
	c, err := d.Undo(t.Context(), store.Author{By: "ben"}, r)
	if err != nil {
		t.Fatalf("Undo of %d: %v", r, err)
	}
	return c
}

func TestChangeIsStampedAndRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, store.SyncerConfig{Store: memory(t)})
		pass(tick)
		until := anna
		until.Until = time.Now().Add(time.Hour)
		first := change(t, d, until, weigh("world", 3))
		pass(tick)
		second := change(t, d, anna, weigh("fr", 2))
		o := d.Overlay()
		want := store.Stamp{By: "anna", At: first.At, Why: "maintenance", Until: until.Until.UTC(), Revision: 1}
		if diff := cmp.Diff(want, o.Rows["world"].Stamp); diff != "" {
			t.Errorf("stamp (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]store.Change{first, second}, o.History); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if e := second.Entries; len(e) != 1 || e[0].Entry != "rows/fr" || e[0].Before != nil || !strings.Contains(string(e[0].After), `"n1":2`) {
			t.Errorf("the second change is %+v", second)
		}
		if same := change(t, d, anna, func(*store.Overlay) error { return nil }); same.Revision != 2 || len(same.Entries) > 0 || d.Overlay().Revision != 2 {
			t.Errorf("no change became %+v, revision %d", same, d.Overlay().Revision)
		}
		for what, edit := range map[string]func(o *store.Overlay) error{
			"rows/world: weight -1": weigh("world", -1),
			"not today":             func(*store.Overlay) error { return errors.New("not today") },
		} {
			if _, err := d.Change(t.Context(), anna, edit); err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%v, want %q", err, what)
			}
		}
		if _, err := d.Change(t.Context(), store.Author{}, weigh("world", 1)); err == nil {
			t.Error("a change by nobody is taken")
		}
	})
}

func TestUndoPutsBackWhatWasThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, store.SyncerConfig{Store: memory(t)})
		pass(tick)
		rule := func(id string) store.Rule { return store.Rule{ID: id, Rule: json.RawMessage(`{"answer":"m3u"}`)} }
		change(t, d, anna, func(o *store.Overlay) error {
			for _, id := range []string{"z", "y", "x", "w"} {
				o.Rules = append(o.Rules, rule(id))
			}
			o.Notes = []store.Note{{ID: "a", Text: "one"}}
			return weigh("world", 3)(o)
		})
		states := map[store.Revision]store.Overlay{1: d.Overlay()}
		for _, edit := range []func(o *store.Overlay) error{
			weigh("world", 5),
			func(o *store.Overlay) error { delete(o.Rows, "world"); return nil },
			func(o *store.Overlay) error { o.Rules = o.Rules[2:]; return nil },
			func(o *store.Overlay) error { o.Rules[0].Rule = json.RawMessage(`{"answer":"pls"}`); return nil },
			func(o *store.Overlay) error { o.Rules[0], o.Rules[1] = o.Rules[1], o.Rules[0]; return nil },
			func(o *store.Overlay) error {
				o.Notes = nil
				o.Nodes = map[director.NodeID]store.NodeSetting{"n1": {State: store.NodeDrained}}
				return nil
			},
		} {
			pass(time.Second)
			c := change(t, d, anna, edit)
			states[c.Revision] = d.Overlay()
		}
		last := d.Overlay().Revision
		content := func(o store.Overlay) store.Overlay {
			o.Revision, o.History = 0, nil
			if len(o.Rows) == 0 {
				o.Rows = nil
			}
			if len(o.Nodes) == 0 {
				o.Nodes = nil
			}
			return o
		}
		for r := last; r > 1; r-- {
			c := undo(t, d, r)
			if diff := cmp.Diff(content(states[r-1]), content(d.Overlay())); diff != "" {
				t.Errorf("undo of %d (-want +got):\n%s", r, diff)
			}
			if c.Undoes != r || c.By != "ben" {
				t.Errorf("undo of %d says %+v", r, c)
			}
		}
		undo(t, d, d.Overlay().Revision) // what was taken back is made again by taking that back
		if diff := cmp.Diff(content(states[2]), content(d.Overlay())); diff != "" {
			t.Errorf("undo of an undo (-want +got):\n%s", diff)
		}
	})
}

func TestUndoRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, store.SyncerConfig{Store: memory(t)})
		pass(tick)
		change(t, d, anna, weigh("world", 3))
		change(t, d, anna, weigh("fr", 3))
		pass(time.Second)
		change(t, d, store.Author{By: "carl"}, weigh("world", 9))
		var stale *store.StaleError
		if _, err := d.Undo(t.Context(), anna, 1); !errors.As(err, &stale) {
			t.Fatalf("undo of what was changed since: %v", err)
		}
		if stale.Entry != "rows/world" || stale.Now.By != "carl" || stale.Now.Revision != 3 || !strings.Contains(string(stale.Value), `"n1":9`) {
			t.Errorf("it says %+v", stale)
		}
		undo(t, d, 2) // others are no hindrance
		if _, err := d.Undo(t.Context(), anna, 2); !errors.As(err, &stale) || stale.Now.By != "ben" || stale.Value != nil {
			t.Errorf("undo of what is taken back: %v", err)
		}
		if _, err := d.Undo(t.Context(), anna, 77); !errors.Is(err, store.ErrNoSuchChange) {
			t.Errorf("undo of what never was: %v", err)
		}
		undo(t, d, 3)
		undo(t, d, 1) // as it was left, once the newer change is taken back
		if len(d.Overlay().Rows) != 0 {
			t.Errorf("rows after all is taken back: %v", d.Overlay().Rows)
		}
	})
}

// Operators at several directors who edit different things at once all succeed,
// and those who edit the same see what the other made of it.
func TestChangesOfManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		fleet := []*rig{start(t, store.SyncerConfig{Store: m}), start(t, store.SyncerConfig{Store: join(t, m)}), start(t, store.SyncerConfig{Store: join(t, m)})}
		pass(tick)
		const each = 5
		var all sync.WaitGroup
		for i, d := range fleet {
			for n := range each {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					_, err := d.Change(ctx, anna, func(o *store.Overlay) error {
						sum := 0.0
						for _, w := range o.Rows["sum"].Weights {
							sum += w
						}
						o.Notes = append(o.Notes, store.Note{ID: fmt.Sprint(i, n)})
						return setRow(o, "sum", sum+1)
					})
					if err != nil {
						t.Errorf("Change: %v", err)
					}
				})
			}
		}
		all.Wait()
		pass(twoTicks)
		for _, d := range fleet {
			o := d.Overlay()
			if got := o.Rows["sum"].Weights["n1"]; got != 3*each || len(o.Notes) != 3*each || len(o.History) != 3*each {
				t.Errorf("sum %g, %d notes, %d changes; want %d of each", got, len(o.Notes), len(o.History), 3*each)
			}
		}
	})
}

func setRow(o *store.Overlay, region director.RegionID, w float64) error {
	if o.Rows == nil {
		o.Rows = map[director.RegionID]store.Row{}
	}
	o.Rows[region] = store.Row{Weights: map[director.NodeID]float64{"n1": w}}
	return nil
}

func TestChangeWhileAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUnwell(t, well)
		d := start(t, store.SyncerConfig{Store: u})
		pass(tick)
		u.set(away)
		if _, err := d.Change(t.Context(), anna, weigh("world", 3)); !errors.Is(err, store.ErrAway) {
			t.Errorf("a change while the store is away: %v", err)
		}
		if len(d.Overlay().Rows) > 0 {
			t.Error("it is there all the same")
		}
	})
}

func TestChangesWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		a, b := start(t, store.SyncerConfig{Store: m}), start(t, store.SyncerConfig{Store: join(t, m)})
		pass(twoTicks)
		first, second := b.Changes(), b.Changes()
		pass(10 * time.Second)
		if isClosed(first) {
			t.Error("it says that something changed, and nothing has")
		}
		until := anna
		until.Until = time.Now().Add(time.Minute)
		change(t, a, until, weigh("world", 3))
		pass(10 * time.Millisecond)
		if !isClosed(first) || !isClosed(second) || b.Overlay().Revision != 1 {
			t.Error("another's edit is not told to all who wait")
		}
		pass(tick)
		expiry := b.Changes()
		pass(time.Minute + tick)
		if !isClosed(expiry) {
			t.Error("an expiry is not told")
		}
		declared := b.Changes()
		if err := b.SetConfig(config("n1", "n2", "n3")); err != nil {
			t.Fatal(err)
		}
		pass(tick)
		if !isClosed(declared) {
			t.Error("another configuration is not told")
		}
	})
}

func TestStatusTellsLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUnwell(t, well)
		a, b := start(t, store.SyncerConfig{Store: join(t, u.Store.(*memstore.Store))}), start(t, store.SyncerConfig{Store: u})
		pass(twoTicks)
		if st := a.Status(); st.PeerAge <= 0 || st.PeerAge > twoTicks || st.EditLag != 0 {
			t.Errorf("the other's age is %v, the lag %v", st.PeerAge, st.EditLag)
		}
		u.set(away)
		pass(time.Second)
		if age := a.Status().PeerAge; age < 500*time.Millisecond || age > time.Second+twoTicks {
			t.Errorf("the age of one that is away for a second is %v", age)
		}
		change(t, a, anna, weigh("world", 2))
		pass(300 * time.Millisecond)
		u.set(well)
		pass(twoTicks)
		if lag := b.Status().EditLag; lag < 300*time.Millisecond || lag > time.Second {
			t.Errorf("the lag of an edit that came after 300 ms is %v", lag)
		}
		b.stop()
		pass(store.DirectorLife + twoTicks)
		if age := a.Status().PeerAge; age != 0 {
			t.Errorf("the age of nobody is %v", age)
		}
	})
}
