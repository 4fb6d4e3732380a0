package director

import (
	"math"
	"net/netip"
)

// An Origin is all that a decision takes from where a listener is. Between listeners
// who ask for the same in the same family and have equal Origins in snapshots of one
// fleet, only their Keys make a difference. It is comparable.
type Origin struct {
	region int
	ladder *[]*rung // the fleet owns the ladders: equal pointers mean equal ladders
}

// Origin returns the Origin of a listener at an address and a place.
func (s *Snapshot) Origin(addr netip.Addr, p Place) Origin {
	o, _ := s.origin(addr, p)
	return o
}

func (s *Snapshot) origin(addr netip.Addr, p Place) (Origin, matchedBy) {
	r, by := s.fleet.match.find(addr, p)
	if r != noRegion && s.fleet.regions[r].ladder != nil {
		return Origin{r, &s.fleet.regions[r].ladder}, by
	}
	return Origin{r, s.fleet.near.ladder(p)}, by
}

// CIDRBounds returns the first and the last address of the range around addr in which
// the regions' CIDRs give the same result. An invalid address means that the range has no
// end on that side.
func (s *Snapshot) CIDRBounds(addr netip.Addr) (first, last netip.Addr) {
	return s.fleet.match.bounds(addr)
}

// SameFleet says whether both snapshots were built from the same Fleet, so that their
// node numbers and Origins agree.
func (s *Snapshot) SameFleet(o *Snapshot) bool { return o != nil && s.fleet == o.fleet }

// Km returns the great-circle distance between two places in km; infinite if the
// coordinates of either are unknown.
func (p Place) Km(o Place) float64 {
	if p.Point == NoPoint || o.Point == NoPoint {
		return math.Inf(1)
	}
	return distanceKm(float64(p.Lat), float64(p.Lon), float64(o.Lat), float64(o.Lon))
}
