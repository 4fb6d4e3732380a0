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
	Hits   uint64 // requests since the server began, or since there is the rule; without dry runs
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

// ruleHits has the counts of rules by what tells them from others, so that they
// survive a new policy.
type ruleHits map[string]*atomic.Uint64

// keepCounting gives the rules the counts that they had under the policy before.
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

// ruleKey is a rule's id or name, else all of it.
func ruleKey(c *compiledRule) string {
	key := string(c.origin) + " "
	switch {
	case c.ID != "":
		return key + c.ID
	case c.Rule.Name != "":
		return key + c.Rule.Name
	}
	b, err := json.Marshal(c.Rule)
	if err != nil { // not to be expected of strings and flags
		return key
	}
	return key + string(b)
}
