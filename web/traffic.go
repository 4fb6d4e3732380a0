package web

import (
	"sync"
	"sync/atomic"

	"github.com/signpost-fm/signpost/director"
)

// Traffic is what the server has done since it began. All numbers only rise;
// rates are for the reader to make. Who looks only, and what one listener asks
// again within a second, is in Answers and Outcomes and not in the others.
type Traffic struct {
	Answers  map[string]uint64 // requests for a mount, by the answer's name
	Outcomes map[string]uint64 // the same, by the outcome's name

	Nodes   map[director.NodeID]uint64   // listeners sent to each node
	Regions map[director.RegionID]uint64 // listeners sent somewhere, by their region; "": none matched
	Sent    map[director.RegionID]map[director.NodeID]uint64
}

// Traffic reads the counters.
func (s *Server) Traffic() Traffic {
	t := Traffic{
		Answers: map[string]uint64{}, Outcomes: map[string]uint64{}, Nodes: map[director.NodeID]uint64{},
		Regions: map[director.RegionID]uint64{}, Sent: map[director.RegionID]map[director.NodeID]uint64{},
	}
	for o := range s.stats.answers {
		for a := range s.stats.answers[o] {
			if n := s.stats.answers[o][a].Load(); n > 0 {
				t.Answers[Answer(a).String()] += n
				t.Outcomes[director.Outcome(o).String()] += n
			}
		}
	}
	for w, n := range s.stats.sent.all() {
		t.Nodes[w.node] += n
		t.Regions[w.region] += n
		if t.Sent[w.region] == nil {
			t.Sent[w.region] = map[director.NodeID]uint64{}
		}
		t.Sent[w.region][w.node] = n
	}
	return t
}

// way is from where to where a listener is sent.
type way struct {
	region director.RegionID
	node   director.NodeID
}

// ways counts the listeners on each way that was ever used. Adding to one that is
// known takes no lock. There are no more of them than regions times nodes.
type ways struct {
	mu    sync.Mutex // for adding new ones
	known atomic.Pointer[map[way]*atomic.Uint64]
}

func (c *ways) add(w way) {
	if m := c.known.Load(); m != nil {
		if n := (*m)[w]; n != nil {
			n.Add(1)
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[way]*atomic.Uint64{}
	if m := c.known.Load(); m != nil {
		for k, v := range *m {
			next[k] = v
		}
	}
	if next[w] == nil {
		next[w] = new(atomic.Uint64)
	}
	next[w].Add(1)
	c.known.Store(&next)
}

// all returns every way with its count.
func (c *ways) all() map[way]uint64 {
	out := map[way]uint64{}
	if m := c.known.Load(); m != nil {
		for w, n := range *m {
			out[w] = n.Load()
		}
	}
	return out
}
