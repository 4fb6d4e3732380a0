package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A Proposal is a change that an operator considers, or a failure to prepare for.
type Proposal struct {
	// Rows are weights that replace a region's row; nil: the declared row.
	Rows map[director.RegionID]map[director.NodeID]float64
	// Overflows are the regions that a region overflows into, in order; nil: as declared.
	Overflows map[director.RegionID][]director.RegionID
	// Nodes are states to give to nodes; empty: the overlay's entry is taken back.
	Nodes map[director.NodeID]NodeState
	// LostNodes and LostSites name nodes that are assumed to be down, by id and by site.
	LostNodes []director.NodeID
	LostSites []string
}

// ErrNoSnapshot says that this director does not know the state of the fleet yet.
var ErrNoSnapshot = errors.New("there is no snapshot of the fleet yet; it takes a few seconds after the start")

// A Prospect is what a Proposal would do.
type Prospect struct {
	// Now and Then are the fleet as it is, and as it would be, once all present listeners
	// have left and as many others have come.
	Now, Then director.Forecast
	// Loss is what becomes of the listeners of the nodes that would be lost, drained or
	// disabled, if they all look for another node at once. For one node or site that fails
	// it is the same as in [director.Snapshot.Reserve]. Nil: there are no such nodes.
	Loss *director.Loss
}

// WhatIf forecasts what p would do. mix is as with [director.Snapshot.Demand]. It changes
// nothing. Errors are ErrNoSnapshot, or the mistakes in p, joined, each with its
// entry's name.
func (s *Syncer) WhatIf(p Proposal, mix director.Mix) (out Prospect, err error) {
	snapshot, fleet, _, err := s.propose(p)
	if err != nil {
		return out, err
	}
	proposed := fleet.Build(snapshot, p.input(snapshot))
	demand := snapshot.Demand(mix)
	out.Now, out.Then = snapshot.Forecast(demand), proposed.Forecast(demand)
	if leave := p.takesOut(snapshot, proposed); len(leave) > 0 {
		loss := proposed.Absorb(snapshot.Demand(mix, leave...))
		out.Loss = &loss
	}
	return out, nil
}

// Proposed returns the state that WhatIf begins with, and the configuration that would be
// in force with p; what p assumes to be lost is in it. Errors are those of WhatIf.
func (s *Syncer) Proposed(p Proposal) (now *director.Snapshot, then director.Config, err error) {
	now, _, then, err = s.propose(p)
	return now, then, err
}

func (s *Syncer) propose(p Proposal) (now *director.Snapshot, fleet *director.Fleet, then director.Config, err error) {
	now = s.View().Snapshot
	if now == nil {
		return nil, nil, then, ErrNoSnapshot
	}
	s.mu.Lock()
	c, o := s.base, s.overlay
	s.mu.Unlock()
	if err := p.check(c); err != nil {
		return nil, nil, then, err
	}
	with := p.over(o, s.Now())
	fleet, then, effects, err := compile(c, with, s.Now())
	if err == nil {
		err = p.failed(effects)
	}
	if err == nil && len(p.Overflows) > 0 {
		err = checkOverflows(c, o, with, s.Now())
	}
	return now, fleet, then, err
}

// takesOut returns the nodes of now that would be lost, drained or disabled.
func (p *Proposal) takesOut(now, then *director.Snapshot) (all []director.NodeID) {
	for i := range now.Nodes() {
		n := now.Node(i)
		at, there := then.FindNode(n.ID)
		if p.loses(&n.Node) || !there || n.State != director.Drained && then.Node(at).State == director.Drained {
			all = append(all, n.ID)
		}
	}
	return all
}

// loses says whether the proposal assumes that the node is down.
func (p *Proposal) loses(n *director.Node) bool {
	return slices.Contains(p.LostNodes, n.ID) || n.Site != "" && slices.Contains(p.LostSites, n.Site)
}

// check returns the mistakes in p: what names nothing in c, or is invalid in itself.
func (p *Proposal) check(c director.Config) error {
	var errs []error
	fail := func(entry, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{entry}, args...)...))
	}
	node := func(id director.NodeID) bool {
		return slices.ContainsFunc(c.Nodes, func(n director.Node) bool { return n.ID == id })
	}
	for region, weights := range p.Rows {
		if !slices.ContainsFunc(c.Regions, func(r director.Region) bool { return r.ID == region }) {
			fail("rows/"+string(region), "no region has this id")
		}
		for id := range weights {
			if !node(id) && !c.Admits(id) {
				fail("rows/"+string(region), "no node has the id %s", id)
			}
		}
	}
	for region := range p.Overflows {
		if !slices.ContainsFunc(c.Regions, func(r director.Region) bool { return r.ID == region }) {
			fail("overflows/"+string(region), "no region has this id")
		}
	}
	for id, state := range p.Nodes {
		if !node(id) {
			fail("nodes/"+string(id), "no node has this id")
		}
		if state != "" && state != NodeDrained && state != NodeDisabled {
			fail("nodes/"+string(id), "%q is no state; give %q, %q or nothing", state, NodeDrained, NodeDisabled)
		}
	}
	for _, id := range p.LostNodes {
		if !node(id) {
			fail("nodes/"+string(id), "no node has this id, so it cannot be lost")
		}
	}
	for _, site := range p.LostSites {
		if site == "" || !slices.ContainsFunc(c.Nodes, func(n director.Node) bool { return n.Site == site }) {
			fail("sites/"+site, "no node stands there, so it cannot be lost")
		}
	}
	proposed := p.over(Overlay{}, time.Unix(0, 0))
	errs = append(errs, proposed.Validate())
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return errors.Join(errs...)
}

// over returns o with the proposed entries in it.
func (p *Proposal) over(o Overlay, now time.Time) Overlay {
	o = o.Clone()
	stamp := Stamp{By: "somebody", At: now, Why: "what if"}
	if o.Rows == nil {
		o.Rows = map[director.RegionID]Row{}
	}
	for id, weights := range p.Rows {
		if weights == nil {
			delete(o.Rows, id)
		} else {
			o.Rows[id] = Row{Weights: weights, Stamp: stamp}
		}
	}
	if o.Overflows == nil {
		o.Overflows = map[director.RegionID]Overflow{}
	}
	for id, order := range p.Overflows {
		if order == nil {
			delete(o.Overflows, id)
		} else {
			o.Overflows[id] = Overflow{Regions: order, Stamp: stamp}
		}
	}
	if o.Nodes == nil {
		o.Nodes = map[director.NodeID]NodeSetting{}
	}
	for id, state := range p.Nodes {
		if state == "" {
			delete(o.Nodes, id)
		} else {
			o.Nodes[id] = NodeSetting{State: state, Stamp: stamp}
		}
	}
	return o
}

// failed returns an error for each proposed row that would have no effect.
func (p *Proposal) failed(effects []Effect) error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(p.Rows)) {
		entry := "rows/" + string(id)
		at := slices.IndexFunc(effects, func(e Effect) bool { return e.Entry == entry })
		if p.Rows[id] != nil && at >= 0 && effects[at].Kind != Masks {
			errs = append(errs, fmt.Errorf("%s: %s", entry, effects[at].Detail))
		}
	}
	return errors.Join(errs...)
}

// CheckOverflows says which overflows would have no effect, or not the whole, if after were
// the operators' changes instead of before: those that differ, and those that have an
// effect now, for two may make a circle together. Each error begins with "overflow of" and
// the region.
func (s *Syncer) CheckOverflows(before, after Overlay) error {
	s.mu.Lock()
	c := s.base
	s.mu.Unlock()
	return checkOverflows(c, before, after, s.Now())
}

func checkOverflows(c director.Config, before, after Overlay, now time.Time) error {
	_, _, was, err := compile(c, before, now)
	if err != nil {
		return err
	}
	_, _, effects, err := compile(c, after, now)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range effects {
		id, ok := strings.CutPrefix(e.Entry, "overflows/")
		if !ok || e.Kind == Masks {
			continue
		}
		region := director.RegionID(id)
		same := sameJSON(encode(before.Overflows[region]), encode(after.Overflows[region]))
		skipped := func(was Effect) bool { return was.Entry == e.Entry && was.Kind == Skipped }
		if same && (e.Kind != Skipped || slices.ContainsFunc(was, skipped)) {
			continue
		}
		detail := e.Detail
		if _, said, placed := strings.Cut(detail, "]: "); placed { // without its place in a file
			detail = said
		}
		errs = append(errs, fmt.Errorf("overflow of %s: %s", id, detail))
	}
	return errors.Join(errs...)
}

// input returns the input that s was built from, with the lost nodes down.
func (p *Proposal) input(s *director.Snapshot) director.Input {
	in := director.Input{
		Now: s.Built(), Reports: map[director.NodeID]director.Report{},
		EnRoute: map[director.NodeID]int{}, Estimated: map[director.NodeID]int{}, Recent: map[director.NodeID]int{},
	}
	for i := range s.Nodes() {
		n := s.Node(i)
		r := n.Report
		if p.loses(&n.Node) {
			r.Node, r.Health = n.ID, director.Failed
		}
		in.Reports[n.ID], in.EnRoute[n.ID], in.Estimated[n.ID], in.Recent[n.ID] = r, n.EnRoute, n.Estimated, n.Recent
	}
	return in
}
