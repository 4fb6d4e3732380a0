package dashboard

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/signpost-fm/signpost/web/admin/api"
)

// clientsPage is the page of the clients without a rule, and of the rules.
type clientsPage struct {
	Clients []client
	Rules   []rule // the operators' and the file's
	Shipped []rule // those that come with Signpost
}

type client struct {
	api.Client
	Proposal string // the suggested rule as JSON; empty: none
}

type rule struct {
	api.Rule
	Name, Answer, Reason string
	Conditions, Options  []string
	From                 string
	Stamp                *api.Override // of an operator's rule; nil: it is from the file, or shipped
}

// ruleText is a rule in JSON, with the keys of the configuration file.
type ruleText struct {
	Name            string           `json:"name"`
	UserAgent       string           `json:"user_agent"`
	UserAgentRegexp string           `json:"user_agent_regexp"`
	Headers         []api.RuleHeader `json:"headers"`
	HTTP            string           `json:"http"`
	Answer          string           `json:"answer"`
	HTTPOnly        bool             `json:"http_only"`
	SameScheme      bool             `json:"same_scheme"`
	ICY             bool             `json:"icy"`
	OrRedirect      bool             `json:"or_redirect"`
	Reason          string           `json:"reason"`
}

func (d *dashboard) clients(*http.Request) (any, error) {
	clients, err := d.api.Clients()
	if err != nil {
		return nil, err
	}
	rules, err := d.api.Rules()
	if err != nil {
		return nil, err
	}
	var p clientsPage
	for _, c := range clients.Clients {
		one := client{Client: c}
		if c.Suggestion != nil {
			one.Proposal = string(c.Suggestion.Rule)
		}
		p.Clients = append(p.Clients, one)
	}
	slices.SortStableFunc(p.Clients, func(a, b client) int {
		if a.Suspect != b.Suspect {
			if a.Suspect {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Requests, a.Requests)
	})
	for _, r := range rules.Rules {
		if r.Origin == api.OriginShipped {
			p.Shipped = append(p.Shipped, describeRule(r))
		} else {
			p.Rules = append(p.Rules, describeRule(r))
		}
	}
	return p, nil
}

func describeRule(r api.Rule) rule {
	var t ruleText
	out := rule{Rule: r, From: api.OriginInWords(r.Origin)}
	if err := json.Unmarshal(r.Rule, &t); err != nil {
		t.Name = "an unreadable rule"
	}
	out.Name, out.Answer, out.Reason = cmp.Or(t.Name, r.ID), api.AnswerInWords(t.Answer), t.Reason
	out.Conditions = api.RuleInWords(t.UserAgent, t.UserAgentRegexp, t.Headers, t.HTTP)
	for _, o := range []struct {
		is   bool
		text string
	}{{t.HTTPOnly, "http:// only"}, {t.SameScheme, "same scheme only"}, {t.ICY, "ICY 200 OK"}, {t.OrRedirect, "or a redirect"}} {
		if o.is {
			out.Options = append(out.Options, o.text)
		}
	}
	if r.By != "" {
		out.Stamp = &api.Override{By: r.By, At: r.At, Why: r.Why, Until: r.Until}
	}
	return out
}
