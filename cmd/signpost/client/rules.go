package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// RulesCmd is about client rules.
type RulesCmd struct {
	List   rulesListCmd   `cmd:"" default:"withargs" help:"Show all client rules, in the order in which they are tried."`
	Add    rulesAddCmd    `cmd:"" help:"Add a rule, before all those of the file."`
	Remove rulesRemoveCmd `cmd:"" help:"Remove a rule that was added."`

	Suggest rulesSuggestCmd `cmd:"" help:"Show players that seem unable to follow redirects, and the rules that would help them."`
}

const rulesPath = "/api/v1/rules"

// A clientRule is a client rule in JSON, with the keys of the configuration file.
// Another version's other keys are ignored.
type clientRule struct {
	Name            string           `json:"name,omitempty"`
	UserAgent       string           `json:"user_agent,omitempty"`
	UserAgentRegexp string           `json:"user_agent_regexp,omitempty"`
	Headers         []api.RuleHeader `json:"headers,omitempty"`
	HTTP            string           `json:"http,omitempty"`
	Answer          string           `json:"answer,omitempty"`
	HTTPOnly        bool             `json:"http_only,omitempty"`
	SameScheme      bool             `json:"same_scheme,omitempty"`
	ICY             bool             `json:"icy,omitempty"`
	OrRedirect      bool             `json:"or_redirect,omitempty"`
	Relay           bool             `json:"relay,omitempty"`
	Reason          string           `json:"reason,omitempty"`
}

// clients writes whom the rule is for on one line.
func (r clientRule) clients() string {
	all := api.RuleInWords(r.UserAgent, r.UserAgentRegexp, r.Headers, r.HTTP)
	return cmp.Or(strings.Join(all, ", "), "everybody")
}

// answers writes what they get on one line.
func (r clientRule) answers() string {
	return strings.Join(append([]string{api.AnswerInWords(r.Answer)}, r.flags()...), ", ")
}

// flags are the switches that are set.
func (r clientRule) flags() (set []string) {
	for _, f := range []struct {
		set  bool
		word string
	}{{r.HTTPOnly, "http only"}, {r.SameScheme, "same scheme"}, {r.ICY, "icy"}, {r.OrRedirect, "or redirect"}, {r.Relay, "relay"}} {
		if f.set {
			set = append(set, f.word)
		}
	}
	return set
}

type rulesListCmd struct {
	All bool `help:"Those that come with Signpost too."`
	Query
}

// Run prints them.
func (c *rulesListCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	var a api.RulesAnswer
	answer, err := s.Get(ctx, rulesPath, &a)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return t.JSON(answer.Body)
	}
	printRules(t, a.Rules, c.All)
	return nil
}

func printRules(t *Terminal, rules []api.Rule, all bool) {
	out := newTable("ID", "RULE", "FROM", "CLIENTS", "ANSWER", ">HITS", "")
	shipped := 0
	for _, r := range rules {
		if r.Origin == api.OriginShipped && !all {
			shipped++
			continue
		}
		var rule clientRule
		if err := json.Unmarshal(r.Rule, &rule); err != nil {
			rule.Name = "cannot be read: " + wording.Text(err)
		}
		detail := cell{cmp.Or(r.Effect, r.Note), yellow}
		if detail.text == "" && r.By != "" {
			detail = cell{byWhom(t, &api.Override{By: r.By, Why: r.Why, Until: r.Until}), plain}
		}
		if rule.Name == r.ID {
			rule.Name = ""
		}
		out.add(r.ID, rule.Name, api.OriginInWords(r.Origin), clip(rule.clients(), 40), rule.answers(), r.Hits, detail)
	}
	if len(out.rows) > 0 {
		out.print(t)
	}
	if shipped > 0 {
		t.say("after these come the rules that are part of Signpost (%d); --all shows them", shipped)
	}
}

type rulesAddCmd struct {
	ID         string   `arg:"" help:"A name for it, such as kitchen."`
	UA         string   `name:"ua" placeholder:"GLOB" help:"For players with such a User-Agent: * is any run of characters, ? any one."`
	UARegexp   string   `name:"ua-regexp" placeholder:"RE" help:"The same as a regular expression (RE2)."`
	Header     []string `sep:"none" placeholder:"NAME:GLOB" help:"For requests with such a header; NAME alone for one that is there, !NAME for one that is not."`
	HTTP       string   `name:"http" enum:",1.0,1.1,2" default:"" placeholder:"VERSION" help:"For requests of this version of HTTP: 1.0, 1.1 or 2."`
	Answer     string   `default:"redirect" enum:"redirect,m3u,pls,xspf,asx,proxy,deny,https" placeholder:"ANSWER" help:"What they get: redirect, m3u, pls, xspf, asx, proxy, deny or https."`
	HTTPOnly   bool     `name:"http-only" help:"They are sent to http URLs only."`
	SameScheme bool     `help:"They cannot follow a redirect to the other scheme."`
	ICY        bool     `name:"icy" help:"An inline stream begins with ICY 200 OK."`
	OrRedirect bool     `help:"They are redirected when there is no room for their stream inline."`
	Relay      bool     `help:"They are servers that pass the stream on."`
	Before     string   `placeholder:"ID" completion:"rules" help:"Put it before this rule, instead of behind those that were added."`
	Reason
	Term
	Query
}

// Run adds it.
func (c *rulesAddCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	e, err := editOf(c.Reason, c.Term)
	if err != nil {
		return err
	}
	rule := clientRule{
		Name: c.ID, UserAgent: c.UA, UserAgentRegexp: c.UARegexp, HTTP: c.HTTP, Answer: c.Answer,
		HTTPOnly: c.HTTPOnly, SameScheme: c.SameScheme, ICY: c.ICY, OrRedirect: c.OrRedirect, Relay: c.Relay, Reason: c.Why,
	}
	for _, h := range c.Header {
		name, glob, _ := strings.Cut(h, ":")
		name, absent := strings.CutPrefix(strings.TrimSpace(name), "!")
		rule.Headers = append(rule.Headers, api.RuleHeader{Name: name, Absent: absent, Glob: strings.TrimSpace(glob)})
	}
	text, err := json.Marshal(rule)
	if err != nil {
		return err
	}
	var r api.Rule
	answer, err := s.Do(ctx, Call{
		Method: http.MethodPost, Path: rulesPath, Once: true, Body: api.RuleEdit{Edit: e, ID: c.ID, Rule: text, Before: c.Before},
	}, &r)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return t.JSON(answer.Body)
	}
	t.say("%s gives %s: %s", c.ID, rule.clients(), rule.answers())
	if r.Effect != "" {
		t.say("but %s", r.Effect)
	}
	if r.Note != "" {
		t.say("note: %s", r.Note)
	}
	t.changed(answer)
	return nil
}

type rulesRemoveCmd struct {
	ID string `arg:"" completion:"rules" help:"The rule's id, as rules list shows it."`
	Reason
	Query
}

// Run removes it, as it was a moment ago.
func (c *rulesRemoveCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	var a api.RulesAnswer
	if _, err := s.Get(ctx, rulesPath, &a); err != nil {
		return err
	}
	version, err := versionOf(a.Rules, c.ID)
	if err != nil {
		return err
	}
	answer, err := s.Do(ctx, Call{
		Method: http.MethodDelete, Path: rulesPath + "/" + url.PathEscape(c.ID), IfMatch: version, Body: api.Edit{Why: c.Why},
	}, nil)
	if err != nil || c.JSON { // there is no JSON in the answer
		return err
	}
	t.say("%s is removed", c.ID)
	t.changed(answer)
	return nil
}

// versionOf returns the version of an operator's rule.
func versionOf(all []api.Rule, id string) (string, error) {
	var ids []string
	for _, r := range all {
		var rule clientRule
		_ = json.Unmarshal(r.Rule, &rule) // then it has no name that could be meant
		switch {
		case r.ID == id:
			return r.Version, nil
		case r.ID != "":
			ids = append(ids, r.ID)
		case rule.Name == id && r.Origin == "shipped":
			return "", errors.New(id + " comes with Signpost and cannot be removed; add a rule for the same clients, which comes before it")
		case rule.Name == id:
			return "", errors.New(id + " stands in the directors' configuration file; take it out there, or add a rule for the same clients, which comes before it")
		}
	}
	return "", fmt.Errorf("no rule that was added has the id %q%s", id, hint(id, ids, lists["rule"]))
}
