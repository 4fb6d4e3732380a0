package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}) }

func TestFindTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	s := w.view.Load().Snapshot
	for _, c := range []struct {
		policy Policy
		path   string // and query
		mount  string // empty: none
		format Answer
		left   string // of the query
	}{
		{path: "/live.mp3", mount: "/live.mp3"},
		{path: "/live", mount: "/live.mp3"},
		{path: "/live.mp3.m3u", mount: "/live.mp3", format: M3U},
		{path: "/live.pls", mount: "/live.mp3", format: PLS},
		{path: "/live.mp3.xspf", mount: "/live.mp3", format: XSPF},
		{path: "/live.mp3.asx", mount: "/live.mp3", format: ASX},
		{path: "/live.mp3.json", mount: "/live.mp3", format: JSON},
		{path: "/list.m3u", mount: "/list.m3u"},
		{path: "/list.m3u.m3u", mount: "/list.m3u", format: M3U},
		{path: "/live.mp3.m3u8"},
		{path: "/LIVE.mp3"},
		{path: "/live.mp3/"},
		{path: "/live.mp3/;", mount: "/live.mp3"},
		{path: "/live.mp3/;stream.mp3", mount: "/live.mp3"},
		{path: "/live.mp3/;.pls", mount: "/live.mp3", format: PLS},
		{path: "/stream/1/", mount: "/live.mp3"},
		{path: "/stream/2", mount: "/plain.mp3"},
		{path: "/stream/1/;", mount: "/live.mp3"},
		{path: "/stream/0/"},
		{path: "/stream/99/"},
		{path: "/stream/-1/"},
		{path: "/stream/1/x"},
		{policy: Policy{SIDs: map[int]string{7: "/off.mp3"}}, path: "/stream/7/", mount: "/off.mp3"},
		{policy: Policy{SIDs: map[int]string{7: "/off.mp3"}}, path: "/stream/1/"},
		{path: "/;", mount: "/live.mp3"},
		{path: "/;stream.nsv", mount: "/live.mp3"},
		{path: "/;?sid=2", mount: "/plain.mp3"},
		{path: "/;?a=b&sid=2&c=d", mount: "/plain.mp3", left: "a=b&c=d"},
		{path: "/;?sid=2&c=d", mount: "/plain.mp3", left: "c=d"},
		{path: "/;?a=b&sid=2", mount: "/plain.mp3", left: "a=b"},
		{path: "/;?sid=x"},
		{path: "/;?sid=0"},
		{path: "/;?asid=2", mount: "/live.mp3", left: "asid=2"},
		{path: "/?sid=2", mount: "/plain.mp3"},
		{path: "/?sid=99"},
		{path: "/stream?sid=2", mount: "/plain.mp3"},
		{path: "/stream", mount: "/live.mp3"},
		{path: "/stream/", mount: "/live.mp3"},
		{path: "/stream/;x", mount: "/live.mp3"},
		{path: "/stream;x?sid=2", mount: "/plain.mp3"},
		{path: "/stream/2/;x", mount: "/plain.mp3"},
		{path: "/listen.pls", mount: "/live.mp3", format: PLS},
		{path: "/listen.pls?sid=2", mount: "/plain.mp3", format: PLS},
		{path: "/listen.m3u?sid=2", mount: "/plain.mp3", format: M3U},
		{path: "/listen?sid=2"},
		{path: "/live.mp3;stream.nsv", mount: "/live.mp3"},
		{path: "/live;x?sid=2", mount: "/live.mp3", left: "sid=2"},
		{path: "/none;x"},
		{path: "/live.mp3?sid=2", mount: "/live.mp3", left: "sid=2"},
		{policy: Policy{DefaultMount: "/live", SIDs: map[int]string{2: "/off.mp3"}}, path: "/?sid=2", mount: "/off.mp3"},
		{path: "/"},
		{path: ""},
		{policy: Policy{DefaultMount: "/live"}, path: "/;", mount: "/live.mp3"},
		{policy: Policy{DefaultMount: "/live"}, path: "/;stream.nsv", mount: "/live.mp3"},
		{policy: Policy{DefaultMount: "/live"}, path: "/", mount: "/live.mp3"},
		{policy: Policy{DefaultMount: "/gone"}, path: "/"},
	} {
		p, err := compilePolicy(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		path, query, _ := strings.Cut(c.path, "?")
		got := p.findTarget(s, path, query)
		name := ""
		if got.mount >= 0 {
			name = s.Mount(got.mount).Name
		}
		if name != c.mount || got.format != c.format || name != "" && got.query != c.left {
			t.Errorf("%q: mount %q as %v, %q left; want %q as %v, %q", c.path, name, got.format, got.query, c.mount, c.format, c.left)
		}
	}
}

func TestOnlyMount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.fleet.Mounts = w.fleet.Mounts[:1]
	w.build()
	for path, want := range map[string]int{"/;": 302, "/;stream.mp3": 302, "/;.m3u": 200, "/stream/1/": 302, "/": 404} {
		if got := w.get(path).Code; got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// TestHostilePaths sends what must never reach a header or a playlist.
func TestHostilePaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for target, want := range map[string]int{
		"/live.mp3%0d%0aX:%20y":                        400,
		"/live.mp3%00":                                 400,
		"/live.mp3?a=%00":                              302, // a query comes back as it is written
		"/live.mp3?a=%09b%7f":                          302,
		"/live.mp3?a=%0d%0a":                           302,
		"/live.mp3?a=%250d%250a":                       302, // decoded twice it would be a new line; nobody does
		"/live.mp3?" + strings.Repeat("q", maxQuery+1): 414,
		"/" + strings.Repeat("a", maxPath):             414,
		"/" + strings.Repeat("%41", maxPath/2):         414,
		"/../../etc/passwd":                            404,
		"//live.mp3":                                   404,
		"/live%2Emp3":                                  302,
		"/live.mp3%2F%3B":                              302,
	} {
		if got := w.get(target).Code; got != want {
			t.Errorf("%.60s: %d, want %d", target, got, want)
		}
	}
}

// FuzzPath sends any path and query and looks at what comes out: no more lines
// than the answer has, and a query exactly as it came.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/live.mp3", "/live.mp3.m3u", "/;", "/stream/1/", "/studio/größe.ogg", "/live.mp3\r\nX: y", "/a%b", "/\x00", "/live.mp3/;/;", "//"} {
		f.Add(s, "a=b")
		f.Add(s, "x=%0d%0a")
		f.Add(s, "\r\n\r\n")
		f.Add(s, "<&\"'\xff>")
	}
	w := newWorld(&testing.T{}, func(c *Config) { c.Policy.PerKey, c.Policy.PerAddress, c.Record = -1, -1, nil })
	f.Fuzz(func(t *testing.T, path, query string) {
		if path = "/" + path; len(path) > 1 && path[1] == '/' {
			path = path[1:] // net/http lets no path through that does not begin with a slash
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL = &url.URL{Path: path, RawQuery: query}
		r.RemoteAddr = "203.0.113.7:1"
		rec := httptest.NewRecorder()
		w.Handler().ServeHTTP(rec, r)
		for k, values := range rec.Header() {
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n\x00") {
					t.Errorf("header %s: %q", k, v)
				}
			}
		}
		switch rec.Code {
		case http.StatusFound:
			loc := rec.Header().Get("Location")
			if !strings.HasPrefix(loc, "http://") {
				t.Errorf("Location: %q is not absolute", loc)
			}
			if query != "" && !strings.HasSuffix(loc, "?"+query) {
				t.Errorf("Location: %q does not repeat %q", loc, query)
			}
		case http.StatusOK, 400, 404, 414, 503:
		default:
			t.Errorf("status %d", rec.Code)
		}
	})
}
