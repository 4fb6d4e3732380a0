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

// announce registers an agent's node, or takes its report, and answers with the
// node as the fleet sees it.
func (a *API) announce(ctx echo.Context) error {
	var said api.Announcement
	if err := read(ctx, &said); err != nil {
		return err
	}
	who := caller(ctx)
	r, err := registration(&said, ctx.Param("id"), who.Name, a.cfg.Now())
	if err != nil {
		return problem(http.StatusUnprocessableEntity, err.Error())
	}
	if a.cfg.Complete != nil {
		r.Place = a.cfg.Complete(r.Place)
	}
	if err := a.checkOwner(ctx, r.Node, said.Instance); err != nil {
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

// leave is the body of an agent's drain.
type leave struct {
	Instance string `json:"instance"`
}

// drainOwn lets an agent drain its node. Unknown fields are a newer agent's.
func (a *API) drainOwn(ctx echo.Context) error {
	var l leave
	if err := read(ctx, &l); err != nil {
		return err
	}
	return a.drainAs(ctx, l.Instance)
}

func (a *API) drainAs(ctx echo.Context, instance string) error {
	id, err := a.checkLeave(ctx, instance)
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
	id, err := a.checkLeave(ctx, instance)
	if err != nil {
		return err
	}
	if err := a.cfg.Syncer.Deregister(id, instance); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

// checkLeave says whether the caller may drain or deregister a node as its agent does:
// an agent its own node, an operator any registered one.
func (a *API) checkLeave(ctx echo.Context, instance string) (director.NodeID, error) {
	id := director.NodeID(ctx.Param("id"))
	if instance == "" && caller(ctx).Role == api.RoleAgent {
		return id, problem(http.StatusBadRequest, "instance: an agent gives the instance that it registered with")
	}
	if err := a.checkOwner(ctx, id, instance); err != nil {
		return id, err
	}
	if view := a.cfg.Syncer.View(); view.Snapshot != nil {
		_, there := view.FindNode(id)
		registered := slices.ContainsFunc(a.cfg.Syncer.Registrations(), func(r store.Heard) bool { return r.Node == id })
		if there && !registered {
			return id, problem(http.StatusConflict, string(id)+" is declared in the configuration file, and not registered: set drained: true there, or remove it")
		}
	}
	return id, nil
}

// checkOwner refuses an agent that acts for another agent's node, or reads it. A node
// belongs to the token that it was registered with, unless that token is gone from
// the file. Another instance of the same agent is the registry's business.
func (a *API) checkOwner(ctx echo.Context, id director.NodeID, instance string) error {
	who := caller(ctx)
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
	return problem(http.StatusForbidden, fmt.Sprintf("the token %q is not the one that %.80q was registered with; an agent may use its own node only", who.Name, id))
}
