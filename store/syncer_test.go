package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

func TestFirstSnapshotWaitsForProber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		prober := newProber()
		prober.first = make(chan struct{})
		d := start(t, store.SyncerConfig{Store: memory(t), Prober: prober})
		pass(2 * time.Second)
		if d.View().Snapshot != nil || isClosed(d.Ready()) || d.Status().Ready {
			t.Fatal("there is a snapshot before any node was probed")
		}
		close(prober.first)
		synctest.Wait()
		if d.View().Snapshot == nil || !isClosed(d.Ready()) || !d.Status().Ready {
			t.Fatal("there is no snapshot when all nodes have been probed")
		}
	})
}

// The first snapshot obeys the overlay: no listener goes to a drained node
// because a director has just started.
func TestFirstSnapshotWaitsForStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newUnwell(t, slow)
		if _, err := s.Store.Edit(t.Context(), 0, drain("n1", store.NodeDrained)); err != nil {
			t.Fatal(err)
		}
		d := start(t, store.SyncerConfig{Store: s})
		pass(slowness - time.Millisecond)
		if d.View().Snapshot != nil {
			t.Error("there is a snapshot before the store's first answer")
		}
		<-d.Ready()
		if d.View().Node(0).State != director.Drained {
			t.Error("the first snapshot does not obey the overlay")
		}
	})
}

func TestFirstSnapshotDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		prober := newProber()
		prober.first = make(chan struct{})
		d := start(t, store.SyncerConfig{Store: newUnwell(t, stuck), Prober: prober})
		pass(4900 * time.Millisecond)
		if isClosed(d.Ready()) {
			t.Fatal("there is a snapshot before anything is known")
		}
		pass(200 * time.Millisecond)
		if !isClosed(d.Ready()) {
			t.Fatal("there is no snapshot after 5 s")
		}
	})
}

// What one director counts is en route at all of them after a tick, and once
// only; a settled report releases it everywhere.
func TestEnRouteIsShared(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"one clock": 0, "the store 10 minutes ahead": 10 * time.Minute, "the store 10 minutes behind": -10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared := memoryAt(t, func() time.Time { return time.Now().Add(ahead) })
				a := start(t, store.SyncerConfig{Store: shared, Director: "a"})
				b := start(t, store.SyncerConfig{Store: join(t, shared), Director: "b"})
				pass(3 * tick)
				a.prober.report("n1", 100)
				pass(3 * tick)
				for range 5 {
					a.View().Live.Count(0)
				}
				b.View().Live.Count(0)
				if got := a.View().Live.Used(0); got != 105 {
					t.Errorf("a counts 5 more than 100: %d", got)
				}
				pass(3 * tick)
				for _, d := range []*rig{a, b} {
					st := d.View().Node(0)
					if st.EnRoute != 6 || st.Recent != 6 || st.Used != 106 || d.View().Live.Used(0) != 106 || d.View().Live.Recent(0) != 6 {
						t.Errorf("%s: en route %d, recent %d, used %d, live %d; want 6, 6, 106, 106", d.name, st.EnRoute, st.Recent, st.Used, d.View().Live.Used(0))
					}
					if built := d.View().Built(); built.Sub(time.Now().Add(ahead)).Abs() > twoTicks {
						t.Errorf("%s: built at %v, want the store's clock", d.name, built)
					}
				}
				pass(store.DefaultSettle)
				if st := a.View().Node(0); st.EnRoute != 6 || st.Recent != 0 {
					t.Errorf("en route %d, recent %d before a new report; want 6, 0", st.EnRoute, st.Recent)
				}
				b.prober.report("n1", 106)
				pass(3 * tick)
				for _, d := range []*rig{a, b} {
					if st := d.View().Node(0); st.EnRoute != 0 || st.Used != 106 {
						t.Errorf("%s: en route %d, used %d after a settled report; want 0, 106", d.name, st.EnRoute, st.Used)
					}
				}
			})
		})
	}
}

// Nobody's listeners are on their way for more than 15 s, not a dead director's either.
func TestEnRouteEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rigs := newParty(t, 2, 2).rigs
		a, b := rigs[0], rigs[1]
		pass(3 * tick)
		a.View().Live.Count(0)
		pass(3 * tick)
		a.stop()
		pass(10 * time.Second)
		if got := b.View().Node(0).EnRoute; got != 1 {
			t.Errorf("en route after 10 s: %d, want 1", got)
		}
		pass(6 * time.Second)
		if got := b.View().Node(0).EnRoute; got != 0 {
			t.Errorf("en route after 16 s: %d, want 0", got)
		}
	})
}

func TestEditReachesAllDirectors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rigs := newParty(t, 2, 2).rigs
		a, b := rigs[0], rigs[1]
		pass(3 * tick)
		o := drain("n1", store.NodeDrained)
		rev, err := a.Edit(t.Context(), 0, o)
		if rev != 1 || err != nil {
			t.Fatalf("Edit: %d, %v", rev, err)
		}
		if got := a.Overlay().Revision; got != 1 {
			t.Errorf("after its own edit a has revision %d", got)
		}
		synctest.Wait() // no time passes: the edit itself and its hint must do
		for _, d := range []*rig{a, b} {
			if d.View().Node(0).State != director.Drained || d.Status().Revision != 1 {
				t.Errorf("%s has not drained n1 at once", d.name)
			}
		}
		if rev, err := b.Edit(t.Context(), 0, o); !errors.Is(err, store.ErrConflict) || rev != 1 {
			t.Errorf("an edit of a stale revision: %d, %v; want 1, ErrConflict", rev, err)
		}
		o.Nodes = map[director.NodeID]store.NodeSetting{"n1": {}}
		if _, err := b.Edit(t.Context(), 1, o); err == nil || errors.Is(err, store.ErrConflict) {
			t.Errorf("a mistaken edit: %v", err)
		}
		if _, err := b.Edit(t.Context(), 1, store.Overlay{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, d := range []*rig{a, b} {
			if d.View().Node(0).State == director.Drained || d.Status().Revision != 2 {
				t.Errorf("%s has not resumed n1 at once", d.name)
			}
		}
	})
}

func TestEntryExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, store.SyncerConfig{Store: memory(t)})
		o := drain("n1", store.NodeDrained)
		s := o.Nodes["n1"]
		s.Until = time.Now().Add(time.Minute)
		o.Nodes["n1"] = s
		if _, err := d.Edit(t.Context(), 0, o); err != nil {
			t.Fatal(err)
		}
		pass(59 * time.Second)
		if d.View().Node(0).State != director.Drained {
			t.Error("it is not drained before it expires")
		}
		pass(time.Second + twoTicks)
		if d.View().Node(0).State == director.Drained {
			t.Error("it is drained after it has expired")
		}
		if effects := d.Status().Effects; len(effects) != 0 {
			t.Errorf("it still has effects: %v", effects)
		}
	})
}

func TestDisabledNodeIsNotProbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, store.SyncerConfig{Store: memory(t)})
		pass(tick)
		if diff := cmp.Diff([]director.NodeID{"n1", "n2"}, d.prober.probes()); diff != "" {
			t.Fatalf("probed (-want +got):\n%s", diff)
		}
		for at, tc := range []struct {
			state store.NodeState
			want  []director.NodeID
		}{
			{store.NodeDisabled, []director.NodeID{"n2"}},
			{store.NodeDrained, []director.NodeID{"n1", "n2"}},
		} {
			if _, err := d.Edit(t.Context(), store.Revision(at), drain("n1", tc.state)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if diff := cmp.Diff(tc.want, d.prober.probes()); diff != "" {
				t.Errorf("probed while n1 is %s (-want +got):\n%s", tc.state, diff)
			}
			if d.View().Node(0).State != director.Drained {
				t.Errorf("n1 is %s, and takes listeners", tc.state)
			}
		}
	})
}

func TestSetConfig(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, store.SyncerConfig{Store: memory(t)})
		if _, err := d.Edit(t.Context(), 0, drain("n3", store.NodeDrained)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := []store.Effect{{Entry: "nodes/n3", Kind: store.Dormant, Detail: "no node has this id"}}
		if diff := cmp.Diff(want, d.Status().Effects); diff != "" {
			t.Errorf("effects (-want +got):\n%s", diff)
		}
		before := d.Status().Director.Config
		bad := config("n1", "n2", "n3")
		bad.Regions[0].Row = []director.Weight{{Node: "nowhere"}}
		if err := d.SetConfig(bad); err == nil {
			t.Error("a configuration with a mistake is taken")
		}
		synctest.Wait()
		if d.View().Nodes() != 2 || d.Status().Director.Config != before {
			t.Error("a configuration that was refused has had an effect")
		}
		if err := d.SetConfig(config("n1", "n2", "n3")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := d.View(); v.Nodes() != 3 || v.Node(2).State != director.Drained {
			t.Error("the new configuration is not in force, or the dormant entry did not wake")
		}
		if got := d.Status().Director.Config; got == before || got == "" {
			t.Errorf("the hash stays %q", got)
		}
	})
}

// Directors that answer at different addresses have the same configuration.
func TestConfigHash(t *testing.T) {
	t.Parallel()
	hash := func(c director.Config) string {
		s, err := store.NewSyncer(store.SyncerConfig{Store: memory(t), Config: c, Prober: newProber()})
		if err != nil {
			t.Fatal(err)
		}
		return s.Status().Director.Config
	}
	here, there, other := config("n1"), config("n1"), config("n1")
	here.Self, there.Self = []string{"a.example:80"}, []string{"b.example:80"}
	other.Nodes[0].Target++
	if hash(here) != hash(there) || hash(here) == hash(other) {
		t.Errorf("hashes %s, %s, %s: want the first two equal", hash(here), hash(there), hash(other))
	}
}

func TestNewSyncerRefuses(t *testing.T) {
	t.Parallel()
	if _, err := store.NewSyncer(store.SyncerConfig{Store: memory(t), Prober: newProber()}); err == nil {
		t.Error("a configuration without nodes is taken")
	}
}

// A StateDir that cannot be used costs the copy and no director: it is told, tried again,
// and what stands in it is offered as soon as it can be read.
func TestStateDirThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		d := start(t, store.SyncerConfig{Store: memory(t), StateDir: dir})
		pass(time.Second)
		lost := func() string { st := d.Status(); return st.CopyFail + strings.Join(st.Lost, "; ") }
		if !d.Status().Ready || !strings.Contains(lost(), "not a directory") || d.log.Count("level=ERROR") != 1 {
			t.Errorf("ready %v, told %q\n%s", d.Status().Ready, lost(), d.log)
		}
		kept := `{"schema":1,"revision":3,"nodes":{"n1":{"state":"drained","by":"anna","at":"1999-03-01T12:00:00Z"}}}`
		if err := errors.Join(os.Remove(dir), os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "overlay.json"), []byte(kept), 0o600)); err != nil {
			t.Fatal(err)
		}
		pass(6 * time.Second)
		if n, _ := d.node("n1"); !n.Drained || lost() != "" || d.Overlay().Revision != 3 {
			t.Errorf("mended: drained %v, told %q, revision %d", n.Drained, lost(), d.Overlay().Revision)
		}
	})
}

// An entry that the configuration would be refused with is left out, told once,
// and does not keep the others from having effect.
func TestOffendingEntryIsSkipped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		o := drain("n1", store.NodeDrained)
		o.Rows = map[director.RegionID]store.Row{"world": {Weights: map[director.NodeID]float64{"n2": -1}}}
		if _, err := m.Edit(t.Context(), 0, o); err != nil { // past the check of Syncer.Edit
			t.Fatal(err)
		}
		d := start(t, store.SyncerConfig{Store: m})
		pass(time.Minute)
		if d.View().Node(0).State != director.Drained {
			t.Error("the good entry has no effect")
		}
		effects := d.Status().Effects
		if len(effects) != 2 || effects[1].Entry != "rows/world" || effects[1].Kind != store.Skipped {
			t.Errorf("effects: %v", effects)
		}
		if got := d.log.Count("is skipped"); got != 1 {
			t.Errorf("it is logged %d times, want once", got)
		}
	})
}

func TestStateDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copyAt := filepath.Join(dir, "overlay.json")
	synctest.Test(t, func(t *testing.T) {
		first := memory(t)
		d := start(t, store.SyncerConfig{Store: first, StateDir: dir})
		change(t, d, store.Author{By: "anna", Why: "<b> & \u00fc"}, func(o *store.Overlay) error {
			*o = drain("n1", store.NodeDrained)
			return nil
		})
		made := d.Overlay()
		d.stop() // at once: the copy must be complete all the same
		if b, err := os.ReadFile(copyAt); err != nil || !strings.Contains(string(b), "drained") {
			t.Fatalf("the copy holds %q, %v", b, err)
		}

		// A new run finds the same in the store and in the copy.
		d = start(t, store.SyncerConfig{Store: first, StateDir: dir})
		pass(twoTicks)
		if got := d.log.Count("other operators' changes"); got != 0 || d.Status().Revision != 1 {
			t.Errorf("the copy and the store are taken for different:\n%s", d.log)
		}
		d.stop()

		// A new run, while the store is away: the copy is in force.
		unwell := newUnwell(t, away)
		d = start(t, store.SyncerConfig{Store: unwell, StateDir: dir})
		pass(tick)
		if st := d.Status(); d.View().Node(0).State != director.Drained || !st.Degraded || st.Revision != 1 {
			t.Errorf("without a store the copy is not in force: %+v", st)
		}
		if diff := cmp.Diff(made, d.Overlay()); diff != "" || len(made.History) != 1 {
			t.Errorf("the copy, with its history (-want +got):\n%s", diff)
		}
		// The store comes back empty: it is filled again.
		unwell.set(well)
		pass(twoTicks)
		p, err := unwell.Store.Sync(t.Context(), store.Offer{Director: store.Director{ID: "x"}})
		if err != nil || p.Overlay.Revision != 1 || p.Overlay.Nodes["n1"].State != store.NodeDrained {
			t.Errorf("the empty store was filled with %+v, %v", p.Overlay, err)
		}
		d.stop()

		// Under an equal revision with different content the store wins, here and on disk.
		other := memory(t)
		if _, err := other.Edit(t.Context(), 0, drain("n2", store.NodeDrained)); err != nil {
			t.Fatal(err)
		}
		d = start(t, store.SyncerConfig{Store: other, StateDir: dir})
		pass(twoTicks)
		if d.View().Node(0).State == director.Drained || d.View().Node(1).State != director.Drained {
			t.Error("the copy won over the store")
		}
		if got := d.log.Count("other operators' changes"); got != 1 {
			t.Errorf("told %d times that content differs, want once", got)
		}
		if b, err := os.ReadFile(copyAt); err != nil || !strings.Contains(string(b), "n2") {
			t.Errorf("the copy holds %q, %v", b, err)
		}

		// A copy that cannot be written is told once, each way.
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Edit(t.Context(), 1, store.Overlay{}); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if d.log.Count("cannot be written") != 1 || !strings.Contains(d.Status().CopyFail, dir) {
			t.Errorf("status %+v, log:\n%s", d.Status(), d.log)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		pass(tick * 2)
		if d.log.Count("can be written again") != 1 || d.Status().CopyFail != "" {
			t.Errorf("status %+v, log:\n%s", d.Status(), d.log)
		}
	})
}
