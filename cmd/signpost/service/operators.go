package service

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// ruleUses returns the client rules in force, for operators.
func (d *Service) ruleUses() []admin.RuleUse {
	uses := d.web.RuleUses()
	out := make([]admin.RuleUse, len(uses))
	for i, u := range uses {
		out[i] = admin.RuleUse{ID: u.ID, Rule: d.ruleText(u.Rule), Origin: string(u.Origin), Hits: u.Hits}
	}
	return out
}

// noteRules says of operators' and the file's rules which are never reached, and which
// have the name of another.
func noteRules(all []api.Rule) {
	var before []web.Rule
	for i := range all {
		r, err := web.ParseRule(all[i].Rule)
		if err != nil || all[i].Effect != "" || all[i].Origin == api.OriginShipped {
			continue
		}
		r.Name = cmp.Or(r.Name, all[i].ID)
		for _, b := range before {
			switch {
			case web.Shadows(b, r):
				all[i].Effect = fmt.Sprintf("it is never reached: rule %s before it holds for all of its players", cmp.Or(b.Name, "without a name"))
			case r.Name != "" && b.Name == r.Name:
				all[i].Note = "another rule before it is called " + r.Name + ", too"
			default:
				continue
			}
			break
		}
		before = append(before, r)
	}
}

// clientUses returns the clients without a rule, for operators.
func (d *Service) clientUses() []api.Client {
	uses := d.web.Clients()
	out := make([]api.Client, len(uses))
	for i, u := range uses {
		out[i] = api.Client{
			Family: u.Family, Example: u.Example, Suspect: u.Suspect, Why: u.Why,
			Requests: u.Requests, First: u.First, Again: u.Again, Next: u.Next, Inline: u.Inline, Crowd: u.Crowd,
		}
		if u.Suggestion != nil {
			out[i].Suggestion = &api.RuleSuggestion{Rule: d.ruleText(*u.Suggestion)}
		}
	}
	return out
}

func (d *Service) ruleText(r web.Rule) json.RawMessage {
	text, err := json.Marshal(r)
	if err != nil { // should not happen: every rule can be written as JSON
		d.log.Error("a client rule cannot be shown", "rule", r.Name, "err", err)
		return json.RawMessage("{}")
	}
	return text
}

// traffic returns what this director has answered, for operators.
func (d *Service) traffic() admin.Traffic {
	t := d.web.Traffic()
	if d.names.server != nil {
		t.Answers["dns"] = d.names.server.Answers()
	}
	return admin.Traffic{Answers: t.Answers, Regions: t.Regions, Nodes: t.Nodes}
}
