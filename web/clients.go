package web

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/web/visits"
)

// ClientUse is a family of clients for which there is no rule, and what became of their
// requests since the server began. See [Escalate] for what is counted.
type ClientUse struct {
	Family  string // the user agent's first word
	Example string // a user agent of the family, at most 200 bytes; one that came back, if any

	Requests uint64 // the sum of the following
	First    uint64 // not seen lately
	Again    uint64 // back within 3 s: many players open a stream twice
	Next     uint64 // back within 15 s, or faster at an even pace: got the next node
	Inline   uint64 // back once more: got the stream itself
	Crowd    uint64 // more than 3 requests within 10 s, not at an even pace: many at one address

	Suspect bool   // the family seems unable to follow redirects
	Why     string // the reason for Suspect; empty: none
	// Suggestion is a rule that carries the family's streams inline, or gives it a playlist
	// if there is no Carrier. Nil: no rule can be made, as for a mixture of clients.
	Suggestion *Rule
}

const (
	maxExample = 200 // bytes

	// A family is suspect if at least suspectBack requests came back after a redirect, and
	// at least one for every two new ones: players that play come back only if their node
	// is down. It is also suspect for a loop: at least suspectCrowd requests of crowds, and
	// at least crowdPerNew for every new one.
	suspectBack  = 5
	suspectCrowd = 20
	crowdPerNew  = 5
)

// Clients returns the families of clients for which there is no rule: suspects first, then
// by the number of requests.
func (s *Server) Clients() []ClientUse {
	rules := s.policy.Load().rules
	var out []ClientUse
	for _, f := range s.stats.families.list() {
		c := f.use()
		if c.Requests == 0 || rules.decides(f.exampleAgent()) {
			continue
		}
		c.judge()
		c.Suggestion = s.suggest(f, &c)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b ClientUse) int {
		return cmp.Or(cmp.Compare(b2i(b.Suspect), b2i(a.Suspect)), cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Family, b.Family))
	})
	return out
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// use reads the counters of a family.
func (f *family) use() ClientUse {
	c := ClientUse{
		Family: f.name, Example: strings.ToValidUTF8(f.exampleAgent()[:min(len(f.exampleAgent()), maxExample)], ""),
		First: f.steps[visits.First].Load(), Again: f.steps[visits.Again].Load(), Next: f.steps[visits.Next].Load(),
		Inline: f.steps[visits.Inline].Load(), Crowd: f.steps[visits.Crowd].Load(),
	}
	c.Requests = c.First + c.Again + c.Next + c.Inline + c.Crowd
	return c
}

// exampleAgent returns a whole user agent of the family.
func (f *family) exampleAgent() string {
	if a := f.returned.Load(); a != nil {
		return a.ua
	}
	return f.seen
}

func (c *ClientUse) judge() {
	back := c.Next + c.Inline
	switch {
	case back >= suspectBack && 2*back >= c.First:
		c.Suspect = true
		c.Why = fmt.Sprintf("%d came anew and were redirected, and %d were back within 15 s", c.First, back)
	case c.Crowd >= suspectCrowd && c.Crowd >= crowdPerNew*max(c.First, 1):
		c.Suspect = true
		c.Why = fmt.Sprintf("%d came anew, and %d requests came faster than anybody does who plays: they try in a loop, or many share an address", c.First, c.Crowd)
	}
}

// decides says whether a rule holds for a user agent whatever else is in a request.
func (s *ruleSet) decides(ua string) bool {
	return slices.ContainsFunc(s.holding(ua), func(i int32) bool { return s.rules[i].agentOnly() })
}

// suggest makes a rule for a family.
func (s *Server) suggest(f *family, c *ClientUse) *Rule {
	r := &Rule{Name: f.name, Answer: Proxy, OrRedirect: true, Reason: c.Why}
	if s.cfg.Carrier == nil {
		r.Answer, r.OrRedirect = M3U, false
	}
	ua := f.exampleAgent()
	rest, isFirst := strings.CutPrefix(ua, f.name)
	switch {
	case f.name == familyNone:
		r.Headers = []HeaderMatch{{Name: "User-Agent", Absent: true}}
	case f.name == familyOther:
		return nil
	case f.name == "Mozilla" || !isFirst || rest == "":
		// Every browser calls itself Mozilla, and so do the devices for which the rule is meant.
		r.UserAgent = escapeGlob(ua)
	default:
		r.UserAgent = escapeGlob(f.name+rest[:1]) + "*"
	}
	if _, mistakes := compileRule(*r, 1, OriginOverlay); len(mistakes) > 0 {
		return nil
	}
	return r
}

// escapeGlob returns a glob that matches only s (without regard to ASCII case).
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(s)
}
