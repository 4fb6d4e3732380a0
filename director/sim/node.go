package sim

import (
	"fmt"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
)

// nodeState is how a node stands, apart from its sources.
type nodeState uint8

const (
	serving  nodeState = iota
	crashed            // connections are refused
	vanished           // nothing comes from it
	frozen             // it takes connections and answers nothing
)

// node is one server in truth. What directors know of it they measure.
type node struct {
	Node
	id      director.NodeID
	index   int
	site    string
	paths   []string // by mount
	faults  [frozen + 1]int
	lost    []int // by mount: faults because of which it has no source
	late    time.Duration
	wrong   float64 // 0: it counts right
	limitBy float64 // of its target, by a fault; 0: none

	first     int32 // the first of its listeners; noOne: it has none
	listeners int
	queue     int   // connections that wait to be accepted
	accepts   int64 // when it accepts the next connection, in nanoseconds
	sent      int   // since the last sample

	// counts is how many listeners it had at the end of each past slot of countSlot, for
	// statistics that lag.
	counts [16]int
	slot   int64
}

const countSlot = int64(100 * time.Millisecond)

func (n *node) state() nodeState {
	for s := frozen; s > serving; s-- {
		if n.faults[s] > 0 && (s != frozen || n.faults[vanished] == 0) {
			return s
		}
	}
	return serving
}

// count changes how many listeners the node serves.
func (n *node) count(now int64, by int) {
	n.fill(now)
	n.listeners += by
	n.counts[n.slot%int64(len(n.counts))] = n.listeners
}

func (n *node) fill(now int64) {
	for slot := now / countSlot; n.slot < slot; {
		if slot-n.slot > int64(len(n.counts)) {
			n.slot = slot - int64(len(n.counts))
		}
		n.slot++
		n.counts[n.slot%int64(len(n.counts))] = n.listeners
	}
}

// counted is what its statistics say of its listeners.
func (n *node) counted(now int64, lag time.Duration) int {
	n.fill(now)
	slot := max(0, (now-int64(lag))/countSlot, n.slot-int64(len(n.counts))+1)
	c := n.counts[slot%int64(len(n.counts))]
	if n.wrong > 0 {
		c = int(float64(c)*n.wrong + 0.5)
	}
	return c
}

// limit is how many listeners it takes; 0: any number.
func (n *node) limit(target int) int {
	limit := n.Limit
	if n.limitBy > 0 && target > 0 {
		if l := int(n.limitBy * float64(target)); limit == 0 || l < limit {
			limit = l
		}
	}
	return limit
}

// told is what it answers to a probe.
func (w *world) told(n *node) probe.Told {
	t := probe.Told{Server: "Icecast", Listeners: n.counted(w.now, w.nodeChance.span(n.Lag+1))}
	limit := n.limit(w.targets[n.index])
	if limit > 0 && n.listeners >= limit {
		return probe.Told{Full: true, Server: "Icecast"}
	}
	if n.Tells {
		t.Limit = limit
	}
	for m, lost := range n.lost {
		if lost == 0 {
			t.Mounts = append(t.Mounts, director.MountReport{Path: n.paths[m], Listeners: -1, Type: "audio/mpeg"})
		}
	}
	return t
}

// get is what a listener gets who asks for a path.
func (w *world) get(n *node, path string) (director.MountState, director.Cause, string) {
	switch n.state() {
	case crashed:
		return director.MountSilent, director.Unreachable, "connection refused"
	case vanished, frozen:
		return director.MountSilent, director.Unreachable, "no answer"
	}
	for m, lost := range n.lost {
		if n.paths[m] == path && lost > 0 {
			return director.MountSilent, director.NotThere, fmt.Sprintf("GET %s: 404 Not Found", path)
		}
	}
	if limit := n.limit(w.targets[n.index]); limit > 0 && n.listeners >= limit {
		return director.MountFull, director.SeatsTaken, "max listeners reached"
	}
	return director.MountPlays, "", fmt.Sprintf("GET %s: 200 OK", path)
}
