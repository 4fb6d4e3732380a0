package director

import (
	"maps"
	"math"
	"slices"
)

// A Reserve says what the fleet has left for the listeners of a node or site that fails
// next: N-1, for each node and for each site.
//
// It is computed like a [Forecast], with the same ladders and seats:
//
//   - [Mix] says which regions a node's listeners came from. Where it says nothing,
//     they are assumed to come from the regions that list the node, in proportion
//     to the node's part of each region's row, as if all regions had equally many
//     listeners. If no region lists the node in its own row, they come from the regions
//     that overflow into it; if there is none, from all regions in equal parts.
//   - Each region's part looks for seats below target along the region's ladder: rung
//     after rung, by weight, or by free capacity in a row by load. Parts that
//     want the same seats share them. Listeners who find none take seats that are free
//     below the limits, at any rung.
//   - Listeners whom no region matches, or whose region has no ladder of its own, may use
//     every node: distance decides the order, not which nodes.
//   - Schemes, address families, pacing and warm-up are left out: every node that
//     is fit and plays any mount is assumed to take every listener.
type Reserve struct {
	Nodes []Loss // by node number
	Sites []Loss // by name; nodes without a site are in none
}

// Loss is what would happen if a node or a site failed now.
type Loss struct {
	Node NodeID `json:"node,omitempty"`
	Site string `json:"site,omitempty"`

	Listeners    int `json:"listeners"`     // who would look for another seat, those en route included
	BeyondTarget int `json:"beyond_target"` // of them, how many would find no node below its target
	BeyondLimit  int `json:"beyond_limit"`  // of them, how many would find no node below its limit
	// Unbounded says that a node which they may use has no known limit. It is assumed to
	// hold any number of listeners, so the numbers may be too optimistic.
	Unbounded bool `json:"unbounded,omitempty"`
}

// A Mix returns how many of a node's listeners came from each region, in any unit. A nil
// Mix or an empty result means: not known.
type Mix func(NodeID) map[RegionID]float64

// Reserve computes the reserve of the fleet. mix may be nil. It is for operators and is
// not called per request: with 1,000 nodes it takes some 30 ms.
func (s *Snapshot) Reserve(mix Mix) Reserve {
	k := newReckoner(s, mix)
	var out Reserve
	sites := map[string][]int{}
	for i := range s.nodes {
		l := k.loss([]int{i})
		l.Node = s.fleet.nodes[i].ID
		out.Nodes = append(out.Nodes, l)
		if site := s.fleet.nodes[i].Site; site != "" {
			sites[site] = append(sites[site], i)
		}
	}
	for _, site := range slices.Sorted(maps.Keys(sites)) {
		l := k.loss(sites[site])
		l.Site = site
		out.Sites = append(out.Sites, l)
	}
	return out
}

// reckoner computes the losses, demand and forecasts of one snapshot.
type reckoner struct {
	s       *Snapshot
	mix     Mix
	origins []origin
	of      map[RegionID]int // the origin of each region's listeners
	parts   [][]part         // by node: where its listeners came from
	target  []float64        // by node: seats below target that are free now
	limit   []float64        // by node: seats between that and the limit
}

// part is the part 0..1 of a node's listeners that came from an origin.
type part struct {
	origin int
	size   float64
}

// An origin is where listeners come from: a region with a ladder of its own, or all
// regions without one and the listeners whom no region matches.
type origin struct {
	regions []RegionID // "": no region
	ladder  []*rung
	all     *rung // every node of the ladder, by load
}

func newOrigin(ladder []*rung, regions ...RegionID) origin {
	return origin{regions, ladder, union(ladder)}
}

// party is the listeners of one origin who look for seats.
type party struct {
	*origin
	looks        []*rung // the rungs in which it looks now
	rung         int
	left         float64 // listeners without a seat
	beyondTarget float64 // those who found none below target
	sum          float64 // the sum of the shares of the rung's nodes that have seats
}

func newParty(o *origin, listeners int) party {
	return party{origin: o, looks: o.ladder, left: float64(listeners)}
}

// endless is more seats than there are listeners anywhere.
const endless = 1e12

func newReckoner(s *Snapshot, mix Mix) *reckoner {
	k := &reckoner{s: s, mix: mix, of: map[RegionID]int{}, parts: make([][]part, len(s.nodes))}
	k.target, k.limit = k.seats(func(n int) int { return s.nodes[n].used })
	k.findOrigins()
	k.findParts()
	for i, o := range k.origins {
		for _, region := range o.regions {
			k.of[region] = i
		}
	}
	if _, any := k.of[""]; !any { // a default region matches them now, but did not when they came
		k.of[""] = len(k.origins)
		k.origins = append(k.origins, newOrigin(s.fleet.near.all, ""))
	}
	return k
}

// cameFrom calls add with the part 0..1 of a node's listeners that came from each region.
func (k *reckoner) cameFrom(n int, add func(region RegionID, part float64)) {
	var mix map[RegionID]float64
	if k.mix != nil {
		mix = k.mix(k.s.fleet.nodes[n].ID)
	}
	var known []RegionID
	sum := 0.0
	for region, size := range mix {
		if _, is := k.of[region]; is && size > 0 {
			known, sum = append(known, region), sum+size
		}
	}
	slices.Sort(known) // sums of floats depend on the order
	for _, region := range known {
		add(region, mix[region]/sum)
	}
	if len(known) > 0 {
		return
	}
	for _, p := range k.parts[n] {
		ids := k.origins[p.origin].regions
		for _, region := range ids {
			add(region, p.size/float64(len(ids)))
		}
	}
}

// seats returns, by node, the seats below its target, and those between target and
// limit, if it holds used listeners. Nodes that are not fit, are full or play nothing have
// none.
func (k *reckoner) seats(used func(node int) int) (target, limit []float64) {
	target, limit = make([]float64, len(k.s.nodes)), make([]float64, len(k.s.nodes))
	for i := range k.s.nodes {
		st := &k.s.nodes[i]
		if st.health != Fit || st.full || st.plays == 0 {
			continue
		}
		used := float64(used(i))
		target[i], limit[i] = endless, endless
		if st.limit > 0 {
			limit[i] = max(0, float64(st.limit)-max(used, float64(st.target)))
		}
		if st.target > 0 {
			target[i] = max(0, float64(st.target)-used)
		}
	}
	return target, limit
}

func (k *reckoner) findOrigins() {
	var byDistance []RegionID
	if k.s.fleet.match.fallback == noRegion {
		byDistance = append(byDistance, "")
	}
	for _, r := range k.s.fleet.regions {
		switch {
		case !r.matches:
		case len(r.ladder) == 0:
			byDistance = append(byDistance, r.id)
		default:
			k.origins = append(k.origins, newOrigin(r.ladder, r.id))
		}
	}
	if len(byDistance) > 0 {
		k.origins = append(k.origins, newOrigin(k.s.fleet.near.all, byDistance...))
	}
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

// loss computes what happens if these nodes fail together.
func (k *reckoner) loss(dead []int) Loss {
	target, limit := slices.Clone(k.target), slices.Clone(k.limit)
	parties := make([]party, len(k.origins))
	for i := range k.origins {
		parties[i] = newParty(&k.origins[i], 0)
	}
	var out Loss
	for _, n := range dead {
		target[n], limit[n] = 0, 0
		out.Listeners += k.s.nodes[n].used
		k.cameFrom(n, func(region RegionID, part float64) {
			parties[k.of[region]].left += part * float64(k.s.nodes[n].used)
		})
	}
	out.Unbounded = unbounded(parties, k.limit, dead)
	out.BeyondTarget, out.BeyondLimit = settle(parties, target, limit)
	return out
}

// settle seats parties below target along their ladders, and then below the limit at
// any rung. It removes the seats from target and limit.
func settle(parties []party, target, limit []float64) (beyondTarget, beyondLimit int) {
	if beyondTarget = seat(parties, target); beyondTarget == 0 {
		return 0, 0
	}
	for i := range parties {
		p := &parties[i]
		p.beyondTarget = p.left
		p.looks, p.rung = []*rung{p.all}, 0
	}
	return beyondTarget, seat(parties, limit)
}

// findParts sets, for each node, the assumed part 0..1 of its listeners from each origin.
func (k *reckoner) findParts() {
	later := make([][]part, len(k.s.nodes))
	for i, o := range k.origins {
		for j, r := range o.ladder {
			to := k.parts
			if j > 0 {
				to = later
			}
			k.addParts(to, i, r)
		}
	}
	for n := range k.parts {
		if len(k.parts[n]) == 0 {
			k.parts[n] = later[n]
		}
		if len(k.parts[n]) == 0 {
			for i := range k.origins {
				k.parts[n] = append(k.parts[n], part{i, 1})
			}
		}
		sum := 0.0
		for _, p := range k.parts[n] {
			sum += p.size
		}
		for i := range k.parts[n] {
			k.parts[n][i].size /= sum
		}
	}
}

// addParts adds each node's nominal part 0..1 of a rung.
func (k *reckoner) addParts(to [][]part, origin int, r *rung) {
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

// unbounded says whether a party may use a node that has no limit and is not dead.
func unbounded(parties []party, limit []float64, dead []int) bool {
	for _, p := range parties {
		if p.left == 0 {
			continue
		}
		for _, e := range p.all.entries {
			if limit[e.node] == endless && !slices.Contains(dead, e.node) {
				return true
			}
		}
	}
	return false
}

// seat gives free seats to the parties and returns how many listeners find none. All
// parties that want a node's seats share them, so the result does not depend on their
// order. Each round fills a node, ends a rung or seats a whole party.
func seat(parties []party, free []float64) (without int) {
	asked := make([]float64, len(free))
	for ask(parties, free, asked) {
		for i := range parties {
			p := &parties[i]
			if p.sum == 0 {
				continue
			}
			r, wanted := p.looks[p.rung], p.left
			for _, e := range r.entries {
				if want := wanted * share(r, e, free) / p.sum; want > 0 {
					p.left -= want * min(1, free[e.node]/asked[e.node])
				}
			}
		}
		for n, a := range asked {
			if free[n] -= a; free[n] < someone {
				free[n] = 0
			}
			asked[n] = 0
		}
	}
	left := 0.0
	for _, p := range parties {
		left += p.left
	}
	return int(math.Ceil(left - someone))
}

// someone is the smallest part of a listener that counts: less is a rounding error.
const someone = 1e-3

// ask adds up how many seats the parties want at each node, each party at the
// first rung of its ladder that has any. It returns false when nobody wants one.
func ask(parties []party, free, asked []float64) (wanted bool) {
	for i := range parties {
		p := &parties[i]
		p.sum = 0
		for ; p.left > someone && p.rung < len(p.looks); p.rung++ {
			r := p.looks[p.rung]
			for _, e := range r.entries {
				p.sum += share(r, e, free)
			}
			if p.sum == 0 {
				continue
			}
			for _, e := range r.entries {
				asked[e.node] += p.left * share(r, e, free) / p.sum
			}
			wanted = true
			break
		}
	}
	return wanted
}

// share is the weight of a node among those of a rung that have seats.
func share(r *rung, e entry, free []float64) float64 {
	switch {
	case free[e.node] == 0:
		return 0
	case r.given:
		return e.weight
	}
	return free[e.node]
}

// empty says whether the match covers no place, so that no listener belongs to the region.
func (m *Match) empty() bool {
	return !m.Default && len(m.CIDRs)+len(m.ASNs)+len(m.Subdivisions)+len(m.Countries)+len(m.Continents) == 0
}
