package web

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
)

// Origin is where a rule comes from.
type Origin string

// The origins, in order of precedence.
const (
	OriginOverlay Origin = "overlay" // made by operators at run time
	OriginFile    Origin = "file"
	OriginShipped Origin = "shipped"
)

// RuleUse is a rule and how often it held.
type RuleUse struct {
	Rule
	Origin Origin
	Hits   uint64 // requests since the server began or the rule was made; without dry runs
}

// RuleUses returns the rules in force in order of precedence.
func (s *Server) RuleUses() []RuleUse {
	rules := s.policy.Load().rules.rules
	out := make([]RuleUse, len(rules))
	for i := range rules {
		out[i] = RuleUse{rules[i].Rule, rules[i].origin, rules[i].hits.Load()}
	}
	return out
}

// ruleHits are the hit counters of rules by [ruleKey], so that they survive a new policy.
type ruleHits map[string]*atomic.Uint64

// keepCounting gives the rules of a new policy the counters that they had before.
func keepCounting(before ruleHits, rules []compiledRule) ruleHits {
	now := make(ruleHits, len(rules))
	for i := range rules {
		c := &rules[i]
		key := ruleKey(c)
		for n := 2; now[key] != nil; n++ { // rules may be alike
			key = fmt.Sprint(ruleKey(c), " ", n)
		}
		if c.hits = before[key]; c.hits == nil {
			c.hits = new(atomic.Uint64)
		}
		now[key] = c.hits
	}
	return now
}

// ruleKey identifies a rule: by its origin and its ID or name, else its whole content.
func ruleKey(c *compiledRule) string {
	key := string(c.origin) + " "
	switch {
	case c.ID != "":
		return key + c.ID
	case c.Rule.Name != "":
		return key + c.Rule.Name
	}
	b, err := json.Marshal(c.Rule)
	if err != nil { // cannot happen: strings and flags
		return key
	}
	return key + string(b)
}
