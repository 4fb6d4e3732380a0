package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	shards = 64
	// most bounds the sessions of one director: about 15 MB. More are answered as well,
	// and not counted.
	most = 1 << 17
	// Settle is how long a session counts as on the way after it was sent to a node, as
	// every listener does: until then, the director's counts of those that it sent have it.
	Settle = 15 * time.Second
)

// A Table counts the sessions that this director answers. It is safe for concurrent use.
type Table struct {
	shards [shards]shard
	size   atomic.Int64
	excess atomic.Uint64
}

type shard struct {
	mu  sync.Mutex
	all map[uint64]seat
	_   [40]byte // keeps neighbouring locks on separate cache lines
}

// A seat is where a session is.
type seat struct {
	node  director.NodeID
	mount string
	at    int64 // when it was sent there, in seconds since 1970
	until int64 // when it is over, if it is not heard of
}

// Lease returns how long after an answer with this TTL a session is still counted, if it
// is not heard of: some players ask late, and browsers slow down a page that nobody looks
// at. One that several directors answer is counted by the others by then.
func Lease(ttl time.Duration, roams bool) time.Duration {
	if roams {
		return ttl + ttl/4
	}
	return 3 * ttl
}

// Seen notes that a session plays a mount from a node, where it was sent at, and is
// counted until until. The strings are kept.
func (t *Table) Seen(id uint64, node director.NodeID, mount string, at, until time.Time) {
	s := &t.shards[id%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.all[id]; !known {
		if t.size.Load() >= most {
			t.excess.Add(1)
			return
		}
		if s.all == nil {
			s.all = map[uint64]seat{}
		}
		t.size.Add(1)
	}
	s.all[id] = seat{node, mount, at.Unix(), until.Unix()}
}

// Known says whether a session is counted here.
func (t *Table) Known(id uint64) bool {
	s := &t.shards[id%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.all[id]
	return known
}

// Excess is how many answers went to sessions that were not counted, as there were too many.
func (t *Table) Excess() uint64 { return t.excess.Load() }

// A Count is the sessions of one mount at one node.
type Count struct {
	Listeners int // all of them
	Settled   int // those that were sent there longer than Settle ago
}

// Counts maps nodes and mounts to sessions.
type Counts map[director.NodeID]map[string]Count

// Count forgets the sessions that are over, and counts the others.
func (t *Table) Count(now time.Time) Counts {
	out := Counts{}
	sec, settled := now.Unix(), now.Add(-Settle).Unix()
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for id, p := range s.all {
			if p.until < sec {
				delete(s.all, id)
				t.size.Add(-1)
				continue
			}
			of := out[p.node]
			if of == nil {
				of = map[string]Count{}
				out[p.node] = of
			}
			c := of[p.mount]
			c.Listeners++
			if p.at <= settled {
				c.Settled++
			}
			of[p.mount] = c
		}
		s.mu.Unlock()
	}
	return out
}
