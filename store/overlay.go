package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A Revision numbers the states of an Overlay. 0 is the empty overlay, before the
// first edit.
type Revision uint64

// An Overlay is what operators changed at run time, over the declared file: one
// document, edited by compare-and-set. It is immutable once handed over; an edit
// starts from a [Overlay.Clone].
//
// An entry for a node or region that does not exist is kept, and has no effect until
// it exists; but the setting of a registered node is removed when the node leaves.
// Fields that a newer Signpost wrote are kept unchanged.
type Overlay struct {
	Revision Revision                  `json:"revision"`
	Rows     map[director.RegionID]Row `json:"rows,omitempty"`
	// Overflows are the operators' orders of overflow. A Signpost that does not know them
	// keeps them, and uses the file's.
	Overflows map[director.RegionID]Overflow  `json:"overflows,omitempty"`
	Nodes     map[director.NodeID]NodeSetting `json:"nodes,omitempty"`
	Rules     []Rule                          `json:"rules,omitempty"` // in order: the first match wins
	Notes     []Note                          `json:"notes,omitempty"`
	History   []Change                        `json:"history,omitempty"` // the newest changes, the oldest of them first

	Unknown map[string]json.RawMessage `json:"-"`
	// Ends says, by name, when entries end whose Until was computed from a time in the
	// future. A Syncer sets it; it is not part of the document.
	Ends map[string]time.Time `json:"-"`
}

// Stamp is what every entry carries: who, when, why, and until when.
type Stamp struct {
	By    string    `json:"by"` // the operator, or the name of the token
	At    time.Time `json:"at"`
	Why   string    `json:"why,omitempty"`
	Until time.Time `json:"until,omitzero"` // from then on it has no effect; zero: it does not expire
	// Revision is that of the edit that made the entry as it is. 0: an older Signpost did.
	Revision Revision `json:"revision,omitempty"`

	Unknown map[string]json.RawMessage `json:"-"`
}

// A Row replaces a region's whole row of weights.
type Row struct {
	Weights map[director.NodeID]float64 `json:"weights"` // 0 or more each, not all 0
	Stamp
}

// An Overflow replaces the regions that a region overflows into.
type Overflow struct {
	// Regions are those whose rows come next, in order. Empty: none do.
	Regions []director.RegionID `json:"regions"`
	Stamp
}

// A NodeSetting takes a node out of use.
type NodeSetting struct {
	State NodeState `json:"state"`
	// Since is when the node was taken out of use, if the entry was edited after that
	// without putting it back in use; zero: at the Stamp's At.
	Since time.Time `json:"since,omitzero"`
	Stamp
}

// Began returns when the node was taken out of use.
func (n NodeSetting) Began() time.Time {
	if n.Since.IsZero() {
		return n.At
	}
	return n.Since
}

// NodeState is the state that an operator gave a node. A state that only a newer
// Signpost knows has no effect, and its Effect says so.
type NodeState string

// The states that an operator can give a node.
const (
	NodeDrained  NodeState = "drained"  // it takes no new listeners
	NodeDisabled NodeState = "disabled" // it takes no new listeners and is not probed
)

// A Rule is an operator's client rule. The web package interprets its content; this
// one only stores it.
type Rule struct {
	ID   string          `json:"id"`
	Rule json.RawMessage `json:"rule"`
	Stamp
}

// A Note is a message from one operator to the others.
type Note struct {
	ID    string `json:"id"`
	About string `json:"about,omitempty"` // an entry's name, such as "nodes/fra1"; empty: the fleet
	Text  string `json:"text"`
	Stamp
}

// Clone returns a copy that can be edited without changing o. The weights of a
// Row, the regions of an Overflow, the bytes of a Rule and the history are shared: replace them, do not write
// to them.
func (o Overlay) Clone() Overlay {
	o.Rows = maps.Clone(o.Rows)
	o.Overflows = maps.Clone(o.Overflows)
	o.Nodes = maps.Clone(o.Nodes)
	o.Rules = slices.Clone(o.Rules)
	o.Notes = slices.Clone(o.Notes)
	o.Unknown = maps.Clone(o.Unknown)
	return o
}

// InForce returns o without the entries that have expired at now.
func (o Overlay) InForce(now time.Time) Overlay {
	o = o.Clone()
	over := map[string]bool{}
	o.each(func(name string, _ any, s *Stamp) bool {
		end := o.end(name, s)
		over[name] = !end.IsZero() && !end.After(now)
		return false
	})
	maps.DeleteFunc(o.Rows, func(id director.RegionID, _ Row) bool { return over["rows/"+string(id)] })
	maps.DeleteFunc(o.Overflows, func(id director.RegionID, _ Overflow) bool { return over["overflows/"+string(id)] })
	maps.DeleteFunc(o.Nodes, func(id director.NodeID, _ NodeSetting) bool { return over["nodes/"+string(id)] })
	o.Rules = slices.DeleteFunc(o.Rules, func(e Rule) bool { return over[ruleEntry(e.ID)] })
	o.Notes = slices.DeleteFunc(o.Notes, func(e Note) bool { return over["notes/"+e.ID] })
	return o
}

// NextExpiry returns when the next entry that is in force at now will expire,
// or the zero Time if none will.
func (o Overlay) NextExpiry(now time.Time) time.Time {
	var next time.Time
	for name, s := range o.stamps() {
		if end := o.end(name, &s); end.After(now) && (next.IsZero() || end.Before(next)) {
			next = end
		}
	}
	return next
}

// Told returns the stamp of an entry as people should read it. now is the store's
// time: At is no later than that, and Until is when the entry really ends.
func (o Overlay) Told(name string, s Stamp, now time.Time) Stamp {
	s.Until = o.end(name, &s)
	notAfter(now, &s.At)
	return s
}

// end returns when an entry ends; zero: never.
func (o Overlay) end(name string, s *Stamp) time.Time {
	if end, ok := o.Ends[name]; ok {
		return end
	}
	return s.Until
}

// Validate says what is wrong with o in itself, independent of the fleet: the errors
// of all entries, joined, each with the entry's name. It accepts what a newer
// Signpost may have written.
func (o Overlay) Validate() error {
	var errs []error
	fail := func(kind, id, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s/%s: "+format, append([]any{kind, id}, args...)...))
	}
	for id, row := range o.Rows {
		sum := 0.0
		for node, w := range row.Weights {
			if !(w >= 0) || math.IsInf(w, 0) {
				fail("rows", string(id), "weight %g of node %s must be 0 or more", w, node)
			}
			sum += w
		}
		if sum == 0 && row.Unknown == nil {
			fail("rows", string(id), "no weight is above 0, so its listeners would have nowhere to go; drain the nodes, or take the row back")
		}
	}
	for id, w := range o.Overflows {
		for i, to := range w.Regions {
			switch {
			case to == id:
				fail("overflows", string(id), "a region does not overflow into itself; leave it out")
			case to == "" || slices.Contains(w.Regions[:i], to):
				fail("overflows", string(id), "%q is there twice, or is no id; name each region once", to)
			}
		}
	}
	for id, n := range o.Nodes {
		if n.State == "" {
			fail("nodes", string(id), "has no state; give %q or %q, or take the entry out", NodeDrained, NodeDisabled)
		}
	}
	seen := map[string]bool{}
	for _, r := range o.Rules {
		if r.ID == "" || seen[r.ID] {
			fail("rules", r.ID, "needs an id of its own")
		}
		if !json.Valid(r.Rule) {
			fail("rules", r.ID, "its content is not JSON")
		}
		seen[r.ID] = true
	}
	clear(seen)
	for _, n := range o.Notes {
		if n.ID == "" || seen[n.ID] {
			fail("notes", n.ID, "needs an id of its own")
		}
		seen[n.ID] = true
	}
	for name, s := range o.stamps() {
		if s.By == "" || s.At.IsZero() {
			errs = append(errs, fmt.Errorf("%s: does not say who made it and when", name))
		}
		if !s.Until.IsZero() && !s.Until.After(s.At) {
			errs = append(errs, fmt.Errorf("%s: expires before it was made", name))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
