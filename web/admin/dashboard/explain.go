package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// explainPage is the page with a question and its answer.
type explainPage struct {
	Addr, Mount, UserAgent string
	TLS                    bool
	Mounts                 []string // for the form
	Mistake                string   // in the question; empty: none
	Answer                 *explanation
}

type explanation struct{ api.Explanation }

func (d *dashboard) explain(r *http.Request) (any, error) {
	q := r.URL.Query()
	p := explainPage{Addr: q.Get("addr"), Mount: q.Get("mount"), UserAgent: q.Get("ua"), TLS: q.Get("tls") == "true"}
	mounts, err := d.api.Mounts()
	if err != nil {
		return nil, err
	}
	for _, m := range mounts.Mounts {
		p.Mounts = append(p.Mounts, m.Name)
	}
	if len(p.Mounts) > 0 && p.Mount == "" {
		p.Mount = p.Mounts[0]
	}
	if p.Addr == "" {
		return p, nil
	}
	q.Set("mount", p.Mount)
	answer, err := d.api.Explain(q)
	if wrong := (*api.Problem)(nil); errors.As(err, &wrong) {
		p.Mistake = wrong.Detail
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("the explanation as JSON: %w", err)
	}
	p.Answer = &explanation{}
	if err := json.Unmarshal(text, p.Answer); err != nil {
		return nil, fmt.Errorf("the explanation as JSON: %w", err)
	}
	return p, nil
}

// Verdict returns where the listener goes, on one line.
func (e *explanation) Verdict() string {
	switch {
	case e.Move != nil && e.Move.To != e.Move.From:
		return fmt.Sprintf("%d, moved from %s to %s", e.Status, e.Move.From, e.Move.To)
	case e.Move != nil:
		return fmt.Sprintf("%d, stays at %s", e.Status, e.Move.From)
	case e.Location != "":
		return fmt.Sprintf("%d to %s", e.Status, e.Location)
	case e.Decision.Node != "" && e.Answer == "proxy":
		return fmt.Sprintf("%d, inline from %s", e.Status, e.Decision.Node)
	case e.Answer != "" && e.Answer != "none":
		return fmt.Sprintf("%d, as %s", e.Status, e.Answer)
	}
	return fmt.Sprintf("%d", e.Status)
}

// In returns the outcome as a sentence.
func (e *explanation) In() string {
	for _, o := range director.Outcomes() {
		if o.String() == e.Decision.Outcome {
			return api.OutcomeInWords(o)
		}
	}
	return e.Decision.Outcome
}

// A nodeLine is a node in an explanation: it stands once, in the first row that lists it.
type nodeLine struct {
	api.Candidate
	Share string   // of the row that decided, in percent; empty: none
	Also  []string // further rows that list it
}

// Nodes returns each node once.
func (e *explanation) Nodes() (all []nodeLine) {
	share := map[string]int{}
	for _, s := range e.Shares() {
		share[s.Node] = s.Percent
	}
	at := map[string]int{}
	for _, c := range e.Decision.Candidates {
		if i, there := at[c.Node]; there {
			all[i].Also = append(all[i].Also, c.Rung)
			continue
		}
		at[c.Node] = len(all)
		l := nodeLine{Candidate: c}
		if c.Reason == director.Fit.String() {
			l.Detail = "" // what is well needs no words
		}
		if p, drawn := share[c.Node]; drawn && c.Rung == e.Row() {
			l.Share = fmt.Sprintf("%d %%", p)
		}
		all = append(all, l)
	}
	return all
}

// Good reports whether the listener gets a stream.
func (e *explanation) Good() bool { return e.Status < http.StatusBadRequest }
