package api

import (
	"encoding/json"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// Edit is what every edit says of itself: a part of its body.
type Edit struct {
	Why   string    `json:"why,omitempty"`
	Until time.Time `json:"until,omitzero"` // from then on it has no effect; zero: until it is taken back
	For   string    `json:"for,omitempty"`  // instead of Until: "2h", "90m"
}

// NodeEdit is the body of POST /api/v1/nodes/{id}/drain, /disable and /resume.
type NodeEdit struct {
	Edit
	Instance string `json:"instance,omitempty"` // an agent's, which drains its own node
}

// RowEdit is the body of PUT /api/v1/regions/{id}/weights.
type RowEdit struct {
	Edit
	Weights map[director.NodeID]float64 `json:"weights"`
}

// RowsEdit is the body of PUT /api/v1/weights: several rows at once, or none of them.
type RowsEdit struct {
	Edit
	Rows map[director.RegionID]RowVersion `json:"rows"`
}

// RowVersion is a row instead of the one of which Version was seen.
type RowVersion struct {
	Version string                      `json:"version"`
	Weights map[director.NodeID]float64 `json:"weights"` // nil: the file's row
}

// RuleEdit is the body of POST /api/v1/rules and PUT /api/v1/rules/{id}.
type RuleEdit struct {
	Edit
	ID     string          `json:"id,omitempty"` // of a new one; empty: one is made up
	Rule   json.RawMessage `json:"rule"`
	Before string          `json:"before,omitempty"` // the id of the rule that a new one goes before; empty: behind all
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
	Rows      map[director.RegionID]map[director.NodeID]float64 `json:"rows,omitempty"`  // nil: the file's row
	Nodes     map[director.NodeID]store.NodeState               `json:"nodes,omitempty"` // empty: resumed
	LostNodes []director.NodeID                                 `json:"lost_nodes,omitempty"`
	LostSites []string                                          `json:"lost_sites,omitempty"`
}
