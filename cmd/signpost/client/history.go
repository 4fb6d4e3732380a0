package client

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// HistoryCmd lists what operators changed.
type HistoryCmd struct {
	Limit int `short:"n" default:"20" help:"How many of the newest changes; 0 for all that are kept."`
	Query
}

// Run prints it.
func (c *HistoryCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	var a api.HistoryAnswer
	answer, err := s.Get(ctx, "/api/v1/history", &a)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return t.JSON(answer.Body)
	}
	printHistory(t, a.Changes, c.Limit)
	return nil
}

// printHistory shows the newest changes; with a limit of 0, all.
func printHistory(t *Terminal, all []api.Change, limit int) {
	if len(all) == 0 {
		t.say("nothing has been changed: the file is in force as it is")
		return
	}
	shown := all
	if limit > 0 {
		shown = all[:min(limit, len(all))]
	}
	out := newTable(">REVISION", ">AGO", "BY", "CHANGE", "WHY", "UNDO")
	for _, change := range shown {
		why, undo := change.Why, "yes"
		if change.Undoes != 0 {
			why = strings.TrimSpace(fmt.Sprintf("undoes %d %s", change.Undoes, why))
		}
		if !change.Undoable {
			undo = "no"
		}
		for i, e := range change.Entries {
			if i > 0 {
				out.add("", "", "", entryText(e), "", "")
				continue
			}
			out.add(change.Revision, t.ago(change.At), change.By, entryText(e), why, undo)
		}
	}
	out.print(t)
	if older := len(all) - len(shown); older > 0 {
		t.say("%s; --limit 0 shows all", wording.Count(older, "older change"))
	}
}

// entryText writes the change of an entry: "Weights of de: fra1=3 -> fra1=1".
func entryText(e api.EntryChange) string {
	what, none := api.EntryInWords(e.Entry)
	return fmt.Sprintf("%s: %s -> %s", what, cmp.Or(valueText(e.Before), none), cmp.Or(valueText(e.After), none))
}

// valueText writes an entry of the overlay in a few words; empty: there is none.
func valueText(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	var v struct {
		Weights map[string]float64
		Regions []director.RegionID
		State   store.NodeState
		Rule    *clientRule
		Text    string
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return string(raw)
	}
	switch {
	case v.Weights != nil:
		var words []string
		for node, w := range v.Weights {
			words = append(words, fmt.Sprintf("%s=%g", node, w))
		}
		slices.Sort(words)
		return strings.Join(words, " ")
	case v.Regions != nil:
		return overflowText(v.Regions)
	case v.State != "":
		return string(v.State)
	case v.Rule != nil:
		return v.Rule.clients() + ": " + v.Rule.answers()
	}
	return fmt.Sprintf("%q", clip(v.Text, 40))
}

// UndoCmd reverts a change.
type UndoCmd struct {
	Revision store.Revision `arg:"" help:"The revision that the change made, as history shows it."`
	Reason
	Query
}

// Run undoes it, unless what it changed was changed again.
func (c *UndoCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	var done api.Change
	answer, err := s.Do(ctx, Call{
		Method: http.MethodPost, Path: fmt.Sprintf("/api/v1/history/%d/undo", c.Revision), Body: api.UndoEdit{Why: c.Why}, Once: true,
	}, &done)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return t.JSON(answer.Body)
	}
	for _, e := range done.Entries {
		t.say("%s", entryText(e))
	}
	t.say("revision %d is undone, by revision %d", c.Revision, done.Revision)
	return nil
}
