package dashboard

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// NumbersAsWritten is a sample of how the server writes numbers, for the test that
// the browser writes them in the same way.
func NumbersAsWritten() []string {
	out := []string{
		count(0), count(1234567), mbit(0), mbit(1540), mbit(99949), mbit(99950), mbit(1234567), percent(0), percent(.004), percent(.126), percent(1),
	}
	begin := time.Unix(0, 0)
	for _, s := range []int{0, 9, 10, 59, 60, 3599, 3600, 86399, 86400, 864000} {
		out = append(out, ago(begin, begin.Add(time.Duration(s)*time.Second)))
	}
	return out
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for part, want := range map[float64]string{0: "0", .0001: "<1", .0099: "<1", .01: "1", .126: "13", .996: "100", 1: "100"} {
		if got := percent(part); got != want {
			t.Errorf("%g: %q, want %q", part, got, want)
		}
	}
}

func TestSketch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ entry, value, want string }{
		{"rows/de", `{"weights":{"fra1":3,"ams1":0.5},"by":"anna"}`, "ams1 0.5, fra1 3"},
		{"nodes/fra1", `{"state":"drained","by":"anna"}`, "drained"},
		{"rules/kitchen", `{"id":"kitchen","rule":{"user_agent":"Kitchen*","http":"1.0","answer":"proxy"}}`, "proxy for Kitchen*, HTTP/1.0"},
		{"notes/x", `{"text":"ring the datacentre"}`, "ring the datacentre"},
		{"rules", `["a","b"]`, "a, b"},
		{"rows/de", "", ""},
		{"notes/x", `{"text":"` + strings.Repeat("ü", 500) + `"}`, strings.Repeat("ü", 400) + "…"},
	} {
		if got := sketch(c.entry, json.RawMessage(c.value)); got != c.want {
			t.Errorf("%s %.60s: %q, want %q", c.entry, c.value, got, c.want)
		}
	}
}

func TestDescribeRule(t *testing.T) {
	t.Parallel()
	got := describeRule(api.Rule{ID: "r1", Origin: "overlay", Rule: json.RawMessage(
		`{"user_agent_regexp":"^x","headers":[{"name":"Icy-Metadata","absent":true},{"name":"Range"},{"name":"Via","glob":"*edge*"}],"answer":"redirect","http_only":true,"same_scheme":true}`)})
	want := []string{"/^x/", "no Icy-Metadata", "with Range", "Via: *edge*"}
	if diff := cmp.Diff(want, got.Conditions); diff != "" || got.Name != "r1" || got.From != "operators" || len(got.Options) != 2 || got.Stamp != nil {
		t.Errorf("%+v\n(-want +got):\n%s", got, diff)
	}
	if got := describeRule(api.Rule{Rule: json.RawMessage("7")}); got.Name == "" {
		t.Error("a rule that cannot be read has no name")
	}
}

func TestWorst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		losses []director.Loss
		level  string
		node   director.NodeID
	}{
		{nil, "dim", ""},
		{[]director.Loss{{Node: "a", Listeners: 9}, {Node: "b", Listeners: 2}}, "good", "a"},
		{[]director.Loss{{Node: "a", Listeners: 9}, {Node: "b", Listeners: 2, BeyondTarget: 1}}, "warn", "b"},
		{[]director.Loss{{Node: "a", BeyondTarget: 9}, {Node: "b", BeyondTarget: 3, BeyondLimit: 1}}, "bad", "b"},
	} {
		if got := worst(c.losses); got.Level != c.level || got.Node != c.node {
			t.Errorf("%v: %s %s, want %s %s", c.losses, got.Level, got.Node, c.level, c.node)
		}
	}
}

// What cannot be undone is told in the page's words, and of a long row what changed.
func TestChangeInWords(t *testing.T) {
	t.Parallel()
	c := describeChange(api.Change{
		WhyNot: "rows/europe was changed since by anna at 2026-11-30T07:06:46Z: look at what it is now",
		Entries: []api.EntryChange{
			{Entry: "rows/europe", Before: json.RawMessage(`{"weights":{"ams1":1,"fra1":2,"waw1":1}}`), After: json.RawMessage(`{"weights":{"ams1":1,"fra1":3,"nyc1":1}}`)},
			{Entry: "rules", Before: json.RawMessage(`["a","b"]`), After: json.RawMessage(`["b","a"]`)},
		},
	})
	if want := "Weights of europe was changed since by anna at 2026-11-30 07:06 UTC: look at what it is now"; c.WhyNot != want {
		t.Errorf("why not: %q, want %q", c.WhyNot, want)
	}
	want := []difference{{"Weights of europe", "fra1 2, nyc1 out, waw1 1", "fra1 3, nyc1 1, waw1 out"}, {"Order of the rules", "a, b", "b, a"}}
	if !slices.Equal(c.Lines, want) {
		t.Errorf("lines %q, want %q", c.Lines, want)
	}
	if got := listed(slices.Repeat([]string{"edge001.radio.example 12"}, 40)); !strings.HasSuffix(got, "12 and 25 more") {
		t.Errorf("of 40 long weights: %q", got)
	}
}
