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

// An Effect is what became of one entry of an overlay. An entry that is only
// partly in force has several.
type Effect struct {
	Entry  string     `json:"entry"` // "rows/de", "nodes/fra1"
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
	// Only a row can be refused; a drained node never is. Try rows one by one,
	// each together with those already accepted.
	rows := o.Rows
	o.Rows = map[director.RegionID]Row{}
	var skipped []Effect
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		o.Rows[id] = rows[id]
		tried, _ := Apply(c, o, now)
		if _, err := director.Compile(tried); err != nil {
			delete(o.Rows, id)
			skipped = append(skipped, Effect{"rows/" + string(id), Skipped, err.Error()})
		}
	}
	applied, effects = Apply(c, o, now)
	fleet, err = director.Compile(applied)
	effects = append(effects, skipped...)
	slices.SortStableFunc(effects, func(a, b Effect) int { return cmp.Compare(a.Entry, b.Entry) })
	return fleet, applied, effects, err
}
