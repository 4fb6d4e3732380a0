package api

import (
	"encoding/json"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// Edit is in every edit's body.
type Edit struct {
	Why   string    `json:"why,omitempty"`
	Until time.Time `json:"until,omitzero"` // when it expires; zero: never
	For   string    `json:"for,omitempty"`  // instead of Until: "2h", "90m"
}

// NodeEdit is the body of POST /api/v1/nodes/{id}/drain, /disable and /resume.
type NodeEdit struct {
	Edit
	Instance string `json:"instance,omitempty"` // of an agent that drains its own node
}

// RowEdit is the body of PUT /api/v1/regions/{id}/weights.
type RowEdit struct {
	Edit
	Weights map[director.NodeID]float64 `json:"weights"`
}

// OverflowEdit is the body of PUT /api/v1/regions/{id}/overflow.
type OverflowEdit struct {
	Edit
	Overflow []director.RegionID `json:"overflow"` // the regions whose rows come next, in order; empty: none
}

// RowsEdit is the body of PUT /api/v1/weights: several rows and overflows at once, or none
// of them.
type RowsEdit struct {
	Edit
	Rows      map[director.RegionID]RowVersion      `json:"rows,omitempty"`
	Overflows map[director.RegionID]OverflowVersion `json:"overflows,omitempty"`
}

// RowVersion is a row, and the version of the row that it replaces.
type RowVersion struct {
	Version string                      `json:"version"`
	Weights map[director.NodeID]float64 `json:"weights"` // nil: the file's row
}

// OverflowVersion is an overflow, and the version of the overflow that it replaces.
type OverflowVersion struct {
	Version  string              `json:"version"`
	Overflow []director.RegionID `json:"overflow"` // nil: the file's
}

// RuleEdit is the body of POST /api/v1/rules and PUT /api/v1/rules/{id}.
type RuleEdit struct {
	Edit
	ID     string          `json:"id,omitempty"` // of a new rule; empty: the director chooses one
	Rule   json.RawMessage `json:"rule"`
	Before string          `json:"before,omitempty"` // the id of the rule that it goes before; empty: last
}

// NoteEdit is the body of PUT /api/v1/notes/{id}.
type NoteEdit struct {
	Edit
	About string `json:"about,omitempty"` // an entry's name, such as "nodes/fra1"; empty: the fleet
	Text  string `json:"text"`
}

// UndoEdit is the body of POST /api/v1/history/{revision}/undo.
type UndoEdit struct {
	Why string `json:"why,omitempty"`
}

// WhatIfQuestion is the body of POST /api/v1/whatif.
type WhatIfQuestion struct {
	Rows      map[director.RegionID]map[director.NodeID]float64 `json:"rows,omitempty"`      // nil: the file's row
	Overflows map[director.RegionID][]director.RegionID         `json:"overflows,omitempty"` // nil: the file's overflow
	Nodes     map[director.NodeID]store.NodeState               `json:"nodes,omitempty"`     // empty: resumed
	LostNodes []director.NodeID                                 `json:"lost_nodes,omitempty"`
	LostSites []string                                          `json:"lost_sites,omitempty"`
}

// SimulationQuestion is the body of POST /api/v1/whatif/simulation: what is proposed is in
// force from the beginning, and what is lost is lost after a minute.
type SimulationQuestion struct {
	WhatIfQuestion
	Minutes     float64 `json:"minutes,omitempty"`      // that are played from the present state on, up to 60; 15, if absent
	LostMinutes float64 `json:"lost_minutes,omitempty"` // after which what was lost is back; absent: it is not
}

// SimulationLine is a line of the answer. The last one has a report or an error.
type SimulationLine struct {
	Progress float64         `json:"progress"`         // how much of it is played, 0..1
	Report   json.RawMessage `json:"report,omitempty"` // as `signpost simulate --json` prints it
	Error    string          `json:"error,omitempty"`
}
