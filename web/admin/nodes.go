package admin

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// announce takes in what an agent says of its node, and tells it how the fleet
// sees that node.
func (a *API) announce(ctx echo.Context) error {
	var said Announcement
	if err := read(ctx, &said); err != nil {
		return err
	}
	who := asking(ctx)
	r, err := said.registration(ctx.Param("id"), who.Name, a.cfg.Now())
	if err != nil {
		return problem(http.StatusUnprocessableEntity, err.Error())
	}
	got, err := a.cfg.Syncer.Register(r)
	if err != nil {
		return err
	}
	return a.answerNode(ctx, got.Node)
}

func (a *API) answerNode(ctx echo.Context, id director.NodeID) error {
	out, err := a.Node(id, a.cfg.SafeBelow())
	return answerVersion(ctx, out, out.Version, err)
}

// leave is who asks for a node to be drained or deregistered.
type leave struct {
	Instance string `json:"instance"`
}

func (a *API) drain(ctx echo.Context) error {
	var l leave
	if err := read(ctx, &l); err != nil {
		return err
	}
	id, err := a.mayLeave(ctx, l.Instance)
	if err != nil {
		return err
	}
	if _, err := a.cfg.Syncer.Drain(id, l.Instance); err != nil {
		return err
	}
	return a.answerNode(ctx, id)
}

func (a *API) deregister(ctx echo.Context) error {
	instance := ctx.QueryParam("instance")
	id, err := a.mayLeave(ctx, instance)
	if err != nil {
		return err
	}
	if err := a.cfg.Syncer.Deregister(id, instance); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

// mayLeave says whether who asks may let a node go: an agent its own, and an
// operator any that is registered.
func (a *API) mayLeave(ctx echo.Context, instance string) (director.NodeID, error) {
	id := director.NodeID(ctx.Param("id"))
	if instance == "" && asking(ctx).Role == RoleAgent {
		return id, problem(http.StatusBadRequest, "instance: an agent says which run of it this is, as when it registered")
	}
	if view := a.cfg.Syncer.View(); view.Snapshot != nil {
		_, there := view.FindNode(id)
		registered := slices.ContainsFunc(a.cfg.Syncer.Registrations(), func(r store.Heard) bool { return r.Node == id })
		if there && !registered {
			return id, problem(http.StatusConflict, string(id)+" is declared in the directors' configuration, and not registered: set drained: true there, or take it out")
		}
	}
	return id, nil
}
