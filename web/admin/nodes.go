package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

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
	by, err := speaking(ctx, said.Instance)
	if err != nil {
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
	r.Secret = by.Secret
	if err := a.checkOwner(ctx, r.Node, by); err != nil {
		return err
	}
	t := a.tokenOf(who)
	if !t.admits(r.Node) {
		return problem(http.StatusForbidden, fmt.Sprintf("the token %q may register %s only; give the agent another --id or token, or add to its ids= in the directors' tokens_file", t.Name, strings.Join(t.IDs, ", ")))
	}
	got, err := a.cfg.Syncer.Register(r, t.Nodes)
	if err != nil {
		return err
	}
	return a.answerNode(ctx, got.Node)
}

// secretHeader is where an agent says what only it knows, with every call: whoever
// registers a node with a secret is the only one who can speak for it.
const secretHeader = "Signpost-Agent-Secret" //nolint:gosec // a name

const (
	minSecret = 16 // bytes: 80 bits of what an agent makes up
	maxSecret = 128
)

// speaking returns who speaks for a node: an agent by its instance and secret, or with
// no instance an operator.
func speaking(ctx echo.Context, instance string) (store.Speaker, error) {
	secret := ctx.Request().Header.Get(secretHeader)
	if n := len(secret); n > 0 && (n < minSecret || n > maxSecret) {
		return store.Speaker{}, problem(http.StatusUnprocessableEntity, fmt.Sprintf("%s: give %d to %d bytes that nobody can guess", secretHeader, minSecret, maxSecret))
	}
	if instance == "" {
		return store.Speaker{}, nil
	}
	return store.Speaker{Instance: instance, Secret: store.HashSecret(secret)}, nil
}

// tokenOf returns the token of who asks; where none is set, one without limits.
func (a *API) tokenOf(who api.Identity) *Token {
	for _, t := range a.cfg.Tokens() {
		if t.Name == who.Name && t.Role == who.Role {
			return &t
		}
	}
	return new(Token)
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
	id, by, err := a.checkLeave(ctx, instance)
	if err != nil {
		return err
	}
	if _, err := a.cfg.Syncer.Drain(id, by); err != nil {
		return err
	}
	return a.answerNode(ctx, id)
}

func (a *API) deregister(ctx echo.Context) error {
	id, by, err := a.checkLeave(ctx, ctx.QueryParam("instance"))
	if err != nil {
		return err
	}
	if err := a.cfg.Syncer.Deregister(id, by); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

// checkLeave says whether the caller may drain or deregister a node as its agent does:
// an agent its own node, an operator any registered one. It returns who speaks for the
// node.
func (a *API) checkLeave(ctx echo.Context, instance string) (id director.NodeID, by store.Speaker, err error) {
	id = director.NodeID(ctx.Param("id"))
	if by, err = speaking(ctx, instance); err != nil {
		return id, by, err
	}
	if instance == "" && caller(ctx).Role == api.RoleAgent {
		return id, by, problem(http.StatusBadRequest, "instance: an agent gives the instance that it registered with")
	}
	if err := a.checkOwner(ctx, id, by); err != nil {
		return id, by, err
	}
	if view := a.cfg.Syncer.View(); view.Snapshot != nil {
		_, there := view.FindNode(id)
		registered := slices.ContainsFunc(a.cfg.Syncer.Registrations(), func(r store.Heard) bool { return r.Node == id })
		if there && !registered {
			return id, by, problem(http.StatusConflict, string(id)+" is declared in the configuration file, and not registered: set drained: true there, or remove it")
		}
	}
	return id, by, nil
}

// checkOwner refuses an agent that acts for another agent's node, or reads it. A node
// belongs to the token that it was registered with, unless that token is gone from
// the file. Another instance of the same agent is the registry's business.
func (a *API) checkOwner(ctx echo.Context, id director.NodeID, by store.Speaker) error {
	who := caller(ctx)
	if who.Role != api.RoleAgent {
		return nil
	}
	all := a.cfg.Syncer.Registrations()
	i := slices.IndexFunc(all, func(r store.Heard) bool { return r.Node == id })
	switch {
	case i < 0 && by.Instance != "", i >= 0 && (all[i].Token == who.Name || by.Instance != "" && by.Instance != all[i].Instance):
		return nil
	case i >= 0 && !slices.ContainsFunc(a.cfg.Tokens(), func(t Token) bool { return t.Name == all[i].Token }):
		return nil
	}
	return problem(http.StatusForbidden, fmt.Sprintf("the token %q is not the one that %.80q was registered with; an agent may use its own node only", who.Name, id))
}
