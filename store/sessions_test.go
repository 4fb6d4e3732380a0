package store_test

import (
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// TestSessionsAreSummed: players of HLS are listeners of their nodes at all directors, as far
// as nobody else counts them; they leave with their director, or when it says so.
func TestSessionsAreSummed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memory(t)
		var at atomic.Pointer[store.Sessions]
		at.Store(&store.Sessions{"n1": {"/live.mp3": 40}, "n2": {"/live.mp3": 0}, "gone": {"/live.mp3": 1}})
		plays := func(s store.Sessions) func() store.Sessions { return func() store.Sessions { return s } }
		moved := func(m store.Moves) func() store.Moves { return func() store.Moves { return m } }
		a := start(t, store.SyncerConfig{
			Store: shared, Director: "a", Sessions: func() store.Sessions { return *at.Load() }, Moves: moved(store.Moves{"n1": {"/live.mp3": {"drained": 3, "weights": 1}}}),
		})
		b := start(t, store.SyncerConfig{Store: join(t, shared), Director: "b", Sessions: plays(store.Sessions{"n1": {"/live.mp3": 2, "/gone.mp3": 9}}), Moves: moved(store.Moves{"n1": {"/live.mp3": {"drained": 2}}})})
		rubbish := start(t, store.SyncerConfig{Store: join(t, shared), Director: "c", Sessions: plays(store.Sessions{"n1": {"/live.mp3": 1 << 40}, "n2": {"/live.mp3": -1}}), Moves: moved(store.Moves{"n1": {"/live.mp3": {"drained": -1, "failed": 1 << 40}}})})
		all := []*rig{a, b, rubbish}
		for _, d := range all {
			d.prober.tell(director.Report{Node: "n1", Health: director.Up, Listeners: -1, AnyMount: true})
			d.prober.tell(director.Report{Node: "n2", Health: director.Up, Listeners: 5, AnyMount: true})
		}
		pass(4 * tick)
		want := func(when string, d *rig, node director.NodeID, n int) {
			t.Helper()
			v := d.View()
			i, _ := v.FindNode(node)
			if got := v.Node(i).Report.Listeners; got != n || n >= 0 && v.Live.Used(i) != n {
				t.Errorf("%s: at %s %s has %d listeners and %d used, want %d", when, d.name, node, got, v.Live.Used(i), n)
			}
		}
		for _, d := range all {
			want("all live", d, "n1", 42)
			want("all live, and with those that the node counts", d, "n2", 5)
			d.shows(t, store.Sessions{"n1": {"/live.mp3": 42, "/gone.mp3": 9}, "n2": {"/live.mp3": 0}, "gone": {"/live.mp3": 1}}, store.Moves{"n1": {"/live.mp3": {"drained": 5, "weights": 1}}})
		}
		at.Store(&store.Sessions{"n1": {"/live.mp3": 10}, "n2": {"/live.mp3": 30}})
		pass(4 * tick)
		for _, d := range all {
			want("moved, without a new report", d, "n1", 12)
			want("moved, without a new report", d, "n2", 35)
		}
		b.stop()
		pass(store.DirectorLife + twoTicks)
		want("one is gone", a, "n1", 10)
		a.shows(t, store.Sessions{"n1": {"/live.mp3": 10}, "n2": {"/live.mp3": 30}}, store.Moves{"n1": {"/live.mp3": {"drained": 3, "weights": 1}}})
		at.Store(new(store.Sessions))
		pass(4 * tick)
		want("nobody is counted any more: it is not known again", a, "n1", -1)
		want("nobody is counted any more", a, "n2", 5)
		a.prober.tell(director.Report{Node: "n1", Health: director.Up, Listeners: -1, AnyMount: true})
		pass(4 * tick)
		want("and a new report", a, "n1", -1)
	})
}

// shows checks what operators are told of sessions.
func (r *rig) shows(t *testing.T, sessions store.Sessions, moves store.Moves) {
	t.Helper()
	if s, m := r.Sessions(); !reflect.DeepEqual(s, sessions) || !reflect.DeepEqual(m, moves) {
		t.Errorf("%s shows %v, moved %v; want %v and %v", r.name, s, m, sessions, moves)
	}
}
