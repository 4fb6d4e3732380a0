package probe

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/proctest"
)

func TestReach(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sp ace.mp3":
			_, _ = io.WriteString(w, "audio")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/members.mp3":
			w.WriteHeader(http.StatusUnauthorized)
		case "/empty.mp3":
		case "/full.mp3":
			w.Header().Set("Server", "Icecast 2.5.0")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/gateway.mp3":
			w.WriteHeader(http.StatusBadGateway)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	for name, c := range map[string]struct {
		url, path string
		due       bool
		want      string // of the detail or the error
		full      bool
	}{
		"any answer":         {server.URL, "/sp ace.mp3", false, "GET /: 404 Not Found", false},
		"no mount is told":   {server.URL, "", true, "GET /: 404 Not Found", false},
		"a mount":            {server.URL, "/sp ace.mp3", true, "GET /sp%20ace.mp3: 200 OK", false},
		"asks who they are":  {server.URL, "/members.mp3", true, "401 Unauthorized", false},
		"full":               {server.URL, "/full.mp3", true, "503", true},
		"another server":     {server.URL, "/none.mp3", true, "error: GET /none.mp3: 404 Not Found", false},
		"nothing comes":      {server.URL, "/empty.mp3", true, "error: GET /empty.mp3: closed before the answer was whole", false},
		"nobody behind it":   {server.URL, "/gateway.mp3", true, "error: GET /gateway.mp3: 502 Bad Gateway", false},
		"nothing listens":    {proctest.Nowhere, "/sp ace.mp3", true, "error: GET /sp%20ace.mp3: connection refused", false},
		"nothing listens, /": {proctest.Nowhere, "/sp ace.mp3", false, "error: GET /: connection refused", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			a, err := reach{}.ask(ctx, target{client: &client{}, base: c.url, path: c.path, mountDue: c.due, timeout: 5 * time.Second})
			got := a.detail
			if err != nil {
				got = "error: " + err.Error()
			}
			if !strings.Contains(got, c.want) || strings.HasPrefix(got, "error") != strings.HasPrefix(c.want, "error") || a.full != c.full {
				t.Errorf("%s, full %v; want %s, %v", got, a.full, c.want, c.full)
			}
		})
	}
}

// mounter is a kind that counts how often a mount was due.
type mounter struct {
	asked, due atomic.Int64
	fails      atomic.Bool
}

func (m *mounter) ask(_ context.Context, t target) (answer, error) {
	m.asked.Add(1)
	if t.mountDue {
		m.due.Add(1)
		if m.fails.Load() {
			return answer{}, io.ErrUnexpectedEOF
		}
	}
	return answer{listeners: -1}, nil
}

// TestMountsAreOpenedSeldom: at first, about every 30 s, and while there is doubt;
// no good answer of the other kind refutes that a mount failed.
func TestMountsAreOpenedSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mounter{}
		p := New(Config{})
		p.kinds = map[string]kind{"": m}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		p.SetNodes([]director.Node{{ID: "n", URLs: []string{"http://127.0.0.1:8000"}}}, nil)
		health := func() director.Health { return p.Reports()[0].Health }
		time.Sleep(10 * time.Minute)
		if asked, due := m.asked.Load(), m.due.Load(); asked < 300 || due < 18 || due > 24 || health() != director.Up {
			t.Errorf("in 10 minutes it was asked %d times, %d of them for a mount; it is %v", asked, due, health())
		}
		m.fails.Store(true)
		time.Sleep(40 * time.Second)
		if got := health(); got != director.Failed {
			t.Errorf("40 s after its mounts began to fail, it is %v", got)
		}
		m.fails.Store(false)
		time.Sleep(5 * time.Second)
		if got := health(); got != director.Up {
			t.Errorf("5 s after its mounts began to answer, it is %v", got)
		}
	})
}
