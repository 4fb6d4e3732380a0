package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
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
		before, after := sketchChange(e, none)
		out.Lines = append(out.Lines, difference{what, before, after})
		if rest, ok := strings.CutPrefix(out.WhyNot, e.Entry+" "); ok {
			out.WhyNot = what + " " + rest
		}
	}
	out.WhyNot = isoTime.ReplaceAllStringFunc(out.WhyNot, func(s string) string {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return s
		}
		return clock(at)
	})
	return out
}

// isoTime finds the API's times in a sentence of its.
var isoTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)

// sketchChange formats an entry before and after a change. Of a row that was an operator's
// before and after, which may be long, it tells the weights that changed.
func sketchChange(e api.EntryChange, none string) (before, after string) {
	var b, a struct {
		Weights map[string]float64 `json:"weights"`
	}
	if !strings.HasPrefix(e.Entry, "rows/") || json.Unmarshal(e.Before, &b) != nil || json.Unmarshal(e.After, &a) != nil || maps.Equal(a.Weights, b.Weights) {
		return cmp.Or(sketch(e.Entry, e.Before), none), cmp.Or(sketch(e.Entry, e.After), none)
	}
	all := maps.Clone(b.Weights)
	maps.Copy(all, a.Weights)
	weight := func(of map[string]float64, node string) string {
		if w, in := of[node]; in {
			return node + " " + number(w)
		}
		return node + " out"
	}
	var was, is []string
	for _, node := range slices.Sorted(maps.Keys(all)) {
		if x, y := weight(b.Weights, node), weight(a.Weights, node); x != y {
			was, is = append(was, x), append(is, y)
		}
	}
	return listed(was), listed(is)
}

// sketch formats an entry of the overlay on one line, "" if there is none.
func sketch(entry string, value json.RawMessage) string {
	if len(value) == 0 {
		return ""
	}
	var e struct {
		Weights map[string]float64  `json:"weights"`
		Regions []director.RegionID `json:"regions"`
		State   string              `json:"state"`
		Rule    json.RawMessage     `json:"rule"`
		Text    string              `json:"text"`
	}
	var order []string
	if json.Unmarshal(value, &order) == nil {
		return listed(order)
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
		return listed(parts)
	case kind == "overflows":
		return overflowText(e.Regions)
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

// listed joins parts, as many as there is room for on a line of the history, and says how
// many more there are.
func listed(parts []string) string {
	const most = 400
	length := 0
	for i, p := range parts {
		if length += len(p) + len(", "); length > most && i > 0 {
			return fmt.Sprintf("%s and %d more", strings.Join(parts[:i], ", "), len(parts)-i)
		}
	}
	return strings.Join(parts, ", ")
}

// clip bounds the length of a line of the history.
func clip(s string) string {
	const most = 400
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
