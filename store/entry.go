package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/director"
)

// each calls do for every entry with its name, such as "rows/de", a pointer to a
// copy of it, and the copy's stamp. If do returns true, the copy replaces the
// entry; o must then be a clone.
func (o Overlay) each(do func(name string, entry any, s *Stamp) (changed bool)) {
	for id, e := range o.Rows {
		if do("rows/"+string(id), &e, &e.Stamp) {
			o.Rows[id] = e
		}
	}
	for id, e := range o.Overflows {
		if do("overflows/"+string(id), &e, &e.Stamp) {
			o.Overflows[id] = e
		}
	}
	for id, e := range o.Nodes {
		if do("nodes/"+string(id), &e, &e.Stamp) {
			o.Nodes[id] = e
		}
	}
	for i, e := range o.Rules {
		if do(ruleEntry(e.ID), &e, &e.Stamp) {
			o.Rules[i] = e
		}
	}
	for i, e := range o.Notes {
		if do("notes/"+e.ID, &e, &e.Stamp) {
			o.Notes[i] = e
		}
	}
}

func ruleEntry(id string) string { return "rules/" + id }

// stamps returns every entry's Stamp by the entry's name.
func (o Overlay) stamps() map[string]Stamp {
	all := map[string]Stamp{}
	o.each(func(name string, _ any, s *Stamp) bool { all[name] = *s; return false })
	return all
}

// entries returns every entry as the document has it, by name.
func (o Overlay) entries() map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	o.each(func(name string, e any, _ *Stamp) bool { all[name] = encode(e); return false })
	return all
}

// encode returns the JSON of a part of an overlay, or nil if JSON has no form for
// it: an overlay with such a part is refused elsewhere.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

// restamp sets the stamp s on every entry that differs from before. It keeps the
// unknown fields of the old stamp.
func (o Overlay) restamp(before map[string]json.RawMessage, s Stamp) {
	o.each(func(name string, e any, old *Stamp) bool {
		if raw := encode(e); raw != nil && string(raw) == string(before[name]) {
			return false
		}
		unknown := old.Unknown
		*old = s
		old.Unknown = unknown
		return true
	})
}

// put restores an entry to its value before c.
func (o *Overlay) put(c EntryChange) error {
	kind, id, _ := strings.Cut(c.Entry, "/")
	switch kind {
	case "rows":
		return putIn(&o.Rows, director.RegionID(id), c.Before)
	case "overflows":
		return putIn(&o.Overflows, director.RegionID(id), c.Before)
	case "nodes":
		return putIn(&o.Nodes, director.NodeID(id), c.Before)
	case "notes":
		at := slices.IndexFunc(o.Notes, func(n Note) bool { return n.ID == id })
		return putAt(&o.Notes, at, len(o.Notes), c.Before)
	case "rules":
		if c.Entry == orderEntry {
			return o.reorder(c.Before)
		}
		next := o.ruleAt(c.Next)
		if next < 0 {
			next = len(o.Rules)
		}
		return putAt(&o.Rules, o.ruleAt(id), next, c.Before)
	}
	return fmt.Errorf("this version of signpost does not know entries such as %q", c.Entry)
}

func putIn[K comparable, E any](m *map[K]E, id K, raw json.RawMessage) error {
	if raw == nil {
		delete(*m, id)
		return nil
	}
	var e E
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	if *m == nil {
		*m = map[K]E{}
	}
	(*m)[id] = e
	return nil
}

// putAt replaces the entry at index at, or inserts it at index elsewhere if at is
// negative. If raw is nil it removes the entry.
func putAt[E any](list *[]E, at, elsewhere int, raw json.RawMessage) error {
	if raw == nil {
		if at >= 0 {
			*list = slices.Delete(*list, at, at+1)
		}
		return nil
	}
	var e E
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	if at < 0 {
		*list = slices.Insert(*list, elsewhere, e)
	} else {
		(*list)[at] = e
	}
	return nil
}

// ruleAt returns the index of a rule, or -1.
func (o Overlay) ruleAt(id string) int {
	return slices.IndexFunc(o.Rules, func(r Rule) bool { return r.ID == id })
}

// ruleAfter returns the id of the rule after the one that entry names; empty: none.
func (o Overlay) ruleAfter(entry string) string {
	id, ok := strings.CutPrefix(entry, "rules/")
	if at := o.ruleAt(id); ok && at >= 0 && at+1 < len(o.Rules) {
		return o.Rules[at+1].ID
	}
	return ""
}

// orderOf returns the ids for which there is a rule, in the order of the rules.
func (o Overlay) orderOf(ids json.RawMessage) []string {
	var some, out []string
	_ = json.Unmarshal(ids, &some) // anything but a list counts as empty
	for _, r := range o.Rules {
		if slices.Contains(some, r.ID) {
			out = append(out, r.ID)
		}
	}
	return out
}

// reorder puts the named rules into this order. Together they keep their places
// among the other rules.
func (o *Overlay) reorder(order json.RawMessage) error {
	var ids []string
	if err := json.Unmarshal(order, &ids); err != nil {
		return err
	}
	var places []int
	var rules []Rule
	for i, r := range o.Rules {
		if slices.Contains(ids, r.ID) {
			places = append(places, i)
			rules = append(rules, r)
		}
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return slices.Index(ids, a.ID) - slices.Index(ids, b.ID) })
	for i, at := range places {
		o.Rules[at] = rules[i]
	}
	return nil
}
