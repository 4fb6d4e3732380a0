package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/web/admin/api"
)

// historyPage is the page of the operators' changes.
type historyPage struct{ Changes []change }

type change struct {
	api.Change
	Lines []difference
}

// A difference is what a change is of, and how that was before and after it.
type difference struct{ What, Before, After string }

func (d *dashboard) history(*http.Request) (any, error) {
	h, err := d.api.History()
	if err != nil {
		return nil, err
	}
	var p historyPage
	for _, c := range h.Changes {
		p.Changes = append(p.Changes, describeChange(c))
	}
	return p, nil
}

func describeChange(c api.Change) change {
	out := change{Change: c}
	for _, e := range c.Entries {
		what, none := api.EntryInWords(e.Entry)
		out.Lines = append(out.Lines, difference{what, cmp.Or(sketch(e.Entry, e.Before), none), cmp.Or(sketch(e.Entry, e.After), none)})
	}
	return out
}

// sketch formats an entry of the overlay on one line, "" if there is none.
func sketch(entry string, value json.RawMessage) string {
	if len(value) == 0 {
		return ""
	}
	var e struct {
		Weights map[string]float64 `json:"weights"`
		State   string             `json:"state"`
		Rule    json.RawMessage    `json:"rule"`
		Text    string             `json:"text"`
	}
	if json.Unmarshal(value, &e) != nil {
		return clip(string(value))
	}
	kind, _, _ := strings.Cut(entry, "/")
	switch {
	case kind == "rows":
		parts := make([]string, 0, len(e.Weights))
		for _, node := range slices.Sorted(maps.Keys(e.Weights)) {
			parts = append(parts, fmt.Sprintf("%s %s", node, number(e.Weights[node])))
		}
		return clip(strings.Join(parts, ", "))
	case kind == "nodes":
		return e.State
	case kind == "rules" && len(e.Rule) > 0:
		var t ruleText
		if json.Unmarshal(e.Rule, &t) == nil {
			return clip(fmt.Sprintf("%s for %s", t.Answer, strings.Join(describeRule(api.Rule{Rule: e.Rule}).Conditions, ", ")))
		}
	case kind == "notes":
		return clip(e.Text)
	}
	return clip(string(value))
}

// clip bounds the length of a line of the history.
func clip(s string) string {
	const most = 400
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
