package director

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// A Crowd is the listeners of one mount who belong to one region.
type Crowd struct {
	Region RegionID // empty: no region matches them
	Mount  string   // its public name; empty: not known, and any mount is as good
}

// A Demand is how many listeners of each crowd need a seat.
type Demand map[Crowd]float64

// crowds returns the crowds that have listeners, in a fixed order: sums of floats depend
// on it.
func (d Demand) crowds() []Crowd {
	all := slices.SortedFunc(maps.Keys(d), func(a, b Crowd) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.Mount, b.Mount))
	})
	return slices.DeleteFunc(all, func(c Crowd) bool { return d[c] <= 0 })
}

// Regions returns the listeners by region. Their sum is that of d, rounded.
func (d Demand) Regions() map[RegionID]int { return by(d, func(c Crowd) RegionID { return c.Region }) }

// by adds up the listeners by a property of their crowd. The results are rounded so that
// they add up to the rounded sum.
func by[K cmp.Ordered](d Demand, property func(Crowd) K) map[K]int {
	exact := map[K]float64{}
	for _, c := range d.crowds() {
		exact[property(c)] += d[c]
	}
	out := make(map[K]int, len(exact))
	sum, given := 0.0, 0
	for _, key := range slices.Sorted(maps.Keys(exact)) {
		sum += exact[key]
		out[key] = int(math.Round(sum)) - given
		given += out[key]
	}
	return out
}

// A Mix returns how many of a node's listeners came from each region, in any unit. A nil
// Mix or an empty result means: not known.
type Mix func(NodeID) map[RegionID]float64

// Demand returns who listens to the nodes now, with those who are on their way; if none
// is named, to all nodes. mix may be nil.
//
// Which regions a node's listeners came from is what mix says. Where it says nothing,
// they are assumed to come from the regions that list the node, in proportion to the
// node's part of each region's row, as if all regions had equally many listeners. If no
// region lists the node in its own row, they come from the regions that overflow into it;
// if there is none, from all regions in equal parts.
//
// Which mounts they listen to is what the node reports. Where it reports nothing, they
// are assumed to be spread over the mounts that it plays as listeners are at the nodes
// that do; if no node reports it, evenly. A region has no listeners of mounts that it denies.
func (s *Snapshot) Demand(mix Mix, nodes ...NodeID) Demand {
	k, d := newSources(newOrigins(s), mix), Demand{}
	if len(nodes) == 0 {
		for i := range s.nodes {
			k.add(d, i)
		}
	}
	for _, id := range nodes {
		if i, ok := s.fleet.index[id]; ok {
			k.add(d, i)
		}
	}
	return d
}

// sources attributes the listeners of nodes to crowds.
type sources struct {
	*origins
	mix   Mix
	rows  [][]part  // by node: which origins list it
	tuned []float64 // by mount: listeners at all nodes that report them
}

// part is the part 0..1 of a node's listeners that came from an origin.
type part struct {
	origin int
	size   float64
}

func newSources(o *origins, mix Mix) *sources {
	k := &sources{origins: o, mix: mix, rows: make([][]part, len(o.s.nodes)), tuned: make([]float64, len(o.s.mounts))}
	k.readRows()
	for n := range k.s.nodes {
		k.reported(n, func(m int, listeners float64) { k.tuned[m] += listeners })
	}
	return k
}

// add adds the listeners of a node to d.
func (k *sources) add(d Demand, n int) {
	used := float64(k.s.nodes[n].used)
	if used == 0 {
		return
	}
	from, sum := k.cameFrom(n), 0.0
	mounts := k.hears(n)
	for _, size := range mounts {
		sum += size.n
	}
	for _, m := range mounts {
		allowed := slices.DeleteFunc(slices.Clone(from), func(r amount[RegionID]) bool { return k.denies(r.of, m.of) })
		if len(allowed) == 0 {
			allowed = from
		}
		all := 0.0
		for _, r := range allowed {
			all += r.n
		}
		for _, r := range allowed {
			d[Crowd{r.of, m.of}] += used * m.n / sum * r.n / all
		}
	}
}

// amount is how much of something there is, in any unit.
type amount[T any] struct {
	of T
	n  float64
}

// cameFrom returns the regions that a node's listeners came from.
func (k *sources) cameFrom(n int) (all []amount[RegionID]) {
	if k.mix != nil {
		mix := k.mix(k.s.fleet.nodes[n].ID)
		for _, region := range slices.Sorted(maps.Keys(mix)) {
			if _, is := k.of[region]; is && mix[region] > 0 {
				all = append(all, amount[RegionID]{region, mix[region]})
			}
		}
	}
	if len(all) > 0 {
		return all
	}
	for _, p := range k.rows[n] {
		regions := k.all[p.origin].regions
		for _, region := range regions {
			all = append(all, amount[RegionID]{region, p.size / float64(len(regions))})
		}
	}
	return all
}

// hears returns the mounts that a node's listeners listen to.
func (k *sources) hears(n int) (all []amount[string]) {
	k.reported(n, func(m int, listeners float64) {
		all = append(all, amount[string]{k.s.mounts[m].Name, listeners})
	})
	if len(all) > 0 {
		return all
	}
	var played []amount[string]
	for m := range k.s.mounts {
		if k.s.carriesAt(m, n).is == LacksMount {
			continue
		}
		played = append(played, amount[string]{k.s.mounts[m].Name, 1})
		if k.tuned[m] > 0 {
			all = append(all, amount[string]{k.s.mounts[m].Name, k.tuned[m]})
		}
	}
	switch {
	case len(all) > 0:
		return all
	case len(played) > 0:
		return played
	}
	return []amount[string]{{"", 1}}
}

// reported calls do for each mount of which the node reports listeners.
func (k *sources) reported(n int, do func(mount int, listeners float64)) {
	for i := range k.s.nodes[n].report.Mounts {
		r := &k.s.nodes[n].report.Mounts[i]
		if r.Listeners <= 0 {
			continue
		}
		if m, ok := k.s.names[k.s.fleet.nodes[n].MountAt(r.Path)]; ok {
			do(m, float64(r.Listeners))
		}
	}
}

// readRows sets, for each node, the assumed parts 0..1 of its listeners.
func (k *sources) readRows() {
	later := make([][]part, len(k.rows))
	for i, o := range k.all {
		if o.gone {
			continue
		}
		for j, r := range o.ladder {
			to := k.rows
			if j > 0 {
				to = later
			}
			k.readRung(to, i, r)
		}
	}
	for n := range k.rows {
		if len(k.rows[n]) == 0 {
			k.rows[n] = later[n]
		}
		if len(k.rows[n]) == 0 {
			for i := range k.all {
				if !k.all[i].gone {
					k.rows[n] = append(k.rows[n], part{i, 1})
				}
			}
		}
	}
}

// readRung adds each node's nominal part 0..1 of a rung.
func (k *sources) readRung(to [][]part, origin int, r *rung) {
	sum := 0.0
	for _, e := range r.entries {
		sum += nominal(k.s, r, e)
	}
	for _, e := range r.entries {
		if n := nominal(k.s, r, e); n > 0 {
			to[e.node] = append(to[e.node], part{origin, n / sum})
		}
	}
}

// origins are where the listeners of a snapshot come from.
type origins struct {
	s    *Snapshot
	all  []origin
	of   map[RegionID]int     // the origin of each region's listeners
	deny map[RegionID]*region // those that deny mounts
}

// An origin is a region with a ladder of its own, or all regions without one and the
// listeners whom no region matches. Those may use every node: distance decides
// the order, not which nodes.
type origin struct {
	regions []RegionID // "": no region
	ladder  []*rung
	union   *rung // every node of the ladder, by load
	gone    bool  // no region matched these listeners, but a default region would now
}

func newOrigins(s *Snapshot) *origins {
	o := &origins{s: s, of: map[RegionID]int{}, deny: map[RegionID]*region{}}
	var byDistance []RegionID
	for i := range s.fleet.regions {
		r := &s.fleet.regions[i]
		if r.denyAll || len(r.deny) > 0 {
			o.deny[r.id] = r
		}
		switch {
		case !r.matches:
		case len(r.ladder) == 0:
			byDistance = append(byDistance, r.id)
		default:
			o.add(r.ladder, r.id)
		}
	}
	if s.fleet.match.fallback == noRegion {
		byDistance = append(byDistance, "")
	}
	if len(byDistance) > 0 {
		o.add(s.fleet.near.all, byDistance...)
	}
	if _, any := o.of[""]; !any {
		o.add(s.fleet.near.all, "")
		o.all[len(o.all)-1].gone = true
	}
	return o
}

func (o *origins) add(ladder []*rung, regions ...RegionID) {
	for _, id := range regions {
		o.of[id] = len(o.all)
	}
	o.all = append(o.all, origin{regions: regions, ladder: ladder, union: union(ladder)})
}

func (o *origins) denies(id RegionID, mount string) bool {
	r := o.deny[id]
	return r != nil && r.denies(mount)
}

// union returns the nodes of a ladder in one rung, by load.
func union(ladder []*rung) *rung {
	out := &rung{}
	seen := map[int]bool{}
	for _, r := range ladder {
		for _, e := range r.entries {
			if e.weight > 0 && !seen[e.node] {
				seen[e.node] = true
				out.entries = append(out.entries, entry{node: e.node, weight: 1})
			}
		}
	}
	return out
}
