package api

import (
	"strings"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// InWords says a reason in operators' words, where it is about a node: "in service",
// "at its limit".
func InWords(r director.Reason) string {
	if w, ok := reasonWords[r]; ok {
		return w
	}
	return r.String() // a newer version's
}

// Word returns why the node was passed over, or that it was not.
func (c Candidate) Word() string {
	for _, r := range director.AllReasons() {
		if r.String() == c.Reason {
			return InWords(r)
		}
	}
	return c.Reason // a newer director's
}

var reasonWords = map[director.Reason]string{
	director.Fit:         "in service",
	director.Drained:     "drained",
	director.Down:        "down",
	director.Unverified:  "not yet probed",
	director.LacksMount:  "does not play the mount",
	director.LacksScheme: "no URL in the listener's scheme",
	director.Elsewhere:   "at another port or path",
	director.LacksFamily: "no address in the listener's IP version",
	director.NotInRow:    "not in the row",
	director.WeightZero:  "weight 0",
	director.AtTarget:    "at its target",
	director.AtLimit:     "at its limit",
	director.NodeFull:    "refuses listeners",
	director.Paced:       "got all it takes this second",
	director.ToAvoid:     "the listener has just left it",
	director.Unconfirmed: "not confirmed for long",
}

// OutcomeInWords says how a decision ended, as a sentence.
func OutcomeInWords(o director.Outcome) string {
	if w, ok := outcomeWords[o]; ok {
		return w
	}
	return o.String()
}

var outcomeWords = map[director.Outcome]string{
	director.Placed:    "The listener's first choice takes them.",
	director.Spilled:   "The listener's first choice has no room or got all it takes this second; another node of the row takes them.",
	director.Overflow:  "No node of the row has room; a node of the overflow takes them.",
	director.Full:      "No node has room below its target; the least used one takes them, if any may.",
	director.Dark:      "No node is up; the listener is sent to the last known good.",
	director.NoMount:   "There is no such mount.",
	director.MountDown: "The mount is off the air: no node plays it.",
	director.Denied:    "The region may not listen to this mount.",
	director.Nobody:    "The mount plays, but at no node that may take this listener.",
}

// EntryInWords says what an entry of operators' changes is of, "Weights of de" for
// "rows/de", and what holds while there is no such entry.
func EntryInWords(entry string) (what, none string) {
	switch kind, id, _ := strings.Cut(entry, "/"); kind {
	case "rows":
		return "Weights of " + id, "as in the file"
	case "overflows":
		return "Overflow of " + id, "as in the file"
	case "nodes":
		return "Node " + id, "as in the file"
	case "rules":
		if id == "" {
			return "Order of the rules", "no rule"
		}
		return "Rule " + id, "no rule"
	case "notes":
		return "Note " + id, "no note"
	}
	return entry, "nothing"
}

// EffectInWords says what an operators' change does.
func EffectInWords(k store.EffectKind) string {
	if w, ok := effectWords[k]; ok {
		return w
	}
	return string(k)
}

var effectWords = map[store.EffectKind]string{
	store.Masks:   "replaces the file's",
	store.Dormant: "without effect",
	store.Skipped: "left out",
}

// OriginInWords says whose a client rule is.
func OriginInWords(origin string) string {
	switch origin {
	case OriginOverlay:
		return "operators"
	case OriginFile:
		return "the file"
	}
	return origin
}

// AnswerInWords says what a client gets by a rule's answer.
func AnswerInWords(answer string) string {
	switch answer {
	case "":
		return "redirect"
	case "proxy":
		return "inline"
	}
	return answer
}

// RuleHeader is a condition of a client rule on a header.
type RuleHeader struct {
	Name   string `json:"name"`
	Absent bool   `json:"absent,omitempty"` // the header is missing or empty
	Glob   string `json:"glob,omitempty"`   // for its value; empty: any value that is not empty
}

// RuleInWords writes the conditions of a client rule; none: it holds for everybody.
func RuleInWords(userAgent, userAgentRegexp string, headers []RuleHeader, http string) (all []string) {
	if userAgent != "" {
		all = append(all, userAgent)
	}
	if userAgentRegexp != "" {
		all = append(all, "/"+userAgentRegexp+"/")
	}
	for _, h := range headers {
		switch {
		case h.Absent:
			all = append(all, "no "+h.Name)
		case h.Glob == "":
			all = append(all, "with "+h.Name)
		default:
			all = append(all, h.Name+": "+h.Glob)
		}
	}
	if http != "" {
		all = append(all, "HTTP/"+http)
	}
	return all
}
