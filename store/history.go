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

// Bounds of the history that an overlay keeps. Every director reads the whole
// document after each edit, so it must stay small.
const (
	maxChanges      = 100
	maxHistoryBytes = 256 << 10
)

// A Change is one edit of an overlay.
type Change struct {
	Revision Revision      `json:"revision"` // the one that the change made
	By       string        `json:"by"`
	At       time.Time     `json:"at"`
	Why      string        `json:"why,omitempty"`
	Undoes   Revision      `json:"undoes,omitempty"` // the change that it took back; 0: none
	Entries  []EntryChange `json:"entries"`          // in order of their names; rules in their own order

	Unknown map[string]json.RawMessage `json:"-"`
}

// An EntryChange is what a Change did to one entry.
type EntryChange struct {
	// Entry is its name: "rows/de", "overflows/de", "nodes/fra1", "rules/kitchen", "notes/x". "rules"
	// alone is the order of the rules that existed both before and after the change.
	Entry string `json:"entry"`
	// Before and After are the entry as the overlay has it, or for "rules" the ids in
	// order. Empty: the entry did not exist before, or does not after.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// Next is the id of the rule that followed a removed one; empty: it was the last.
	Next string `json:"next,omitempty"`

	Unknown map[string]json.RawMessage `json:"-"`
}

// ErrNoSuchChange says that the history does not have the change, or no longer has it.
var ErrNoSuchChange = errors.New("the history has no such change; it keeps the newest ones only")

// A StaleError says that an entry is no longer as a change left it.
type StaleError struct {
	Entry string
	Now   Stamp           // of the entry now, or of the change that removed it
	Value json.RawMessage // the entry now; empty: it does not exist
}

// Error says who changed the entry since, and what to do.
func (e *StaleError) Error() string {
	who := "was changed since"
	if e.Now.By != "" {
		who += " by " + e.Now.By + " at " + e.Now.At.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s %s: look at what it is now, and take back the newer change first or edit it as it should be", e.Entry, who)
}

// orderEntry is the entry name for the order of the rules.
const orderEntry = "rules"

// diff returns the entries that differ between two overlays.
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

// sortKey is the same for all rules, so that a stable sort keeps their order.
func (c *EntryChange) sortKey() string {
	if strings.HasPrefix(c.Entry, "rules/") {
		return "rules/"
	}
	return c.Entry
}

// remember appends c to the history and drops the oldest changes beyond its bounds.
// If c alone is too large, the history becomes empty.
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

// undone returns a clone of o in which every entry of the change that made revision
// r is as it was before that change, including its stamp.
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
	for _, c := range slices.Backward(entries) { // so that a restored rule finds the one that followed it
		if err := out.put(c); err != nil {
			return Overlay{}, fmt.Errorf("revision %d cannot be taken back: %w", r, err)
		}
	}
	return out, nil
}

// lastOf returns the stamp of an entry, or of the last change to an entry that no
// longer exists.
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

// sameJSON says whether a and b mean the same. The order of fields, in which
// versions of Signpost may differ, does not matter.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	read := func(raw json.RawMessage) (v any) {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		_ = d.Decode(&v) // invalid JSON becomes nil
		return v
	}
	return len(a) > 0 && len(b) > 0 && reflect.DeepEqual(read(a), read(b))
}
