package admin

import (
	"encoding/json"
	"net/http"
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

const (
	maxNote = 4000                      // bytes of a note
	maxFor  = 10 * 365 * 24 * time.Hour // no operator plans further
)

// until returns when an edit that is made at now expires, after it was checked
// whether it says so well; zero: never.
func (e *Edit) until(now time.Time) (time.Time, error) {
	c := checker{}
	c.text("why", e.Why, maxText)
	until := e.Until
	switch {
	case e.For != "" && !e.Until.IsZero():
		c.fail("for", "give a time until when, or for how long, and not both")
	case e.For != "":
		d, err := time.ParseDuration(e.For)
		if err != nil || d <= 0 || d > maxFor {
			c.fail("for", "%.40q is not for how long; write it as 2h or 90m", e.For)
		}
		until = now.Add(d).Truncate(time.Millisecond)
	case !until.IsZero() && (!until.After(now) || until.Sub(now) > maxFor):
		c.fail("until", "%s is past, or too far away; it is now %s", until.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	if err := c.err(); err != nil {
		return until, problem(http.StatusUnprocessableEntity, err.Error())
	}
	return until.UTC(), nil
}
