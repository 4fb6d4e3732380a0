package web

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// wayLife is how long the counts of a node that is gone are kept: a restarted node continues
// them. Registered nodes may have a new id each time, so the counts must be forgotten at some
// time.
const wayLife = time.Hour

// Traffic is what the server has done since it began. All numbers only rise, until
// [Server.Sent] forgets a node's; the reader computes rates from them. HEAD, Range:
// bytes=0-1, relays, and what one listener asks again within a second, are in Answers and
// Outcomes only. Explain is not counted.
type Traffic struct {
	Answers  map[string]uint64 // requests for a mount, by the answer's name
	Outcomes map[string]uint64 // the same, by the outcome's name

	Nodes   map[director.NodeID]uint64   // listeners sent to each node
	Regions map[director.RegionID]uint64 // listeners sent to nodes, by region; "": none matched
}

// Traffic reads the counters.
func (s *Server) Traffic() Traffic {
	t := Traffic{
		Answers: map[string]uint64{}, Outcomes: map[string]uint64{},
		Nodes: map[director.NodeID]uint64{}, Regions: map[director.RegionID]uint64{},
	}
	for o := range s.stats.answers {
		for a := range s.stats.answers[o] {
			if n := s.stats.answers[o][a].Load(); n > 0 {
				t.Answers[Answer(a).String()] += n
				t.Outcomes[director.Outcome(o).String()] += n
			}
		}
	}
	for region, nodes := range s.stats.sent.all() {
		var sum uint64
		for node, count := range nodes {
			n := count.Load()
			t.Nodes[node] += n
			sum += n
		}
		t.Regions[region] = sum
	}
	return t
}

// Sent returns how many listeners were sent from each region to each node. It also forgets
// the counts of nodes that have been gone for more than an hour, so it must be called now and
// then.
func (s *Server) Sent() map[director.RegionID]map[director.NodeID]uint64 {
	if view := s.cfg.View(); view.Snapshot != nil {
		s.stats.sent.forget(view.Snapshot, s.cfg.Now())
	}
	sent := map[director.RegionID]map[director.NodeID]uint64{}
	for region, nodes := range s.stats.sent.all() {
		sent[region] = make(map[director.NodeID]uint64, len(nodes))
		for node, n := range nodes {
			sent[region][node] = n.Load()
		}
	}
	return sent
}

// ways counts the listeners that were sent, by region and node. Adding to a known way takes
// no lock.
type ways struct {
	known atomic.Pointer[wayMap] // replaced, never modified

	mu   sync.Mutex                    // for replacing it
	gone map[director.NodeID]time.Time // since when nodes in known are gone
}

type wayMap map[director.RegionID]map[director.NodeID]*atomic.Uint64

func (c *ways) all() wayMap {
	if m := c.known.Load(); m != nil {
		return *m
	}
	return nil
}

func (c *ways) add(region director.RegionID, node director.NodeID) {
	if n := c.all()[region][node]; n != nil {
		n.Add(1)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.all()
	if known[region][node] == nil {
		nodes := make(map[director.NodeID]*atomic.Uint64, len(known[region])+1)
		maps.Copy(nodes, known[region])
		nodes[node] = new(atomic.Uint64)
		known = known.with(region, nodes)
		c.known.Store(&known)
	}
	known[region][node].Add(1)
}

// with returns a copy of m in which a region has the given nodes; a region without nodes is
// left out.
func (m wayMap) with(region director.RegionID, nodes map[director.NodeID]*atomic.Uint64) wayMap {
	next := make(wayMap, len(m)+1)
	maps.Copy(next, m)
	next[region] = nodes
	if len(nodes) == 0 {
		delete(next, region)
	}
	return next
}

// forget drops the ways to nodes that have not been in a snapshot for longer than wayLife. A
// listener who is sent to one at the same time may be lost from the count.
func (c *ways) forget(snapshot *director.Snapshot, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, gone := c.all(), map[director.NodeID]time.Time{}
	old := func(node director.NodeID, _ *atomic.Uint64) bool {
		since, there := gone[node]
		return there && now.Sub(since) > wayLife
	}
	for region, nodes := range known {
		some := false
		for node := range nodes {
			if _, there := snapshot.FindNode(node); there {
				continue
			}
			since, noted := c.gone[node]
			if !noted {
				since = now
			}
			gone[node] = since
			some = some || old(node, nil)
		}
		if some {
			left := maps.Clone(nodes)
			maps.DeleteFunc(left, old)
			known = known.with(region, left)
		}
	}
	c.gone = gone
	c.known.Store(&known)
}
