package director

import (
	"math"
	"sync/atomic"
)

// nearness keeps the ladders of listeners whom no region's row places. They
// depend only on where listeners and nodes are, so each is reckoned once, when
// the first listener of a cell comes; the value is the same whoever computes it.
type nearness struct {
	nodes     []fleetNode
	factor    float64
	km        float64
	all       []*rung // for a listener nowhere known: every node, by load
	cells     [180 * 360]atomic.Pointer[[]*rung]
	countries [26 * 26]atomic.Pointer[[]*rung]
}

// countryKm widens the group of nearest nodes for a listener of whom only the
// country is known: the centre of a large country is near nobody, and the node
// that happens to stand next to it must not get everyone.
const countryKm = 1000

func newNearness(f *Fleet) *nearness {
	n := &nearness{nodes: f.nodes, factor: f.tuning.NearFactor, km: f.tuning.NearKm}
	all := &rung{name: "all"}
	for i := range f.nodes {
		all.entries = append(all.entries, entry{node: i, weight: 1})
	}
	n.all = []*rung{all}
	return n
}

// ladder returns the nearest nodes and then the others. Places are told apart to
// one degree (at most 79 km from the middle of their cell), well below nearKm.
func (n *nearness) ladder(p Place) []*rung {
	switch p.Point {
	case CityPoint:
		lat := min(max(int(math.Floor(float64(p.Lat)))+90, 0), 179)
		lon := min(max(int(math.Floor(float64(p.Lon)))+180, 0), 359)
		return memo(&n.cells[lat*360+lon], func() []*rung {
			return n.around(float64(lat)-89.5, float64(lon)-179.5, Code{})
		})
	case CountryCentre:
		if c, ok := p.Country.number(); ok {
			return memo(&n.countries[c], func() []*rung {
				return n.around(float64(p.Lat), float64(p.Lon), p.Country)
			})
		}
	}
	return n.all
}

func memo(slot *atomic.Pointer[[]*rung], make func() []*rung) []*rung {
	if l := slot.Load(); l != nil {
		return *l
	}
	l := make()
	slot.CompareAndSwap(nil, &l)
	return *slot.Load()
}

// around groups the nodes by distance. country is given for a listener of whom
// nothing else is known: the nodes in it then count as near.
func (n *nearness) around(lat, lon float64, country Code) []*rung {
	km := make([]float64, len(n.nodes))
	nearest := math.Inf(1)
	for i, node := range n.nodes {
		km[i] = math.Inf(1)
		if node.Place.Point != NoPoint {
			km[i] = distanceKm(lat, lon, float64(node.Place.Lat), float64(node.Place.Lon))
		}
		nearest = min(nearest, km[i])
	}
	if math.IsInf(nearest, 1) {
		return n.all
	}
	within := n.km
	if country != (Code{}) {
		within = max(within, countryKm)
	}
	near, far := &rung{name: "near"}, &rung{name: "far"}
	for i, node := range n.nodes {
		r := far
		if km[i] <= max(nearest*n.factor, within) || country != (Code{}) && node.Place.Country == country {
			r = near
		}
		r.entries = append(r.entries, entry{node: i, weight: 1})
	}
	if len(far.entries) == 0 {
		return []*rung{near}
	}
	return []*rung{near, far}
}
