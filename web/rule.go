package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/textproto"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

// A Rule says how clients of one kind are answered at a mount's own URL. All of its
// conditions must hold; a rule without conditions holds for everyone. The first rule that
// holds wins; the operator's come before the shipped ones.
//
// The URL of a playlist is answered with that playlist whatever Answer is, except Deny. If
// Answer is Proxy, its entries are the director's own URLs.
type Rule struct {
	ID   string `json:"-"`              // of a rule that was made at run time
	Name string `json:"name,omitempty"` // for explain and records; empty: the ID, else the number

	// UserAgent is a glob for the whole header without regard to ASCII case: '*' is any
	// run of bytes, '?' any byte, '\' takes the next byte literally. Empty: any user agent.
	UserAgent string `json:"user_agent,omitempty"`
	// UserAgentRegexp is an RE2 expression, not anchored. Empty: any user agent.
	UserAgentRegexp string        `json:"user_agent_regexp,omitempty"`
	Headers         []HeaderMatch `json:"headers,omitempty"`
	HTTP            string        `json:"http,omitempty"` // "1.0", "1.1" or "2"; empty: any

	// Answer is the form of the answer. A rule that says HTTPS holds for web browsers alone
	// that came by plain HTTP, and while https works: see [Policy.HTTPSPort].
	Answer Answer `json:"answer"`
	// HTTPOnly sends the client to http:// URLs only, whatever scheme it used.
	HTTPOnly bool `json:"http_only,omitempty"`
	// SameScheme says that the client refuses a redirect to the other scheme: if no node is
	// available in its own, it gets the stream itself, or 503.
	SameScheme bool `json:"same_scheme,omitempty"`
	// ICY begins a stream that is carried inline with "ICY 200 OK".
	ICY bool `json:"icy,omitempty"`
	// OrRedirect sends the client to a node if its stream cannot be carried inline, such as
	// for want of room. Without it, the answer is then an error, such as 503.
	OrRedirect bool `json:"or_redirect,omitempty"`
	// Relay says that the client is a server that passes the stream on. It does not count
	// as a listener, and if it is a node of the fleet, it is sent neither to itself nor to
	// a node that it feeds.
	Relay bool `json:"relay,omitempty"`

	Reason string `json:"reason,omitempty"` // why the rule exists, for explain
}

// A HeaderMatch is a condition on a request header.
type HeaderMatch struct {
	Name   string `json:"name"`
	Absent bool   `json:"absent,omitempty"` // the header is missing or empty
	Glob   string `json:"glob,omitempty"`   // for its value; empty: any value that is not empty
}

// compiledRule is a Rule that was checked and compiled.
type compiledRule struct {
	Rule
	name      string // the rule's name, else its ID, else "rule" and its number
	number    int    // in its list, from 1
	origin    Origin
	hits      *atomic.Uint64
	agent     glob           // nil: any
	agentRE   *regexp.Regexp // nil: any
	agentNone bool           // there must be no user agent
	needs     needs
	headers   []compiledHeader // without User-Agent
	major     int              // 0: any version of HTTP
	minor     int
}

type compiledHeader struct {
	name   string // canonical
	absent bool
	glob   glob // nil: any value
}

// compileRule compiles a rule. It returns its mistakes, with paths relative to the rule.
func compileRule(r Rule, number int, origin Origin) (compiledRule, []*director.ConfigError) {
	c := compiledRule{Rule: r, number: number, origin: origin}
	var errs []*director.ConfigError
	fail := func(msg string, path ...any) {
		errs = append(errs, &director.ConfigError{Path: path, Msg: msg})
	}
	c.name = cmp.Or(r.Name, r.ID, fmt.Sprintf("rule %d", number))
	if r.Answer > HTTPS || r.Answer == JSON {
		fail("use redirect, m3u, pls, xspf, asx, proxy, deny or https", "answer")
	}
	switch r.HTTP {
	case "":
	case "1.0":
		c.major, c.minor = 1, 0
	case "1.1":
		c.major, c.minor = 1, 1
	case "2":
		c.major = 2
	default:
		fail(fmt.Sprintf(`%q is not a version of HTTP; use "1.0", "1.1" or "2"`, r.HTTP), "http")
	}
	c.compileAgent(fail)
	for i, h := range r.Headers {
		c.compileHeader(h, i, fail)
	}
	return c, errs
}

func (c *compiledRule) compileAgent(fail func(string, ...any)) {
	switch {
	case c.UserAgent != "" && c.UserAgentRegexp != "":
		fail("give a user agent as a glob or as a regular expression, not both", "user_agent_regexp")
	case c.UserAgent != "":
		g, err := parseGlob(c.UserAgent)
		if err != nil {
			fail(err.Error(), "user_agent")
			return
		}
		c.agent = g
		if lits := g.literals(); len(lits) > 0 {
			c.needs = needs{lits}
		}
	case c.UserAgentRegexp != "":
		re, lits, err := parseRegexp(c.UserAgentRegexp)
		if err != nil {
			fail(wording.Text(err), "user_agent_regexp")
			return
		}
		c.agentRE = re
		for _, l := range lits {
			c.needs = append(c.needs, []string{l})
		}
	}
}

func (c *compiledRule) compileHeader(h HeaderMatch, i int, fail func(string, ...any)) {
	name := textproto.CanonicalMIMEHeaderKey(h.Name)
	if name == "" || strings.ContainsAny(name, " \t\r\n:") {
		fail(fmt.Sprintf("%q is not the name of a header", h.Name), "headers", i, "name")
		return
	}
	if h.Absent && h.Glob != "" {
		fail("a header that is absent has no value; take out one of the two", "headers", i, "glob")
		return
	}
	var g glob
	if h.Glob != "" {
		var err error
		if g, err = parseGlob(h.Glob); err != nil {
			fail(err.Error(), "headers", i, "glob")
			return
		}
	}
	if name == "User-Agent" {
		if !h.Absent {
			fail("write this as user_agent", "headers", i, "name")
		}
		c.agentNone = true
		return
	}
	c.headers = append(c.headers, compiledHeader{name: name, absent: h.Absent, glob: g})
}

// matchesAgent says whether those conditions hold that depend on the user agent alone.
func (c *compiledRule) matchesAgent(ua string) bool {
	switch {
	case c.agentNone && ua != "":
		return false
	case c.agent != nil:
		return c.agent.match(ua)
	case c.agentRE != nil:
		return c.agentRE.MatchString(ua)
	}
	return true
}

// agentOnly says whether the rule depends on the user agent alone.
func (c *compiledRule) agentOnly() bool {
	return c.major == 0 && len(c.headers) == 0 && c.Answer != HTTPS
}

// matchesRest says whether all conditions hold that matchesAgent does not check.
func (c *compiledRule) matchesRest(r *http.Request) bool {
	if c.major != 0 && (r.ProtoMajor != c.major || r.ProtoMinor != c.minor) {
		return false
	}
	for i := range c.headers {
		h := &c.headers[i]
		value := ""
		if v := r.Header[h.name]; len(v) > 0 {
			value = v[0]
		}
		switch {
		case h.absent != (value == ""):
			return false
		case h.glob != nil && !h.glob.match(clip(value)):
			return false
		}
	}
	return true
}

// clip returns the part of a header that is matched against patterns.
func clip(s string) string { return s[:min(len(s), maxMatched)] }
