package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// bareEcho answers with a constant redirect: what there is no getting below.
func bareEcho() http.Handler {
	e := echo.New()
	e.GET("/*", func(c echo.Context) error {
		return c.Redirect(http.StatusFound, "http://fra1.example:8000/live.mp3")
	})
	return e
}

// benchWorld is a server with a record of each request, and listeners behind a proxy.
func benchWorld() (*world, []*http.Request) {
	w := newWorld(&testing.T{}, func(c *Config) {
		c.Record = func(*Record) {}
		c.Policy.PerKey, c.Policy.PerAddress = -1, -1
	})
	requests := make([]*http.Request, 256)
	for i := range requests {
		r := httptest.NewRequest(http.MethodGet, "/live.mp3?token=abc", nil)
		r.RemoteAddr = "10.0.0.5:4711"
		r.Header = http.Header{
			"User-Agent": {fmt.Sprintf("VLC/3.0.%d LibVLC/3.0.20", i%20)}, "X-Forwarded-For": {addr(i).String()},
			"Icy-Metadata": {"1"}, "Range": {"bytes=0-"},
		}
		requests[i] = r
	}
	return w, requests
}

// BenchmarkHandler is the whole way from a parsed request to a 302.
func BenchmarkHandler(b *testing.B) {
	w, requests := benchWorld()
	for name, h := range map[string]http.Handler{"302": w.Handler(), "bare echo": bareEcho()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			out, i := discard{h: http.Header{}}, 0
			for b.Loop() {
				clear(out.h)
				h.ServeHTTP(&out, requests[i%len(requests)])
				i++
				w.tick(50 * time.Microsecond)
			}
		})
	}
}

// TestAllocations guards the way of a redirect. It does not run in parallel, for
// others' allocations would count.
func TestAllocations(t *testing.T) {
	w, requests := benchWorld()
	h, out := w.Handler(), discard{h: http.Header{}}
	for _, r := range requests { // user agents and nodes become known
		h.ServeHTTP(&out, r)
	}
	i := 0
	redirect := testing.AllocsPerRun(1000, func() {
		clear(out.h)
		h.ServeHTTP(&out, requests[i%len(requests)])
		i++
	})
	if redirect > 3 { // the Location, and the slice that it stands in
		t.Errorf("a redirect takes %v allocations", redirect)
	}
	v6 := netip.MustParseAddr("2001:db8::1")
	hashes := testing.AllocsPerRun(100, func() {
		w.keys.placement(v6, 1, "/live.mp3")
		w.keys.listener(epoch, v6, 1)
		w.keys.network(v6)
		w.keys.wide(v6)
	})
	if hashes != 0 {
		t.Errorf("the hashes of a listener take %v allocations", hashes)
	}
}
