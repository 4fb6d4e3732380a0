package web

import (
	"maps"
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
	s.stats.sent.each(func(region director.RegionID, node director.NodeID, n uint64) {
		t.Nodes[node] += n
		t.Regions[region] += n
		if t.Sent[region] == nil {
			t.Sent[region] = map[director.NodeID]uint64{}
		}
		t.Sent[region][node] = n
	})
	return t
}

// ways counts the listeners that were sent, by where from and where to, on every
// way that was ever used: at most regions times nodes. Adding to one that is known
// takes no lock.
type ways struct {
	mu    sync.Mutex // for adding new ones
	known atomic.Pointer[wayMap]
}

type wayMap map[director.RegionID]map[director.NodeID]*atomic.Uint64

func (c *ways) add(region director.RegionID, node director.NodeID) {
	if m := c.known.Load(); m != nil {
		if n := (*m)[region][node]; n != nil {
			n.Add(1)
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := wayMap{}
	if m := c.known.Load(); m != nil {
		for from, nodes := range *m {
			next[from] = maps.Clone(nodes)
		}
	}
	if next[region] == nil {
		next[region] = map[director.NodeID]*atomic.Uint64{}
	}
	if next[region][node] == nil {
		next[region][node] = new(atomic.Uint64)
	}
	next[region][node].Add(1)
	c.known.Store(&next)
}

// each calls do with every way and its count.
func (c *ways) each(do func(region director.RegionID, node director.NodeID, n uint64)) {
	m := c.known.Load()
	if m == nil {
		return
	}
	for region, nodes := range *m {
		for node, n := range nodes {
			do(region, node, n.Load())
		}
	}
}
