package api

import (
	"encoding/json"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// StatusAnswer is the state of this director.
type StatusAnswer struct {
	Director string `json:"director"`       // unique to this run
	Name     string `json:"name,omitempty"` // of the director, the same in all runs
	Site     string `json:"site,omitempty"`
	Version  string `json:"version"`
	UptimeS  int64  `json:"uptime_s"`

	Degraded bool   `json:"degraded"`
	Reason   string `json:"reason,omitempty"` // why

	SnapshotAgeMS int64          `json:"snapshot_age_ms"`
	PictureAgeMS  int64          `json:"picture_age_ms"` // since the store answered last
	Revision      store.Revision `json:"revision"`       // number of the newest of the operators' changes in force

	Directors []Director        `json:"directors"` // live ones, with this one
	Missing   []MissingDirector `json:"missing,omitempty"`
	Effects   []store.Effect    `json:"effects"`  // what became of each of the operators' changes
	Problems  []string          `json:"problems"` // for an operator to look at, each in a sentence: the warnings, and what else there is
	Warnings  []Warning         `json:"warnings"` // what stands until it is mended
	Store     string            `json:"store"`    // memory or redis

	Certificates []Certificate `json:"certificates,omitempty"` // that this director shows
	Databases    []Database    `json:"databases,omitempty"`    // from which this director knows places
}

// Director is one director as others see it.
type Director struct {
	ID         string `json:"id"`             // unique to one run
	Name       string `json:"name,omitempty"` // the same in all runs; absent: an older director's
	Site       string `json:"site,omitempty"`
	Config     string `json:"config"`            // a hash of its file
	SameConfig bool   `json:"same_config"`       // as this director's
	Suspect    string `json:"suspect,omitempty"` // why it does not trust its own probes

	Version string    `json:"version,omitempty"` // of its program; absent: it does not tell
	Started time.Time `json:"started,omitzero"`  // absent: it does not tell
	Seen    time.Time `json:"seen,omitzero"`     // when it spoke to the store last; absent for the one that answers
}

// Certificate is a TLS certificate that a director shows.
type Certificate struct {
	For     string    `json:"for"` // listen or admin: the section of the file
	Names   []string  `json:"names"`
	Ends    time.Time `json:"ends,omitzero"`     // absent: there is none yet
	Problem string    `json:"problem,omitempty"` // why its files cannot be used now, or why there is no new one
}

// Bundle is a certificate with its private key, for a node that answers at a name that the
// directors have a certificate of.
type Bundle struct {
	Name string `json:"name"`
	// PEM has the private key, and the chain of certificates that begins with the name's:
	// Icecast takes both in one file.
	PEM  string    `json:"pem"`
	Ends time.Time `json:"ends"`
}

// Database is a source of places.
type Database struct {
	Type     string    `json:"type"`           // as it calls itself: GeoLite2-City
	Path     string    `json:"path,omitempty"` // of the file; absent: it comes with the program
	Built    time.Time `json:"built,omitzero"` // when its publisher built it; absent: not known
	Embedded bool      `json:"embedded,omitempty"`
}

// MissingDirector is a director that fell silent and did not stop. It may still answer
// listeners, by the fleet as it knew it.
type MissingDirector struct {
	ID    string    `json:"id"`
	Name  string    `json:"name,omitempty"` // absent: an older director's
	Site  string    `json:"site,omitempty"`
	Heard time.Time `json:"heard"` // its last contact with the store
	Until time.Time `json:"until"` // drained nodes wait for it until then
}

// Rates are this director's, in 1/s. Zero rates are left out.
type Rates struct {
	At      time.Time                     `json:"at"`
	Seconds float64                       `json:"seconds"` // over which they were measured
	Answers map[string]float64            `json:"answers"`
	Regions map[director.RegionID]float64 `json:"regions"`
	Nodes   map[director.NodeID]float64   `json:"nodes"`
}

// HistoryAnswer is operators' changes, the newest first.
type HistoryAnswer struct {
	Revision store.Revision `json:"revision"` // number of the newest of the operators' changes
	Changes  []Change       `json:"changes"`
}

// Change is one edit by an operator.
type Change struct {
	Revision store.Revision `json:"revision"` // number of the change
	By       string         `json:"by"`
	At       time.Time      `json:"at"`
	Why      string         `json:"why,omitempty"`
	Undoes   store.Revision `json:"undoes,omitempty"` // the change that it reverts
	Entries  []EntryChange  `json:"entries"`
	Undoable bool           `json:"undoable"`
	WhyNot   string         `json:"why_not,omitempty"` // if it is not
}

// EntryChange is what a change did to one row, node, rule or note.
type EntryChange struct {
	Entry  string          `json:"entry"`            // "rows/de", "overflows/de", "nodes/fra1", "rules/kitchen", "notes/x"
	Before json.RawMessage `json:"before,omitempty"` // nil: there was none
	After  json.RawMessage `json:"after,omitempty"`  // nil: there is none
}

// OverlayAnswer is all of operators' changes, and their effects.
type OverlayAnswer struct {
	Overlay store.Overlay  `json:"overlay"`
	Effects []store.Effect `json:"effects"`
}
