package agent

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// page is a server's status page, with as much of it as tells who it is.
func page(id, host, start string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status-json.xsl" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `{"icestats":{"admin":"a","host":%q,"server_id":%q,"server_start_iso8601":%q,"source":[]}}`, host, id, start)
	}
}

// TestOwnNode: an agent that finds another server where it measures says so, and tells
// no director anything.
func TestOwnNode(t *testing.T) {
	t.Parallel()
	const start = "2026-03-01T12:00:00+0000"
	serve := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	own := serve(page("Icecast 2.4.4", "edge1", start))
	sameElsewhere := serve(page("Icecast 2.4.4", "edge1", start))
	for name, c := range map[string]struct {
		status, url, internal string
		want                  string // of the error; empty: it registers
	}{
		"the same address":          {own, own, "", ""},
		"two addresses of it":       {own, sameElsewhere, own, ""},
		"a director":                {serve(page("Signpost", "", "")), own, "", "is a Signpost director, and not a streaming server; give the server's own address with --status"},
		"another run":               {own, serve(page("Icecast 2.4.4", "edge1", "2026-03-01T11:00:00+0000")), "", "give the address of the same server with --status and --url"},
		"another host":              {own, serve(page("Icecast 2.4.4", "edge2", start)), "", "give the address of the same server"},
		"another behind the inside": {own, own, serve(page("Icecast 2.5.0", "edge1", start)), "give the address of the same server"},
		"a demo node":               {serve(page("Signpost demo node (speaks Icecast 2.4)", "edge1", start)), "http://127.0.0.1:1", "", ""},
		"not reached from here":     {own, "http://127.0.0.1:1", "", ""},
		"no status page":            {serve(http.NotFoundHandler()), own, "", ""},
		"no statistics behind it":   {own, serve(http.NotFoundHandler()), "", ""},
	} {
		d := newFakeDirector(t, sees(api.Node{ID: "edge-1"}))
		var log bytes.Buffer
		a := newAgent(&log, d.URL)
		a.status, a.spec = c.status, api.NodeSpec{URLs: []string{c.url}, InternalURL: c.internal}
		a.prober = measured{director.Report{Health: director.Up, Server: "Icecast 2.4.4"}}
		err := a.compareOwn(t.Context())
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, errNotOwn) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if c.want != "" {
			continue // with pauses between its tries: below
		}
		if _, ok, err := a.report(t.Context(), false); !ok || err != nil {
			t.Errorf("%s: it does not register: %v\n%s", name, err, &log)
		}
	}
}

// TestNotOwnNode: the agent asks again, for the server may be restarting, and ends with
// the remedy. It says nothing to directors: the node's listeners are unknown, not none.
func TestNotOwnNode(t *testing.T) {
	t.Parallel()
	d := newFakeDirector(t, sees(api.Node{ID: "edge-1", SafeToTerminate: true}))
	wrong := httptest.NewServer(page("Signpost", "", ""))
	t.Cleanup(wrong.Close)
	var log bytes.Buffer
	a := newAgent(&log, d.URL)
	a.status, a.interval = wrong.URL, time.Millisecond
	a.prober = measured{director.Report{Health: director.Up, Server: "Signpost"}}
	if err := a.Stay(t.Context()); !errors.Is(err, errNotOwn) {
		t.Errorf("it stays: %v", err)
	}
	if asked, _ := d.questions(); len(asked) > 0 {
		t.Errorf("a director was told: %v", asked)
	}
}
