package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// An Effect is what became of one of the operators' changes. One that is only partly in
// force has several.
type Effect struct {
	Entry  string     `json:"entry"` // "rows/de", "overflows/de", "nodes/fra1"
	Kind   EffectKind `json:"kind"`
	Detail string     `json:"detail"`
}

// EffectKind says what an entry does to the declared configuration.
type EffectKind string

// What an entry can do.
const (
	Masks   EffectKind = "masks"   // it replaces what is declared
	Dormant EffectKind = "dormant" // it names something that does not exist now
	Skipped EffectKind = "skipped" // with it, the configuration would be refused
)

// Apply lays the entries of o that are in force at now over the declared c. It
// changes neither, and its result shares memory with both. It ignores client
// rules and notes. The effects are in order of their entries.
func Apply(c director.Config, o Overlay, now time.Time) (director.Config, []Effect) {
	o = o.InForce(now)
	a := applier{config: c}
	a.config.Nodes = slices.Clone(c.Nodes)
	a.config.Regions = slices.Clone(c.Regions)
	a.nodes = make(map[director.NodeID]int, len(c.Nodes))
	for i, n := range c.Nodes {
		a.nodes[n.ID] = i
	}
	regions := make(map[director.RegionID]int, len(c.Regions))
	for i, r := range c.Regions {
		regions[r.ID] = i
	}
	for _, id := range slices.Sorted(maps.Keys(o.Nodes)) {
		a.node(id, o.Nodes[id])
	}
	for _, id := range slices.Sorted(maps.Keys(o.Rows)) {
		if i, ok := regions[id]; ok {
			a.row(&a.config.Regions[i], o.Rows[id])
		} else {
			a.add("rows/"+string(id), Dormant, "no region has this id")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(o.Overflows)) {
		if i, ok := regions[id]; ok {
			a.overflow(&a.config.Regions[i], o.Overflows[id], regions)
		} else {
			a.add("overflows/"+string(id), Dormant, "no region has this id")
		}
	}
	slices.SortStableFunc(a.effects, func(a, b Effect) int { return cmp.Compare(a.Entry, b.Entry) })
	return a.config, a.effects
}

type applier struct {
	config  director.Config
	nodes   map[director.NodeID]int // index of each in config.Nodes
	effects []Effect
}

func (a *applier) add(entry string, kind EffectKind, detail string) {
	a.effects = append(a.effects, Effect{entry, kind, detail})
}

func (a *applier) node(id director.NodeID, s NodeSetting) {
	entry := "nodes/" + string(id)
	i, ok := a.nodes[id]
	switch {
	case !ok:
		a.add(entry, Dormant, "no node has this id")
	case s.State != NodeDrained && s.State != NodeDisabled:
		a.add(entry, Dormant, fmt.Sprintf("this version of signpost does not know the state %q", s.State))
	default:
		a.config.Nodes[i].Drained = true
		a.add(entry, Masks, string(s.State)+by(s.Stamp))
	}
}

func (a *applier) row(r *director.Region, with Row) {
	entry := "rows/" + string(r.ID)
	var row []director.Weight
	var absent []string
	useful := false
	for _, id := range slices.Sorted(maps.Keys(with.Weights)) {
		_, there := a.nodes[id]
		if !there {
			absent = append(absent, string(id))
			if !a.config.Admits(id) {
				continue
			}
			// It may still register, and then gets its weight, as in a row of the file.
		}
		w := with.Weights[id]
		useful = useful || there && w != 0
		row = append(row, director.Weight{Node: id, Weight: w, Given: true})
	}
	if !useful {
		// An empty row would mean "by distance", which nobody asked for.
		a.add(entry, Dormant, "no node that is there has a weight above 0 in it")
		return
	}
	a.add(entry, Masks, describeRow(row)+" instead of "+describeRow(r.Row)+by(with.Stamp))
	if len(absent) > 0 {
		a.add(entry, Dormant, "no node has the id "+strings.Join(absent, ", "))
	}
	r.Row = row
}

// overflow replaces where a region overflows. Regions that do not exist are left out.
func (a *applier) overflow(r *director.Region, with Overflow, regions map[director.RegionID]int) {
	entry := "overflows/" + string(r.ID)
	var order, absent []director.RegionID
	for _, id := range with.Regions {
		if _, there := regions[id]; there {
			order = append(order, id)
		} else {
			absent = append(absent, id)
		}
	}
	switch {
	case len(order) == 0 && len(absent) > 0:
		a.add(entry, Dormant, "none of its regions exists")
		return
	case len(order) == 0 && len(r.Row) == 0:
		a.add(entry, Dormant, "the region has no row of its own, so its listeners would have nowhere to go")
		return
	}
	a.add(entry, Masks, joinIDs(order)+" instead of "+joinIDs(r.Overflow)+by(with.Stamp))
	if len(absent) > 0 {
		a.add(entry, Dormant, "no region has the id "+joinIDs(absent))
	}
	r.Overflow = order
}

// joinIDs writes an order of regions: "europe, world", or "none".
func joinIDs(all []director.RegionID) string {
	words := make([]string, len(all))
	for i, id := range all {
		words[i] = string(id)
	}
	return cmp.Or(strings.Join(words, ", "), "none")
}

func describeRow(row []director.Weight) string {
	if len(row) == 0 {
		return "distance"
	}
	parts := make([]string, len(row))
	for i, w := range row {
		parts[i] = string(w.Node)
		if w.Given {
			parts[i] = fmt.Sprintf("%s=%g", w.Node, w.Weight)
		}
	}
	return strings.Join(parts, " ")
}

func by(s Stamp) string {
	out := fmt.Sprintf(" (%s, %s", s.By, s.At.UTC().Format(time.RFC3339))
	if s.Why != "" {
		out += ": " + s.Why
	}
	return out + ")"
}

// compile makes the fleet from c with o applied. Entries that would cause it to
// be refused are left out and get the effect Skipped: a director keeps working
// whatever the store holds. An error means that c itself is refused.
func compile(c director.Config, o Overlay, now time.Time) (*director.Fleet, director.Config, []Effect, error) {
	applied, effects := Apply(c, o, now)
	fleet, err := director.Compile(applied)
	if err == nil {
		return fleet, applied, effects, nil
	}
	// Only a row or an overflow can be refused; a drained node never is. Try them one by
	// one, the oldest first, each together with those already accepted. One that is
	// refused may pass with a later one, which ends a circle: so try until none passes.
	all := o
	o.Rows, o.Overflows = map[director.RegionID]Row{}, map[director.RegionID]Overflow{}
	left := all.optional()
	why := map[string]string{}
	for before := -1; before != len(left); {
		before = len(left)
		left = slices.DeleteFunc(left, func(e optional) bool {
			e.set(&o, &all)
			tried, _ := Apply(c, o, now)
			_, err := director.Compile(tried)
			if err != nil {
				why[e.name()] = err.Error()
				e.unset(&o)
			}
			return err == nil
		})
	}
	var skipped []Effect
	for _, e := range left {
		skipped = append(skipped, Effect{e.name(), Skipped, why[e.name()]})
	}
	applied, effects = Apply(c, o, now)
	fleet, err = director.Compile(applied)
	effects = append(effects, skipped...)
	slices.SortStableFunc(effects, func(a, b Effect) int { return cmp.Compare(a.Entry, b.Entry) })
	return fleet, applied, effects, err
}

// optional is a row, or else an overflow, without which an overlay can do.
type optional struct {
	region director.RegionID
	row    bool
	made   Revision
}

// optional returns them in the order in which they were made.
func (o Overlay) optional() (all []optional) {
	for id, e := range o.Rows {
		all = append(all, optional{id, true, e.Revision})
	}
	for id, e := range o.Overflows {
		all = append(all, optional{id, false, e.Revision})
	}
	slices.SortFunc(all, func(a, b optional) int { return cmp.Or(cmp.Compare(a.made, b.made), cmp.Compare(a.name(), b.name())) })
	return all
}

func (e optional) name() string {
	if e.row {
		return "rows/" + string(e.region)
	}
	return "overflows/" + string(e.region)
}

func (e optional) set(o, from *Overlay) {
	if e.row {
		o.Rows[e.region] = from.Rows[e.region]
	} else {
		o.Overflows[e.region] = from.Overflows[e.region]
	}
}

func (e optional) unset(o *Overlay) {
	if e.row {
		delete(o.Rows, e.region)
	} else {
		delete(o.Overflows, e.region)
	}
}
