package director

import (
	"cmp"
	"slices"
	"time"
)

// An Explanation is a decision and everything that led to it. The code that decides
// makes it.
type Explanation struct {
	Outcome    Outcome     `json:"outcome"`
	Mount      string      `json:"mount"`
	Place      string      `json:"place"`
	Region     RegionID    `json:"region,omitempty"` // empty: none matched
	MatchedBy  string      `json:"matched_by"`       // cidr, asn, subdivision, country, continent, default or nothing
	Ladder     []string    `json:"ladder,omitempty"`
	Node       NodeID      `json:"node,omitempty"` // the answer
	Built      time.Time   `json:"snapshot_built"`
	Candidates []Candidacy `json:"candidates,omitempty"` // by rung, the ranked ones first; then nodes in no rung
}

// Candidacy is one node in an Explanation.
type Candidacy struct {
	Node   NodeID `json:"node"`
	Site   string `json:"site,omitempty"`
	Rung   string `json:"rung,omitempty"`
	Reason Reason `json:"reason"`         // why it was passed over; fit: not passed over
	Rank   int    `json:"rank,omitempty"` // 1: the answer; 0: not ranked
	Detail string `json:"detail,omitempty"`
	// Verdict is what a listener gets of the mount there, in the scheme asked for.
	Verdict Verdict `json:"verdict,omitzero"`

	Weight   float64 `json:"weight"`   // as given; 1 in a row by load
	Room     float64 `json:"room"`     // 0..1; it counts with given weights
	WarmUp   float64 `json:"warm_up"`  // 0..1; 1 where it is waived
	Share    float64 `json:"share"`    // weight x room x warm-up, or free listeners x warm-up
	Expected float64 `json:"expected"` // 0..1: its part of the rung's listeners
	Used     int     `json:"used"`     // listeners, those on the way included
	// Uncounted says that nobody tells how many listen: Used is then those on the way, and
	// what the server told last.
	Uncounted bool `json:"uncounted,omitempty"`
	EnRoute   int  `json:"en_route"`
	// Estimated is the part of EnRoute that is an estimate: listeners from DNS answers.
	Estimated int      `json:"en_route_estimated,omitempty"`
	Target    int      `json:"target,omitempty"` // listeners
	Limit     int      `json:"limit,omitempty"`  // listeners
	Km        *float64 `json:"km,omitempty"`     // distance; nil: one of the places is not known

	rung int
}

// Explain decides by the same code as Decide, and keeps the trace.
func (s *Snapshot) Explain(l Listener, live Live) Explanation {
	x := Explanation{Mount: l.Mount, Place: l.Place.String(), Built: s.built}
	d := Decision{Want: len(s.nodes)}
	s.decide(&d, &l, live, &x)
	x.Outcome, x.Region = d.Outcome, d.Region
	if d.Mount >= 0 {
		x.Mount = s.mounts[d.Mount].Name
	}
	x.rank(s, d.Ranked)
	x.expect()
	if d.Outcome != NoMount && d.Outcome != Denied {
		x.addOthers(s, d.Mount, &l)
	}
	return x
}

func (x *Explanation) add(q search, c Candidate, j judged) {
	line := q.s.candidacy(j.node, q.d.Mount, &q.l)
	line.Rung, line.rung, line.Reason = j.rung.name, c.Rung, j.reason
	line.Weight, line.Share = j.weight, j.share
	if j.waived {
		line.WarmUp = 1
	}
	if q.live != nil {
		line.Used = q.live.Used(j.node)
	}
	if j.reason != Fit && !lacksRoom(j.reason) {
		line.Share = 0
	}
	x.Candidates = append(x.Candidates, line)
}

func (s *Snapshot) candidacy(node, mount int, l *Listener) Candidacy {
	st, n := s.nodes[node], &s.fleet.nodes[node]
	out := Candidacy{
		Node: n.ID, Site: n.Site, Detail: st.report.Detail,
		Room: st.room, WarmUp: st.warm,
		Used: st.used, Uncounted: st.report.Listeners < 0 || st.report.Taken.IsZero(), EnRoute: st.enRoute, Estimated: st.estimated, Target: st.target, Limit: st.limit,
		Verdict: s.bestVerdict(node, mount, l.Scheme),
	}
	if v := &out.Verdict; st.health == Fit && (v.State != MountPlays || v.Cause != "") {
		out.Detail = v.String()
	}
	if p := n.Place; p.Point != NoPoint && l.Place.Point != NoPoint {
		out.Km = new(distanceKm(float64(p.Lat), float64(p.Lon), float64(l.Place.Lat), float64(l.Place.Lon)))
	}
	return out
}

func (x *Explanation) rank(s *Snapshot, ranked []Candidate) {
	type spot struct {
		node NodeID
		rung int
	}
	rank := make(map[spot]int, len(ranked))
	for i, c := range ranked {
		rank[spot{s.fleet.nodes[c.Node].ID, c.Rung}] = i + 1
	}
	for i := range x.Candidates {
		c := &x.Candidates[i]
		c.Rank = rank[spot{c.Node, c.rung}]
		if c.Rank == 1 {
			x.Node = c.Node
		}
	}
	slices.SortStableFunc(x.Candidates, func(a, b Candidacy) int {
		// In each rung, the ranked nodes come first, by rank, and then the others.
		return cmp.Or(cmp.Compare(a.rung, b.rung), cmp.Compare(b2i(a.Rank == 0), b2i(b.Rank == 0)), cmp.Compare(a.Rank, b.Rank))
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// expect sets Expected: the shares of the fit nodes of each rung, scaled to a sum of 1.
func (x *Explanation) expect() {
	sum := map[int]float64{}
	for _, c := range x.Candidates {
		if c.Reason == Fit {
			sum[c.rung] += c.Share
		}
	}
	for i := range x.Candidates {
		if c := &x.Candidates[i]; c.Reason == Fit && sum[c.rung] > 0 {
			c.Expected = c.Share / sum[c.rung]
		}
	}
}

// addOthers lists the nodes that no rung of the ladder names.
func (x *Explanation) addOthers(s *Snapshot, mount int, l *Listener) {
	named := make(map[NodeID]bool, len(x.Candidates))
	for _, c := range x.Candidates {
		named[c.Node] = true
	}
	for i := range s.nodes {
		if id := s.fleet.nodes[i].ID; !named[id] {
			c := s.candidacy(i, mount, l)
			c.Reason = NotInRow
			x.Candidates = append(x.Candidates, c)
		}
	}
}
