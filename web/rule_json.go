package web

import (
	"errors"
	"fmt"

	"github.com/signpost-fm/signpost/web/strictjson"
)

// ParseRule reads a rule from JSON with the keys of the configuration file, and checks it.
// The error joins all mistakes in the rule. An unknown key is an error too.
func ParseRule(text []byte) (Rule, error) {
	type plain Rule // without UnmarshalJSON
	var r plain
	if err := strictjson.Unmarshal(text, &r, true); err != nil {
		return Rule{}, fmt.Errorf("a rule is a JSON object with the keys of the configuration file: %w", err)
	}
	_, mistakes := compileRule(Rule(r), 1, OriginOverlay)
	errs := make([]error, len(mistakes))
	for i, m := range mistakes {
		errs[i] = m
	}
	return Rule(r), errors.Join(errs...)
}

// UnmarshalJSON is [ParseRule].
func (r *Rule) UnmarshalJSON(b []byte) (err error) {
	*r, err = ParseRule(b)
	return err
}
