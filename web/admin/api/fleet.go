package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// NodesAnswer is all nodes, declared and registered, at one moment.
type NodesAnswer struct {
	Built time.Time `json:"snapshot_built"`
	Nodes []Node    `json:"nodes"`
}

// Node is a node, declared or registered.
type Node struct {
	ID         director.NodeID `json:"id"`
	URLs       []string        `json:"urls"`
	Site       string          `json:"site,omitempty"`
	Registered *Holder         `json:"registered,omitempty"` // by whom; nil: it is declared in the file
	Place      *Place          `json:"place,omitempty"`      // nil: not known

	State  director.Reason `json:"state"`            // fit (in service), drained, down or unverified (not yet probed)
	Health director.Health `json:"health"`           // a drained node has it, too
	Detail string          `json:"detail,omitempty"` // why, in the words of the prober or the agent
	By     string          `json:"by,omitempty"`     // the director or agent that says so
	Server string          `json:"server,omitempty"` // the server's name and version
	Since  time.Time       `json:"since,omitzero"`   // when it came into that state; zero: not known
	Full   bool            `json:"full,omitempty"`   // the server refuses listeners

	Plays bool `json:"plays"` // it is up and plays some mount: only then its room counts

	Used    int `json:"used"`     // listeners, with those on the way
	EnRoute int `json:"en_route"` // listeners on the way
	// Estimated is how many of EnRoute are an estimate: listeners whom DNS answers bring.
	Estimated int `json:"en_route_estimated,omitempty"`
	// Counted says that somebody knows how many listen. Otherwise used is only those on
	// the way, and what the server told last.
	Counted bool `json:"counted"`
	Target  int  `json:"target,omitempty"`
	Limit   int  `json:"limit,omitempty"`

	Kbit float64 `json:"kbit"` // kbit/s sent to listeners now; 0: not told
	// KbitReckoned is what its listeners take by the bitrates of what they hear, in
	// kbit/s, where the server does not tell; absent: that is not known either.
	KbitReckoned float64 `json:"kbit_reckoned,omitempty"`
	MbitTarget   float64 `json:"mbit_target,omitempty"`
	MbitLimit    float64 `json:"mbit_limit,omitempty"`
	SentPerS     float64 `json:"sent_per_s"` // listeners that all directors sent there in the last second
	Room         float64 `json:"room"`       // 0..1
	WarmUp       float64 `json:"warm_up"`    // 0..1; 1: it gets its whole share

	Mounts []string `json:"mounts"`          // public names of the mounts that it has now
	Lacks  []Lack   `json:"lacks,omitempty"` // what listeners do not hear there although it is up
	// Sessions are its listeners by HLS and DASH who can be moved, by mount; absent: players are
	// moved to it at no mount.
	Sessions []Sessions `json:"sessions,omitempty"`
	// CertificateEnds is when the TLS certificate of its https URL expires; absent: not known.
	CertificateEnds time.Time `json:"certificate_ends,omitzero"`

	Drained bool `json:"drained"`
	// SafeToTerminate says that it is drained, that all directors know, and that at most
	// a threshold of listeners are there or on the way. It is false where nobody knows
	// how many there are.
	SafeToTerminate bool      `json:"safe_to_terminate"`
	Drain           *Drain    `json:"drain,omitempty"`    // nil: it is not drained
	Override        *Override `json:"override,omitempty"` // by operators; nil: none

	Version string `json:"version"` // of Override, for If-Match
}

// NodeDetail is all that is known of one node.
type NodeDetail struct {
	Node
	InternalURL string `json:"internal_url,omitempty"` // by which directors probe it, where that differs
	MaxNewPerS  int    `json:"max_new_per_s,omitempty"`
	Relays      int    `json:"relays,omitempty"` // connections that are relays, not listeners
	// Announced is what its agent registered it with; absent: it is declared in the file.
	Announced *NodeSpec `json:"announced,omitempty"`

	Taken    time.Time `json:"taken,omitzero"`    // when it was probed last, or reported by its agent
	Returned time.Time `json:"returned,omitzero"` // when it last came back from being down; absent: it was never down

	Verdicts  []NodeMount `json:"verdicts"`  // every mount of the fleet
	Sightings []Sighting  `json:"sightings"` // how each director, or its agent, sees it
	// Probes are what came of the last ones by the director that is asked, the newest first:
	// the last ten, and before them rather those with which something changed, such as the
	// first that failed; twenty in all. Empty: it has not probed the node, for two other
	// directors do.
	Probes []Probe `json:"probes"`
}

// Probe is one probe of a node, or one GET of a mount like a listener's.
type Probe struct {
	At     time.Time `json:"at"` // when it began, by the clock of the director's machine
	TookMS float64   `json:"took_ms"`
	URL    string    `json:"url"`             // the node's URL that was asked
	Mount  string    `json:"mount,omitempty"` // its path at the node, if it was requested as a listener would
	Failed bool      `json:"failed"`          // there was no good answer, or a listener would hear nothing
	Detail string    `json:"detail"`          // what was seen
}

// Lasted writes how long it took: "4 ms", "2.1 s".
func (p Probe) Lasted() string {
	if p.TookMS < 1000 {
		return fmt.Sprintf("%.0f ms", max(1, p.TookMS))
	}
	return fmt.Sprintf("%.1f s", p.TookMS/1000)
}

// NodeMount is one mount at one node.
type NodeMount struct {
	Mount  string `json:"mount"`
	Scheme string `json:"scheme"` // http or https
	URL    string `json:"url"`
	// State is what a listener gets: plays, does_not_play, full or unknown.
	State     director.MountState `json:"state"`
	Cause     director.Cause      `json:"cause,omitempty"`
	Detail    string              `json:"detail,omitempty"` // what was seen
	Since     time.Time           `json:"since,omitzero"`
	By        string              `json:"by,omitempty"`
	Listeners *int                `json:"listeners,omitempty"` // in all schemes; absent: nobody counts them
	Limit     int                 `json:"limit,omitempty"`     // the mount's own
	Playing   string              `json:"playing,omitempty"`
}

// Sighting is what one director, or an agent, measured at a node.
type Sighting struct {
	By        string          `json:"by"`
	Health    director.Health `json:"health"`
	Since     time.Time       `json:"since,omitzero"`
	Taken     time.Time       `json:"taken,omitzero"`
	Listeners *int            `json:"listeners,omitempty"` // absent: not counted
	Detail    string          `json:"detail,omitempty"`
}

// Lack is what a node that is up does not play, or not for everybody.
type Lack struct {
	Mount  string              `json:"mount,omitempty"`  // empty: every mount
	Scheme string              `json:"scheme,omitempty"` // http or https; empty: in each
	State  director.MountState `json:"state"`            // does_not_play or full
	Cause  director.Cause      `json:"cause,omitempty"`
	Detail string              `json:"detail,omitempty"` // what was seen
	Since  time.Time           `json:"since,omitzero"`
	By     string              `json:"by,omitempty"` // who saw it
	Text   string              `json:"text"`         // all of that, as operators read it: "lacks /live.mp3 since 20:04: source gone"
}

// CertificateWarning is how long before a certificate ends operators are told.
const CertificateWarning = 14 * 24 * time.Hour

// Attention says in a few words what an operator should look at of a node that is up;
// empty: nothing. A mount that was never there may not be meant to be.
func (n *Node) Attention(now time.Time) string {
	var all []string
	more := 0
	for i := range n.Lacks {
		switch l := &n.Lacks[i]; {
		case l.Cause == director.NotThere:
		case len(all) == 3:
			more++
		default:
			all = append(all, l.Text)
		}
	}
	if more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	switch left := n.CertificateEnds.Sub(now); {
	case n.CertificateEnds.IsZero() || left > CertificateWarning:
	case left <= 0:
		all = append(all, "its certificate has ended")
	default:
		all = append(all, fmt.Sprintf("its certificate ends in %d days", int(left/(24*time.Hour))))
	}
	return strings.Join(all, ", ")
}

// Drain is how far a drained node has emptied.
type Drain struct {
	Since           time.Time `json:"since,omitzero"` // zero: declared in the file, or not known
	Left            *int      `json:"left,omitempty"` // listeners, with those on the way; nil: nobody counts them, as at a disabled node
	SafeToTerminate bool      `json:"safe_to_terminate"`
	Threshold       int       `json:"threshold"` // of listeners that may be left
	// WaitingFor are directors that may not know of the drain and may still send listeners.
	WaitingFor []string `json:"waiting_for,omitempty"`
}

// Holder is the agent that holds a node's id.
type Holder struct {
	Instance string    `json:"instance,omitempty"` // empty: who asks need not know
	Token    string    `json:"token,omitempty"`
	Until    time.Time `json:"until,omitzero"`      // when it ends without another report
	SilentMS int64     `json:"silent_ms,omitempty"` // since its last report
}

// Override is an operator's change that replaces what the file declares.
type Override struct {
	State    store.NodeState `json:"state,omitempty"` // of a node
	By       string          `json:"by"`
	At       time.Time       `json:"at"`
	Why      string          `json:"why,omitempty"`
	Until    time.Time       `json:"until,omitzero"` // when it expires; zero: never
	Revision store.Revision  `json:"revision,omitempty"`
}

// Termination says whether a node may be terminated.
type Termination struct {
	SafeToTerminate bool `json:"safe_to_terminate"`
	Drained         bool `json:"drained"`
	Left            *int `json:"left,omitempty"` // listeners, with those on the way; nil: nobody counts them, as at a disabled node

	WaitingFor []string `json:"waiting_for,omitempty"` // directors that may not know of the drain
}

// MountsAnswer is all mounts, by name or in the file's order.
type MountsAnswer struct {
	Mounts []Mount `json:"mounts"`
}

// Mount is one mount of the fleet.
type Mount struct {
	Name  string `json:"name"`  // "/live.mp3"
	Title string `json:"title"` // declared, or else the station's name
	Type  string `json:"type"`  // media type; empty: not known
	Kbit  int    `json:"kbit,omitempty"`

	Listeners int               `json:"listeners"` // at all nodes that count them, with relays, and inline
	Counted   bool              `json:"counted"`   // some node counts them
	Nodes     []director.NodeID `json:"nodes"`     // that have it now
	Down      []director.NodeID `json:"down"`      // the others
	// Sessions are its listeners by HLS or DASH who can be moved, by node; absent: there are no
	// nodes between which players can be moved.
	Sessions []Sessions `json:"sessions,omitempty"`
	Playing  string     `json:"playing,omitempty"`
	URL      string     `json:"url,omitempty"` // for listeners; empty: the file has no listen.public_urls
}

// RegionsAnswer is all regions, in the file's order.
type RegionsAnswer struct {
	Revision store.Revision `json:"revision"` // number of the newest of the operators' changes
	Regions  []Region       `json:"regions"`
}

// Region is a region with its row of weights.
type Region struct {
	ID    director.RegionID `json:"id"`
	Match string            `json:"match"` // as "DE-BY AT AS3320"; empty: others overflow into it

	Row      []Weight  `json:"row"`                // in force; empty: by distance
	Declared []Weight  `json:"declared"`           // as the file has it
	ByLoad   bool      `json:"by_load"`            // the row in force has no weights: shares go by free capacity
	Override *Override `json:"override,omitempty"` // of the row; nil: none

	Overflow         []director.RegionID `json:"overflow"`                    // regions whose rows come next, in order, when its own has no room
	DeclaredOverflow []director.RegionID `json:"declared_overflow"`           // as the file has it
	OverflowOverride *Override           `json:"overflow_override,omitempty"` // of the overflow; nil: none
	Deny             []string            `json:"deny"`                        // mounts that are not licensed here; "*": all

	Shares   []director.NodeShare `json:"shares"`     // of new listeners, the largest first
	SentPerS float64              `json:"sent_per_s"` // listeners that this director sends to nodes
	// Listeners is how many come from here, reckoned from whom this director has sent to
	// each node.
	Listeners int    `json:"listeners"`
	Centre    *Place `json:"centre,omitempty"` // the middle of what it matches; nil: that has none

	Version         string `json:"version"`          // of the row, for If-Match
	OverflowVersion string `json:"overflow_version"` // of the overflow, for If-Match
}

// Weight is a node's weight in a row; 1 where the row only lists nodes.
type Weight struct {
	Node   director.NodeID `json:"node"`
	Weight float64         `json:"weight"`
}

// ReserveAnswer says who would be turned away if a node or a site died.
type ReserveAnswer struct {
	Nodes []director.Loss `json:"nodes"`
	Sites []director.Loss `json:"sites"`
}

// WhatIfAnswer is a forecast for the present listeners: as things are, and with the
// proposed change.
type WhatIfAnswer struct {
	Now  director.Forecast `json:"now"`
	Then director.Forecast `json:"then"`
	// Loss is what becomes of the listeners of the nodes that the proposal takes out, if
	// they all look for another node at once. For one node or site that fails it is the same as
	// in its reserve. Absent: the proposal takes no node out.
	Loss *director.Loss `json:"loss,omitempty"`
}
