package visits

import (
	"sync"
	"time"
)

const (
	tableShards = 64
	tableWays   = 8
)

// A Table remembers a value for each of the keys used last. Its size is fixed: a new key
// replaces the least recently used key of its set, so that memory stays bounded whatever
// arrives, and nothing is allocated. Keys are hashes, and two that agree in some 45 bits share
// a value. Callers pass the time. It is safe for concurrent use.
type Table[V any] struct {
	shards [tableShards]shard[V]
}

type shard[V any] struct {
	sync.Mutex
	sets []tableSet[V] // a power of two
	_    [32]byte      // keeps neighbouring locks on separate cache lines
}

// tableSet has its keys in one cache line, and its values beside it: a request that finds
// neither in the processor's cache waits for two lines.
type tableSet[V any] struct {
	slots  [tableWays]slot
	values [tableWays]V
}

type slot struct {
	tag  uint32 // the upper half of the key, which does not select the set; 0: free
	used uint32 // in milliseconds, modulo 2^32
}

// NewTable makes a table for size keys, a power of two of at least 512.
func NewTable[V any](size int) *Table[V] {
	t := &Table[V]{}
	for i := range t.shards {
		t.shards[i].sets = make([]tableSet[V], size/tableShards/tableWays)
	}
	return t
}

// Acquire returns the value of key, zero if key is new, and its lock, which is held: the
// caller must unlock it when done with the value.
func (t *Table[V]) Acquire(key uint64, now time.Duration) (*V, *sync.Mutex) {
	sh, set, tag := t.find(key)
	ms := uint32(now / time.Millisecond)
	sh.Lock()
	oldest := 0
	for i := range set.slots {
		s := &set.slots[i]
		if s.tag == tag {
			s.used = ms
			return &set.values[i], &sh.Mutex
		}
		if o := &set.slots[oldest]; s.tag == 0 || o.tag != 0 && ms-s.used > ms-o.used {
			oldest = i
		}
	}
	var none V
	set.slots[oldest], set.values[oldest] = slot{tag, ms}, none
	return &set.values[oldest], &sh.Mutex
}

// Peek returns a copy of the value of key, zero if there is none, and changes nothing.
func (t *Table[V]) Peek(key uint64) (v V) {
	sh, set, tag := t.find(key)
	sh.Lock()
	defer sh.Unlock()
	for i, s := range set.slots {
		if s.tag == tag {
			return set.values[i]
		}
	}
	return v
}

// find returns where key belongs, and its tag there.
func (t *Table[V]) find(key uint64) (*shard[V], *tableSet[V], uint32) {
	sh := &t.shards[key%tableShards]
	return sh, &sh.sets[key/tableShards%uint64(len(sh.sets))], max(uint32(key>>32), 1)
}
