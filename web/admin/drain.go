package admin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// drain stops sending new listeners to a node: for good if its agent asks, until it
// is resumed if an operator does.
func (a *API) drain(ctx echo.Context) error {
	if caller(ctx).Role == api.RoleAgent {
		return a.drainOwn(ctx)
	}
	return a.setNode(ctx, store.NodeDrained)
}

func (a *API) disable(ctx echo.Context) error { return a.setNode(ctx, store.NodeDisabled) }

func (a *API) resume(ctx echo.Context) error { return a.setNode(ctx, "") }

// setNode sets the state of a node in the overlay, or with an empty state removes it.
func (a *API) setNode(ctx echo.Context, state store.NodeState) error {
	var e api.NodeEdit
	if err := readEdit(ctx, &e); err != nil {
		return err
	}
	if e.Instance != "" && state == store.NodeDrained { // an agent, where no token is needed
		return a.drainAs(ctx, e.Instance)
	}
	match, err := ifMatch(ctx, false)
	if err != nil {
		return err
	}
	id := director.NodeID(ctx.Param("id"))
	if err := a.checkState(id, state); err != nil {
		return err
	}
	err = a.change(ctx, &e.Edit, func(o *store.Overlay, now time.Time) error {
		held, there := o.InForce(now).Nodes[id]
		if err := match.check("nodes/"+string(id), nodeVersion(held, there)); err != nil {
			return err
		}
		switch {
		case state == "":
			delete(o.Nodes, id)
		case there && held.State == state && held.Until.IsZero() && e.Edit == (api.Edit{}):
			// The same again: the first author and time stay.
		default:
			if o.Nodes == nil {
				o.Nodes = map[director.NodeID]store.NodeSetting{}
			}
			o.Nodes[id] = store.NodeSetting{State: state, Since: held.Began()}
		}
		return nil
	})
	if err != nil {
		return a.orStale(ctx, err, func() (any, error) { return a.Node(id, a.cfg.SafeBelow()) })
	}
	return a.answerNode(ctx, id)
}

func nodeVersion(held store.NodeSetting, there bool) string {
	if !there {
		return version(nil)
	}
	return version(held)
}

// checkState says whether a node can get a state. The entry of a node that is gone can
// still be removed.
func (a *API) checkState(id director.NodeID, state store.NodeState) error {
	o := a.cfg.Syncer.Overlay()
	_, made := o.Nodes[id]
	if made && state == "" {
		return nil
	}
	n, err := a.Node(id, 0)
	if err != nil || state != "" || !n.Drained {
		return err
	}
	if n.Registered != nil {
		return problem(http.StatusConflict, string(id)+" was drained by its agent, which cannot be taken back: restart the agent")
	}
	return problem(http.StatusConflict, string(id)+" is drained in the configuration file, and not by an operator: remove drained: true there")
}

// safeToTerminate answers an autoscaler: 200 if the node may be terminated, else 409.
func (a *API) safeToTerminate(ctx echo.Context) error {
	n, err := a.oneNode(ctx)
	if err != nil {
		return err
	}
	status := http.StatusConflict
	if n.SafeToTerminate {
		status = http.StatusOK
	}
	out := api.Termination{SafeToTerminate: n.SafeToTerminate, Drained: n.Drained, Left: new(n.Used)}
	if n.Drain != nil {
		out.Left, out.WaitingFor = n.Drain.Left, n.Drain.WaitingFor
	}
	return ctx.JSON(status, out)
}

func (a *API) getNode(ctx echo.Context) error {
	n, err := a.oneNode(ctx)
	return answerVersion(ctx, n, n.Version, err)
}

// oneNode returns the node of the request; an agent sees its own only.
func (a *API) oneNode(ctx echo.Context) (api.Node, error) {
	threshold := a.cfg.SafeBelow()
	if s := ctx.QueryParam("threshold"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > maxListeners {
			return api.Node{}, problem(http.StatusBadRequest, "threshold: give how many listeners may be left on a node that is safe to terminate")
		}
		threshold = n
	}
	id := director.NodeID(ctx.Param("id"))
	if err := a.checkOwner(ctx, id, store.Speaker{}); err != nil {
		return api.Node{}, err
	}
	n, err := a.Node(id, threshold)
	if n.Registered != nil && caller(ctx).Role == api.RoleAgent {
		n.Registered = &api.Holder{SilentMS: n.Registered.SilentMS} // agents of one token need not know each other's
	}
	return n, err
}
