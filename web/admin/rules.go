package admin

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

const (
	maxRules     = 200     // of operators
	maxRuleBytes = 4 << 10 // of one
)

// RuleUse is a client rule, and how many requests it decided at this director since the start.
type RuleUse struct {
	ID     string // of an operator's rule
	Rule   json.RawMessage
	Origin string
	Hits   uint64
}

// Rules returns all client rules, in force or not: operators' rules, then the file's,
// then those that come with Signpost.
func (a *API) Rules() (api.RulesAnswer, error) {
	o := a.cfg.Syncer.Overlay()
	uses := a.cfg.Rules()
	out := api.RulesAnswer{Revision: o.Revision, Rules: []api.Rule{}}
	now := a.cfg.Syncer.Now()
	for _, e := range o.Rules {
		told := o.Told("rules/"+e.ID, e.Stamp, now)
		r := api.Rule{ID: e.ID, Version: version(e), Rule: e.Rule, Origin: api.OriginOverlay, By: e.By, At: told.At, Why: e.Why, Until: told.Until}
		if i := slices.IndexFunc(uses, func(u RuleUse) bool { return u.ID == e.ID }); i >= 0 {
			r.Hits = uses[i].Hits
		}
		if err := a.cfg.CheckRule(e.Rule); err != nil {
			r.Effect = api.Clip(wording.Text(err))
		}
		if !told.Until.IsZero() && !told.Until.After(now) {
			r.Effect = "it has expired"
		}
		out.Rules = append(out.Rules, r)
	}
	for _, u := range uses {
		if u.ID == "" {
			out.Rules = append(out.Rules, api.Rule{Rule: u.Rule, Origin: u.Origin, Hits: u.Hits})
		}
	}
	a.cfg.NoteRules(out.Rules)
	return out, nil
}

// rule returns an operator's rule.
func (a *API) rule(id string) (api.Rule, error) {
	all, err := a.Rules()
	if err != nil {
		return api.Rule{}, err
	}
	for _, r := range all.Rules {
		if r.ID == id && id != "" {
			return r, nil
		}
	}
	return api.Rule{}, noRule(id)
}

func noRule(id string) *api.Problem {
	return problem(http.StatusNotFound, fmt.Sprintf("no operator's rule has the id %.80q; GET /api/v1/rules lists them, and those of the file are edited there", id))
}

func (a *API) getRules(ctx echo.Context) error {
	out, err := a.Rules()
	return answer(ctx, out, err)
}

func (a *API) getRule(ctx echo.Context) error {
	out, err := a.rule(ctx.Param("id"))
	return answerVersion(ctx, out, out.Version, err)
}

// Clients returns the clients for which there is no rule.
func (a *API) Clients() (api.ClientsAnswer, error) {
	return api.ClientsAnswer{Clients: append([]api.Client{}, a.cfg.Clients()...)}, nil
}

func (a *API) getClients(ctx echo.Context) error {
	out, err := a.Clients()
	return answer(ctx, out, err)
}

// readRule reads a rule and checks it.
func (a *API) readRule(ctx echo.Context) (e api.RuleEdit, err error) {
	if err := readEdit(ctx, &e); err != nil {
		return e, err
	}
	c := checker{}
	if e.ID != "" {
		c.name("id", e.ID)
	}
	switch {
	case len(e.Rule) > maxRuleBytes:
		c.fail("rule", "it is larger than %d KB", maxRuleBytes>>10)
	default:
		if err := a.cfg.CheckRule(e.Rule); err != nil {
			c.fail("rule", "%s", api.Clip(wording.Text(err)))
		}
	}
	if err := c.err(); err != nil {
		return e, problem(http.StatusUnprocessableEntity, wording.Text(err))
	}
	return e, nil
}

func (a *API) postRule(ctx echo.Context) error {
	e, err := a.readRule(ctx)
	if err != nil {
		return err
	}
	if e.ID == "" {
		e.ID = "r-" + strings.ToLower(rand.Text()[:8])
	}
	err = a.change(ctx, &e.Edit, func(o *store.Overlay, _ time.Time) error {
		switch {
		case indexRule(o, e.ID) >= 0:
			return problem(http.StatusConflict, fmt.Sprintf("there is a rule %s; give the new one another id, or remove that one first (PUT replaces it)", e.ID))
		case len(o.Rules) >= maxRules:
			return problem(http.StatusConflict, fmt.Sprintf("there are %d rules, which is the limit; remove one, or move some to the file", maxRules))
		}
		return insertRule(o, store.Rule{ID: e.ID, Rule: e.Rule}, e.Before, len(o.Rules))
	})
	if err != nil {
		return err
	}
	out, err := a.rule(e.ID)
	if err != nil {
		return err
	}
	ctx.Response().Header().Set("Location", "/api/v1/rules/"+e.ID)
	ctx.Response().Header().Set("ETag", `"`+out.Version+`"`)
	return ctx.JSONPretty(http.StatusCreated, out, "  ")
}

func (a *API) putRule(ctx echo.Context) error {
	e, err := a.readRule(ctx)
	if err != nil {
		return err
	}
	id := ctx.Param("id")
	if e.ID != "" && e.ID != id {
		return problem(http.StatusUnprocessableEntity, "id: a rule keeps its id; make a new one instead")
	}
	if err := a.changeRule(ctx, &e.Edit, id, func(o *store.Overlay, at int) error {
		r := o.Rules[at]
		r.Rule = e.Rule
		o.Rules = slices.Delete(o.Rules, at, at+1)
		return insertRule(o, r, e.Before, at)
	}); err != nil {
		return err
	}
	out, err := a.rule(id)
	return answerVersion(ctx, out, out.Version, err)
}

func (a *API) deleteRule(ctx echo.Context) error {
	var e api.Edit
	if err := readEdit(ctx, &e); err != nil {
		return err
	}
	if err := a.changeRule(ctx, &e, ctx.Param("id"), func(o *store.Overlay, at int) error {
		o.Rules = slices.Delete(o.Rules, at, at+1)
		return nil
	}); err != nil {
		return err
	}
	return ctx.NoContent(http.StatusNoContent)
}

// changeRule changes an operator's rule; change gets its index.
func (a *API) changeRule(ctx echo.Context, e *api.Edit, id string, change func(o *store.Overlay, at int) error) error {
	match, err := ifMatch(ctx, true)
	if err != nil {
		return err
	}
	err = a.change(ctx, e, func(o *store.Overlay, _ time.Time) error {
		at := indexRule(o, id)
		if at < 0 {
			return noRule(id)
		}
		if err := match.check("rules/"+id, version(o.Rules[at])); err != nil {
			return err
		}
		return change(o, at)
	})
	return a.orStale(ctx, err, func() (any, error) { return a.rule(id) })
}

func indexRule(o *store.Overlay, id string) int {
	return slices.IndexFunc(o.Rules, func(r store.Rule) bool { return r.ID == id })
}

// insertRule inserts a rule before the one named, or else at an index.
func insertRule(o *store.Overlay, r store.Rule, before string, at int) error {
	if before != "" {
		if at = indexRule(o, before); at < 0 {
			return problem(http.StatusUnprocessableEntity, fmt.Sprintf("before: no operator's rule has the id %.80q", before))
		}
	}
	o.Rules = slices.Insert(o.Rules, at, r)
	return nil
}

// anyJSON checks rules where Config.CheckRule is not set.
func anyJSON(rule json.RawMessage) error {
	if len(rule) == 0 || rule[0] != '{' {
		return fmt.Errorf("give a rule with the keys of the configuration file")
	}
	return nil
}
