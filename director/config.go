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
	// a node before it is there; until then the row goes without it.
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
	// InternalURL is the base URL at which directors reach it, to probe it and to carry
	// its streams, where that is another than listeners'. Empty: they use URLs too.
	InternalURL string
	// Addrs are the addresses at which listeners reach it, for answers in DNS. Empty:
	// those that its URLs name or lead to.
	Addrs []netip.Addr
	Site  string // where it stands, for failures that nodes share; may be empty
	// Place is used for distance; only its coordinates matter. NoPoint: unknown.
	Place Place

	Target int // listeners it should hold; 0: unknown
	Limit  int // listeners no director knowingly exceeds; 0: what the server tells
	Mbit   Mbit

	MaxNewPerS int               // listeners it can be given in one second; 0: any number
	Pace       Pace              // what MaxNewPerS means where others have no room either; empty: PacePrefer
	Relays     int               // connections at the node that are relays, not listeners
	Paths      map[string]string // mount -> its path on this node, where they differ
	Drained    bool              // takes no new listeners
}

// MountAt returns the mount that the node serves at a path of its own; empty: none.
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

// Pace says what becomes of a listener when all nodes that could take it have been given
// their listeners of this second.
type Pace string

// The ways to keep a pace.
const (
	PacePrefer Pace = "prefer" // the node gets it all the same, the least pushed first
	PaceHold   Pace = "hold"   // it is refused, and told when to come again
)

// Mbit is a node's capacity in megabits a second of audio. Zero: not reckoned.
type Mbit struct{ Target, Limit float64 }

// Mount is a stream's public path.
type Mount struct {
	Name    string   // decoded, with its leading slash: "/live.mp3"
	Aliases []string // other public paths of the same stream
	Title   string   // for playlists; empty: the name
	Type    string   // media type; empty: what the nodes report
	Kbit    int      // bitrate in kbit/s, for capacity in Mbit/s; 0: 128
}

// Region is a set of places with a row of weights.
type Region struct {
	ID    RegionID
	Match Match
	// Row is what the region's listeners are shared among. Empty: by distance over all nodes.
	Row      []Weight
	Overflow []RegionID // whose rows come next when nothing in this one has room
	Deny     []string   // mounts its listeners may not hear (451); "*": all
}

// Weight is one node's entry in a region's row.
type Weight struct {
	Node NodeID
	// Weight is the node's part, 0 or more; 0: no listeners. Ignored where !Given.
	Weight float64
	// Given is false in a row that only lists nodes; such a row shares by load.
	// A row has it on all entries or on none.
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
	Default      bool     // whatever nothing else matches, unknown places among them
}

// Tuning holds the numbers of choosing. A zero field means its default.
type Tuning struct {
	// SpillAt is the part of a node's target, 0..1, up to which given weights
	// hold exactly. Default 0.85.
	SpillAt float64
	// WarmUp is how long a node that came back takes to get its whole share,
	// starting from WarmUpFloor of it. Defaults 60 s and 0.1. Negative: none.
	WarmUp      time.Duration
	WarmUpFloor float64
	// NearFactor and NearKm say which nodes are about as near as the nearest:
	// within NearFactor times its distance, or NearKm. Defaults 1.3 and 300.
	NearFactor float64
	NearKm     float64
}
