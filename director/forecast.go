package director

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// A Forecast says where listeners would be if all of them came anew to the fleet
// as it stands, and where the next one goes. Two forecasts, before and after a change,
// show its effect once the present listeners have left and others have replaced them.
// Listeners who are connected are not moved.
//
// Room is found as for a [Reserve], by the same computation.
type Forecast struct {
	Regions []RegionForecast `json:"regions"` // in the order of the configuration; listeners without a region last
	Mounts  []MountForecast  `json:"mounts"`  // those with listeners, by name
	Nodes   []NodeForecast   `json:"nodes"`   // by node number

	Listeners    int `json:"listeners"`     // who look for a node
	Overflow     int `json:"overflow"`      // of them, how many find one below target only in another region's row
	BeyondTarget int `json:"beyond_target"` // of them, how many find no node below its target
	BeyondLimit  int `json:"beyond_limit"`  // of them, how many find no node below its limit: they are turned away
	// Unbounded says that a node which they may use has no known limit.
	Unbounded bool `json:"unbounded"`
}

// RegionForecast is the [Forecast] of one region.
type RegionForecast struct {
	Region    RegionID `json:"region"` // empty: no region matches
	Listeners int      `json:"listeners"`
	// Shares are what Decide draws a new listener's node by, for the mount with the most
	// listeners: the largest first, their sum 1. Empty: no node in service takes the
	// listener, though the last known good may be tried.
	Shares       []NodeShare `json:"shares"`
	Overflow     int         `json:"overflow"`
	BeyondTarget int         `json:"beyond_target"`
	BeyondLimit  int         `json:"beyond_limit"`
}

// MountForecast is the [Forecast] of one mount.
type MountForecast struct {
	Mount        string `json:"mount"` // empty: of listeners of whom that is not known
	Listeners    int    `json:"listeners"`
	BeyondTarget int    `json:"beyond_target"`
	BeyondLimit  int    `json:"beyond_limit"`
}

// NodeShare is a node's share 0..1 of a region's new listeners.
type NodeShare struct {
	Node  NodeID  `json:"node"`
	Share float64 `json:"share"`
}

// NodeForecast is the [Forecast] of one node.
type NodeForecast struct {
	Node      NodeID  `json:"node"`
	State     Reason  `json:"state"` // fit (in service), drained, down or unverified (not yet probed)
	Share     float64 `json:"share"` // share 0..1 of all new listeners
	Listeners int     `json:"listeners"`
	Target    int     `json:"target,omitempty"` // listeners; 0: unknown
	Limit     int     `json:"limit,omitempty"`  // listeners; 0: unknown
}

// Forecast computes a forecast for a demand. Regions that do not exist, and regions that
// no listener can belong to, are left out. Like [Snapshot.Reserve] it is for operators:
// with 200 nodes and 30 regions it takes some milliseconds.
func (s *Snapshot) Forecast(d Demand) Forecast {
	out := Forecast{Regions: []RegionForecast{}, Mounts: []MountForecast{}}
	o := newOrigins(s)
	seated := newSeating(o, true).seat(d)
	byRegion, byMount := d.Regions(), by(d, func(c Crowd) string { return c.Mount })
	mount := s.mainMount()
	add := func(id RegionID) {
		loss := seated.loss(func(c Crowd) bool { return c.Region == id })
		out.Regions = append(out.Regions, RegionForecast{
			Region: id, Listeners: byRegion[id], Shares: s.newcomers(o.all[o.of[id]].ladder, mount),
			Overflow: loss.Overflow, BeyondTarget: loss.BeyondTarget, BeyondLimit: loss.BeyondLimit,
		})
		out.Listeners += byRegion[id]
	}
	for _, r := range s.fleet.regions {
		if r.matches {
			add(r.id)
		}
	}
	if s.fleet.match.fallback == noRegion || byRegion[""] > 0 {
		add("")
	}
	for _, name := range slices.Sorted(maps.Keys(byMount)) {
		loss := seated.loss(func(c Crowd) bool { return c.Mount == name })
		out.Mounts = append(out.Mounts, MountForecast{Mount: name, Listeners: byMount[name], BeyondTarget: loss.BeyondTarget, BeyondLimit: loss.BeyondLimit})
	}
	all := seated.loss(nil)
	out.Overflow, out.BeyondTarget, out.BeyondLimit, out.Unbounded = all.Overflow, all.BeyondTarget, all.BeyondLimit, all.Unbounded
	out.Nodes = s.forecastNodes(&out, seated.held)
	return out
}

func (s *Snapshot) forecastNodes(out *Forecast, held []float64) []NodeForecast {
	nodes := make([]NodeForecast, len(s.nodes))
	for i := range nodes {
		st := s.nodes[i]
		nodes[i] = NodeForecast{
			Node: s.fleet.nodes[i].ID, State: st.health, Listeners: int(math.Round(held[i])), Target: st.target, Limit: st.limit,
		}
	}
	for _, r := range out.Regions {
		part := 1 / float64(len(out.Regions)) // without listeners, all regions count the same
		if out.Listeners > 0 {
			part = float64(r.Listeners) / float64(out.Listeners)
		}
		for _, n := range r.Shares {
			nodes[s.fleet.index[n.Node]].Share += part * n.Share
		}
	}
	return nodes
}

// mainMount returns the mount with the most listeners; among equals, the one that most
// nodes carry, and then the first. -1: there is none.
func (s *Snapshot) mainMount() int {
	best, most, carriers := -1, -1, -1
	for m := range s.mounts {
		listeners, carry := 0, 0
		for n := range s.nodes {
			path := s.nodePath(n, m)
			for _, r := range s.nodes[n].report.Mounts {
				if r.Path == path {
					listeners += r.Listeners
				}
			}
			if s.carries[m][n].is == Fit {
				carry++
			}
		}
		if listeners > most || listeners == most && carry > carriers {
			best, most, carriers = m, listeners, carry
		}
	}
	return best
}

// calm is a Live that counts no listeners within the last second: a forecast leaves
// pacing out.
type calm struct{ *Snapshot }

func (c calm) Used(node int) int { return c.nodes[node].used }
func (calm) Recent(int) int      { return 0 }
func (calm) Count(int)           {}
func (calm) Expect(int, int)     {}

// newcomers returns the shares with which the next listener of a ladder draws. It uses
// the same search as Decide.
func (s *Snapshot) newcomers(ladder []*rung, mount int) []NodeShare {
	out := []NodeShare{} // not nil, so that JSON has an empty list
	if mount < 0 {
		return out
	}
	d := Decision{Want: len(s.nodes), Mount: mount}
	q := search{s: s, d: &d, l: Listener{Scheme: AnyScheme}, live: calm{s}, want: d.Want}
	q.find(ladder)
	if q.stage == lastKnown {
		return out
	}
	sum := 0.0
	for _, c := range d.Ranked {
		if c.tier != d.Ranked[0].tier {
			break
		}
		r := ladder[c.Rung]
		e := r.entries[slices.IndexFunc(r.entries, func(e entry) bool { return e.node == c.Node })]
		share := nominal(s, r, e)
		if q.stage <= unconfirmed {
			share = s.share(r, e, s.warming && s.warmUpWaived(r, mount))
		}
		sum += share
		out = append(out, NodeShare{s.fleet.nodes[c.Node].ID, share})
	}
	for i := range out {
		out[i].Share /= sum
	}
	slices.SortFunc(out, func(a, b NodeShare) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Node, b.Node))
	})
	return out
}
