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

// fleetPage is the overview of the fleet.
type fleetPage struct {
	Nodes                 []api.Node
	Director              string
	Used, EnRoute, Target int
	Estimated             int // of EnRoute
	Kbit                  float64
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

func (d *dashboard) fleet(*http.Request) (any, error) {
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
	p := fleetPage{Nodes: nodes.Nodes, Director: status.Director, Reserve: worst(losses.Nodes)}
	slices.SortFunc(p.Nodes, func(a, b api.Node) int { return cmp.Compare(a.ID, b.ID) })
	unfit, limit := map[string]int{}, 0
	for i := range p.Nodes {
		n := &p.Nodes[i]
		p.Used, p.EnRoute, p.Kbit = p.Used+n.Used, p.EnRoute+n.EnRoute, p.Kbit+n.Kbit
		p.Estimated += n.Estimated
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
		r.Level, r.Text = "good", "none beyond target"
	}
	return r
}

func needsAttention(n *api.Node) bool {
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
	w := words{Shape: n.State.String(), Word: n.State.String(), Detail: n.Detail, Since: n.Since, Actions: []string{"drain", "disable"}}
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
		w.Actions = []string{"resume", "disable"}
	case n.Drained:
		w.Actions = []string{"disable"}
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
		w.Detail = cmp.Or(n.Attention(time.Now()), w.Detail)
	}
	return w
}

// Short returns the shape as words, for a narrow column.
func (w words) Short() string { return strings.ReplaceAll(w.Shape, "_", " ") }

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
