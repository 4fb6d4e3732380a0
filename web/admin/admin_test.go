package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
)

func get(h http.Handler, url, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func counter() prometheus.Collector {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "signpost_test_total", Help: "A test."})
}

func TestToken(t *testing.T) {
	t.Parallel()
	explain := func(Question) any { return "because" }
	guarded, err := New(Config{Token: "secret", Explain: explain})
	if err != nil {
		t.Fatal(err)
	}
	open, err := New(Config{Explain: explain})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/metrics", "/api/v1/explain?addr=::1&mount=/a", "/healthz"} {
		for authorization, ok := range map[string]bool{
			"": false, "Bearer secret": true, "bearer secret": true, "Bearer secre": false, "Bearer secrets": false,
			"Basic secret": false, "Bearer ": false, "secret": false,
		} {
			want := http.StatusOK
			if !ok && path != "/healthz" {
				want = http.StatusUnauthorized
			}
			if rec := get(guarded, path, authorization); rec.Code != want {
				t.Errorf("%s with %q: %d, want %d", path, authorization, rec.Code, want)
			} else if want == http.StatusUnauthorized && rec.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %q: no challenge", path, authorization)
			}
		}
		if rec := get(open, path, ""); rec.Code != http.StatusOK {
			t.Errorf("%s without a token set: %d", path, rec.Code)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	h, err := New(Config{Collectors: []prometheus.Collector{counter()}})
	if err != nil {
		t.Fatal(err)
	}
	body := get(h, "/metrics", "").Body.String()
	for _, want := range []string{"signpost_test_total 0\n", "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q", want)
		}
	}
	if _, err := New(Config{Collectors: []prometheus.Collector{counter(), counter()}}); err == nil {
		t.Error("one metric twice was accepted")
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	var asked []Question
	h, err := New(Config{Explain: func(q Question) any {
		asked = append(asked, q)
		return map[string]string{"node": "fra1"}
	}})
	if err != nil {
		t.Fatal(err)
	}
	rec := get(h, "/api/v1/explain?addr=203.0.113.7&mount=/live.mp3&ua=VLC%2F3&tls=true", "")
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), `"node": "fra1"`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	get(h, "/api/v1/explain?addr=2001:db8::1&mount=/live.mp3", "")
	want := []Question{
		{Addr: netip.MustParseAddr("203.0.113.7"), Path: "/live.mp3", UserAgent: "VLC/3", TLS: true},
		{Addr: netip.MustParseAddr("2001:db8::1"), Path: "/live.mp3"},
	}
	if diff := cmp.Diff(want, asked, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for url, field := range map[string]string{
		"?mount=/a": "addr: ", "?addr=x&mount=/a": "addr: ", "?addr=::1": "mount: ", "?addr=::1&mount=a": "mount: ", "?addr=::1&mount=/a&tls=maybe": "tls: ",
	} {
		rec := get(h, "/api/v1/explain"+url, "")
		var body struct{ Error string }
		if err := json.Unmarshal(rec.Body.Bytes(), &body); rec.Code != 400 || err != nil || !strings.HasPrefix(body.Error, field) {
			t.Errorf("%s: %d %s", url, rec.Code, rec.Body)
		}
	}
	if len(asked) != 2 {
		t.Error("a bad question was answered")
	}
	if rec := get(h, "/nothing", ""); rec.Code != 404 {
		t.Errorf("/nothing: %d", rec.Code)
	}
}
