package store

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

// liveOf makes the counters of a snapshot in which the nodes stand in this order.
func liveOf(l ledgers, ids ...director.NodeID) live {
	out := make(live, len(ids))
	for i, id := range ids {
		n := l.of(id)
		out[i] = &liveNode{ledger: n, base: n.read, used: 10 * (i + 1), recent: i + 1}
	}
	return out
}

func TestCountersOverSnapshots(t *testing.T) {
	t.Parallel()
	l := ledgers{}
	before := liveOf(l, "a", "b")
	before.Count(0)
	before.Count(0)
	before.Count(1)
	if got := []int{before.Used(0), before.Used(1), before.Recent(0), before.Recent(1)}; !cmp.Equal(got, []int{12, 21, 3, 3}) {
		t.Errorf("used a, b and recent a, b: %v, want 12 21 3 3", got)
	}
	l.collect(noon)
	before.Count(0) // between the collection and the swap: neither lost nor counted twice
	after := liveOf(l, "b", "a")
	before.Count(1) // by a request that still holds the old view
	after.Count(1)
	if got := []int{after.Used(0), after.Used(1)}; !cmp.Equal(got, []int{11, 22}) {
		t.Errorf("used b, a in the next snapshot: %v, want 11 22", got)
	}
	l.collect(noon.Add(BucketWidth))
	want := map[director.NodeID][]int{"a": {2, 2}, "b": {1, 1}}
	got := map[director.NodeID][]int{}
	for id, n := range l {
		for _, c := range n.buckets {
			got[id] = append(got[id], c.N)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	l := ledgers{}
	v := liveOf(l, "a")
	for _, after := range []time.Duration{10 * time.Millisecond, 240 * time.Millisecond, 260 * time.Millisecond, 600 * time.Millisecond} {
		v.Count(0)
		l.collect(noon.Add(after))
	}
	v.Expect(0, 5)
	l.collect(noon.Add(700 * time.Millisecond))
	l.collect(noon.Add(time.Second)) // nothing was counted: no bucket
	want := []Count{
		{Node: "a", At: noon, N: 2},
		{Node: "a", At: noon.Add(BucketWidth), N: 1},
		{Node: "a", At: noon.Add(2 * BucketWidth), N: 6, Estimated: 5},
	}
	if diff := cmp.Diff(want, l.counts()); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
	l.collect(noon.Add(EnRouteMax + 300*time.Millisecond))
	if diff := cmp.Diff(want[1:], l.counts()); diff != "" {
		t.Errorf("buckets after 15 s (-want +got):\n%s", diff)
	}
	l.collect(noon.Add(-time.Hour)) // the clock was set back: these times mean nothing now
	if got := l.counts(); len(got) != 0 {
		t.Errorf("buckets after the clock went back: %v", got)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	l := ledgers{}
	v := liveOf(l, "stays", "gone", "gone but awaited")
	v.Count(2)
	l.collect(noon)
	keep := func(id director.NodeID) bool { return id == "stays" }
	l.prune(keep)
	if l["stays"] == nil || l["gone"] != nil || l["gone but awaited"] == nil {
		t.Errorf("after pruning: %v", l)
	}
	l.collect(noon.Add(time.Minute))
	l.prune(keep)
	if len(l) != 1 {
		t.Errorf("after the last listener arrived: %v", l)
	}
}

// What many count while others read is all there in the end.
func TestCountersConcurrently(t *testing.T) {
	t.Parallel()
	const goroutines, each = 8, 2000
	l := ledgers{}
	v := liveOf(l, "a", "b")
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for range each {
				v.Count(g % 2)
				if v.Used(g%2) < 10 || v.Recent(g%2) < 1 {
					t.Error("a counter went backwards")
				}
			}
		})
	}
	for tick := range 100 {
		l.collect(noon.Add(time.Duration(tick) * time.Millisecond))
	}
	wg.Wait()
	l.collect(noon.Add(time.Second))
	sum := 0
	for _, c := range l.counts() {
		sum += c.N
	}
	if sum != goroutines*each {
		t.Errorf("collected %d, want %d", sum, goroutines*each)
	}
}

func BenchmarkCount(b *testing.B) {
	v := liveOf(ledgers{}, "a", "b", "c", "d")
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v.Count(0)
		}
	})
	b.Run("parallel, one node", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				v.Count(0)
			}
		})
	})
	b.Run("parallel, count and read four nodes", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			sum := 0
			for i := 0; pb.Next(); i++ {
				v.Count(i & 3)
				sum += v.Used((i + 1) & 3)
			}
			_ = sum
		})
	})
}
