package store_test

import (
	"testing"
	"testing/synctest"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// TestUncountedAreSummed: whom directors carry beyond what nodes count is known to
// all of them, as long as they live, and moves nobody.
func TestUncountedAreSummed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memory(t)
		carries := func(n int) func() map[string]int {
			return func() map[string]int { return map[string]int{"/live.mp3": n, "/gone.mp3": 5} }
		}
		a := start(t, store.SyncerConfig{Store: shared, Director: "a", Uncounted: carries(40)})
		b := start(t, store.SyncerConfig{Store: join(t, shared), Director: "b", Uncounted: carries(2)})
		rubbish := start(t, store.SyncerConfig{Store: join(t, shared), Director: "c", Uncounted: carries(1 << 40)})
		for _, d := range []*rig{a, b, rubbish} {
			d.prober.tell(director.Report{Node: "n1", Health: director.Up, Listeners: 5, AnyMount: true})
		}
		pass(4 * tick)
		want := func(when string, d *rig, n int) {
			t.Helper()
			v := d.View()
			if got := v.Uncounted(0); got != n {
				t.Errorf("%s: at %s %d listeners are not counted, want %d", when, d.name, got, n)
			}
			if i, _ := v.FindNode("n1"); v.Live.Used(i) != 5 {
				t.Errorf("%s: %s thinks that n1 holds %d, want the 5 that it reports", when, d.name, v.Live.Used(i))
			}
		}
		for _, d := range []*rig{a, b, rubbish} {
			want("all live", d, 42)
		}
		b.stop()
		pass(store.DirectorLife + twoTicks)
		want("one is gone", a, 40)
	})
}
