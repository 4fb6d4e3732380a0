package dashboard

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// An explanation says whose share the listener is in, in percentages that add up to 100,
// and lists each node once.
func TestWhyThisNode(t *testing.T) {
	t.Parallel()
	var e explanation
	e.Decision.Node, e.Decision.Region, e.Decision.Outcome = "ams1", "de", "placed"
	e.Decision.Candidates = []api.Candidate{
		{Node: "ams1", Rung: "de", Rank: 1, Reason: "fit", Expected: 1. / 3, Detail: "fine"},
		{Node: "fra1", Rung: "de", Rank: 2, Reason: "fit", Expected: 1. / 3},
		{Node: "par1", Rung: "de", Rank: 3, Reason: "fit", Expected: 1. / 3},
		{Node: "fra1", Rung: "europe", Rank: 4, Reason: "fit", Expected: 1},
		{Node: "waw1", Rung: "europe", Reason: "at_target", Detail: "fine"},
		{Node: "new1", Reason: "some_newer_reason"},
	}
	want := []string{
		"Newcomers of de go 34 % to ams1, 33 % to fra1, 33 % to par1: this listener is among the 34 % of ams1.",
		"It would be fra1 if ams1 were drained",
		"The same address, player and mount",
	}
	got := e.Draw()
	for i := range want {
		if i >= len(got) || !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	type line struct{ node, row, share, word, also, detail string }
	var lines []line
	for _, n := range e.Nodes() {
		lines = append(lines, line{n.Node, n.Rung, n.Share, n.Word(), strings.Join(n.Also, " "), n.Detail})
	}
	all := []line{
		{"ams1", "de", "34 %", "in service", "", ""}, {"fra1", "de", "33 %", "in service", "europe", ""}, {"par1", "de", "33 %", "in service", "", ""},
		{"waw1", "europe", "", "at its target", "", "fine"}, {"new1", "", "", "some_newer_reason", "", ""},
	}
	if diff := cmp.Diff(all, lines, cmp.AllowUnexported(line{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if e.In() != api.OutcomeInWords(director.Placed) {
		t.Errorf("it ended so: %s", e.In())
	}
	for want, m := range map[string]api.MoveExplanation{
		"200, moved from ams1 to fra1": {From: "ams1", To: "fra1", Why: "drained"}, "200, stays at ams1": {From: "ams1", To: "ams1", Why: "stays"},
	} {
		e.Status, e.Answer, e.Move = 200, "steer", &m
		if got := e.Verdict(); got != want {
			t.Errorf("of a player that plays already it says %q, want %q", got, want)
		}
	}
	e.Decision.Candidates, e.Decision.Node = nil, ""
	if e.Draw() != nil {
		t.Errorf("of nobody it says %q", e.Draw())
	}
}

// Whatever the shares, their whole percentages add up.
func TestPercentagesAddUp(t *testing.T) {
	t.Parallel()
	for _, shares := range [][]float64{{1}, {.5, .5}, {.333, .333, .334}, {.005, .995}, {.146, .286, .568}, {.125, .125, .125, .125, .125, .125, .125, .125}} {
		var of []director.NodeShare
		for _, s := range shares {
			of = append(of, director.NodeShare{Share: s})
		}
		sum := 0
		for _, s := range wholePercents(of) {
			sum += s.Percent
		}
		if sum != 100 {
			t.Errorf("%v: %d", shares, sum)
		}
	}
	if len(wholePercents(nil)) != 0 {
		t.Error("nobody has a share")
	}
}
