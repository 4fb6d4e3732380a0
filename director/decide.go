package director

import "net/netip"

// Listener is one request for a mount, as far as choosing needs to know it.
type Listener struct {
	Addr   netip.Addr // for CIDR rows and the address family only; may be invalid
	Place  Place
	Key    uint64 // the listener's placement hash: the same Key gets the same node
	Mount  string // decoded path: "/live.mp3"
	Scheme Scheme // what the node's URL must be
	Avoid  NodeID // the node it has just come back from; empty: none
}

// Scheme is a set of URL schemes.
type Scheme uint8

const (
	HTTP Scheme = 1 << iota
	HTTPS
	AnyScheme = HTTP | HTTPS
)

// A Decision is the answer to a Listener. The caller owns it and hands it in
// again and again; Decide writes every field but Want.
type Decision struct {
	// Want is how many nodes to rank; 0 means 1. A redirect needs one, a
	// playlist as many as it has lines.
	Want int

	Outcome Outcome
	Region  RegionID // whose row the ladder began with; empty: none matched, by distance
	Mount   int      // for Snapshot.Mount and Snapshot.URL; -1 with NoMount
	// Ranked is the answer first and its alternates after it. It is empty for
	// NoMount, MountDown, Denied and Nobody, and for Full when every node is at its limit.
	Ranked []Candidate
}

// Candidate is one ranked node.
type Candidate struct {
	Node  int // for Snapshot.Node and Snapshot.URL
	Rung  int // 0: the region's own row, then its overflow regions in order
	score float64
}
