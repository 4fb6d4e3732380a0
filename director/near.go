package director

import (
	"maps"
	"math"
	"sync/atomic"
)

// nearness keeps the ladders of listeners whose region has none, or who have no region.
// They depend only on where listeners and nodes are. Each is therefore computed once, when
// the first listener of a cell or an area comes; concurrent callers compute the same
// value.
type nearness struct {
	nodes  []fleetNode
	factor float64
	km     float64
	all    []*rung // for a listener whose place is unknown: every node, by load
	cells  [latCells * lonCells]atomic.Pointer[[]*rung]
	areas  atomic.Pointer[map[area]*[]*rung] // replaced as a whole: there are about as many as countries
}

// Places are distinguished to one degree (at most 79 km from the middle of their
// cell), well below the default of nearness.km.
const (
	latCells = 180
	lonCells = 360
	noCell   = -1
)

// An area is what is known of a listener whose coordinates are only the middle of a
// country or a continent, or are unknown.
type area struct {
	cell      int  // of the middle; noCell: unknown
	country   Code // zero: only the continent is known
	continent Code // zero where the country is known, which says more
}

// countryKm and continentKm are the radius within which nodes count as near to
// the middle of an area. Few listeners live near the middle of a large area, and the
// node that happens to stand there must not get all of them.
const (
	countryKm   = 1000
	continentKm = 3000
)

func newNearness(f *Fleet) *nearness {
	n := &nearness{nodes: f.nodes, factor: f.tuning.NearFactor, km: f.tuning.NearKm}
	all := &rung{name: "all"}
	for i := range f.nodes {
		all.entries = append(all.entries, entry{node: i, weight: 1})
	}
	n.all = []*rung{all}
	n.areas.Store(&map[area]*[]*rung{})
	return n
}

// ladder returns two rungs, the near nodes and the others, or one of all nodes.
func (n *nearness) ladder(p Place) *[]*rung {
	cell := noCell
	if p.Point != NoPoint {
		cell = cellOf(p)
	}
	if p.Point == CityPoint {
		slot := &n.cells[cell]
		if l := slot.Load(); l != nil {
			return l
		}
		slot.CompareAndSwap(nil, n.group(n.distances(cell), n.km, func(Place) bool { return false }))
		return slot.Load()
	}
	a := area{cell: cell, country: p.Country, continent: p.Continent}
	if a.country != (Code{}) {
		a.continent = Code{}
	}
	for {
		known := n.areas.Load()
		if l, ok := (*known)[a]; ok {
			return l
		}
		more := maps.Clone(*known)
		more[a] = n.around(a)
		n.areas.CompareAndSwap(known, &more)
	}
}

func cellOf(p Place) int {
	lat := min(max(int(math.Floor(float64(p.Lat)))+latCells/2, 0), latCells-1)
	lon := min(max(int(math.Floor(float64(p.Lon)))+lonCells/2, 0), lonCells-1)
	return lat*lonCells + lon
}

// around groups the nodes for a listener somewhere in an area. For a country, nodes in
// it and nodes around its middle count as near. For a continent, its own nodes count as
// near, and those around its middle only if it has none.
func (n *nearness) around(a area) *[]*rung {
	km := n.distances(a.cell)
	if a.country != (Code{}) {
		return n.group(km, max(n.km, countryKm), func(p Place) bool { return p.Country == a.country })
	}
	inside := func(p Place) bool { return a.continent != (Code{}) && p.Continent == a.continent }
	for i := range n.nodes {
		if inside(n.nodes[i].Place) {
			return n.group(nil, 0, inside)
		}
	}
	return n.group(km, max(n.km, continentKm), inside)
}

// distances returns how far each node is from the middle of a cell, in km;
// +Inf: unknown.
func (n *nearness) distances(cell int) []float64 {
	if cell == noCell {
		return nil
	}
	lat, lon := float64(cell/lonCells)-latCells/2+0.5, float64(cell%lonCells)-lonCells/2+0.5
	km := make([]float64, len(n.nodes))
	for i := range n.nodes {
		km[i] = math.Inf(1)
		if p := n.nodes[i].Place; p.Point != NoPoint {
			km[i] = distanceKm(lat, lon, float64(p.Lat), float64(p.Lon))
		}
	}
	return km
}

// group counts a node as near if home says so, if it is about as far away as the
// nearest, or if it is within so many kilometres. If no node is near, all share one
// rung. km is nil if no distance is known.
func (n *nearness) group(km []float64, within float64, home func(Place) bool) *[]*rung {
	nearest := math.Inf(1)
	for _, d := range km {
		nearest = min(nearest, d)
	}
	reach := max(nearest*n.factor, within)
	near, far := &rung{name: "near"}, &rung{name: "far"}
	for i := range n.nodes {
		r := far
		if km != nil && km[i] <= reach && !math.IsInf(km[i], 1) || home(n.nodes[i].Place) {
			r = near
		}
		r.entries = append(r.entries, entry{node: i, weight: 1})
	}
	switch {
	case len(near.entries) == 0:
		return &n.all
	case len(far.entries) == 0:
		return &[]*rung{near}
	}
	return &[]*rung{near, far}
}
