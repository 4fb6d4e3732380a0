package admin

import (
	"encoding/json"
	"time"

	"github.com/signpost-fm/signpost/store"
)

// HistoryAnswer is what operators changed, the newest first.
type HistoryAnswer struct {
	Revision store.Revision `json:"revision"` // of the overlay
	Changes  []Change       `json:"changes"`
}

// Change is one edit by an operator.
type Change struct {
	Revision store.Revision `json:"revision"` // of the overlay that it made
	By       string         `json:"by"`
	At       time.Time      `json:"at"`
	Why      string         `json:"why,omitempty"`
	Undoes   store.Revision `json:"undoes,omitempty"` // the change that it took back
	Entries  []EntryChange  `json:"entries"`
	Undoable bool           `json:"undoable"`
	WhyNot   string         `json:"why_not,omitempty"` // where it cannot be undone
}

// EntryChange is what a change did to one entry of the overlay.
type EntryChange struct {
	Entry  string          `json:"entry"`            // "rows/de", "nodes/fra1", "rules/kitchen", "notes/x"
	Before json.RawMessage `json:"before,omitempty"` // nil: there was none
	After  json.RawMessage `json:"after,omitempty"`  // nil: there is none
}
