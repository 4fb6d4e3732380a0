package store

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// How long a store keeps what a director that no longer calls has left behind.
// Every store uses these, so that a fleet behaves the same on each.
const (
	// DirectorLife is how long after its last Sync a director counts as live:
	// eight ticks, and short enough for its probing to be taken over within 3 s.
	DirectorLife = 2 * time.Second
	// CountLife is how long its counts stay. Those listeners are on their way
	// whether the director lives or not, and no longer than this.
	CountLife = EnRouteMax
	// ReportLife is how long its reports stay, and the nodes that registered with
	// it: an old report beats none.
	ReportLife = time.Minute
	// Lease is how long a director that has lost its store may use the fleet as it
	// knew it. From then on it prefers nodes that it can confirm itself, and from then
	// on others take it that it sends nobody to a node that was drained meanwhile.
	Lease = 5 * time.Minute
)

var (
	// ErrConflict says that the overlay was edited since it was read.
	ErrConflict = errors.New("the overlay has been edited meanwhile: read it again and repeat the edit")
	// ErrAway says that the store cannot be reached or cannot answer for now:
	// refused, hung, loading, read-only. It never means that the store is empty.
	ErrAway = errors.New("the store is away")
	// ErrClosed says that the store was used after Close.
	ErrClosed = errors.New("the store is closed")
)

// A Store is where directors agree. One handle serves one director; all its
// methods are safe for concurrent use. Every time that passes through it is read
// from the store's clock, which may differ from a director's by any amount.
//
// A call returns soon after its context is done. Arguments and results are
// shared, not copied: from the call on, nobody changes them.
type Store interface {
	// Sync leaves what this director knows and takes what all of them know, in
	// one batch. The Offer replaces, as a whole, what the same director offered
	// before, so that a Sync which is repeated, or which took effect although
	// the caller saw an error, counts once.
	//
	// If the offered overlay has a higher revision than the store's, as after
	// the store was emptied, the store takes it over, as durably as an Edit. In
	// every other case, an equal revision with different content among them,
	// the store's own stands.
	//
	// Any error leaves the caller with the last Picture it had. Errors wrap
	// ErrAway, or are ErrClosed, or are mistakes in the Offer.
	Sync(ctx context.Context, o Offer) (Picture, error)

	// Edit replaces the overlay by o, whose own Revision is ignored, if the
	// store's revision is still at. It returns the revision that o then has,
	// at+1, and returns only once o is as durable as the store can make it. With
	// ErrConflict it returns the revision that stands in the store instead.
	//
	// An Edit that fails in any other way may have taken effect; the next
	// Picture tells.
	Edit(ctx context.Context, at Revision, o Overlay) (Revision, error)

	// Watch returns a channel that receives after the overlay may have changed,
	// by this handle or another. It is a hint: one receive may stand for several
	// edits, and some may go missing; polling with Sync is the truth. The
	// channel is closed once ctx is done or the store is closed, never before.
	Watch(ctx context.Context) <-chan struct{}

	// Close releases the handle. Calls after it return ErrClosed.
	Close() error
}

// An Offer is all that one director knows and others do not.
type Offer struct {
	Director Director
	Counts   []Count           // what it sent away within the last EnRouteMax
	Reports  []director.Report // the newest of each node that it measured
	Overlay  Overlay           // the copy it holds, to refill an empty store

	Registrations []Registration // what agents told it
}

// A Picture is everything that a store knows. It is the same for all directors:
// what the caller has offered is in it too.
type Picture struct {
	Now       time.Time          // the store's clock while it answered
	Overlay   Overlay            // the one that stands
	Directors []Director         // live ones, by ID
	Absent    []Director         // those that are live no more, by ID, up to ReportLife after their last Sync
	Counts    map[string][]Count // by Director.ID, up to CountLife after its last Sync
	Reports   []director.Report  // the newest for each Node and By, in no order

	Registrations []Registration // all that directors offer, in no order
}

// Director is one director, as others see it.
type Director struct {
	ID     string `json:"id"`             // unique to one run of a process
	Site   string `json:"site,omitempty"` // where it stands; may be empty
	Config string `json:"config"`         // a hash of its declared configuration
	// Suspect says why this director does not trust its own probes: most nodes
	// failed for it at once. Empty: it does. Others do without its bad reports.
	Suspect string `json:"suspect,omitempty"`
	// Uncounted is, by mount, how many it carries inline whom no node counts, for
	// they share a connection. It may be below 0.
	Uncounted map[string]int `json:"uncounted,omitempty"`
	Doubts    []Doubt        `json:"doubts,omitempty"` // of the last seconds
	// Addrs are where listeners reach it, for a name of all directors in DNS. None: nobody
	// knows.
	Addrs []netip.Addr `json:"addrs,omitempty"`
	Seen  time.Time    `json:"seen,omitzero"` // its last Sync; set by the store
	// AsOf is the Now of the Picture that its snapshot is built from: it obeys every
	// change that was in the store by then. Zero: it has none yet.
	AsOf time.Time `json:"as_of,omitzero"`
	Left bool      `json:"left,omitempty"` // it has stopped, with this as its last Sync
}

// A Problem is something about a store, or in it, that a handle passes over.
type Problem struct {
	Key    string    `json:"key"` // where it is, in the store's own words
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"` // by this director's clock
}

// A Doctor is a [Store] that knows of problems with itself.
type Doctor interface {
	// Problems returns what is wrong without keeping the store from working, by key.
	Problems() []Problem
}

// A Keeper is a [Store] that keeps the overlay somewhere that can be lost by itself.
type Keeper interface {
	// Trouble says what of the operators' changes is lost or may be, and why; empty: nothing.
	Trouble() string
}

// A Count is how many listeners one director sent to a node within the bucket
// of BucketWidth that begins at At. The number is absolute: it is written again,
// not added to.
type Count struct {
	Node director.NodeID `json:"node"`
	At   time.Time       `json:"at"`
	N    int             `json:"n"`
	// Estimated is how many of N nobody has counted: those whom answers in DNS bring.
	Estimated int `json:"estimated,omitempty"`
}
