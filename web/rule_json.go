package web

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/signpost-fm/signpost/web/strictjson"
)

// ruleJSON is a Rule with the keys of the configuration file.
type ruleJSON struct {
	Name            string       `json:"name,omitempty"`
	UserAgent       string       `json:"user_agent,omitempty"`
	UserAgentRegexp string       `json:"user_agent_regexp,omitempty"`
	Headers         []headerJSON `json:"headers,omitempty"`
	HTTP            string       `json:"http,omitempty"`
	Answer          Answer       `json:"answer"`
	HTTPOnly        bool         `json:"http_only,omitempty"`
	SameScheme      bool         `json:"same_scheme,omitempty"`
	ICY             bool         `json:"icy,omitempty"`
	OrRedirect      bool         `json:"or_redirect,omitempty"`
	Relay           bool         `json:"relay,omitempty"`
	Reason          string       `json:"reason,omitempty"`
}

type headerJSON struct {
	Name   string `json:"name"`
	Absent bool   `json:"absent,omitempty"`
	Glob   string `json:"glob,omitempty"`
}

// ParseRule reads a rule from JSON with the keys of the configuration file, and checks it.
// The error joins all mistakes in the rule. An unknown key is an error too.
func ParseRule(text []byte) (Rule, error) {
	var in ruleJSON
	if err := strictjson.Unmarshal(text, &in, true); err != nil {
		return Rule{}, fmt.Errorf("a rule is a JSON object with the keys of the configuration file: %w", err)
	}
	r := Rule{
		Name: in.Name, UserAgent: in.UserAgent, UserAgentRegexp: in.UserAgentRegexp, HTTP: in.HTTP,
		Answer: in.Answer, HTTPOnly: in.HTTPOnly, SameScheme: in.SameScheme, ICY: in.ICY, OrRedirect: in.OrRedirect,
		Relay:  in.Relay,
		Reason: in.Reason,
	}
	for _, h := range in.Headers {
		r.Headers = append(r.Headers, HeaderMatch(h))
	}
	_, mistakes := compileRule(r, 1, OriginOverlay)
	errs := make([]error, len(mistakes))
	for i, m := range mistakes {
		errs[i] = m
	}
	return r, errors.Join(errs...)
}

// MarshalJSON writes what [ParseRule] reads, without empty keys.
func (r Rule) MarshalJSON() ([]byte, error) {
	out := ruleJSON{
		Name: r.Name, UserAgent: r.UserAgent, UserAgentRegexp: r.UserAgentRegexp, HTTP: r.HTTP,
		Answer: r.Answer, HTTPOnly: r.HTTPOnly, SameScheme: r.SameScheme, ICY: r.ICY, OrRedirect: r.OrRedirect,
		Relay:  r.Relay,
		Reason: r.Reason,
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, headerJSON(h))
	}
	return json.Marshal(out)
}

// UnmarshalJSON is [ParseRule].
func (r *Rule) UnmarshalJSON(b []byte) (err error) {
	*r, err = ParseRule(b)
	return err
}
