package web

import (
	"sync"

	"github.com/signpost-fm/signpost/director"
)

// relays knows from where nodes of the fleet that pull a mount through this director were
// told to. A node is known by its address, if it has one to itself. Safe for concurrent use.
type relays struct {
	mu   sync.Mutex
	from map[feed]director.NodeID
}

// feed is a mount at a node that relays it.
type feed struct {
	mount string
	node  director.NodeID
}

// maxFeeds bounds what is remembered: nodes that are there no more are not forgotten
// otherwise.
const maxFeeds = 10_000

// sent notes where a relay was sent, if it is a node.
func (r *relays) sent(q *request, to director.NodeID) {
	node := q.view.NodeAt(q.client.addr)
	if node == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.from == nil || len(r.from) > maxFeeds {
		r.from = map[feed]director.NodeID{}
	}
	r.from[feed{q.view.Mount(q.target.mount).Name, node}] = to
}

// below returns the nodes to which a relay must not be sent: itself, and those that pull
// from it, directly or through others. It is empty for a relay that is no node.
func (r *relays) below(q *request) []director.NodeID {
	node := q.view.NodeAt(q.client.addr)
	if node == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	below, mount := []director.NodeID{node}, q.view.Mount(q.target.mount).Name
	for i := 0; i < len(below); i++ {
		for f, from := range r.from {
			if f.mount == mount && from == below[i] && f.node != node {
				below = append(below, f.node)
			}
		}
	}
	return below
}
