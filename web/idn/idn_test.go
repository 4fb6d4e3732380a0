package idn

import (
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://münchen.test":               "http://xn--mnchen-3ya.test",
		"https://MÜNCHEN.test:8443/radio/ü": "https://xn--mnchen-3ya.test:8443/radio/ü", // a path is another's business
		"http://m%C3%BCnchen.test:8000":     "http://xn--mnchen-3ya.test:8000",
		"http://a%20b.test":                 "http://a%20b.test", // refused by whoever checks URLs
		"http://[fe80::1%25eth0]":           "http://[fe80::1%25eth0]",
		"http://straße.test":                "http://xn--strae-oqa.test",
		"http://радио.рф:8000":              "http://xn--80aimyg.xn--p1ai:8000",
		"http://放送。jp/x":                    "http://xn--4bvv56g.jp/x", // an ideographic full stop
		"https://cdn.münchen.test{mount}":   "https://cdn.xn--mnchen-3ya.test{mount}",
		"http://ü:p@münchen.test?q":         "http://ü:p@xn--mnchen-3ya.test?q",
		"http://xn--mnchen-3ya.test":        "http://xn--mnchen-3ya.test",
		"http://UPPER.test":                 "http://UPPER.test",
		"http://icecast_1:8000/ü":           "http://icecast_1:8000/ü",
		"http://[2001:db8::1]:8000":         "http://[2001:db8::1]:8000",
		"":                                  "",
		"münchen":                           "münchen",
		"http://192.0.2.1/":                 "http://192.0.2.1/",
	} {
		if got, err := URL(raw); err != nil || got != want {
			t.Errorf("URL(%q) = %q, %v; want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{"http://ü\u0000.test", "http://a\u200bü b.test", "http://-ü.test", "http://\xff.test"} {
		if got, err := URL(raw); err == nil || !strings.Contains(err.Error(), "not a name that DNS could have") {
			t.Errorf("URL(%q) = %q, %v; want an error", raw, got, err)
		}
	}
}

func FuzzURL(f *testing.F) {
	f.Add("http://münchen.test:8000/x")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := URL(raw)
		if err != nil {
			return
		}
		if from, to := host(got); !isASCII(got[from:to]) {
			t.Errorf("URL(%q) = %q", raw, got)
		}
	})
}
