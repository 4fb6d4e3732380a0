package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// History returns operators' changes, the newest first, as far back as the overlay
// keeps them.
func (a *API) History() (api.HistoryAnswer, error) {
	o := a.cfg.Syncer.Overlay()
	now := a.cfg.Syncer.Now()
	out := api.HistoryAnswer{Revision: o.Revision, Changes: make([]api.Change, 0, len(o.History))}
	for _, c := range slices.Backward(o.History) {
		one := describeChange(o, c)
		if one.At.After(now) { // by a clock that was wrong
			one.At = now
		}
		out.Changes = append(out.Changes, one)
	}
	return out, nil
}

func describeChange(o store.Overlay, c store.Change) api.Change {
	out := api.Change{Revision: c.Revision, By: c.By, At: c.At, Why: c.Why, Undoes: c.Undoes, Entries: []api.EntryChange{}, Undoable: true}
	for _, e := range c.Entries {
		out.Entries = append(out.Entries, api.EntryChange{Entry: e.Entry, Before: e.Before, After: e.After})
	}
	if err := o.CanUndo(c.Revision); err != nil {
		out.Undoable, out.WhyNot = false, err.Error()
	}
	return out
}

func (a *API) getHistory(ctx echo.Context) error {
	out, err := a.History()
	return answer(ctx, out, err)
}

// undo reverts a change, unless one of its entries has changed since.
func (a *API) undo(ctx echo.Context) error {
	var e api.UndoEdit
	if err := readEdit(ctx, &e); err != nil {
		return err
	}
	r, err := strconv.ParseUint(ctx.Param("revision"), 10, 64)
	if err != nil {
		return problem(http.StatusNotFound, fmt.Sprintf("%.40q is no revision; GET /api/v1/history lists them", ctx.Param("revision")))
	}
	edit := api.Edit{Why: e.Why}
	if _, err := untilOf(&edit, a.cfg.Syncer.Now()); err != nil {
		return err
	}
	author := store.Author{By: caller(ctx).Name, Why: e.Why}
	var made store.Change
	err = a.commit(ctx, func(ctx context.Context) (c store.Change, err error) {
		made, err = a.cfg.Syncer.Undo(ctx, author, store.Revision(r))
		return made, err
	})
	var old *store.StaleError
	if errors.As(err, &old) {
		what, _ := api.EntryInWords(old.Entry)
		p := problem(http.StatusConflict, strings.Replace(err.Error(), old.Entry, what, 1))
		p.By, p.At = old.Now.By, old.Now.At
		if len(old.Value) > 0 {
			p.Now = old.Value
		}
		return p
	}
	if err != nil {
		return err
	}
	return answer(ctx, describeChange(a.cfg.Syncer.Overlay(), made), nil)
}

// Overlay returns all of the operators' changes that are in force.
func (a *API) Overlay() (api.OverlayAnswer, error) {
	return api.OverlayAnswer{Overlay: a.cfg.Syncer.Overlay(), Effects: append([]store.Effect{}, a.cfg.Syncer.Status().Effects...)}, nil
}

func (a *API) getOverlay(ctx echo.Context) error {
	out, err := a.Overlay()
	return answer(ctx, out, err)
}

const maxNotes = 200

func (a *API) putNote(ctx echo.Context) error {
	var e api.NoteEdit
	if err := readEdit(ctx, &e); err != nil {
		return err
	}
	id := ctx.Param("id")
	c := checker{}
	c.name("id", id)
	c.text("about", e.About, 2*maxName)
	c.text("text", e.Text, maxNote)
	if e.Text == "" {
		c.fail("text", "write something, or DELETE the note")
	}
	if err := c.err(); err != nil {
		return problem(http.StatusUnprocessableEntity, err.Error())
	}
	return a.changeNote(ctx, &e.Edit, id, func(o *store.Overlay, at int) error {
		n := store.Note{ID: id, About: e.About, Text: e.Text}
		switch {
		case at >= 0:
			o.Notes[at] = n
		case len(o.Notes) >= maxNotes:
			return problem(http.StatusConflict, fmt.Sprintf("there are %d notes, which is the limit; remove one", maxNotes))
		default:
			o.Notes = append(o.Notes, n)
		}
		return nil
	})
}

func (a *API) deleteNote(ctx echo.Context) error {
	var e api.Edit
	if err := readEdit(ctx, &e); err != nil {
		return err
	}
	return a.changeNote(ctx, &e, ctx.Param("id"), func(o *store.Overlay, at int) error {
		if at < 0 {
			return problem(http.StatusNotFound, "no note has this id; GET /api/v1/overlay lists them")
		}
		o.Notes = slices.Delete(o.Notes, at, at+1)
		return nil
	})
}

// changeNote changes a note; change gets its index, which is below 0 for a new one.
func (a *API) changeNote(ctx echo.Context, e *api.Edit, id string, change func(o *store.Overlay, at int) error) error {
	match, err := ifMatch(ctx, false)
	if err != nil {
		return err
	}
	index := func(o *store.Overlay) int {
		return slices.IndexFunc(o.Notes, func(n store.Note) bool { return n.ID == id })
	}
	held := func(o *store.Overlay) any {
		if at := index(o); at >= 0 {
			return o.Notes[at]
		}
		return nil
	}
	err = a.change(ctx, e, func(o *store.Overlay, _ time.Time) error {
		if err := match.check("notes/"+id, version(held(o))); err != nil {
			return err
		}
		return change(o, index(o))
	})
	now := func() (any, error) {
		o := a.cfg.Syncer.Overlay()
		return held(&o), nil
	}
	if err := a.orStale(ctx, err, now); err != nil {
		return err
	}
	n, _ := now()
	if n == nil {
		return ctx.NoContent(http.StatusNoContent)
	}
	return answerVersion(ctx, n, version(n), nil)
}
