package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/web/admin/api"
)

var asked atomic.Uint32

func get(h http.Handler, url, authorization string) *httptest.ResponseRecorder {
	return do(h, http.MethodGet, url, authorization, "")
}

func do(h http.Handler, method, url, authorization, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Host = "127.0.0.1:8001"
	n := asked.Add(1) // each from elsewhere, so that none is slowed down
	r.RemoteAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 4711).String()
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// problemIn reads the answer as RFC 9457 has it.
func problemIn(t *testing.T, rec *httptest.ResponseRecorder) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Header().Get("Content-Type") != "application/problem+json" ||
		p.Status != rec.Code || p.Title != http.StatusText(rec.Code) || p.Detail == "" {
		t.Errorf("no problem: %d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	return p
}

func counter() prometheus.Collector {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "signpost_test_total", Help: "A test."})
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
	get(h, "/api/v1/explain?addr=2001:db8::1&mount=/live.mp3&header=Icy-MetaData:1&header=Range:+bytes%3D0-", "")
	want := []Question{
		{Addr: netip.MustParseAddr("203.0.113.7"), Path: "/live.mp3", UserAgent: "VLC/3", TLS: true, Header: http.Header{}},
		{Addr: netip.MustParseAddr("2001:db8::1"), Path: "/live.mp3", Header: http.Header{"Icy-Metadata": {"1"}, "Range": {"bytes=0-"}}},
	}
	if diff := cmp.Diff(want, asked, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for url, field := range map[string]string{
		"?mount=/a": "addr: ", "?addr=x&mount=/a": "addr: ", "?addr=::1": "mount: ", "?addr=::1&mount=ftp://h/a": "mount: ", "?addr=::1&mount=/a&tls=maybe": "tls: ",
		"?addr=::1&mount=/a&header=x": "header: ", "?addr=::1&mount=/a" + strings.Repeat("&header=a:b", 51): "header: ",
	} {
		rec := get(h, "/api/v1/explain"+url, "")
		if p := problemIn(t, rec); p.Status != 400 || !strings.HasPrefix(p.Detail, field) {
			t.Errorf("%s: %+v", url, p)
		}
	}
	if len(asked) != 2 {
		t.Error("a bad question was answered")
	}
	if p := problemIn(t, get(h, "/nothing", "")); p.Status != 404 {
		t.Errorf("/nothing: %+v", p)
	}
}
