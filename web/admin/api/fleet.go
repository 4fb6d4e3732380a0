package api

import (
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// NodesAnswer is all nodes, declared and registered, at one moment.
type NodesAnswer struct {
	Built time.Time `json:"snapshot_built"`
	Nodes []Node    `json:"nodes"`
}

// Node is what is known of a node, declared or registered. Times are by the
// store's clock.
type Node struct {
	ID         director.NodeID `json:"id"`
	URLs       []string        `json:"urls"`
	Site       string          `json:"site,omitempty"`
	Registered *Holder         `json:"registered,omitempty"` // who registered it; nil: it is declared

	State  director.Reason `json:"state"`            // fit, drained, down or unverified
	Health director.Health `json:"health"`           // which a drained node has, too
	Detail string          `json:"detail,omitempty"` // why, in the prober's or the agent's words
	By     string          `json:"by,omitempty"`     // the director or agent that saw it so
	Server string          `json:"server,omitempty"` // what the server says that it is
	Since  time.Time       `json:"since,omitzero"`   // since when it is in that state; zero: not known
	Full   bool            `json:"full,omitempty"`   // the server itself refuses listeners

	Used    int `json:"used"`     // listeners, those on their way included
	EnRoute int `json:"en_route"` // listeners on their way
	Target  int `json:"target,omitempty"`
	Limit   int `json:"limit,omitempty"`

	Kbit       float64 `json:"kbit"` // kbit/s sent to listeners now; 0: not told
	MbitTarget float64 `json:"mbit_target,omitempty"`
	MbitLimit  float64 `json:"mbit_limit,omitempty"`
	SentPerS   float64 `json:"sent_per_s"` // listeners that all directors sent there within the last second
	Room       float64 `json:"room"`       // 0..1
	WarmUp     float64 `json:"warm_up"`    // 0..1; 1: it gets its whole share

	Mounts []string `json:"mounts"` // public names of those that it carries now

	Drained bool `json:"drained"`
	// SafeToTerminate says that it is drained and that no more listen, or are on
	// the way, than the threshold. It is false where nobody knows how many listen.
	SafeToTerminate bool      `json:"safe_to_terminate"`
	Drain           *Drain    `json:"drain,omitempty"`    // nil: it is not drained
	Override        *Override `json:"override,omitempty"` // what operators made of it; nil: nothing

	Version string `json:"version"` // of Override, for If-Match
}

// Drain is how far a drained node has emptied.
type Drain struct {
	Since           time.Time `json:"since,omitzero"` // zero: the file says so, or not known
	Left            *int      `json:"left,omitempty"` // listeners, those on their way included; nil: nobody counts them, as at a disabled node
	SafeToTerminate bool      `json:"safe_to_terminate"`
	Threshold       int       `json:"threshold"` // how many may be left
}

// Holder is the agent that holds a node's id.
type Holder struct {
	Instance string    `json:"instance"`
	Token    string    `json:"token,omitempty"`
	Until    time.Time `json:"until,omitzero"`      // for how long, if it does not report again
	SilentMS int64     `json:"silent_ms,omitempty"` // for how long it has not reported
}

// Override is who changed something at run time, over what the file declares.
type Override struct {
	State    store.NodeState `json:"state,omitempty"` // of a node
	By       string          `json:"by"`
	At       time.Time       `json:"at"`
	Why      string          `json:"why,omitempty"`
	Until    time.Time       `json:"until,omitzero"` // zero: until it is taken back
	Revision store.Revision  `json:"revision,omitempty"`
}

// Termination says whether a node may be terminated.
type Termination struct {
	SafeToTerminate bool `json:"safe_to_terminate"`
	Drained         bool `json:"drained"`
	Left            *int `json:"left,omitempty"` // listeners, those on their way included; nil: nobody counts them, as at a disabled node
}

// MountsAnswer is all mounts, by name or in the file's order.
type MountsAnswer struct {
	Mounts []Mount `json:"mounts"`
}

// Mount is one mount of the fleet.
type Mount struct {
	Name  string `json:"name"`  // "/live.mp3"
	Title string `json:"title"` // as declared, or the station's name; empty: neither
	Type  string `json:"type"`  // media type; empty: not known
	Kbit  int    `json:"kbit,omitempty"`

	Listeners int               `json:"listeners"` // at all nodes that tell, relays included, and those whom directors carry
	Nodes     []director.NodeID `json:"nodes"`     // that carry it now
	Down      []director.NodeID `json:"down"`      // the others
	Playing   string            `json:"playing,omitempty"`
	URL       string            `json:"url,omitempty"` // where listeners hear it; empty: the file does not tell public URLs
}

// RegionsAnswer is all regions, in the file's order.
type RegionsAnswer struct {
	Revision store.Revision `json:"revision"` // of the overlay
	Regions  []Region       `json:"regions"`
}

// Region is a region with its row of weights.
type Region struct {
	ID    director.RegionID `json:"id"`
	Match string            `json:"match"` // as "DE-BY AT AS3320"; empty: it only names nodes

	Row      []Weight  `json:"row"`                // in force; empty: by distance
	Declared []Weight  `json:"declared"`           // as the file has it
	ByLoad   bool      `json:"by_load"`            // the row in force only lists nodes: each takes by its free capacity
	Override *Override `json:"override,omitempty"` // who replaced the file's row; nil: nobody

	Overflow []director.RegionID `json:"overflow"` // whose rows come next
	Deny     []string            `json:"deny"`     // mounts that its listeners may not hear; "*": all

	Shares   []director.NodeShare `json:"shares"`     // where a listener who comes now is sent, the largest first
	SentPerS float64              `json:"sent_per_s"` // listeners that this director sends somewhere from it

	Version string `json:"version"` // of the row, for If-Match
}

// Weight is a node's weight in a row; 1 where the row only lists nodes.
type Weight struct {
	Node   director.NodeID `json:"node"`
	Weight float64         `json:"weight"`
}

// ReserveAnswer is what is left when a node or a site dies.
type ReserveAnswer struct {
	Nodes []director.Loss `json:"nodes"`
	Sites []director.Loss `json:"sites"`
}

// WhatIfAnswer is what becomes of the listeners that are there now: as things
// are, and as they would be.
type WhatIfAnswer struct {
	Now  director.Forecast `json:"now"`
	Then director.Forecast `json:"then"`
}
