package director

import (
	"net/url"
	"strings"
	"testing"
)

var goodURLs = []string{
	"http://a.example", "http://a.example:8000", "https://a.example/", "http://a.example:1", "http://a.example:65535/radio/",
	"http://icecast", "http://icecast_1:8000", "http://a.example.:8000", "http://xn--mnchen-3ya.example", "HTTP://A.example:8000",
	"http://192.0.2.1:8000", "http://[2001:db8::1]:8000", "http://[::ffff:192.0.2.1]", "http://127.0.0.1:8000", "http://3com.example",
	"http://a.example/~radio/live%20two/;x=1,2", "https://a.example:443/a(b)!$&*+:@-._=",
}

var badURLs = map[string]string{
	"":                        "no scheme",
	"a.example:8000":          "no scheme",
	"ftp://a.example":         "no scheme",
	"icecast://a.example:80":  "write http://a.example:80",
	"http:a.example":          "no host",
	"http://":                 "no host",
	"http://:8000":            "no host",
	"http://h:0":              `port "0"`,
	"http://h:99999":          `port "99999"`,
	"http://h:65536":          `port "65536"`,
	"http://h:08000":          `port "08000"`,
	"http://h:":               `port ""`,
	"http://[2001:db8::1]:":   `port ""`,
	"http://h:x":              "not a URL",
	"http://h:-1":             "not a URL",
	"http://<script>/":        "'<'",
	"http://a\"b.example":     `'"'`,
	"http://a'b.example":      `'\''`,
	"http://a b.example":      "not a URL",
	"http://a\tb.example":     "not a URL",
	"http://a.example/\x00":   "not a URL",
	"http://a%41.example":     "not a URL",
	"http://münchen.example":  "punycode",
	"http://a..example":       "a part of no",
	"http://.example":         "a part of no",
	"http://a*.example":       "'*'",
	"http://a,b.example":      "','",
	"http://256.1.1.1":        "neither a name nor an IPv4 address",
	"http://1.2.3":            "neither a name nor an IPv4 address",
	"http://2130706433":       "neither a name nor an IPv4 address",
	"http://0x7f.1":           "neither a name nor an IPv4 address",
	"http://127.0.0.0x1":      "neither a name nor an IPv4 address",
	"http://0.0.0.0:8000":     "no server's address",
	"http://[::]:8000":        "no server's address",
	"http://224.0.0.1":        "no server's address",
	"http://255.255.255.255":  "no server's address",
	"http://[fe80::1%25eth0]": "a zone",
	"http://u:p@a.example":    "user or password",
	"http://u@a.example":      "user or password",
	"http://a.example?x":      "query",
	"http://a.example?":       "query",
	"http://a.example#x":      "query or fragment",
	"http://a.example#":       "query or fragment",
	"http://a.example/\"x":    "%22",
	"http://a.example/'x":     "%27",
	"http://a.example/<x>":    "%3C",
	"http://a.example/ü":      "%C3%BC",
	"http://a.example/a%zz":   "not a URL",
	"http://a.example/a b":    "%20",
	"http://a.example/a\\b":   "%5C",
	"http://" + strings.Repeat("a", 64) + ".example":       "more than 63",
	"http://" + strings.Repeat("a.", 150) + "example:8000": "longer than 253",
}

func TestParseBase(t *testing.T) {
	t.Parallel()
	for _, raw := range goodURLs {
		if _, err := ParseBase(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
	for raw, want := range badURLs {
		if u, err := ParseBase(raw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v %v, want an error with %q", raw, u, err, want)
		}
	}
}

// Whatever is taken can stand in a Location, in a playlist and between quotes.
func FuzzParseBase(f *testing.F) {
	for _, raw := range goodURLs {
		f.Add(raw)
	}
	for raw := range badURLs {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := ParseBase(raw)
		if err != nil {
			return
		}
		for _, text := range []string{raw, u.String()} {
			if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("\"'<>\\`{}|^", r) }) {
				t.Errorf("%q is taken, and has %q", raw, text)
			}
		}
		if again, err := url.Parse(u.String()); err != nil || again.Host != u.Host || again.Path != u.Path {
			t.Errorf("%q becomes %v (%v)", raw, again, err)
		}
	})
}
