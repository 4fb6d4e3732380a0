package admin

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// announce takes in what an agent says of its node, and tells it how the fleet
// sees that node.
func (a *API) announce(ctx echo.Context) error {
	var said api.Announcement
	if err := read(ctx, &said); err != nil {
		return err
	}
	who := asking(ctx)
	r, err := registration(&said, ctx.Param("id"), who.Name, a.cfg.Now())
	if err != nil {
		return problem(http.StatusUnprocessableEntity, err.Error())
	}
	if err := a.owns(ctx, r.Node, said.Instance); err != nil {
		return err
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

// leave is which run of an agent asks for its node to be drained.
type leave struct {
	Instance string `json:"instance"`
}

// drainOwn lets an agent drain its node. Other fields are those of a newer agent.
func (a *API) drainOwn(ctx echo.Context) error {
	var l leave
	if err := read(ctx, &l); err != nil {
		return err
	}
	return a.drainAs(ctx, l.Instance)
}

func (a *API) drainAs(ctx echo.Context, instance string) error {
	id, err := a.mayLeave(ctx, instance)
	if err != nil {
		return err
	}
	if _, err := a.cfg.Syncer.Drain(id, instance); err != nil {
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
	if instance == "" && asking(ctx).Role == api.RoleAgent {
		return id, problem(http.StatusBadRequest, "instance: an agent says which run of it this is, as when it registered")
	}
	if err := a.owns(ctx, id, instance); err != nil {
		return id, err
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

// owns refuses an agent that speaks as a run of another one, or with no instance
// wants to see its node. They differ by the token that the node was registered
// with, unless that one is gone from the file or goes by another name there. Who
// says to be another run is the registry's affair.
func (a *API) owns(ctx echo.Context, id director.NodeID, instance string) error {
	who := asking(ctx)
	if who.Role != api.RoleAgent {
		return nil
	}
	all := a.cfg.Syncer.Registrations()
	i := slices.IndexFunc(all, func(r store.Heard) bool { return r.Node == id })
	switch {
	case i < 0 && instance != "", i >= 0 && (all[i].Token == who.Name || instance != "" && instance != all[i].Instance):
		return nil
	case i >= 0 && !slices.ContainsFunc(a.cfg.Tokens(), func(t Token) bool { return t.Name == all[i].Token }):
		return nil
	}
	return problem(http.StatusForbidden, fmt.Sprintf("the token %q is not the one that %.80q was registered with; an agent has to do with its own node only", who.Name, id))
}
