package visits

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestTableIsBounded fills a table over and over: it keeps the newest keys and its size.
func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	tab := NewTable[int](1 << 10)
	set := func(key uint64, now time.Duration, v int) {
		p, mu := tab.Acquire(key, now)
		*p = v
		mu.Unlock()
	}
	hot := uint64(0xfeed)
	set(hot, 0, 42)
	for i := range 100_000 {
		now := time.Duration(i) * time.Millisecond
		set(mix(uint64(i)), now, i)
		if i%8 == 0 {
			if v, mu := tab.Acquire(hot, now); *v != 42 {
				t.Fatalf("step %d: a key in use was lost", i)
				mu.Unlock()
			} else {
				mu.Unlock()
			}
		}
	}
	if got := tab.Peek(mix(99999)); got != 99999 {
		t.Errorf("the newest key holds %d", got)
	}
	if got := tab.Peek(mix(1)); got != 0 {
		t.Errorf("the oldest key is still there: %d", got)
	}
	set(0, 1, 7)
	if got := tab.Peek(0); got != 7 {
		t.Errorf("key 0 holds %d", got)
	}
}

func TestTableConcurrently(t *testing.T) {
	t.Parallel()
	tab := NewTable[int](1 << 9)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2_000 {
				v, mu := tab.Acquire(uint64(i%7+1), time.Duration(i))
				*v++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	sum := 0
	for k := range uint64(7) {
		sum += tab.Peek(k + 1)
	}
	if sum != 8_000 {
		t.Errorf("%d counted, want 8000", sum)
	}
}

func BenchmarkVisit(b *testing.B) {
	tab := NewTable[Visit](1 << 16)
	b.ReportAllocs()
	i := uint64(0)
	for b.Loop() {
		i++
		v, mu := tab.Acquire(i*0x9e3779b97f4a7c15, time.Duration(i))
		v.Arrive(Visitor{Now: time.Duration(i)})
		v.Rate.Allow(time.Duration(i), 10)
		mu.Unlock()
	}
	runtime.KeepAlive(tab)
}
