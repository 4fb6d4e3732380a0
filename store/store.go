package store

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// How long a store keeps the data of a director that no longer calls. All stores use
// these values, so that a fleet behaves the same on each.
const (
	// DirectorLife is how long after its last Sync a director counts as live:
	// eight ticks, and short enough for its probing to be taken over within 3 s.
	DirectorLife = 2 * time.Second
	// CountLife is how long its counts are kept. Those listeners are en route whether
	// the director is live or not, and no longer than this.
	CountLife = EnRouteMax
	// ReportLife is how long its reports are kept, and the nodes that registered with
	// it: an old report is better than none.
	ReportLife = time.Minute
	// Lease is how long a director without its store may use the fleet as it last knew
	// it. After that it prefers nodes that it can confirm itself, and the others assume
	// that it no longer sends listeners to a node that was drained meanwhile.
	Lease = 5 * time.Minute
)

var (
	// ErrConflict says that the overlay was edited since it was read.
	ErrConflict = errors.New("operators' changes came in between: read again and repeat the edit")
	// ErrAway says that the store cannot be reached or cannot answer for now: it
	// refuses, hangs, loads or is read-only. It never means that the store is empty.
	ErrAway = errors.New("the store is away")
	// ErrClosed says that the store was used after Close.
	ErrClosed = errors.New("the store is closed")
)

// A Store is what the directors of a fleet share. One handle serves one director;
// all its methods are safe for concurrent use. All times that pass through it are by
// the store's clock, which may differ from a director's by any amount.
//
// A call returns soon after its context is done. Arguments and results are
// shared, not copied: from the call on, nobody changes them.
type Store interface {
	// Sync sends what this director knows and returns what all of them know, in one
	// batch. The Offer replaces, as a whole, what the same director offered before,
	// so that a Sync which is repeated, or which took effect although the caller saw
	// an error, counts once.
	//
	// If the offered overlay has a higher revision than the store's, for example after
	// the store was emptied, the store takes it over, as durably as with an Edit. In
	// every other case, including an equal revision with different content, the store
	// keeps its own.
	//
	// After an error the caller goes on with its last Picture. Errors wrap ErrAway, or
	// are ErrClosed, or are mistakes in the Offer.
	Sync(ctx context.Context, o Offer) (Picture, error)

	// Edit replaces the overlay by o, whose own Revision is ignored, if the store's
	// revision is still at. It returns o's new revision, at+1, once o is as durable as
	// the store can make it. With ErrConflict it returns the store's current revision
	// instead.
	//
	// An Edit that fails in any other way may have taken effect; the next Picture
	// shows whether it has.
	Edit(ctx context.Context, at Revision, o Overlay) (Revision, error)

	// Watch returns a channel that receives after the overlay may have changed,
	// by this handle or another. It is a hint: one receive may stand for several
	// edits, and some may be lost; only Sync is reliable. The channel is closed once
	// ctx is done or the store is closed, never before.
	Watch(ctx context.Context) <-chan struct{}

	// Close releases the handle. Calls after it return ErrClosed.
	Close() error
}

// An Offer is all that one director knows and others do not.
type Offer struct {
	Director Director
	Counts   []Count            // the listeners that it sent to nodes within about EnRouteMax
	Reports  []*director.Report // the newest of each node that it measured, one for each Node and By
	Overlay  Overlay            // the copy that it holds, to refill an empty store

	Registrations []Registration // the registered nodes that it offers to the others
}

// A Picture is everything that a store knows. It is the same for all directors,
// and includes what the caller has offered.
type Picture struct {
	Now       time.Time          // the store's clock while it answered
	Overlay   Overlay            // the current one
	Directors []Director         // live ones, in order of ID
	Absent    []Director         // no longer live ones, in order of ID, up to ReportLife after their Sync
	Counts    map[string][]Count // by Director.ID, up to CountLife after its last Sync
	Reports   []*director.Report // the newest for each Node and By, in no order

	Registrations []Registration // all that directors offer, in no order
}

// Director is one director, as others see it.
type Director struct {
	ID     string `json:"id"`             // unique to one run of a process
	Name   string `json:"name,omitempty"` // the same in all runs, for people; empty: an older director's
	Site   string `json:"site,omitempty"` // where it is; may be empty
	Config string `json:"config"`         // a hash of its declared configuration
	// Version is of its program, and Started when it first heard from the store. Older
	// directors tell neither.
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started,omitzero"`
	// Suspect says why this director does not trust its own probes: most nodes failed
	// for it at once. Empty: it trusts them. Others do not rely on its reports of failure.
	Suspect string `json:"suspect,omitempty"`
	// Uncounted is, by mount, how many listeners it carries inline that no node counts,
	// because they share a connection. It may be below 0.
	Uncounted map[string]int `json:"uncounted,omitempty"`
	// Sessions are the listeners that it counts itself.
	Sessions Sessions `json:"sessions,omitempty"`
	Moves    Moves    `json:"moves,omitempty"`
	Doubts   []Doubt  `json:"doubts,omitempty"` // of the last seconds
	// Addrs are the addresses where listeners reach it, for a DNS name of all directors.
	// Empty: they are not known.
	Addrs []netip.Addr `json:"addrs,omitempty"`
	Seen  time.Time    `json:"seen,omitzero"` // its last Sync; set by the store
	// AsOf is the Now of the Picture that its snapshot is built from: it obeys every
	// change that was in the store by then. Zero: it has no snapshot yet.
	AsOf time.Time `json:"as_of,omitzero"`
	// Leaving says that it takes no new listeners any more: it stops, or another process
	// has taken its place.
	Leaving bool `json:"leaving,omitempty"`
	Left    bool `json:"left,omitempty"` // it has stopped; this was its last Sync
}

// A Problem is something wrong with a store, or in it, that a handle works around.
type Problem struct {
	Key    string    `json:"key"` // where it is, in the store's own words
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"` // by this director's clock
}

// A Doctor is a [Store] that knows of problems with itself.
type Doctor interface {
	// Problems returns what is wrong while the store still works, in order of the keys.
	Problems() []Problem
}

// A Keeper is a [Store] that keeps the overlay in a place that can fail by itself.
type Keeper interface {
	// Trouble says which operators' changes are lost or may be, and why; empty: none.
	Trouble() string
	// Release lets another process have that place: from then on edits are refused, with
	// ErrAway, and all else goes on.
	Release() error
	// Claim says that another process has released the place, and takes it.
	Claim()
}

// A Count is how many listeners one director sent to a node within the bucket
// of BucketWidth that begins at At. The number is absolute: a later Count of the
// same bucket replaces it.
type Count struct {
	Node director.NodeID `json:"node"`
	At   time.Time       `json:"at"`
	N    int             `json:"n"`
	// Estimated is how many of N are an estimate: listeners that DNS answers bring.
	Estimated int `json:"estimated,omitempty"`
}
