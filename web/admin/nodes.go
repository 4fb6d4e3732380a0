package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// Node is what is known of a node, declared or registered. Times are by the
// store's clock.
type Node struct {
	ID         director.NodeID `json:"id"`
	URLs       []string        `json:"urls"`
	Site       string          `json:"site,omitempty"`
	Registered *Holder         `json:"registered,omitempty"` // who registered it; nil: it is declared

	State  director.Reason `json:"state"`            // fit, drained, down or unverified
	Health director.Health `json:"health"`           // which a drained node has, too
	Detail string          `json:"detail,omitempty"` // why, in the prober's or the agent's words
	Since  time.Time       `json:"since,omitzero"`   // since when it is in that state; zero: not known
	Full   bool            `json:"full,omitempty"`   // the server itself refuses listeners

	Used    int `json:"used"`     // listeners, those on their way included
	EnRoute int `json:"en_route"` // listeners on their way
	Target  int `json:"target,omitempty"`
	Limit   int `json:"limit,omitempty"`

	Drained bool `json:"drained"`
	// SafeToTerminate says that it is drained and nobody listens or is on the way.
	SafeToTerminate bool `json:"safe_to_terminate"`
}

// Holder is the agent that holds a node's id.
type Holder struct {
	Instance string    `json:"instance"`
	Token    string    `json:"token,omitempty"`
	Until    time.Time `json:"until,omitzero"`      // for how long, if it does not report again
	SilentMS int64     `json:"silent_ms,omitempty"` // for how long it has not reported
}

type nodesAnswer struct {
	Built time.Time `json:"snapshot_built"`
	Nodes []Node    `json:"nodes"`
}

// maxBody bounds what an agent may send: 2,000 mounts take some 600 KB.
const maxBody = 1 << 20

const starting = "the director is starting and has no snapshot yet; try again soon"

// nodes lists all nodes.
func (s *server) nodes(ctx echo.Context) error {
	view := s.cfg.Syncer.View()
	if view.Snapshot == nil {
		return problem(http.StatusServiceUnavailable, starting)
	}
	a := nodesAnswer{Built: view.Built(), Nodes: []Node{}}
	registered := s.registered()
	for n := range view.Nodes() {
		a.Nodes = append(a.Nodes, s.describe(view, n, registered[view.NodeID(n)]))
	}
	return ctx.JSONPretty(http.StatusOK, a, "  ")
}

func (s *server) registered() map[director.NodeID]*store.Heard {
	all := s.cfg.Syncer.Registrations()
	byID := make(map[director.NodeID]*store.Heard, len(all))
	for i := range all {
		byID[all[i].Node] = &all[i]
	}
	return byID
}

// describe says what is known of node n of a snapshot; r is nil if it is declared.
func (s *server) describe(view director.View, n int, r *store.Heard) Node {
	st := view.Node(n)
	out := Node{
		ID: st.ID, URLs: st.URLs, Site: st.Site, State: st.State, Health: st.Report.Health,
		Detail: st.Report.Detail, Since: st.Report.Since, Full: st.Report.Full,
		Used: view.Live.Used(n), EnRoute: st.EnRoute, Target: st.EffectiveTarget, Limit: st.EffectiveLimit,
		Drained: st.State == director.Drained,
	}
	out.EnRoute += out.Used - st.Used
	known := st.Report.Listeners >= 0 || st.Report.Health == director.Failed
	out.SafeToTerminate = out.Drained && out.Used == 0 && known
	if out.Drained {
		out.Since = s.cfg.Syncer.Overlay().InForce(view.Built()).Nodes[st.ID].At
	}
	if r != nil {
		out.Registered = holder(r)
		if out.Drained && !r.Drained.IsZero() {
			out.Since = r.Drained
		}
	}
	return out
}

func holder(r *store.Heard) *Holder {
	return &Holder{Instance: r.Instance, Token: r.Token, SilentMS: r.Silent.Milliseconds()}
}

// announce takes in what an agent says of its node, and tells it how the fleet
// sees that node.
func (s *server) announce(ctx echo.Context) error {
	var a Announcement
	if err := read(ctx, &a); err != nil {
		return err
	}
	who := ctx.Get(bearer).(Token)
	r, err := a.registration(ctx.Param("id"), who.Name, s.cfg.Now())
	if err != nil {
		return problem(http.StatusUnprocessableEntity, err.Error())
	}
	got, err := s.cfg.Syncer.Register(r)
	if err != nil {
		return err
	}
	return s.answerNode(ctx, got.Node)
}

// answerNode answers with one node as the fleet sees it. One that has just
// registered is in the next snapshot only, and unverified until then.
func (s *server) answerNode(ctx echo.Context, id director.NodeID) error {
	r := s.registered()[id]
	if r == nil {
		return store.ErrNotRegistered // taken out meanwhile
	}
	out := Node{ID: id, URLs: r.URLs, Site: r.Site, Registered: holder(r), State: director.Unverified, Drained: !r.Drained.IsZero()}
	if view := s.cfg.Syncer.View(); view.Snapshot != nil {
		if n, ok := view.FindNode(id); ok {
			out = s.describe(view, n, r)
		}
	}
	return ctx.JSON(http.StatusOK, out)
}

// leave is who asks for a node to be drained or deregistered.
type leave struct {
	Instance string `json:"instance"`
}

func (s *server) drain(ctx echo.Context) error {
	var l leave
	if err := read(ctx, &l); err != nil {
		return err
	}
	id, err := s.mayLeave(ctx, l.Instance)
	if err != nil {
		return err
	}
	if _, err := s.cfg.Syncer.Drain(id, l.Instance); err != nil {
		return err
	}
	return s.answerNode(ctx, id)
}

func (s *server) deregister(ctx echo.Context) error {
	instance := ctx.QueryParam("instance")
	id, err := s.mayLeave(ctx, instance)
	if err != nil {
		return err
	}
	if err := s.cfg.Syncer.Deregister(id, instance); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

// mayLeave says whether who asks may let a node go: an agent its own, and an
// operator any that is registered.
func (s *server) mayLeave(ctx echo.Context, instance string) (director.NodeID, error) {
	id := director.NodeID(ctx.Param("id"))
	if instance == "" && ctx.Get(bearer).(Token).Role == RoleAgent {
		return id, problem(http.StatusBadRequest, "instance: an agent says which run of it this is, as when it registered")
	}
	if view := s.cfg.Syncer.View(); view.Snapshot != nil {
		_, there := view.FindNode(id)
		registered := slices.ContainsFunc(s.cfg.Syncer.Registrations(), func(r store.Heard) bool { return r.Node == id })
		if there && !registered {
			return id, problem(http.StatusConflict, string(id)+" is declared in the directors' configuration, and not registered: set drained: true there, or take it out")
		}
	}
	return id, nil
}

// read reads a body of JSON; an empty one leaves v as it is.
func read(ctx echo.Context, v any) error {
	r := ctx.Request()
	r.Body = http.MaxBytesReader(ctx.Response(), r.Body, maxBody)
	err := json.NewDecoder(r.Body).Decode(v)
	var large *http.MaxBytesError
	switch {
	case r.ContentLength == 0:
		return nil
	case errors.As(err, &large):
		return problem(http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB; no node has so many mounts")
	case err != nil:
		return problem(http.StatusBadRequest, "the body is not the JSON that belongs here: "+err.Error())
	}
	return nil
}
