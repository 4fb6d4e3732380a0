package probe

import (
	"net/http"
	"net/url"
	"testing"
)

// TestWithin: a redirect stays at the server in whatever letters it has the host, and
// whether or not it has the scheme's own port.
func TestWithin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ base, location, want string }{
		{"http://xn--mnchen-3ya.test", "http://münchen.test/x", "/x"},
		{"http://xn--mnchen-3ya.test/radio", "http://M%C3%BCnchen.test:80/radio/x?y", "/x?y"},
		{"http://a.test:8000", "http://A.test:8000/x", "/x"},
		{"https://a.test", "https://a.test:443/x", "/x"},
		{"http://a.test", "/x", "/x"},
		{"http://a.test", "http://a.test:8000/x", ""},
		{"http://a.test", "https://a.test/x", ""},
		{"http://a.test", "http://b.test/x", ""},
		{"http://a.test/radio", "http://a.test/x", ""},
	} {
		u, err := url.Parse(c.base + "/live.mp3")
		if err != nil {
			t.Fatal(err)
		}
		resp := &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {c.location}}, Request: &http.Request{URL: u}}
		if got := (target{base: c.base}).within(resp); got != c.want {
			t.Errorf("%s at %s: %q, want %q", c.location, c.base, got, c.want)
		}
	}
}
