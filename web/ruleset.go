package web

import (
	"net/http"
	"strings"
	"sync/atomic"
)

// ruleSet finds the first rule that holds for a request. User agents repeat, so what depends
// on them alone is cached, and the cost of a request does not grow with the number of rules.
// It is safe for concurrent use.
type ruleSet struct {
	rules []compiledRule
	index *gramIndex
	cache []atomic.Pointer[agent] // sets of two
}

// agent is what is known of a user agent. It is immutable.
type agent struct {
	ua     string
	hash   uint64
	family *family
	// rules are those that hold as far as the user agent is concerned, in order. They end
	// with the first that depends on nothing else: no later rule can win.
	rules []int32
}

const (
	// agentSets bounds the cache, in sets of two: a large station sees a few thousand user
	// agents a day.
	agentSets = 1 << 12
	// maxCachedAgent is the length of the longest user agent that is cached, in bytes: the
	// cache takes at most 5 MB.
	maxCachedAgent = 512
)

func newRuleSet(rules []compiledRule) *ruleSet {
	patterns := make([]needs, len(rules))
	for i := range rules {
		patterns[i] = rules[i].needs
	}
	return &ruleSet{rules: rules, index: newGramIndex(patterns), cache: make([]atomic.Pointer[agent], 2*agentSets)}
}

// agent returns what is known of a user agent. Its family, for metrics, comes from families.
func (s *ruleSet) agent(ua string, families *families) *agent {
	hash := hashString(ua)
	set := s.cache[hash%agentSets*2:][:2]
	first := set[0].Load()
	if first != nil && first.ua == ua {
		return first
	}
	if a := set[1].Load(); a != nil && a.ua == ua {
		return a
	}
	a := &agent{ua: ua, hash: hash, family: families.of(ua), rules: s.holding(ua)}
	if len(ua) <= maxCachedAgent {
		a.ua = strings.Clone(ua) // ua may keep the memory of a whole request alive
		set[1].Store(first)
		set[0].Store(a)
	}
	return a
}

// holding returns the rules that hold as far as the user agent is concerned.
func (s *ruleSet) holding(ua string) []int32 {
	ua = clip(ua)
	var text [maxMatched]byte
	var found [64]int32
	var out []int32
	for _, i := range s.index.candidates(found[:0], lowered(text[:], ua)) {
		r := &s.rules[i]
		if !r.matchesAgent(ua) {
			continue
		}
		out = append(out, i)
		if r.agentOnly() {
			break
		}
	}
	return out
}

// match returns the first rule that holds for the request; nil: none. A rule that says
// HTTPS holds only if upgrades says so.
func (s *ruleSet) match(a *agent, r *http.Request, upgrades func() bool) *compiledRule {
	for _, i := range a.rules {
		if c := &s.rules[i]; c.matchesRest(r) && (c.Answer != HTTPS || upgrades()) {
			return c
		}
	}
	return nil
}
