package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// overviewPage is the first page: is everything on the air, for whom, and what is wrong?
type overviewPage struct {
	Mounts                []mountLine // those with trouble first
	MoreMounts            int         // which are left out
	Off, Lacking          int         // mounts off the air, and lacking at a node
	Regions               []regionLine
	Map                   worldMap
	Nodes                 []api.Node // those with trouble first
	All                   int        // nodes, with those that are left out of Nodes
	Director              string
	Used, EnRoute, Target int
	Estimated             int     // of EnRoute
	Uncounted             int     // nodes whose listeners nobody knows
	Kbit                  float64 // sent, as told or reckoned
	Reckoned              bool    // Kbit is in part
	Fit, Trouble          int
	Unfit                 string // "1 down, 2 drained"
	Bar                   bar
	Reserve               reserve
}

// reserve is the worst case among the losses of a single node.
type reserve struct {
	director.Loss
	Level, Text string
}

// mostNodes is how many nodes the first page lists, but for those that need attention,
// which are always there. The others are listed at the end of a link, or as soon as
// somebody searches or sorts: so that a page of many nodes comes quickly, too.
const mostNodes = 60

func (d *dashboard) overview(r *http.Request) (any, error) {
	nodes, err := d.api.Nodes()
	if err != nil {
		return nil, err
	}
	losses, err := d.api.Reserve()
	if err != nil {
		return nil, err
	}
	status, err := d.api.Status()
	if err != nil {
		return nil, err
	}
	mounts, err := d.api.Mounts()
	if err != nil {
		return nil, err
	}
	regions, err := d.api.Regions()
	if err != nil {
		return nil, err
	}
	p := overviewPage{Nodes: nodes.Nodes, Director: status.Director, Reserve: worst(losses.Nodes)}
	slices.SortFunc(p.Nodes, func(a, b api.Node) int {
		return cmp.Or(cmp.Compare(urgency(&a), urgency(&b)), cmp.Compare(a.ID, b.ID))
	})
	p.mounts(mounts.Mounts, p.Nodes)
	p.Regions, p.Map = regionLines(regions.Regions), drawMap(p.Nodes, regions.Regions)
	unfit, limit := map[string]int{}, 0
	for i := range p.Nodes {
		n := &p.Nodes[i]
		p.Used, p.EnRoute, p.Kbit = p.Used+n.Used, p.EnRoute+n.EnRoute, p.Kbit+n.Kbit+n.KbitReckoned
		p.Reckoned = p.Reckoned || n.KbitReckoned > 0
		p.Estimated += n.Estimated
		if !n.Counted {
			p.Uncounted++
		}
		if needsAttention(n) {
			p.Trouble++
		}
		if n.State == director.Fit && n.Plays {
			p.Fit, p.Target, limit = p.Fit+1, p.Target+n.Target, limit+n.Limit
		} else {
			unfit[wording(*n).Word]++
		}
	}
	p.Unfit, p.Bar = tally(unfit), newBar(p.Used, p.EnRoute, p.Target, limit)
	p.All = len(p.Nodes)
	if r.URL.Query().Get("nodes") != "all" {
		p.Nodes = p.Nodes[:min(p.All, max(mostNodes, p.Trouble))]
	}
	return p, nil
}

// tally formats {"down": 1, "drained": 2} as "1 down, 2 drained".
func tally(of map[string]int) string {
	var parts []string
	for word, n := range of {
		parts = append(parts, fmt.Sprintf("%d %s", n, word))
	}
	slices.Sort(parts)
	return cmp.Or(strings.Join(parts, ", "), "all of them")
}

func worst(losses []director.Loss) reserve {
	if len(losses) == 0 {
		return reserve{Level: "dim", Text: "there are no nodes"}
	}
	r := reserve{Loss: slices.MaxFunc(losses, func(a, b director.Loss) int {
		return cmp.Or(cmp.Compare(a.BeyondLimit, b.BeyondLimit), cmp.Compare(a.BeyondTarget, b.BeyondTarget), cmp.Compare(a.Listeners, b.Listeners))
	})}
	switch {
	case r.BeyondLimit > 0:
		r.Level, r.Text = "bad", fmt.Sprintf("if it is %s", r.Node)
	case r.BeyondTarget > 0:
		r.Level, r.Text = "warn", fmt.Sprintf("if it is %s", r.Node)
	default:
		r.Level, r.Text = "good", "none above target"
	}
	return r
}

// More returns how many nodes are left out.
func (p overviewPage) More() int { return p.All - len(p.Nodes) }

func needsAttention(n *api.Node) bool { return urgency(n) < calm }

// The steps of urgency.
const (
	urgent   = iota // listeners may miss something
	noticed         // somebody should look at it
	intended        // an operator wanted it so
	calm
)

// urgency says how soon somebody should look at a node.
func urgency(n *api.Node) int {
	switch {
	case n.Drained:
		return intended
	case n.State != director.Fit:
		return urgent
	case troubled(n):
		return noticed
	}
	return calm
}

func troubled(n *api.Node) bool {
	return n.Attention(time.Now()) != "" || n.State != director.Fit || !n.Plays || n.Full || n.Target > 0 && n.Used >= n.Target || n.Limit > 0 && n.Used >= n.Limit
}

// words describe a node's state: a shape, a word, since when, why, and the actions that an
// operator can take.
type words struct {
	Shape, Word, Detail string
	Since               time.Time
	Room                string // "of 10,000 · limit 15,000"
	Actions             []string
}

func wording(n api.Node) words {
	w := words{Shape: n.State.String(), Word: api.InWords(n.State), Detail: n.Detail, Since: n.Since, Actions: []string{"drain"}}
	switch {
	case n.Target > 0 && n.Limit > 0:
		w.Room = "of " + count(n.Target) + " · limit " + count(n.Limit)
	case n.Target > 0:
		w.Room = "of " + count(n.Target)
	case n.Limit > 0:
		w.Room = "limit " + count(n.Limit)
	default:
		w.Room = "no target"
	}
	o := n.Override
	switch {
	case o != nil && o.State == store.NodeDisabled:
		w.Actions = []string{"resume"}
		w.Shape, w.Word, w.Since, w.Detail = "disabled", "disabled", o.At, said(o)
		return w
	case o != nil:
		w.Actions = []string{"resume"}
	case n.Drained:
		w.Actions = nil
	}
	switch {
	case n.Drained:
		w.drained(&n)
	case n.State != director.Fit:
	case !n.Plays:
		w.Shape, w.Word = "plays_nothing", "plays nothing"
	case n.Full:
		w.Shape, w.Word = "full", "refuses listeners"
	case n.Limit > 0 && n.Used >= n.Limit:
		w.Shape, w.Word = "at_limit", "at its limit"
	case n.Target > 0 && n.Used >= n.Target:
		w.Shape, w.Word = "at_target", "at its target"
	case n.WarmUp < 1:
		w.Shape, w.Word = "warming", "warming up, "+percent(n.WarmUp)+" %"
	}
	if n.State == director.Fit && !n.Drained {
		w.Detail = n.Attention(time.Now()) // what is well needs no words
	}
	return w
}

// Urgent returns the class of a row that is to be seen.
func (w words) Urgent() string {
	switch w.Shape {
	case "down", "unverified":
		return "bad"
	case "plays_nothing", "full", "at_limit", "at_target":
		return "warn"
	}
	if w.Detail != "" && w.Shape == "fit" {
		return "warn"
	}
	return ""
}

// Short returns the state in two words at most, for a narrow column.
func (w words) Short() string {
	switch w.Shape {
	case "fit":
		return "in service"
	case "unverified":
		return "not probed"
	}
	return strings.ReplaceAll(w.Shape, "_", " ")
}

func (w *words) drained(n *api.Node) {
	w.Since = n.Drain.Since
	switch {
	case n.SafeToTerminate:
		w.Detail = "safe to terminate"
	case n.Drain.Left != nil && *n.Drain.Left <= n.Drain.Threshold && len(n.Drain.WaitingFor) > 0:
		w.Detail = "waiting for " + joined(n.Drain.WaitingFor)
	case n.Drain.Left == nil:
		w.Detail = "nobody counts who still listens"
	default:
		w.Detail = count(*n.Drain.Left) + " still listen"
	}
	if n.Override != nil {
		w.Detail += ", " + said(n.Override)
	} else {
		w.Detail += ", not by an operator"
	}
}

func said(o *api.Override) string {
	if o.Why == "" {
		return "by " + o.By
	}
	return "by " + o.By + ": " + o.Why
}

func nodeBar(n api.Node) bar { return newBar(n.Used, n.EnRoute, n.Target, n.Limit) }

// listeners is how many there are, "not known" where nobody counts them.
func listeners(n api.Node) string {
	if !n.Counted {
		return "not known"
	}
	return count(n.Used)
}

// sends is the bandwidth in Mbit/s: as told, as reckoned (marked so), or not known.
func sends(n api.Node) string {
	switch {
	case n.Kbit > 0 || n.Counted && n.Used-n.EnRoute <= 0:
		return mbit(n.Kbit)
	case n.KbitReckoned > 0:
		return "≈ " + mbit(n.KbitReckoned)
	}
	return "not known"
}

// A mountLine is a mount in the list of the first page.
type mountLine struct {
	api.Mount
	Level, State string // good, warn or bad; in words
	Lacks        string // where it does not play
}

// Total is the mount's sessions at all nodes.
func (l mountLine) Total() api.Sessions { return api.Total(l.Sessions) }

const mostMounts = 12 // of the first page

// describeMount says where a mount plays. A node that is down is told of in its own row,
// and one that never had the mount may not be meant to.
func describeMount(m api.Mount, nodes []api.Node) mountLine {
	l := mountLine{Mount: m, Level: "good", State: fmt.Sprintf("on the air at %d nodes", len(m.Nodes))}
	if len(m.Nodes) == 1 {
		l.State = "on the air at 1 node"
	}
	var lacking, down []director.NodeID
	for i := range nodes {
		switch n := &nodes[i]; {
		case !slices.Contains(m.Down, n.ID) || n.Drained:
		case n.State != director.Fit:
			down = append(down, n.ID)
		case lacks(n, m.Name):
			lacking = append(lacking, n.ID)
		}
	}
	var parts []string
	if len(lacking) > 0 {
		l.Level = "warn"
		parts = append(parts, "not at "+joined(lacking))
	}
	if len(down) > 0 {
		parts = append(parts, "down: "+joined(down))
	}
	l.Lacks = strings.Join(parts, "; ")
	if len(m.Nodes) == 0 {
		l.Level, l.State = "bad", "off the air"
	}
	return l
}

// lacks says whether a node that is up no longer plays a mount.
func lacks(n *api.Node, mount string) bool {
	return slices.ContainsFunc(n.Lacks, func(l api.Lack) bool {
		return (l.Mount == mount || l.Mount == "") && l.Cause != director.NotThere
	})
}

func (p *overviewPage) mounts(all []api.Mount, nodes []api.Node) {
	for _, m := range all {
		l := describeMount(m, nodes)
		switch l.Level {
		case "bad":
			p.Off++
		case "warn":
			p.Lacking++
		}
		p.Mounts = append(p.Mounts, l)
	}
	order := map[string]int{"bad": 0, "warn": 1, "good": 2}
	slices.SortStableFunc(p.Mounts, func(a, b mountLine) int { return cmp.Compare(order[a.Level], order[b.Level]) })
	if p.MoreMounts = len(p.Mounts) - mostMounts; p.MoreMounts > 0 {
		p.Mounts = p.Mounts[:mostMounts]
	}
}

// A regionLine is a region: who comes from there, and where they are sent.
type regionLine struct {
	ID, Places string
	Listeners  int
	To         []shareOf
	More       int  // nodes that are left out
	Spare      bool // it matches nobody: others overflow into it
}

type shareOf = api.ShareOf

const mostShares = 4

func regionLines(all []api.Region) (out []regionLine) {
	for _, r := range all {
		l := regionLine{ID: string(r.ID), Places: matrixRow{Region: r}.Places(), Listeners: r.Listeners, To: wholePercents(r.Shares), Spare: r.Match == ""}
		if l.More = len(l.To) - mostShares; l.More > 0 {
			l.To = l.To[:mostShares]
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b regionLine) int { return cmp.Compare(b.Listeners, a.Listeners) })
	return out
}

var wholePercents = api.WholePercents
