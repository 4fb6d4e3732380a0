package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/simulate"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// WhatIfCmd shows where the present listeners would be after a change.
type WhatIfCmd struct {
	LostNode      []director.NodeID   `name:"lost-node" placeholder:"NODE" completion:"nodes" help:"The node dies."`
	LostSite      []string            `name:"lost-site" placeholder:"SITE" help:"All nodes of the site die."`
	Drain         []director.NodeID   `placeholder:"NODE" completion:"nodes" help:"The node is drained."`
	Disable       []director.NodeID   `placeholder:"NODE" completion:"nodes" help:"The node is disabled."`
	Resume        []director.NodeID   `placeholder:"NODE" completion:"nodes" help:"The node gets listeners again."`
	Row           []Proposed          `sep:"none" placeholder:"REGION:NODE=WEIGHT,..." help:"The region has this row of weights."`
	Reset         []director.RegionID `placeholder:"REGION" completion:"regions" help:"The region has the file's row again."`
	Overflow      []ProposedOrder     `sep:"none" placeholder:"REGION:REGION,..." help:"The region overflows into these, in order; into none, if none is named behind the colon."`
	ResetOverflow []director.RegionID `placeholder:"REGION" completion:"regions" help:"The region has the file's overflow again."`
	Simulate      bool                `help:"Then play it through at the director, from the present state on."`
	Minutes       float64             `placeholder:"N" help:"With --simulate: how many minutes are played, up to 60. Default: 15."`
	LostMinutes   float64             `placeholder:"N" help:"With --simulate: after how many minutes what is lost is back. Default: not at all."`
	Query
}

// ProposedOrder is an order of overflow in one word, "de:europe,world".
type ProposedOrder struct {
	Region director.RegionID
	Order  []director.RegionID
}

// UnmarshalText reads "de:europe,world".
func (p *ProposedOrder) UnmarshalText(b []byte) error {
	region, list, ok := strings.Cut(string(b), ":")
	if !ok || region == "" {
		return fmt.Errorf("%q: write REGION:REGION,REGION as in de:europe,world", b)
	}
	*p = ProposedOrder{director.RegionID(region), []director.RegionID{}}
	for _, id := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		p.Order = append(p.Order, director.RegionID(id))
	}
	return nil
}

// Proposed is a row of weights in one word, "de:fra1=3,ams1=1".
type Proposed struct {
	Region director.RegionID
	Row    map[director.NodeID]float64
}

// UnmarshalText reads "de:fra1=3,ams1=1".
func (p *Proposed) UnmarshalText(b []byte) error {
	region, list, ok := strings.Cut(string(b), ":")
	if !ok || region == "" || list == "" {
		return fmt.Errorf("%q: write REGION:NODE=WEIGHT,NODE=WEIGHT as in de:fra1=3,ams1=1", b)
	}
	words := strings.Split(list, ",")
	all := make([]Assignment, len(words))
	for i, w := range words {
		if err := all[i].UnmarshalText([]byte(w)); err != nil {
			return err
		}
	}
	row, err := rowOf(all)
	*p = Proposed{director.RegionID(region), row}
	return err
}

// named returns the nodes of a question.
func named(q api.WhatIfQuestion) (all []string) {
	for _, n := range q.LostNodes {
		all = append(all, string(n))
	}
	for n := range q.Nodes {
		all = append(all, string(n))
	}
	for _, row := range q.Rows {
		for n := range row {
			all = append(all, string(n))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Run prints the forecasts.
func (c *WhatIfCmd) Run(ctx context.Context, t *Terminal) error {
	q, err := c.question()
	if err != nil {
		return err
	}
	if !c.Simulate && (c.Minutes != 0 || c.LostMinutes != 0) {
		return errors.New("--minutes and --lost-minutes say how a simulation is played; give --simulate, too")
	}
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	var f forecasts
	answer, err := f.ask(ctx, s, q)
	switch {
	case err != nil:
		return err
	case c.JSON && c.Simulate:
		report, err := c.simulate(ctx, s, t, q)
		if err != nil {
			return err
		}
		both, err := json.Marshal(struct {
			Forecast   json.RawMessage `json:"forecast"`
			Simulation json.RawMessage `json:"simulation"`
		}{answer.Body, report})
		if err != nil {
			return err
		}
		return t.JSON(both)
	case c.JSON:
		return t.JSON(answer.Body)
	}
	f.print(t)
	if !c.Simulate {
		return nil
	}
	t.say("")
	report, err := c.simulate(ctx, s, t, q)
	if err != nil {
		return err
	}
	var r simulate.Report
	if err := json.Unmarshal(report, &r); err != nil {
		return fmt.Errorf("%s: the answer is not a director's: %w", s.Current(), err)
	}
	var b strings.Builder
	r.Print(&b)
	_, err = io.WriteString(t.Out, Clean(b.String()))
	return err
}

// simulate has a director play the question, and returns its report. When this program is
// stopped, the director stops, too.
func (c *WhatIfCmd) simulate(ctx context.Context, s *Session, t *Terminal, q api.WhatIfQuestion) (report json.RawMessage, err error) {
	bar := NewProgress(t)
	defer bar.Clear()
	var last api.SimulationLine
	err = s.Follow(ctx, Call{
		Method: http.MethodPost, Path: "/api/v1/whatif/simulation", Body: api.SimulationQuestion{WhatIfQuestion: q, Minutes: c.Minutes, LostMinutes: c.LostMinutes},
	}, func(line []byte) error {
		last = api.SimulationLine{}
		if err := json.Unmarshal(line, &last); err != nil {
			return fmt.Errorf("%s: the answer is not a director's: %w", s.Current(), err)
		}
		bar.Show(last.Progress)
		return nil
	})
	switch {
	case err != nil:
		return nil, s.explain(err)
	case last.Error != "":
		return nil, fmt.Errorf("%s: %s", s.Current(), last.Error)
	case last.Report == nil:
		return nil, fmt.Errorf("%s: the answer ended before the simulation did", s.Current())
	}
	return last.Report, nil
}

func (c *WhatIfCmd) question() (api.WhatIfQuestion, error) {
	q := api.WhatIfQuestion{
		Rows:  map[director.RegionID]map[director.NodeID]float64{},
		Nodes: map[director.NodeID]store.NodeState{}, LostNodes: c.LostNode, LostSites: c.LostSite,
		Overflows: map[director.RegionID][]director.RegionID{},
	}
	var err error
	for _, o := range c.Overflow {
		err = cmp.Or(err, once(q.Overflows, o.Region, o.Order, "overflows"))
	}
	for _, region := range c.ResetOverflow {
		err = cmp.Or(err, once(q.Overflows, region, nil, "overflows"))
	}
	for _, r := range c.Row {
		err = cmp.Or(err, once(q.Rows, r.Region, r.Row, "rows"))
	}
	for _, region := range c.Reset {
		err = cmp.Or(err, once(q.Rows, region, nil, "rows"))
	}
	for state, nodes := range map[store.NodeState][]director.NodeID{store.NodeDrained: c.Drain, store.NodeDisabled: c.Disable, "": c.Resume} {
		for _, n := range nodes {
			err = cmp.Or(err, once(q.Nodes, n, state, "states"))
		}
	}
	return q, err
}

// once gives what a command line names one thing of a kind, and refuses a second.
func once[K ~string, V any](all map[K]V, of K, one V, kind string) error {
	if _, twice := all[of]; twice {
		return fmt.Errorf("%s is given two %s; give it one", of, kind)
	}
	all[of] = one
	return nil
}

type forecasts api.WhatIfAnswer

func (f *forecasts) ask(ctx context.Context, s *Session, q api.WhatIfQuestion) (Answer, error) {
	answer, err := s.Do(ctx, Call{Method: http.MethodPost, Path: "/api/v1/whatif", Body: q}, f)
	if err != nil {
		err = s.whichNode(ctx, err, named(q)...)
		regions := slices.Concat(slices.Sorted(maps.Keys(q.Rows)), slices.Sorted(maps.Keys(q.Overflows)))
		for _, order := range q.Overflows {
			regions = append(regions, order...)
		}
		for _, region := range regions {
			err = s.whichRegion(ctx, err, string(region))
		}
		return Answer{}, err
	}
	return answer, nil
}

// print shows the regions given, or those whose shares change, and all nodes.
func (f *forecasts) print(t *Terminal, regions ...string) {
	shares := newTable("REGION", "NODE", ">SHARE NOW", ">THEN")
	for _, now := range f.Now.Regions {
		i := slices.IndexFunc(f.Then.Regions, func(r director.RegionForecast) bool { return r.Region == now.Region })
		if i < 0 || len(regions) > 0 && !slices.Contains(regions, string(now.Region)) {
			continue
		}
		then := f.Then.Regions[i]
		if len(regions) == 0 && sameShares(now.Shares, then.Shares) {
			continue
		}
		name := cmp.Or(string(now.Region), "(none)")
		for _, n := range nodesOf(now.Shares, then.Shares) {
			shares.add(name, n, percent(shareOf(now.Shares, n)), percent(shareOf(then.Shares, n)))
			name = ""
		}
	}
	if len(shares.rows) > 0 {
		shares.print(t)
		t.say("")
	}
	f.printNodes(t)
	t.say("")
	t.say("If the %s came anew: above target %d now, %d then; turned away %d now, %d then",
		wording.Count(f.Now.Listeners, "listener"), f.Now.BeyondTarget, f.Then.BeyondTarget, f.Now.BeyondLimit, f.Then.BeyondLimit)
	for _, m := range f.Then.Mounts {
		if m.BeyondLimit > 0 && len(f.Then.Mounts) > 1 {
			t.say("of %s: %d of %d turned away", cmp.Or(m.Mount, "other mounts"), m.BeyondLimit, m.Listeners)
		}
	}
	if l := f.Loss; l != nil {
		t.say("If those who would have to leave (%d) all went at once: above target %d, turned away %d", l.Listeners, l.BeyondTarget, l.BeyondLimit)
	}
	if f.Then.Unbounded {
		t.say("some may use a node without a known limit, which counts as holding any number")
	}
}

// nodesOf returns the nodes with a share in any list, in that order.
func nodesOf(lists ...[]director.NodeShare) (all []director.NodeID) {
	for _, list := range lists {
		for _, s := range list {
			if !slices.Contains(all, s.Node) {
				all = append(all, s.Node)
			}
		}
	}
	return all
}

func shareOf(all []director.NodeShare, id director.NodeID) float64 {
	if i := slices.IndexFunc(all, func(s director.NodeShare) bool { return s.Node == id }); i >= 0 {
		return all[i].Share
	}
	return 0
}

// sameShares says that there is no visible difference.
func sameShares(a, b []director.NodeShare) bool {
	const visible = 0.0005 // as percent shows them
	return !slices.ContainsFunc(nodesOf(a, b), func(n director.NodeID) bool {
		return math.Abs(shareOf(a, n)-shareOf(b, n)) >= visible
	})
}

func (f *forecasts) printNodes(t *Terminal) {
	out := newTable("NODE", "STATE", ">LISTENERS", ">THEN", ">TARGET", ">LIMIT", ">OF ALL NEW", ">THEN", "")
	then := map[director.NodeID]director.NodeForecast{}
	for _, n := range f.Then.Nodes {
		then[n.Node] = n
	}
	for _, now := range f.Now.Nodes {
		n, there := then[now.Node]
		if !there {
			out.add(now.Node, cell{"lost", red}, now.Listeners, "-", orDash(now.Target), orDash(now.Limit), percent(now.Share), "-", "")
			continue
		}
		state := cell{api.InWords(now.State), plain}
		if n.State != now.State {
			state = cell{api.InWords(now.State) + " -> " + api.InWords(n.State), yellow}
		}
		out.add(now.Node, state, now.Listeners, n.Listeners, orDash(n.Target), orDash(n.Limit), percent(now.Share), percent(n.Share), beyond(n))
	}
	out.print(t)
}

func beyond(n director.NodeForecast) cell {
	switch {
	case n.Limit > 0 && n.Listeners >= n.Limit:
		return cell{"at its limit", red}
	case n.Target > 0 && n.Listeners > n.Target:
		return cell{"above target", yellow}
	}
	return cell{}
}
