package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// Status returns how this director is doing.
func (a *API) Status() (api.StatusAnswer, error) {
	st := a.cfg.Syncer.Status()
	out := api.StatusAnswer{
		Director: st.Director.ID, Name: st.Director.Name, Site: st.Director.Site, Version: a.cfg.Version, UptimeS: int64(a.cfg.Now().Sub(a.started).Seconds()),
		SnapshotAgeMS: st.SnapshotAge.Milliseconds(), PictureAgeMS: st.PictureAge.Milliseconds(),
		Revision: st.Revision, Directors: []api.Director{}, Effects: append([]store.Effect{}, st.Effects...), Problems: []string{}, Warnings: append([]api.Warning{}, a.cfg.Warnings()...), Store: a.cfg.Store,
	}
	out.Certificates, out.Databases = a.cfg.Certificates(), a.cfg.Databases()
	trouble := func(is bool, format string, args ...any) {
		if is {
			out.Problems = append(out.Problems, fmt.Sprintf(format, args...))
		}
	}
	trouble(!st.Ready, starting)
	for _, w := range out.Warnings {
		out.Degraded = out.Degraded || w.Degraded
		out.Problems = append(out.Problems, w.String(a.cfg.Now()))
	}
	out.Reason = strings.Join(out.Problems, "; ")
	for _, d := range st.Directors {
		same := d.Config == st.Director.Config
		out.Directors = append(out.Directors, api.Director{ID: d.ID, Name: d.Name, Site: d.Site, Config: d.Config, SameConfig: same, Suspect: d.Suspect, Version: d.Version, Started: d.Started})
		if d.ID != st.Director.ID {
			out.Directors[len(out.Directors)-1].Seen = d.Seen
		}
		trouble(!same, "director %s has another configuration file", d.ID)
		trouble(d.Suspect != "" && d.ID != st.Director.ID, "director %s suspects its own network: %s", d.ID, d.Suspect)
	}
	for _, d := range st.Missing {
		out.Missing = append(out.Missing, api.MissingDirector{ID: d.ID, Name: d.Name, Site: d.Site, Heard: d.Heard, Until: d.Until})
		trouble(true, "director %s was last in contact with the store at %s, and did not stop: until %s it may send listeners to nodes that were drained since",
			d.ID, d.Heard.Format(time.TimeOnly), d.Until.Format(time.TimeOnly))
	}
	out.Problems = append(out.Problems, st.Problems...)
	for _, e := range st.Effects {
		what, _ := api.EntryInWords(e.Entry)
		trouble(e.Kind == store.Skipped, "an operators' change is left out, as the configuration would be refused with it: %s: %s", what, e.Detail)
	}
	return out, nil
}

// StoreWarnings says what is wrong between this director and the store.
func StoreWarnings(st store.Status) (all []api.Warning) {
	if st.Degraded {
		all = append(all, api.Warning{Key: "store", Text: "edits are refused: " + st.Error, Since: st.Since, Degraded: true, Remedy: "listeners are served as before; start the store again, or mend the way to it"})
	}
	if st.Suspect != "" {
		all = append(all, api.Warning{Key: "suspect", Text: "this director suspects its own network: " + st.Suspect, Degraded: true, Remedy: "see that it reaches the nodes; meanwhile it goes by what others see"})
	}
	if st.CopyFail != "" {
		all = append(all, api.Warning{Key: "state_dir", Text: "the copy of operators' changes cannot be written: " + st.CopyFail, Degraded: true, Remedy: "let this user write to state_dir, and make room there"})
	}
	for i, lost := range st.Lost {
		all = append(all, api.Warning{Key: fmt.Sprint("lost/", i), Text: lost, Degraded: true})
	}
	return all
}

func (a *API) getStatus(ctx echo.Context) error {
	out, err := a.Status()
	return answer(ctx, out, err)
}
