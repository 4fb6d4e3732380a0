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
	// editPatience is how long an edit may take, with others editing and the store slow.
	editPatience = 5 * time.Second
	// obeyPatience is how long an answer waits for the snapshot that obeys the edit:
	// it takes milliseconds.
	obeyPatience = 500 * time.Millisecond
	// revisionHeader tells with every edit which revision it made, for undo: it is not
	// there if nothing was changed, or too much for the history.
	revisionHeader = "Signpost-Revision"
)

// stale says that an entry is not what the editor has seen.
type stale struct{ entry string }

// Error is not shown: whoever edits answers with what stands there now.
func (s stale) Error() string { return s.entry + " was changed meanwhile" }

// change edits the overlay for who asks. edit gets a clone of the newest overlay
// to change, and the time; it may be called several times, and may refuse with a
// *Problem or with stale. When change returns, the snapshot obeys it.
func (a *API) change(ctx echo.Context, e *api.Edit, edit func(o *store.Overlay, now time.Time) error) error {
	now := a.cfg.Syncer.Now()
	until, err := untilOf(e, now)
	if err != nil {
		return err
	}
	author := store.Author{By: asking(ctx).Name, Why: e.Why, Until: until}
	return a.revise(ctx, func(patience context.Context) (store.Change, error) {
		return a.cfg.Syncer.Change(patience, author, func(o *store.Overlay) error { return edit(o, now) })
	})
}

// revise makes a change, tells its revision, and waits until it is obeyed here.
func (a *API) revise(ctx echo.Context, make func(context.Context) (store.Change, error)) error {
	patience, cancel := context.WithTimeout(ctx.Request().Context(), editPatience)
	defer cancel()
	c, err := make(patience)
	if err != nil {
		return refusedEdit(err)
	}
	kept := slices.ContainsFunc(a.cfg.Syncer.Overlay().History, func(h store.Change) bool { return h.Revision == c.Revision })
	if kept && len(c.Entries) > 0 { // without entries that revision is somebody else's
		ctx.Response().Header().Set(revisionHeader, strconv.FormatUint(uint64(c.Revision), 10))
	}
	a.obeyed(ctx.Request().Context(), c.Revision)
	return nil
}

// refusedEdit tells refusals by the overlay's own rules from faults.
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

// obeyed waits, not for long, until the snapshot obeys a revision.
func (a *API) obeyed(ctx context.Context, r store.Revision) {
	ctx, cancel := context.WithTimeout(ctx, obeyPatience)
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

// seen says which versions of something an editor has seen: those of If-Match.
type seen struct {
	versions []string
	any      bool // it does not matter
}

// ifMatch reads the header. Where an edit would overwrite what others made, it
// must be there.
func ifMatch(ctx echo.Context, must bool) (seen, error) {
	given := strings.Join(ctx.Request().Header.Values("If-Match"), ",")
	if given == "" && must {
		return seen{}, problem(http.StatusPreconditionRequired, `say which version you have seen, as If-Match: "version" with the version that GET tells, so that nobody's edit is overwritten unseen`)
	}
	s := seen{any: given == ""}
	for _, v := range strings.Split(given, ",") {
		v = strings.TrimSpace(v)
		s.any = s.any || v == "*"
		s.versions = append(s.versions, strings.Trim(strings.TrimPrefix(v, "W/"), `"`))
	}
	return s, nil
}

// check refuses an edit of an entry whose version is another.
func (s seen) check(entry, version string) error {
	if s.any {
		return nil
	}
	for _, v := range s.versions {
		if v == version {
			return nil
		}
	}
	return stale{entry}
}

// newer makes err, if it is a stale edit, a Problem that tells what stands there
// now. now is called when the snapshot obeys it.
func (a *API) newer(ctx echo.Context, err error, now func() (any, error)) error {
	var s stale
	if !errors.As(err, &s) {
		return err
	}
	o := a.cfg.Syncer.Overlay()
	a.obeyed(ctx.Request().Context(), o.Revision)
	p := problem(http.StatusPreconditionFailed, s.entry+" is not what you have seen: look at what it is now, and repeat the edit if it is still right")
	for i := len(o.History) - 1; i >= 0 && p.By == ""; i-- {
		for _, e := range o.History[i].Entries {
			if e.Entry == s.entry {
				p.By, p.At = o.History[i].By, o.History[i].At
			}
		}
	}
	p.Now, err = now()
	if err != nil {
		p.Now = nil // it is gone
	}
	return p
}
