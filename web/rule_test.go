package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// request has the headers given, all others absent.
func requestOf(proto string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/live.mp3", nil)
	if proto == "1.0" {
		r.ProtoMinor = 0
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// never says that a client stays where it is.
func never() bool { return false }

func ruleFor(t *testing.T, own []Rule, r *http.Request) string {
	t.Helper()
	p, err := compilePolicy(Policy{Rules: own})
	if err != nil {
		t.Fatal(err)
	}
	if c := p.rules.match(p.rules.agent(r.UserAgent(), &families{}), r, never); c != nil {
		return c.name
	}
	return ""
}

// TestShippedRules has user agents as players send them.
func TestShippedRules(t *testing.T) {
	t.Parallel()
	esp := []string{"Icy-MetaData", "1", "Connection", "close"}
	for _, c := range []struct {
		want    string
		request *http.Request
	}{
		{"esp8266 radio", requestOf("1.1", esp...)},
		{"", requestOf("1.0", esp...)},
		{"", requestOf("1.1", append(esp, "Accept", "*/*")...)},
		{"", requestOf("1.1", append(esp, "User-Agent", "x")...)},
		{"", requestOf("1.1", "Connection", "close")},
		{"", requestOf("1.1")},
		{"mpg321", requestOf("1.0", "User-Agent", "xmms/1.2.7")},
		{"cmus", requestOf("1.0", "User-Agent", "cmus/v2.10.0")},
		{"streamripper", requestOf("1.1", "User-Agent", "Streamripper/1.x")},
		{"icecast relay", requestOf("1.0", "User-Agent", "Icecast 2.4.4")},
		{"xine", requestOf("1.0", "User-Agent", "xine/1.2.13")},
		{"exoplayer", requestOf("1.1", "User-Agent", "Radio/1.0 (Linux;Android 11) ExoPlayerLib/2.11.7")},
		{"media3", requestOf("1.1", "User-Agent", "app/1 (Linux;Android 14) AndroidXMedia3/1.4.1")},
		{"applecoremedia", requestOf("1.1", "User-Agent", "AppleCoreMedia/1.0.0.20G75 (iPhone; U; CPU OS 16_6)")},
		{"squeezebox", requestOf("1.0", "User-Agent", "iTunes/4.7.1 (Linux; N; Debian; i686-linux; EN; utf8) SqueezeCenter, Squeezebox Server/7.9")},
		{"", requestOf("1.0", "User-Agent", "iTunes/4.7.1 (Macintosh)")},
		{"esp32 audio", requestOf("1.1", "User-Agent", "VLC/3.0.21 LibVLC/3.0.21 AppleWebKit/537.36 (KHTML, like Gecko)")},
		{"", requestOf("1.1", "User-Agent", "VLC/3.0.21 LibVLC/3.0.21")},
		{"nsplayer", requestOf("1.0", "User-Agent", "NSPlayer/4.1.0.3856")},
		{"windows media player", requestOf("1.1", "User-Agent", "Windows-Media-Player/12.0")},
		{"shoutcastsource", requestOf("1.0", "User-Agent", "shoutcastsource/1.4.20")},
		{"", requestOf("1.1", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")},
		{"", requestOf("1.1", "User-Agent", "Lavf/59.27.100")},
	} {
		if got := ruleFor(t, nil, c.request); got != c.want {
			t.Errorf("%v: rule %q, want %q", c.request.Header, got, c.want)
		}
	}
	for _, r := range ShippedRules() {
		if r.Reason == "" || r.Name == "" {
			t.Errorf("%+v: a shipped rule needs a name and a reason", r)
		}
	}
}

func TestFirstRuleWins(t *testing.T) {
	t.Parallel()
	own := []Rule{
		{Name: "old", UserAgent: "Sonos/*", HTTP: "1.0"},
		{Name: "metadata", UserAgent: "Sonos/*", Headers: []HeaderMatch{{Name: "icy-metadata", Glob: "1"}}},
		{Name: "regexp", UserAgentRegexp: `(?i)sonos|roku`},
		{Name: "glob", UserAgent: "*Roku*"},
		{Name: "short", UserAgent: "*TV*"},
		{Name: "cmus here", UserAgent: "cmus/*"},
	}
	for _, c := range []struct {
		want    string
		request *http.Request
	}{
		{"old", requestOf("1.0", "User-Agent", "Sonos/57", "Icy-MetaData", "1")},
		{"metadata", requestOf("1.1", "User-Agent", "sonos/57", "Icy-MetaData", "1")},
		{"regexp", requestOf("1.1", "User-Agent", "Sonos/57", "Icy-MetaData", "0")},
		{"regexp", requestOf("1.1", "User-Agent", "Roku/DVP")},
		{"short", requestOf("1.1", "User-Agent", "SmartTv")},
		{"cmus here", requestOf("1.0", "User-Agent", "cmus/v2.10.0")}, // before the shipped one
		{"xine", requestOf("1.0", "User-Agent", "xine/1.2.13")},
	} {
		if got := ruleFor(t, own, c.request); got != c.want {
			t.Errorf("%v: rule %q, want %q", c.request.Header, got, c.want)
		}
	}
	if got := ruleFor(t, []Rule{{Name: "all"}}, requestOf("1.1")); got != "all" {
		t.Errorf("a rule without conditions: %q", got)
	}
}

func TestRuleMistakes(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Rule{
		`rules[1].user_agent: pattern ends in '\'`:                                      {UserAgent: `a\`},
		`rules[1].user_agent_regexp: it is no regular expression: missing closing`:      {UserAgentRegexp: `a(b`},
		`rules[1].user_agent_regexp: expression is longer`:                              {UserAgentRegexp: strings.Repeat("a", maxPattern+1)},
		`rules[1].user_agent_regexp: it is no regular expression: invalid repeat count`: {UserAgentRegexp: `(a{1000}){1000}`},
		`rules[1].user_agent_regexp: give a user agent as a glob or`:                    {UserAgent: "a", UserAgentRegexp: "b"},
		`rules[1].http: "3" is not a version of HTTP`:                                   {HTTP: "3"},
		`rules[1].answer: use redirect`:                                                 {Answer: JSON},
		`rules[1].headers[0].name: "a b" is not the name`:                               {Headers: []HeaderMatch{{Name: "a b"}}},
		`rules[1].headers[0].glob: a header that is absent`:                             {Headers: []HeaderMatch{{Name: "A", Absent: true, Glob: "x"}}},
		`rules[1].headers[0].name: write this as user_agent`:                            {Headers: []HeaderMatch{{Name: "user-agent", Glob: "x"}}},
	} {
		err := CheckPolicy(Policy{Rules: []Rule{{}, r}})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		glob, s string
		want    bool
	}{
		{"", "", true}, {"", "a", false},
		{"*", "", true}, {"*", "anything", true},
		{"a*", "ABC", true}, {"a*", "ba", false},
		{"*c", "abc", true}, {"*b", "abc", false},
		{"a?c", "abc", true}, {"a?c", "ac", false},
		{"*a*b*", "xxaxxbxx", true}, {"*a*b*", "xxbxxaxx", false},
		{"a*b*c", "abbbbc", true}, {"a*bc", "abcbc", true},
		{`\*`, "*", true}, {`\*`, "a", false}, {`a\\b`, `a\b`, true},
		{"größe*", "größe/1", true},
		{"**x", "x", true},
	} {
		g, err := parseGlob(c.glob)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.match(c.s); got != c.want {
			t.Errorf("%q on %q: %v", c.glob, c.s, got)
		}
	}
}

func TestRegexpLiterals(t *testing.T) {
	t.Parallel()
	for re, want := range map[string][]string{
		`abc`:         {"abc"},
		`^VLC/3\.0`:   {"vlc/3.0"},
		`a.*longer`:   {"longer"},
		`(foo|barb)`:  {"foo", "barb"},
		`foo|`:        nil,
		`x?`:          nil,
		`(?i)monkey`:  {"mon"}, // k folds with the Kelvin sign
		`(?i)kss`:     nil,
		`(abc)+`:      {"abc"},
		`(abc)*`:      nil,
		`(?:ab){2,3}`: {"ab"},
		"\ufffdabc":   {"abc"},
		`[A-Z]x[0-9]`: {"x"},
	} {
		_, got, err := parseRegexp(re)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", re, diff)
		}
	}
}

// FuzzRules compares the index with looking at one rule after the other.
func FuzzRules(f *testing.F) {
	f.Add("*Sonos*\n/(?i)roku|tv/\nVLC/*", "Sonos/57")
	f.Add("*k*\n/(?i)k/\n/s+/", "\u212a and \u017f")
	f.Add("?\n*\n/^$/", "")
	f.Add("/\ufffd/\n*\xff*", "a\xffb")
	f.Add("*ab*cd*\nab\n*b", "xxABxxCDxb")
	f.Add("/(foo|bar(baz|q)).*x/\n/a{2,}b/", "foo aab x")
	f.Add("\\*\n*\\?*", "*?")
	f.Fuzz(func(t *testing.T, patterns, ua string) {
		var rules []compiledRule
		for i, p := range strings.Split(patterns, "\n") {
			r := Rule{UserAgent: p}
			if len(p) > 2 && p[0] == '/' && p[len(p)-1] == '/' {
				r = Rule{UserAgentRegexp: p[1 : len(p)-1]}
			}
			c, errs := compileRule(r, i+1, OriginFile)
			if len(errs) > 0 || i > 40 {
				return
			}
			if i%3 == 1 {
				c.major, c.minor = 1, 0 // does not hold for the request below
			}
			rules = append(rules, c)
		}
		r := requestOf("1.1")
		want := -1
		for i := range rules {
			if rules[i].matchesAgent(clip(ua)) && rules[i].matchesRest(r) {
				want = i
				break
			}
		}
		set := newRuleSet(rules)
		for range 2 { // found, and found again
			got := -1
			if c := set.match(set.agent(ua, &families{}), r, never); c != nil {
				got = c.number - 1
			}
			if got != want {
				t.Fatalf("%q on %q: rule %d, want %d", patterns, ua, got, want)
			}
		}
	})
}

// TestCacheHolds replaces user agents all the time: none is mistaken for another.
func TestCacheHolds(t *testing.T) {
	t.Parallel()
	set := newRuleSet([]compiledRule{mustRule(t, Rule{UserAgent: "*7"}), mustRule(t, Rule{UserAgent: "*3"})})
	fams := &families{}
	for i := range 50_000 {
		ua := fmt.Sprintf("agent/%d", i)
		a := set.agent(ua, fams)
		if a.ua != ua || (len(a.rules) > 0) != (i%10 == 7 || i%10 == 3) {
			t.Fatalf("%s: %+v", ua, a)
		}
	}
	if set.agent(strings.Repeat("x", 600), fams).ua == "" {
		t.Error("a long user agent is not known")
	}
}

func mustRule(tb testing.TB, r Rule) compiledRule {
	tb.Helper()
	c, errs := compileRule(r, 1, OriginFile)
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	return c
}

// manyRules makes what an operator with a list of devices has.
func manyRules(tb testing.TB, n int) *ruleSet {
	var rules []compiledRule
	for i := range n {
		r := Rule{UserAgent: fmt.Sprintf("Device-%04d/*", i), Answer: Proxy}
		switch i % 3 {
		case 1:
			r.UserAgent = fmt.Sprintf("Mozilla/5.0 (*Model%04d*", i)
		case 2:
			r = Rule{UserAgentRegexp: fmt.Sprintf(`^(Radio|Player)X?%04d\b`, i)}
		}
		rules = append(rules, mustRule(tb, r))
	}
	return newRuleSet(rules)
}

// BenchmarkRules is to be flat in the number of rules: known is a user agent that
// was seen before, new one that was not.
func BenchmarkRules(b *testing.B) {
	const ua = "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36"
	for _, n := range []int{10, 100, 1_000, 10_000} {
		set := manyRules(b, n)
		fams := &families{}
		r := requestOf("1.1", "User-Agent", ua)
		b.Run(fmt.Sprintf("known/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set.match(set.agent(ua, fams), r, never)
			}
		})
		b.Run(fmt.Sprintf("new/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set.holding(ua)
			}
		})
	}
}
