package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

const starting = "the director is starting and has no snapshot yet; try again soon"

// view returns the newest snapshot, or a Problem while there is none.
func (a *API) view() (director.View, error) {
	v := a.cfg.Syncer.View()
	if v.Snapshot == nil {
		return v, problem(http.StatusServiceUnavailable, starting)
	}
	return v, nil
}

// Nodes returns all nodes. The error is a *[api.Problem], as are those of the other
// answers.
func (a *API) Nodes() (api.NodesAnswer, error) {
	view, err := a.view()
	if err != nil {
		return api.NodesAnswer{}, err
	}
	d := a.describer(view, a.cfg.SafeBelow())
	out := api.NodesAnswer{Built: view.Built(), Nodes: make([]api.Node, 0, view.Nodes())}
	for n := range view.Nodes() {
		out.Nodes = append(out.Nodes, d.whole(n))
	}
	return out, nil
}

// Node returns one node; threshold is how many listeners may be left on one that
// is safe to terminate.
func (a *API) Node(id director.NodeID, threshold int) (api.Node, error) {
	view, err := a.view()
	if err != nil {
		return api.Node{}, err
	}
	d := a.describer(view, threshold)
	if n, ok := view.FindNode(id); ok {
		return d.whole(n), nil
	}
	if r := d.registered[id]; r != nil { // in the next snapshot only
		out := api.Node{
			ID: id, URLs: r.URLs, Site: r.Site, Registered: holder(r), State: director.Unverified,
			Mounts: []string{}, Version: version(nil),
		}
		if !r.Drained.IsZero() {
			setDrained(&out, threshold, false, r)
		}
		return out, nil
	}
	return api.Node{}, problem(http.StatusNotFound, fmt.Sprintf("no node has the id %.80q; GET /api/v1/nodes lists them", id))
}

// A describer says what is known of a snapshot's nodes.
type describer struct {
	director.View
	overlay    store.Overlay // in force
	registered map[director.NodeID]*store.Heard
	threshold  int
	suspects   bool // this director does not trust its own probes
}

func (a *API) describer(view director.View, threshold int) describer {
	all := a.cfg.Syncer.Registrations()
	d := describer{
		View: view, overlay: a.cfg.Syncer.Overlay().InForce(view.Built()), registered: make(map[director.NodeID]*store.Heard, len(all)),
		threshold: threshold, suspects: a.cfg.Syncer.Status().Suspect != "",
	}
	for i := range all {
		d.registered[all[i].Node] = &all[i]
	}
	return d
}

// whole says all of a node.
func (d *describer) whole(n int) api.Node {
	out := d.node(n)
	out.Mounts = d.carried(n)
	return out
}

// node says all of a node but what it carries, which takes longer.
func (d *describer) node(n int) api.Node {
	st := d.Node(n)
	r := &st.Report
	out := api.Node{
		ID: st.ID, URLs: st.URLs, Site: st.Site,
		State: st.State, Health: r.Health, Detail: r.Detail, By: r.By, Server: r.Server, Since: r.Since, Full: r.Full,
		Used: d.Live.Used(n), EnRoute: st.EnRoute, Target: st.EffectiveTarget, Limit: st.EffectiveLimit,
		Kbit: r.Kbit, MbitTarget: st.Mbit.Target, MbitLimit: st.Mbit.Limit, SentPerS: float64(st.Recent),
		Room: st.Room, WarmUp: st.WarmUp, Version: version(nil),
	}
	out.EnRoute += out.Used - st.Used
	made, ok := d.overlay.Nodes[st.ID]
	if ok {
		out.Override, out.Version = overrideOf(d.overlay, "nodes/"+string(st.ID), made.Stamp, d.Built()), version(made)
		out.Override.State = made.State
	}
	held := d.registered[st.ID]
	if held != nil {
		out.Registered = holder(held)
	}
	if st.State == director.Drained {
		if out.Since = made.Began(); out.Since.After(d.Built()) { // by a clock that was wrong
			out.Since = d.Built()
		}
		setDrained(&out, d.threshold, d.known(r, held), held)
	}
	return out
}

// setDrained says how far n has emptied, since an operator's word or its agent's.
func setDrained(n *api.Node, threshold int, known bool, held *store.Heard) {
	if held != nil && !held.Drained.IsZero() && (n.Since.IsZero() || held.Drained.Before(n.Since)) {
		n.Since = held.Drained
	}
	n.Drained, n.SafeToTerminate = true, known && n.Used <= threshold
	n.Drain = &api.Drain{Since: n.Since, SafeToTerminate: n.SafeToTerminate, Threshold: threshold}
	if known {
		n.Drain.Left = new(n.Used)
	}
}

// failedTogether is how long a node must be down until nobody listens there for sure. A
// director that loses its network sees its nodes fail one after another, and suspects
// itself only when most have.
const failedTogether = 30 * time.Second

// known says whether it is known how many listen at a node now. One that is down has
// none, if its agent says so, or directors have for a while; one that is not probed,
// does not count, or tells only that it is full, may have any number.
func (d *describer) known(r *director.Report, held *store.Heard) bool {
	now := d.Built()
	switch {
	case r.Taken.IsZero() || now.Sub(r.Taken) > store.ReportLife || r.Full:
		return false
	case r.Listeners >= 0:
		return true
	case held != nil && held.Report.Health == director.Failed:
		return true
	}
	return r.Health == director.Failed && !d.suspects && now.Sub(r.Since) >= failedTogether
}

// carried returns the public names of the mounts that a node reports, as far as
// the fleet serves them.
func (d *describer) carried(n int) []string {
	c := carrierOf(d.Node(n))
	out := []string{}
	for i, m := range d.Mounts() {
		if c.carries(&d.Mounts()[i]) != nil {
			out = append(out, m.Name)
		}
	}
	return out
}

// A carrier is a node, with what it reports of its mounts by their path there: both
// may be thousands.
type carrier struct {
	director.NodeState
	told map[string]*director.MountReport
}

func carrierOf(st director.NodeState) carrier {
	c := carrier{st, nil}
	if st.Report.Health != director.Up {
		return c
	}
	c.told = make(map[string]*director.MountReport, len(st.Report.Mounts))
	for i := range st.Report.Mounts {
		told := &st.Report.Mounts[i]
		if c.told[told.Path] == nil {
			c.told[told.Path] = told
		}
	}
	return c
}

// carries returns what the node reports of a mount; nil: it does not carry it now.
func (c *carrier) carries(m *director.Mount) *director.MountReport {
	path := m.Name
	if p, ok := c.Paths[path]; ok {
		path = p
	}
	told := c.told[path]
	if told == nil && c.Report.Health == director.Up && c.Report.AnyMount {
		told = &director.MountReport{Path: path, Listeners: -1}
	}
	return told
}

func holder(r *store.Heard) *api.Holder {
	return &api.Holder{Instance: r.Instance, Token: r.Token, SilentMS: r.Silent.Milliseconds()}
}

func (a *API) getNodes(ctx echo.Context) error {
	out, err := a.Nodes()
	return answer(ctx, out, err)
}
