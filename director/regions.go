package director

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

func (k *compiler) regions() {
	index := make(map[RegionID]int, len(k.cfg.Regions))
	for i, r := range k.cfg.Regions {
		if msg := checkID(string(r.ID)); msg != "" {
			k.fail(msg, "regions", i, "id")
		} else if first, dup := index[r.ID]; dup {
			k.fail(fmt.Sprintf("%q is already the id of region %d; ids must differ", r.ID, first+1), "regions", i, "id")
		} else {
			index[r.ID] = i
		}
	}
	rows := make([]*rung, len(k.cfg.Regions))
	builder := newMatcherBuilder()
	for i, r := range k.cfg.Regions {
		rows[i] = k.row(r, i)
		for _, e := range builder.add(i, r) {
			k.fail(e.Msg, append([]any{"regions", i, "match"}, e.Path...)...)
		}
	}
	k.fleet.match = builder.matcher()
	for i, r := range k.cfg.Regions {
		k.fleet.regions = append(k.fleet.regions, region{id: r.ID, matches: !r.Match.empty(), ladder: k.ladder(r, i, rows, index)})
		k.deny(&k.fleet.regions[i], r, i)
	}
	k.overflowCycles(index)
}

func (k *compiler) row(r Region, i int) *rung {
	out := &rung{name: string(r.ID)}
	seen := map[NodeID]bool{}
	sum := 0.0
	for j, w := range r.Row {
		// A row of given weights is a mapping in the file, one without is a list.
		path := []any{"regions", i, "weights", string(w.Node)}
		if !w.Given {
			path = []any{"regions", i, "weights", j}
		}
		n, there := k.fleet.index[w.Node]
		switch {
		case !there && !k.cfg.Admits(w.Node):
			k.fail(fmt.Sprintf("no node has the id %q%s", w.Node, k.nearMiss(w.Node)), path...)
		case seen[w.Node]:
			k.fail(fmt.Sprintf("node %q stands in this row twice", w.Node), path...)
		case w.Given != r.Row[0].Given:
			k.fail("give every node of a row a weight, or none", path...)
		case w.Given && (!(w.Weight >= 0) || math.IsInf(w.Weight, 0)):
			k.fail(fmt.Sprintf("weight %g: must be 0 or more; 0 sends nobody", w.Weight), path...)
		}
		seen[w.Node] = true
		weight := 1.0
		if w.Given {
			weight = w.Weight
			out.given = true
		}
		sum += weight
		if there {
			out.entries = append(out.entries, entry{node: n, weight: weight})
		}
	}
	if len(r.Row) > 0 && sum == 0 {
		k.fail("every weight is 0: the region's listeners have nowhere to go; drain nodes instead", "regions", i, "weights")
	}
	return out
}

// nearMiss suggests the node whose id differs only in case.
func (k *compiler) nearMiss(id NodeID) string {
	for known := range k.fleet.index {
		if strings.EqualFold(string(known), string(id)) {
			return fmt.Sprintf("; did you mean %q?", known)
		}
	}
	return "; declare it under nodes, or take it out of the row"
}

func (k *compiler) ladder(r Region, i int, rows []*rung, index map[RegionID]int) []*rung {
	var ladder []*rung
	if len(r.Row) > 0 { // though all its nodes may have yet to register
		ladder = append(ladder, rows[i])
	}
	seen := map[RegionID]bool{}
	for j, id := range r.Overflow {
		o, ok := index[id]
		switch {
		case !ok:
			k.fail(fmt.Sprintf("no region has the id %q", id), "regions", i, "overflow", j)
		case id == r.ID:
			k.fail("a region cannot overflow into itself", "regions", i, "overflow", j)
		case seen[id]:
			k.fail(fmt.Sprintf("region %q is listed twice", id), "regions", i, "overflow", j)
		case len(k.cfg.Regions[o].Row) == 0:
			k.fail(fmt.Sprintf("region %q has no weights, so nothing can overflow into it", id), "regions", i, "overflow", j)
		default:
			ladder = append(ladder, rows[o])
		}
		seen[id] = true
	}
	return ladder
}

func (k *compiler) deny(out *region, r Region, i int) {
	for j, name := range r.Deny {
		if name == "*" {
			out.denyAll = true
			continue
		}
		if m, ok := k.fleet.names[name]; ok {
			name = k.fleet.mounts[m].Name
		} else if len(k.fleet.mounts) > 0 {
			k.fail(fmt.Sprintf("no mount is named %q; a denial that names nothing would let everybody listen", name), "regions", i, "deny", j)
		}
		if out.deny == nil {
			out.deny = map[string]bool{}
		}
		out.deny[name] = true
	}
}

func (r *region) denies(mount string) bool {
	return r.denyAll || len(r.deny) > 0 && r.deny[mount]
}

// overflowCycles refuses regions that count on each other's reserve: when both
// are full, neither has any. A region without a match, which only names nodes,
// lets two regions catch each other's listeners on purpose.
func (k *compiler) overflowCycles(index map[RegionID]int) {
	const (
		unseen = iota
		open
		done
	)
	state := make([]int, len(k.cfg.Regions))
	var path []RegionID
	var visit func(i int)
	visit = func(i int) {
		state[i] = open
		path = append(path, k.cfg.Regions[i].ID)
		for j, id := range k.cfg.Regions[i].Overflow {
			o, ok := index[id]
			if !ok || o == i {
				continue // reported already
			}
			switch state[o] {
			case unseen:
				visit(o)
			case open:
				cycle := append(slices.Clone(path[slices.Index(path, id):]), id)
				names := make([]string, len(cycle))
				for n, r := range cycle {
					names[n] = string(r)
				}
				k.fail(fmt.Sprintf("overflow goes in a circle (%s): each would count on the other's reserve; take one out, or overflow into a region without a match that lists the spare nodes", strings.Join(names, " -> ")),
					"regions", i, "overflow", j)
			}
		}
		path = path[:len(path)-1]
		state[i] = done
	}
	for i := range state {
		if state[i] == unseen {
			visit(i)
		}
	}
}
