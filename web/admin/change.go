package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

const (
	// editTimeout bounds an edit, with others editing and a slow store.
	editTimeout = 5 * time.Second
	// applyTimeout bounds how long an answer waits for the snapshot that has the edit,
	// which takes milliseconds.
	applyTimeout = 500 * time.Millisecond
	// revisionHeader is the revision that an edit made, for undo. It is missing if
	// nothing changed, or if the change was too large for the history.
	revisionHeader = "Signpost-Revision"
	// forgetsHeader is there if the change is forgotten when the director stops.
	forgetsHeader = "Signpost-Forgets"
)

// A stale error says that an entry has changed since the editor read it.
type stale struct{ entry string }

// Error is not shown: the answer to a stale edit has the current entry.
func (s stale) Error() string { return s.entry + " was changed meanwhile" }

// change edits the overlay in the caller's name. edit changes a clone of the newest
// overlay; it may be called several times, and may refuse with an *api.Problem or
// with stale. When change returns, the snapshot has the edit.
func (a *API) change(ctx echo.Context, e *api.Edit, edit func(o *store.Overlay, now time.Time) error) error {
	now := a.cfg.Syncer.Now()
	until, err := untilOf(e, now)
	if err != nil {
		return err
	}
	author := store.Author{By: caller(ctx).Name, Why: e.Why, Until: until}
	return a.commit(ctx, func(ctx context.Context) (store.Change, error) {
		return a.cfg.Syncer.Change(ctx, author, func(o *store.Overlay) error { return edit(o, now) })
	})
}

// commit makes a change, puts its revision into the answer, and waits until this
// director applies it.
func (a *API) commit(ctx echo.Context, make func(context.Context) (store.Change, error)) error {
	limited, cancel := context.WithTimeout(ctx.Request().Context(), a.editTimeout)
	defer cancel()
	c, err := make(limited)
	if err != nil {
		return refusedEdit(err)
	}
	kept := slices.ContainsFunc(a.cfg.Syncer.Overlay().History, func(h store.Change) bool { return h.Revision == c.Revision })
	if kept && len(c.Entries) > 0 { // without entries, the revision is another change's
		ctx.Response().Header().Set(revisionHeader, strconv.FormatUint(uint64(c.Revision), 10))
		if a.cfg.Forgets {
			ctx.Response().Header().Set(forgetsHeader, "when the director stops")
		}
	}
	a.waitApplied(ctx.Request().Context(), c.Revision)
	return nil
}

// refusedEdit returns the errors that have an answer of their own as they are, and
// makes all others a refusal by the overlay's rules.
func refusedEdit(err error) error {
	var p *api.Problem
	var s stale
	var old *store.StaleError
	switch {
	case errors.As(err, &p), errors.As(err, &s), errors.As(err, &old),
		errors.Is(err, store.ErrAway), errors.Is(err, store.ErrNoSuchChange), errors.Is(err, store.ErrClosed), errors.Is(err, context.Canceled):
		return err
	}
	return problem(http.StatusUnprocessableEntity, oneLine(err))
}

// waitApplied waits until the snapshot has a revision, for applyTimeout at most.
func (a *API) waitApplied(ctx context.Context, r store.Revision) {
	ctx, cancel := context.WithTimeout(ctx, a.applyTimeout)
	defer cancel()
	for {
		changes := a.cfg.Syncer.Changes()
		if a.cfg.Syncer.Status().Revision >= r {
			return
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return
		}
	}
}

// A precondition is the versions of an entry that an edit may replace: those of
// If-Match.
type precondition struct {
	versions []string
	any      bool // whatever the version is
}

// ifMatch reads the header, and refuses a request without it where it is required.
func ifMatch(ctx echo.Context, required bool) (precondition, error) {
	given := strings.Join(ctx.Request().Header.Values("If-Match"), ",")
	if given == "" && required {
		return precondition{}, problem(http.StatusPreconditionRequired, `say which version you have seen, as If-Match: "version" with the version that GET tells, so that nobody's edit is overwritten unseen`)
	}
	p := precondition{any: given == ""}
	for _, v := range strings.Split(given, ",") {
		v = strings.TrimSpace(v)
		p.any = p.any || v == "*"
		p.versions = append(p.versions, strings.Trim(strings.TrimPrefix(v, "W/"), `"`))
	}
	return p, nil
}

// check refuses an edit of an entry with another version.
func (p precondition) check(entry, version string) error {
	if p.any || slices.Contains(p.versions, version) {
		return nil
	}
	return stale{entry}
}

// orStale turns a stale error into a Problem with the current entry, which current
// returns, and with who changed it. It returns other errors as they are.
func (a *API) orStale(ctx echo.Context, err error, current func() (any, error)) error {
	var s stale
	if !errors.As(err, &s) {
		return err
	}
	o := a.cfg.Syncer.Overlay()
	a.waitApplied(ctx.Request().Context(), o.Revision)
	what, _ := api.EntryInWords(s.entry)
	p := problem(http.StatusPreconditionFailed, what+" has changed since you read it: look at what it is now, and repeat the edit if it is still right")
	for i := len(o.History) - 1; i >= 0 && p.By == ""; i-- {
		for _, e := range o.History[i].Entries {
			if e.Entry == s.entry {
				p.By, p.At = o.History[i].By, o.History[i].At
			}
		}
	}
	p.Now, err = current()
	if err != nil {
		p.Now = nil // it is gone
	}
	return p
}
