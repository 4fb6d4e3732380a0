package director

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// NodeID names a node: letters, digits, '-', '_' and '.', at most 64 of them.
type NodeID string

// RegionID names a region, in the same alphabet as a NodeID.
type RegionID string

// Config is everything an operator declares about the fleet, with the overlay
// already applied. It is plain data; [Compile] checks it.
type Config struct {
	Nodes   []Node
	Mounts  []Mount // empty: every mount that a node reports is served
	Regions []Region
	Tuning  Tuning

	// MayRegister lists the ids under which agents may register nodes that are not
	// declared: whole ids, or beginnings of ids that end in "*". A row may name such
	// a node before it has registered; until then it has no part in the row.
	MayRegister []string

	// OverflowURL is where listeners go when every node is at its limit, usually
	// a CDN. "{mount}" in it is replaced by the mount's path. Empty: nowhere.
	OverflowURL string

	// Self holds the host:port pairs at which directors answer. A node URL that
	// points at one of them would be a redirect loop.
	Self []string
}

// Admits says whether an agent may register a node under this id.
func (c *Config) Admits(id NodeID) bool {
	return slices.ContainsFunc(c.MayRegister, func(allowed string) bool {
		start, open := strings.CutSuffix(allowed, "*")
		return string(id) == allowed || open && strings.HasPrefix(string(id), start)
	})
}

// Node is one server that serves mounts.
type Node struct {
	ID   NodeID
	URLs []string // base URLs, at most one a scheme: "http://a.example:8000"
	// InternalURL is the base URL by which directors probe the node and carry its
	// streams, where it differs from the listeners' URL. Empty: directors use URLs too.
	InternalURL string
	// Addrs are the addresses at which listeners reach the node, for DNS answers.
	// Empty: the addresses in its URLs, or those that their host names resolve to.
	Addrs []netip.Addr
	Site  string // its data centre or provider, for failures that nodes share; may be empty
	// Place is used for distance; only its coordinates matter. NoPoint: unknown.
	Place Place

	Target int // listeners it should hold; 0: unknown
	Limit  int // listeners that no director knowingly exceeds; 0: the server's own limit
	Mbit   Mbit

	MaxNewPerS int               // listeners it may be sent in one second; 0: any number
	Pace       Pace              // what MaxNewPerS means when no other node has room; empty: PacePrefer
	Relays     int               // connections at the node that are relays, not listeners
	Paths      map[string]string // mount -> its path on this node, where they differ
	Drained    bool              // takes no new listeners
}

// MountAt returns the mount that the node serves at one of its paths; empty: none.
func (n *Node) MountAt(path string) string {
	for name, p := range n.Paths {
		if p == path {
			return name
		}
	}
	if _, moved := n.Paths[path]; moved {
		return ""
	}
	return path
}

// Pace says what happens to a listener when all nodes that could take it have reached
// their MaxNewPerS.
type Pace string

// The values of Pace.
const (
	PacePrefer Pace = "prefer" // it is sent to the node that has used the least of its MaxNewPerS
	PaceHold   Pace = "hold"   // it is refused, and told when to try again
)

// Mbit is a node's capacity in megabits of audio per second. Zero: not set.
type Mbit struct{ Target, Limit float64 }

// Mount is a stream's public path.
type Mount struct {
	Name    string   // decoded, with its leading slash: "/live.mp3"
	Aliases []string // other public paths of the same stream
	Title   string   // for playlists; empty: the name
	Type    string   // media type; empty: what the nodes report
	Kbit    int      // bitrate in kbit/s, for capacity in Mbit/s; 128 if no mount has one
}

// Region is a set of places with a row of weights.
type Region struct {
	ID    RegionID
	Match Match
	// Row lists the nodes that share the region's listeners. Empty: the rows of Overflow,
	// or without those, all nodes by distance.
	Row      []Weight
	Overflow []RegionID // whose rows come next when no node of this one has room
	Deny     []string   // mounts its listeners may not hear (451); "*": all
}

// Weight is one node's entry in a region's row.
type Weight struct {
	Node NodeID
	// Weight is the node's part, 0 or more; 0: no listeners. Ignored where !Given.
	Weight float64
	// Given is false in a row that only lists nodes; such a row shares by load.
	// It is the same for all entries of a row.
	Given bool
}

// Match says which places belong to a region. The most specific match over all
// regions wins: CIDR (the longest), ASN, subdivision, country, continent, default.
type Match struct {
	CIDRs        []netip.Prefix
	ASNs         []uint32
	Subdivisions []string // ISO 3166-2: "DE-BY"
	Countries    []string // ISO 3166-1 alpha-2
	Continents   []string // AF AN AS EU NA OC SA
	Default      bool     // what no other match covers, unknown places included
}

// Tuning holds the parameters of a decision. A zero field means its default.
type Tuning struct {
	// SpillAt is the part of a node's target, 0..1, up to which given weights
	// hold exactly. Default 0.85.
	SpillAt float64
	// WarmUp is how long a node that came back takes to get its whole share,
	// starting from WarmUpFloor of it. Defaults 60 s and 0.1. Negative: none.
	WarmUp      time.Duration
	WarmUpFloor float64
	// NearFactor and NearKm say which nodes count as near: those within NearFactor
	// times the distance of the nearest, or within NearKm. Defaults 1.3 and 300.
	NearFactor float64
	NearKm     float64
}
