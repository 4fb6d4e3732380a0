package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// How much of its history an overlay keeps. Every director reads the whole
// document after each edit, so that it must stay small.
const (
	maxChanges      = 100
	maxHistoryBytes = 256 << 10
)

// A Change is one edit of an overlay.
type Change struct {
	Revision Revision      `json:"revision"` // of the overlay that it made
	By       string        `json:"by"`
	At       time.Time     `json:"at"`
	Why      string        `json:"why,omitempty"`
	Undoes   Revision      `json:"undoes,omitempty"` // the change that it took back; 0: none
	Entries  []EntryChange `json:"entries"`          // in order of their names, rules as they stand

	Unknown map[string]json.RawMessage `json:"-"`
}

// An EntryChange is what a Change did to one entry.
type EntryChange struct {
	// Entry names it: "rows/de", "nodes/fra1", "rules/kitchen", "notes/x". "rules"
	// alone is the order of those rules that were there before and are after it.
	Entry string `json:"entry"`
	// Before and After are the entry as it stands in the overlay, or the ids of
	// "rules" in order. Empty: there was none, or is none.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// Next is the rule that one which was taken out stood before; empty: it was the last.
	Next string `json:"next,omitempty"`

	Unknown map[string]json.RawMessage `json:"-"`
}

// ErrNoSuchChange says that the history does not have the change, or no longer.
var ErrNoSuchChange = errors.New("the history has no such change; it keeps the newest ones only")

// A StaleError says that an entry is no longer as a change left it.
type StaleError struct {
	Entry string
	Now   Stamp           // who made what stands there now, or took away what stood there
	Value json.RawMessage // what stands there now; empty: nothing
}

// Error says who was there meanwhile, and what to do.
func (e *StaleError) Error() string {
	who := "was changed since"
	if e.Now.By != "" {
		who += " by " + e.Now.By + " at " + e.Now.At.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s %s: look at what it is now, and take back the newer change first or edit it as it should be", e.Entry, who)
}

// orderEntry is the name under which a history has the order of rules.
const orderEntry = "rules"

// diff returns what differs between two overlays, by entry.
func diff(before, after Overlay) []EntryChange {
	old, now := before.entries(), after.entries()
	var out []EntryChange
	before.each(func(name string, _ any, _ *Stamp) bool {
		c := EntryChange{Entry: name, Before: old[name], After: now[name]}
		if c.After == nil {
			c.Next = before.ruleAfter(name)
		}
		if !bytes.Equal(c.Before, c.After) {
			out = append(out, c)
		}
		return false
	})
	after.each(func(name string, _ any, _ *Stamp) bool {
		if old[name] == nil {
			out = append(out, EntryChange{Entry: name, After: now[name]})
		}
		return false
	})
	stays := func(in Overlay) (ids []string) {
		for _, r := range in.Rules {
			if name := ruleEntry(r.ID); old[name] != nil && now[name] != nil {
				ids = append(ids, r.ID)
			}
		}
		return ids
	}
	if b, a := stays(before), stays(after); !slices.Equal(b, a) {
		out = append(out, EntryChange{Entry: orderEntry, Before: encode(b), After: encode(a)})
	}
	slices.SortStableFunc(out, func(a, b EntryChange) int { return cmp.Compare(a.sortKey(), b.sortKey()) })
	return out
}

// sortKey leaves rules in the order in which they stand.
func (c *EntryChange) sortKey() string {
	if strings.HasPrefix(c.Entry, "rules/") {
		return "rules/"
	}
	return c.Entry
}

// remember appends c to the history, and lets go of the oldest changes beyond
// what it may hold. A change that is too large by itself is not kept.
func (o *Overlay) remember(c Change) {
	all := append(slices.Clone(o.History), c)
	first, size := len(all), len("[]")
	for first > 0 && len(all)-first < maxChanges {
		if size += len(encode(all[first-1])) + len(","); size > maxHistoryBytes {
			break
		}
		first--
	}
	o.History = slices.Clone(all[first:])
}

// CanUndo says whether the change that made revision r can be taken back: nil, a
// *[StaleError], or an error that wraps [ErrNoSuchChange].
func (o Overlay) CanUndo(r Revision) error {
	_, err := o.undone(r)
	return err
}

// undone returns a clone of o in which every entry is as it was before the change
// that made revision r, stamp and all.
func (o Overlay) undone(r Revision) (Overlay, error) {
	i := slices.IndexFunc(o.History, func(c Change) bool { return c.Revision == r })
	if i < 0 {
		return Overlay{}, fmt.Errorf("revision %d: %w", r, ErrNoSuchChange)
	}
	entries := o.History[i].Entries
	now := o.entries()
	for _, c := range entries {
		value := now[c.Entry]
		if c.Entry == orderEntry {
			value = encode(o.orderOf(c.After))
		}
		if !sameJSON(value, c.After) {
			return Overlay{}, &StaleError{Entry: c.Entry, Now: o.lastOf(c.Entry), Value: value}
		}
	}
	out := o.Clone()
	for _, c := range slices.Backward(entries) { // so that a rule finds the one that it stood before
		if err := out.put(c); err != nil {
			return Overlay{}, fmt.Errorf("revision %d cannot be taken back: %w", r, err)
		}
	}
	return out, nil
}

// lastOf says who made an entry, or took it away.
func (o Overlay) lastOf(entry string) Stamp {
	if s, ok := o.stamps()[entry]; ok {
		return s
	}
	for _, c := range slices.Backward(o.History) {
		if slices.ContainsFunc(c.Entries, func(e EntryChange) bool { return e.Entry == entry }) {
			return Stamp{By: c.By, At: c.At, Why: c.Why, Revision: c.Revision}
		}
	}
	return Stamp{}
}

// sameJSON says whether a and b mean the same, whatever order a Signpost of
// another version writes its fields in.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	read := func(raw json.RawMessage) (v any) {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		_ = d.Decode(&v) // no JSON is nil, which equals nothing that is there
		return v
	}
	return len(a) > 0 && len(b) > 0 && reflect.DeepEqual(read(a), read(b))
}
