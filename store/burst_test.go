package store_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// TestBurstBetweenReports: 1,000 listeners within a second through two directors,
// while the nodes' newest report stays the same. They do not all go to the node
// that was emptiest in it, nor over the target of the one that was fullest, for
// both directors know of all of them.
func TestBurstBetweenReports(t *testing.T) {
	t.Parallel()
	const chance = 45 // three standard deviations of who among 1,000 draws a node with a third of the shares
	for name, tc := range map[string]struct {
		given    bool       // weights, all alike; else by load
		reported [4]int     // listeners, of a target of 1,000
		want     [4]float64 // of the 1,000
	}{
		"all into the emptiest":             {false, [4]int{200, 500, 500, 500}, [4]float64{348, 217, 217, 217}},
		"equal weights":                     {true, [4]int{100, 200, 300, 400}, [4]float64{250, 250, 250, 250}},
		"with weights, one near its target": {true, [4]int{300, 300, 300, 800}, [4]float64{270, 270, 270, 190}},
		"by load, one near its target":      {false, [4]int{500, 500, 500, 950}, [4]float64{316, 316, 316, 52}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := config("n1", "n2", "n3", "n4")
				for i := range c.Regions[0].Row {
					c.Regions[0].Row[i].Given = tc.given
				}
				shared := memory(t)
				a := start(t, store.SyncerConfig{Store: shared, Director: "a", Config: c})
				b := start(t, store.SyncerConfig{Store: join(t, shared), Director: "b", Config: c})
				pass(twoTicks)
				for i, n := range tc.reported {
					a.prober.report(c.Nodes[i].ID, n)
					b.prober.report(c.Nodes[i].ID, n)
				}
				pass(twoTicks)
				sent := burst(a, b)
				pass(twoTicks)
				for _, d := range []*rig{a, b} {
					for i := range sent {
						if n := d.View().Node(i); n.EnRoute != sent[i] || n.Used != tc.reported[i]+sent[i] {
							t.Errorf("%s knows of %d listeners on the way to %s, of %d", d.name, n.EnRoute, n.ID, sent[i])
						}
					}
				}
				for i, n := range sent {
					if diff := float64(n) - tc.want[i]; max(diff, -diff) > chance || tc.reported[i]+n > 1000+20 { // what a tick sends it, at most
						t.Errorf("%v were sent, want about %v", sent, tc.want)
						break
					}
				}
			})
		})
	}
}

// burst sends 1,000 listeners in a second, by turns through both, and returns how
// many each node was sent.
func burst(a, b *rig) (sent [4]int) {
	const steps = 50
	for step := range steps {
		for i := range 1000 / steps {
			v := []*rig{a, b}[i%2].View()
			d := director.Decision{Want: 1}
			key := uint64(step*1000+i) * 0x9e3779b97f4a7c15
			v.Decide(&d, director.Listener{Key: key, Mount: "/live.mp3", Scheme: director.HTTP}, v.Live)
			v.Live.Count(d.Ranked[0].Node)
			sent[d.Ranked[0].Node]++
		}
		pass(time.Second / steps)
	}
	return sent
}
