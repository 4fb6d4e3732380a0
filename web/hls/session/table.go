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
	until int64 // when it is over, if it is not heard of, in seconds since 1970
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

// Seen notes that a session plays a mount from a node, and is counted until until. The
// strings are kept.
func (t *Table) Seen(id uint64, node director.NodeID, mount string, until time.Time) {
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
	s.all[id] = seat{node, mount, until.Unix()}
}

// Excess is how many answers went to sessions that were not counted, as there were too many.
func (t *Table) Excess() uint64 { return t.excess.Load() }

// Count forgets the sessions that are over, and counts the others, by node and mount.
func (t *Table) Count(now time.Time) map[director.NodeID]map[string]int {
	out := map[director.NodeID]map[string]int{}
	sec := now.Unix()
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for id, p := range s.all {
			if p.until < sec {
				delete(s.all, id)
				t.size.Add(-1)
				continue
			}
			if out[p.node] == nil {
				out[p.node] = map[string]int{}
			}
			out[p.node][p.mount]++
		}
		s.mu.Unlock()
	}
	return out
}
