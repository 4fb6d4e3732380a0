package web

import (
	"sync"

	"github.com/signpost-fm/signpost/director"
)

// relays remembers to which nodes this director sent those nodes of the fleet that relay a
// mount. A node is recognised by its address if no other node has it. It is safe for
// concurrent use.
type relays struct {
	mu   sync.Mutex
	from map[feed]director.NodeID
}

// feed is a mount at a node that relays it.
type feed struct {
	mount string
	node  director.NodeID
}

// maxFeeds bounds the memory: feeds of nodes that no longer exist are not forgotten
// otherwise.
const maxFeeds = 10_000

// sent notes to which node a relay was sent, if the relay itself is a node.
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

// below returns the nodes to which a relay must not be sent: itself, and those that pull the
// mount from it, directly or through others. Nil: the relay is not a node.
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
