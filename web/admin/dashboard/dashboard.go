// Package dashboard serves the operators' pages. They are rendered from the same answers
// that the API gives as JSON. In the browser, ES modules keep them up to date by the API's
// events, and make changes by the API only. All files are embedded.
package dashboard

import (
	"bytes"
	"cmp"
	"errors"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// A dashboard serves the pages. It is safe for concurrent use.
type dashboard struct {
	api    *admin.API
	assets assets
	pages  map[string]*template.Template // by name
}

// A pageLink is one entry of the navigation.
type pageLink struct{ Page, Path, Name string }

var navigation = []pageLink{
	{"overview", "/", "On air"},
	{"mounts", "/mounts", "Mounts"},
	{"weights", "/weights", "Weights"},
	{"clients", "/clients", "Clients"},
	{"explain", "/explain", "Explain"},
	{"history", "/history", "History"},
	{"directors", "/directors", "Directors"},
}

// New returns the dashboard of a, to be served behind a's sessions.
func New(a *admin.API) http.Handler {
	d := &dashboard{api: a, assets: loadAssets()}
	d.pages = parsePages(d.assets)
	mux := http.NewServeMux()
	mux.Handle("GET /assets/{hash}/{name}", d.assets)
	mux.HandleFunc("GET /login", d.page("login", "Log in", func(*http.Request) (any, error) { return nil, nil }))
	mux.HandleFunc("GET /{$}", d.page("overview", "On air", d.overview))
	mux.HandleFunc("GET /nodes/{id}", d.page("node", "Node", d.node))
	mux.HandleFunc("GET /mounts/{name...}", d.page("mount", "Mount", d.mount))
	mux.HandleFunc("GET /directors", d.page("directors", "Directors", d.directors))
	mux.HandleFunc("GET /weights", d.page("weights", "Weights", d.weights))
	mux.HandleFunc("GET /clients", d.page("clients", "Clients", d.clients))
	mux.HandleFunc("GET /mounts", d.page("mounts", "Mounts", d.mounts))
	mux.HandleFunc("GET /history", d.page("history", "History", d.history))
	mux.HandleFunc("GET /explain", d.page("explain", "Explain", d.explain))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		d.render(w, r, http.StatusNotFound, "error", view{Title: "Not found", Data: "There is no such page."})
	})
	return mux
}

// A view is the data of every page's template.
type view struct {
	Page, Title string
	Section     string // the page of the navigation that it belongs to
	Pages       []pageLink
	Who         string
	Role        api.Role
	Session     bool   // the user can log out
	Operate     bool   // the user may change things
	Theme       string // light or dark; empty: the system's
	Bands       []band
	Version     string
	Loads       loads
	Data        any
}

// A band is a line across the page that tells of a problem.
type band struct{ Level, Text string }

// page returns a handler that renders a page from what data returns.
func (d *dashboard) page(name, title string, data func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := view{Title: title}
		if id := cmp.Or(r.PathValue("id"), r.PathValue("name")); id != "" {
			v.Title = id
		}
		var err error
		if v.Data, err = data(r); err != nil {
			status, said := http.StatusInternalServerError, "This page cannot be shown; the log has more."
			if p := (*api.Problem)(nil); errors.As(err, &p) {
				status, said = p.Status, p.Detail
			} else {
				slog.Error("dashboard page failed", "page", name, "err", err)
			}
			v.Data = said
			d.render(w, r, status, "error", v)
			return
		}
		d.render(w, r, http.StatusOK, name, v)
	}
}

func (d *dashboard) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	v.Loads = ownLoads[name]
	v.Page, v.Pages, v.Section = name, navigation, cmp.Or(map[string]string{"node": "overview", "mount": "mounts"}[name], name)
	if c, err := r.Cookie("signpost_theme"); err == nil && (c.Value == "light" || c.Value == "dark") {
		v.Theme = c.Value
	}
	if who, ok := admin.IdentityOf(r); ok {
		v.Who, v.Role, v.Session, v.Operate = who.Name, who.Role, who.Session, who.Role.May(api.RoleOperate)
		v.Bands, v.Version = d.bands()
	}
	var out bytes.Buffer
	if err := d.pages[name].ExecuteTemplate(&out, "layout", v); err != nil {
		slog.Error("dashboard page failed", "page", name, "err", err)
		http.Error(w, "This page cannot be shown; the log has more.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Vary", "Accept-Encoding")
	body := out.Bytes()
	if takesZipped(r) {
		h.Set("Content-Encoding", "gzip")
		body = zip(body)
	}
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// bands returns the problems of this director, and its version.
func (d *dashboard) bands() ([]band, string) {
	st, err := d.api.Status()
	if err != nil {
		return []band{{"bad", err.Error()}}, ""
	}
	var out []band
	for _, p := range st.Problems {
		out = append(out, band{"warn", p})
	}
	return out, st.Version
}
