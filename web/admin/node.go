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

// view returns the newest snapshot, or a Problem before the first.
func (a *API) view() (director.View, error) {
	v := a.cfg.Syncer.View()
	if v.Snapshot == nil {
		return v, problem(http.StatusServiceUnavailable, starting)
	}
	return v, nil
}

// Nodes returns all nodes. Its error is an [*api.Problem], as with all other answers.
func (a *API) Nodes() (api.NodesAnswer, error) {
	view, err := a.view()
	if err != nil {
		return api.NodesAnswer{}, err
	}
	d := a.describer(view, a.cfg.SafeBelow())
	out := api.NodesAnswer{Built: view.Built(), Nodes: make([]api.Node, 0, view.Nodes())}
	for n := range view.Nodes() {
		out.Nodes = append(out.Nodes, d.describe(n))
	}
	return out, nil
}

// Node returns one node. It is safe to terminate when it is drained and at most
// threshold listeners are left.
func (a *API) Node(id director.NodeID, threshold int) (api.Node, error) {
	view, err := a.view()
	if err != nil {
		return api.Node{}, err
	}
	d := a.describer(view, threshold)
	if n, ok := view.FindNode(id); ok {
		return d.describe(n), nil
	}
	if r := d.registered[id]; r != nil { // it is in the next snapshot
		out := api.Node{
			ID: id, URLs: r.URLs, Site: r.Site, Registered: holder(r), State: director.Unverified,
			Mounts: []string{}, Version: version(nil),
		}
		if !r.Drained.IsZero() {
			setDrained(&out, threshold, false, r, a.cfg.Syncer.Unaware(id))
		}
		return out, nil
	}
	return api.Node{}, problem(http.StatusNotFound, fmt.Sprintf("no node has the id %.80q; GET /api/v1/nodes lists them", id))
}

// A describer makes the API's nodes of a snapshot's.
type describer struct {
	director.View
	overlay    store.Overlay // in force
	registered map[director.NodeID]*store.Heard
	sessions   map[director.NodeID][]api.Sessions
	threshold  int
	suspects   bool // this director suspects its own network
	unaware    func(director.NodeID) []string
}

func (a *API) describer(view director.View, threshold int) describer {
	all := a.cfg.Syncer.Registrations()
	d := describer{
		View: view, overlay: a.cfg.Syncer.Overlay().InForce(view.Built()), registered: make(map[director.NodeID]*store.Heard, len(all)),
		sessions:  sessionsBy(a.allSessions(), func(s *api.Sessions) director.NodeID { return s.Node }),
		threshold: threshold, suspects: a.cfg.Syncer.Status().Suspect != "", unaware: a.cfg.Syncer.Unaware,
	}
	for i := range all {
		d.registered[all[i].Node] = &all[i]
	}
	return d
}

// describe returns a node, with its mounts.
func (d *describer) describe(n int) api.Node {
	out := d.summary(n)
	out.Mounts, out.Sessions = d.carried(n), d.sessions[out.ID]
	if out.Kbit == 0 {
		out.KbitReckoned = d.reckoned(n)
	}
	for _, l := range d.Lacks(n) {
		out.Lacks = append(out.Lacks, api.Lack{
			Mount: l.Mount, Scheme: l.Scheme.String(), State: l.State, Cause: l.Cause, Detail: l.Detail, Since: l.Since, By: l.By, Text: l.String(d.Built()),
		})
	}
	return out
}

// summary returns a node without its mounts, which take longer.
func (d *describer) summary(n int) api.Node {
	st := d.Node(n)
	r := &st.Report
	out := api.Node{
		ID: st.ID, URLs: st.URLs, Site: st.Site,
		State: st.State, Plays: st.Plays && r.Health == director.Up, Health: r.Health, Detail: r.Detail, By: r.By, Server: r.Server, Since: r.Since, Full: r.Full,
		Used: d.Live.Used(n), EnRoute: st.EnRoute, Estimated: st.Estimated, Target: st.EffectiveTarget, Limit: st.EffectiveLimit,
		Kbit: r.Kbit, MbitTarget: st.Mbit.Target, MbitLimit: st.Mbit.Limit, SentPerS: float64(st.Recent),
		Room: st.Room, WarmUp: st.WarmUp, CertificateEnds: r.CertificateEnds, Version: version(nil),
	}
	out.EnRoute += out.Used - st.Used
	held := d.registered[st.ID]
	out.Counted = d.told(r, held)
	out.Place = placeOf(st.Place)
	made, ok := d.overlay.Nodes[st.ID]
	if ok {
		out.Override, out.Version = overrideOf(d.overlay, "nodes/"+string(st.ID), made.Stamp, d.Built()), version(made)
		out.Override.State = made.State
	}
	if held != nil {
		out.Registered = holder(held)
	}
	if st.State == director.Drained {
		if out.Since = made.Began(); out.Since.After(d.Built()) { // by a clock that was wrong
			out.Since = d.Built()
		}
		setDrained(&out, d.threshold, d.counted(r, held), held, d.unaware(st.ID))
	}
	return out
}

// setDrained fills in how far a drained node has emptied. It is drained since the
// operator's or its agent's drain, whichever was first.
func setDrained(n *api.Node, threshold int, known bool, held *store.Heard, unaware []string) {
	if held != nil && !held.Drained.IsZero() && (n.Since.IsZero() || held.Drained.Before(n.Since)) {
		n.Since = held.Drained
	}
	n.Drained, n.SafeToTerminate = true, known && n.Used <= threshold && len(unaware) == 0
	n.Drain = &api.Drain{Since: n.Since, SafeToTerminate: n.SafeToTerminate, Threshold: threshold, WaitingFor: unaware}
	if known {
		n.Drain.Left = new(n.Used)
	}
}

// failedTogether is how long a node must be down before it counts as empty. A director
// that loses its network sees its nodes fail one after another, and suspects itself
// only when most have.
const failedTogether = 30 * time.Second

// reckoned returns what a node's listeners take by the bitrates of the mounts, in kbit/s;
// 0: a bitrate or a count is missing, or nobody listens.
func (d *describer) reckoned(n int) (kbit float64) {
	t := tellerOf(d.Node(n))
	for i := range d.Mounts() {
		m := &d.Mounts()[i]
		switch told := t.tells(m.Name); {
		case !carries(d.View, n, i) || told != nil && told.Listeners == 0:
		case told == nil || told.Listeners < 0 || m.Kbit == 0:
			return 0
		default:
			kbit += float64(told.Listeners * m.Kbit)
		}
	}
	return kbit
}

// told says whether anybody tells how many listen at a node: its server, or its agent,
// which says that the server is down. One that is not probed, does not count, or says only
// that it is full may have any number; so may one that directors cannot reach.
func (d *describer) told(r *director.Report, held *store.Heard) bool {
	return d.recent(r) && (r.Listeners >= 0 || held != nil && held.Report.Health == director.Failed)
}

// counted says whether it is known how many would be cut off if a node were terminated
// now: told, or nobody, for directors have not reached it for a while.
func (d *describer) counted(r *director.Report, held *store.Heard) bool {
	return d.told(r, held) ||
		d.recent(r) && r.Health == director.Failed && !d.suspects && d.Built().Sub(r.Since) >= failedTogether
}

// recent says whether a report is as its node is now, and says more than that it is full.
func (d *describer) recent(r *director.Report) bool {
	return !r.Taken.IsZero() && d.Built().Sub(r.Taken) <= store.ReportLife && !r.Full
}

// carried returns the public names of the mounts that listeners of a node hear.
func (d *describer) carried(n int) []string {
	out := []string{}
	for m := range d.Mounts() {
		if carries(d.View, n, m) {
			out = append(out, d.Mounts()[m].Name)
		}
	}
	return out
}

// carries says whether node n plays mount m, even if it has no seat left.
func carries(view director.View, n, m int) bool {
	state := view.MountState(n, m)
	return state == director.MountPlays || state == director.MountFull
}

func holder(r *store.Heard) *api.Holder {
	return &api.Holder{Instance: r.Instance, Token: r.Token, SilentMS: r.Silent.Milliseconds()}
}

func (a *API) getNodes(ctx echo.Context) error {
	out, err := a.Nodes()
	return answer(ctx, out, err)
}
