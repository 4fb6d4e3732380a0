package web

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestShadows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before, r Rule
		want      bool
	}{
		{Rule{}, Rule{UserAgent: "VLC*"}, true},
		{Rule{UserAgent: "VLC*"}, Rule{}, false},
		{Rule{UserAgent: "VLC*"}, Rule{UserAgent: "vlc/3*"}, true},
		{Rule{UserAgent: "VLC/3*"}, Rule{UserAgent: "VLC*"}, false},
		{Rule{UserAgent: "*radio*"}, Rule{UserAgent: "Kitchen Radio/?.1"}, true},
		{Rule{UserAgent: "*radio"}, Rule{UserAgent: "*radio*"}, false},
		{Rule{UserAgent: "a?c"}, Rule{UserAgent: "a*c"}, false},
		{Rule{UserAgent: "a*c"}, Rule{UserAgent: "a?c"}, true},
		{Rule{UserAgentRegexp: "VLC"}, Rule{UserAgentRegexp: "VLC"}, true},
		{Rule{UserAgentRegexp: "VLC"}, Rule{UserAgent: "VLC"}, false}, // it does, which is not claimed
		{Rule{HTTP: "1.0"}, Rule{HTTP: "1.1"}, false},
		{Rule{HTTP: "1.0"}, Rule{HTTP: "1.0", UserAgent: "x"}, true},
		{Rule{Headers: []HeaderMatch{{Name: "X-Device"}}}, Rule{Headers: []HeaderMatch{{Name: "x-device", Glob: "radio*"}}}, true},
		{Rule{Headers: []HeaderMatch{{Name: "X-Device", Glob: "radio*"}}}, Rule{Headers: []HeaderMatch{{Name: "x-device"}}}, false},
		{Rule{Headers: []HeaderMatch{{Name: "X-Device", Absent: true}}}, Rule{Headers: []HeaderMatch{{Name: "X-Device"}}}, false},
		{Rule{Headers: []HeaderMatch{{Name: "Accept", Absent: true}}}, Rule{UserAgent: "x", Headers: []HeaderMatch{{Name: "Accept", Absent: true}, {Name: "Range"}}}, true},
	} {
		if got := Shadows(c.before, c.r); got != c.want {
			t.Errorf("%+v before %+v: %v, want %v", c.before, c.r, got, c.want)
		}
	}
}

// TestCoversIsSound: whatever the narrow glob matches, the wide one does too.
func TestCoversIsSound(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(1, 2))
	word := func(alphabet string) string {
		var b strings.Builder
		for range dice.IntN(6) {
			b.WriteByte(alphabet[dice.IntN(len(alphabet))])
		}
		return b.String()
	}
	covered := 0
	for range 20_000 {
		wide, narrow := word("ab*?"), word("ab*?")
		if wide == "" || narrow == "" || !covers(wide, narrow) {
			continue
		}
		covered++
		w, _ := parseGlob(wide)
		n, _ := parseGlob(narrow)
		for range 50 {
			if s := word("ab"); n.match(s) && !w.match(s) {
				t.Fatalf("%q is said to cover %q, which matches %q alone", wide, narrow, s)
			}
		}
	}
	if covered < 1000 {
		t.Errorf("only %d pairs were covered", covered)
	}
}
