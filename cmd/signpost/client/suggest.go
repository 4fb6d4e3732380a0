package client

import (
	"cmp"
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/signpost-fm/signpost/web/admin/api"
)

type rulesSuggestCmd struct {
	All bool `help:"All players for which there is no rule."`
	Query
}

// Run prints them.
func (c *rulesSuggestCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	var a api.ClientsAnswer
	answer, err := s.Get(ctx, "/api/v1/clients", &a)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return t.JSON(answer.Body)
	}
	printClients(t, a.Clients, c.All)
	return nil
}

func printClients(t *Terminal, all []api.Client, everybody bool) {
	out := newTable("PLAYERS", ">REQUESTS", ">CAME BACK", ">NEXT NODE", ">INLINE", "WHY")
	var commands []string
	for _, c := range all {
		if !c.Suspect && !everybody {
			continue
		}
		out.add(c.Family, c.Requests, c.Again, c.Next, c.Inline, c.Why)
		if c.Suggestion != nil {
			if command := addCommand(c.Suggestion.Rule); command != "" {
				commands = append(commands, command)
			}
		}
	}
	if len(out.rows) == 0 {
		t.say("no player without a rule seems unable to follow redirects; --all shows all %d", len(all))
		return
	}
	out.print(t)
	if len(commands) > 0 {
		t.say("")
	}
	for _, c := range commands {
		t.say("%s", c)
	}
}

// addCommand returns the command that makes a suggested rule; empty: this version has
// no flags for it.
func addCommand(raw json.RawMessage) string {
	var r clientRule
	if json.Unmarshal(raw, &r) != nil {
		return ""
	}
	id := strings.Join(regexp.MustCompile(`[A-Za-z0-9_][A-Za-z0-9_.-]*`).FindAllString(r.Name, -1), "-")
	words := []string{"signpost rules add", cmp.Or(id, "player")}
	flag := func(name, value string) {
		if value != "" {
			words = append(words, "--"+name+"="+quoted(value))
		}
	}
	flag("ua", r.UserAgent)
	flag("ua-regexp", r.UserAgentRegexp)
	for _, h := range r.Headers {
		switch {
		case h.Absent:
			flag("header", "!"+h.Name)
		case h.Glob == "":
			flag("header", h.Name)
		default:
			flag("header", h.Name+": "+h.Glob)
		}
	}
	flag("http", r.HTTP)
	flag("answer", r.Answer)
	for _, f := range r.flags() {
		words = append(words, "--"+strings.ReplaceAll(f, " ", "-"))
	}
	flag("why", r.Reason)
	return strings.Join(words, " ")
}

// quoted writes a word for a shell. User agents are not to be trusted.
func quoted(word string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:-]+$`).MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
