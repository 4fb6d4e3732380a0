package web

import (
	"sync"
	"time"
)

const (
	tableShards = 64
	tableWays   = 8
)

// table remembers a value for each of the keys used last. Its size is fixed: a new key
// replaces the least recently used key of its set, so that memory stays bounded whatever
// arrives, and nothing is allocated. Callers pass the time. It is safe for concurrent use.
type table[V any] struct {
	shards [tableShards]shard[V]
	sets   uint64 // per shard, a power of two
}

type shard[V any] struct {
	sync.Mutex
	slots []slot[V]
	_     [32]byte // keeps neighbouring locks on separate cache lines
}

type slot[V any] struct {
	key   uint64 // 0: free
	used  time.Duration
	value V
}

// newTable makes a table for size keys, a power of two of at least 512.
func newTable[V any](size int) *table[V] {
	t := &table[V]{sets: uint64(size / tableShards / tableWays)}
	for i := range t.shards {
		t.shards[i].slots = make([]slot[V], size/tableShards)
	}
	return t
}

// acquire returns the value of key, zero if key is new, and its lock, which is held: the
// caller must unlock it when done with the value.
func (t *table[V]) acquire(key uint64, now time.Duration) (*V, *sync.Mutex) {
	if key == 0 {
		key = 1
	}
	sh := &t.shards[key%tableShards]
	first := key / tableShards % t.sets * tableWays
	sh.Lock()
	set := sh.slots[first : first+tableWays]
	oldest := &set[0]
	for i := range set {
		s := &set[i]
		if s.key == key {
			s.used = now
			return &s.value, &sh.Mutex
		}
		if s.key == 0 || oldest.key != 0 && s.used < oldest.used {
			oldest = s
		}
	}
	*oldest = slot[V]{key: key, used: now}
	return &oldest.value, &sh.Mutex
}

// peek returns a copy of the value of key, zero if there is none, and changes nothing.
func (t *table[V]) peek(key uint64) (v V) {
	if key == 0 {
		key = 1
	}
	sh := &t.shards[key%tableShards]
	first := key / tableShards % t.sets * tableWays
	sh.Lock()
	defer sh.Unlock()
	for _, s := range sh.slots[first : first+tableWays] {
		if s.key == key {
			return s.value
		}
	}
	return v
}
