package store

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signpost-fm/signpost/director"
)

// said is a report of node n, taken some seconds before noon.
func said(by string, health director.Health, ago, listeners int) director.Report {
	taken := noon.Add(-time.Duration(ago) * time.Second)
	return director.Report{Node: "n", By: by, Taken: taken, Health: health, Since: taken.Add(-time.Hour), Detail: "saw it", Listeners: listeners}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const up, down, unknown = director.Up, director.Failed, director.HealthUnknown
	type reports []director.Report
	two := []Director{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	doubtful := func(ids ...string) []Director {
		out := []Director{{ID: "a"}, {ID: "b"}, {ID: "c"}}
		for i := range out {
			for _, id := range ids {
				if out[i].ID == id {
					out[i].Suspect = "all is dark"
				}
			}
		}
		return out
	}
	for _, tc := range []struct {
		name    string
		alone   bool
		live    []Director
		before  director.Health
		reports reports
		want    director.Report
	}{
		{
			name: "both up: the newest numbers", live: two,
			reports: reports{said("a", up, 2, 10), said("b", up, 1, 11)},
			want:    director.Report{Health: up, By: "b, a", Detail: "saw it", Listeners: 11},
		},
		{
			name: "one of them sees it down", live: two,
			reports: reports{said("a", up, 2, 10), said("b", down, 1, -1)},
			want:    director.Report{Health: up, By: "a, b", Detail: "up for a: saw it; down for b: saw it", Listeners: 10},
		},
		{
			name: "both see it down", live: two,
			reports: reports{said("a", down, 2, -1), said("b", down, 1, -1)},
			want:    director.Report{Health: down, By: "b, a", Detail: "down for a: saw it; down for b: saw it", Listeners: -1},
		},
		{
			name: "the other has no report", live: two,
			reports: reports{said("a", down, 2, -1)},
			want:    director.Report{Health: down, By: "a", Detail: "saw it", Listeners: -1},
		},
		{
			name: "the other does not know yet", live: two,
			reports: reports{said("a", down, 2, -1), said("b", unknown, 1, -1)},
			want:    director.Report{Health: down, By: "a", Detail: "saw it", Listeners: -1},
		},
		{
			name: "the other's report is stale", live: two,
			reports: reports{said("a", down, 2, -1), said("b", up, 16, 12)},
			want:    director.Report{Health: down, By: "a", Detail: "saw it", Listeners: -1},
		},
		{
			name: "alone", alone: true, live: two[:1],
			reports: reports{said("a", down, 2, -1), said("b", up, 1, 12)},
			want:    director.Report{Health: down, By: "a", Detail: "saw it", Listeners: -1},
		},
		{
			name: "who is not to probe it has no say, but numbers", live: two,
			reports: reports{said("a", up, 2, 10), said("c", down, 1, -1), said("d", up, 1, 13)},
			want:    director.Report{Health: up, By: "d, a", Detail: "saw it", Listeners: 13},
		},
		{
			name: "nobody who is to probe it has a report: the newest of all", live: two,
			reports: reports{said("c", down, 2, -1), said("gone", up, 1, 14)},
			want:    director.Report{Health: up, By: "gone", Detail: "saw it", Listeners: 14},
		},
		{
			name: "nobody knows yet", live: two,
			reports: reports{said("a", unknown, 2, -1), said("b", unknown, 1, -1)},
			want:    director.Report{Health: unknown, By: "b", Detail: "saw it", Listeners: -1},
		},
		{
			name: "who suspects itself is not believed", live: doubtful("a"),
			reports: reports{said("a", down, 1, -1), said("b", up, 2, 10)},
			want:    director.Report{Health: up, By: "b, a", Detail: "down for a, which suspects itself: saw it; up for b: saw it", Listeners: 10},
		},
		{
			name: "nor needed", live: doubtful("a"),
			reports: reports{said("a", down, 1, -1), said("b", down, 2, -1)},
			want:    director.Report{Health: down, By: "a, b", Detail: "down for a, which suspects itself: saw it; down for b: saw it", Listeners: -1},
		},
		{
			name: "its good reports count", live: doubtful("a"),
			reports: reports{said("a", up, 1, 15), said("b", down, 2, -1)},
			want:    director.Report{Health: up, By: "a, b", Detail: "up for a: saw it; down for b: saw it", Listeners: 15},
		},
		{
			name: "two who suspect themselves and agree", live: doubtful("a", "b"),
			reports: reports{said("a", down, 1, -1), said("b", down, 2, -1)},
			want:    director.Report{Health: down, By: "a, b", Detail: "down for a, which suspects itself: saw it; down for b, which suspects itself: saw it", Listeners: -1},
		},
		{
			name: "one who suspects itself does not take a node down by itself", live: doubtful("a"), before: up,
			reports: reports{said("a", down, 1, -1)},
			want:    director.Report{Health: up, By: "a", Detail: "down for a, which suspects itself: saw it", Listeners: -1},
		},
		{
			name: "nor a node that nobody knows", live: doubtful("a"),
			reports: reports{said("a", down, 1, -1)},
			want:    director.Report{Health: unknown, By: "a", Detail: "down for a, which suspects itself: saw it", Listeners: -1},
		},
		{
			name: "alone, who else could know", alone: true, live: doubtful("a")[:1], before: up,
			reports: reports{said("a", down, 1, -1)},
			want:    director.Report{Health: down, By: "a", Detail: "down for a, which suspects itself: saw it", Listeners: -1},
		},
	} {
		j := judges{now: noon, stale: 15 * time.Second, live: map[string]Director{}, before: map[director.NodeID]director.Report{}}
		for _, d := range tc.live {
			j.live[d.ID] = d
		}
		if tc.before != unknown {
			j.before["n"] = director.Report{Node: "n", Health: tc.before}
		}
		p := pair{"a", "b"}
		if tc.alone {
			p.second = ""
		}
		got := j.judge(p, byPointer(tc.reports))
		if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(director.Report{}, "Node", "Taken", "Since")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestJudgeRemembers follows one node through the hands of several directors.
func TestJudgeRemembers(t *testing.T) {
	t.Parallel()
	const up, down = director.Up, director.Failed
	j := judges{stale: 15 * time.Second, live: map[string]Director{"a": {}, "b": {}}}
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	r := func(by string, health director.Health, since int) director.Report {
		return director.Report{Node: "n", By: by, Health: health, Since: at(since)}
	}
	back := func(since int, r director.Report) director.Report { r.Returned = at(since); return r }
	for i, step := range []struct {
		a, b            director.Report
		health          director.Health
		since, returned int // 0: never
	}{
		{r("a", up, -10), r("b", up, -5), up, -5, 0},
		{r("a", up, -10), r("b", down, 1), up, -5, 0},
		{r("a", up, -10), back(2, r("b", up, 2)), up, -5, 0}, // it was away for one only: it need not warm up
		{r("a", down, 3), r("b", up, 2), up, -5, 0},
		{r("a", down, 3), r("b", down, 4), down, 4, 0},
		{r("c", up, 5), r("b", down, 4), up, 5, 5}, // c never saw it down
		{r("c", up, 5), back(6, r("b", up, 6)), up, 5, 5},
		{r("d", up, 8), r("e", up, 8), up, 5, 5},
		{r("f", down, 7), r("e", down, 9), down, 9, 5},
		{r("f", up, 8), r("e", down, 9), up, 10, 10}, // f thought so before it was asked
	} {
		j.now = at(i + 1)
		step.a.Taken, step.b.Taken = j.now.Add(-time.Millisecond), j.now
		if step.health != step.b.Health {
			step.a.Taken = j.now
		}
		got := j.judge(pair{step.a.By, step.b.By}, []*director.Report{&step.a, &step.b})
		j.before = map[director.NodeID]director.Report{"n": got}
		want := director.Report{Health: step.health, Since: at(step.since)}
		if step.returned != 0 {
			want.Returned = at(step.returned)
		}
		if diff := cmp.Diff(want, director.Report{Health: got.Health, Since: got.Since, Returned: got.Returned}); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i+1, diff)
		}
	}
	// Who sees the fleet for the first time takes the word of who knows best.
	j.before = nil
	a, b := back(-20, r("a", up, -20)), r("b", up, -1)
	a.Taken, b.Taken = j.now, j.now
	if got := j.judge(pair{"a", "b"}, []*director.Report{&a, &b}); !got.Returned.IsZero() {
		t.Errorf("it warms up since %v, although b never saw it down", got.Returned)
	}
}

func TestSightings(t *testing.T) {
	t.Parallel()
	r := func(node director.NodeID, by string, after time.Duration) *director.Report {
		return &director.Report{Node: node, By: by, Taken: noon.Add(after)}
	}
	var g sightings
	changed := func(now time.Time) (ids []director.NodeID) {
		return slices.Sorted(maps.Keys(g.group(now)))
	}
	g.own, g.at = []*director.Report{r("n", "me", time.Second)}, map[director.NodeID]int{"n": 0}
	g.changed.add("n")
	ahead := r("n", "other", time.Minute)
	others := []*director.Report{r("n", "me", -1), ahead, r("m", "other", -2), r("m", "me", -2)}
	g.hear("me", others)
	first := changed(noon)
	want := map[director.NodeID][]*director.Report{
		"n": {r("n", "me", 0), r("n", "other", 0)}, // none is from the future
		"m": {r("m", "other", -2)},                 // what this director no longer measures does not come back
	}
	if diff := cmp.Diff(want, g.of); diff != "" || !slices.Equal(first, []director.NodeID{"m", "n"}) {
		t.Error(first, diff)
	}
	g.hear("me", slices.Clone(others))
	if got := changed(noon.Add(time.Second)); !slices.Equal(got, []director.NodeID{"n"}) || !g.of["n"][1].Taken.Equal(noon.Add(time.Second)) {
		t.Errorf("a report from the future stays as new as can be: %v, %v", got, g.of["n"][1])
	}
	if got := changed(noon.Add(time.Minute)); !slices.Equal(got, []director.NodeID{"n"}) || len(changed(noon.Add(time.Minute))) > 0 || ahead.Taken != noon.Add(time.Minute) {
		t.Errorf("when it is of the present: %v, and then it changes no more", got)
	}
	g.hear("me", others[2:])
	if got := changed(noon.Add(time.Hour)); !slices.Equal(got, []director.NodeID{"n"}) || len(g.of["n"]) != 1 {
		t.Errorf("what another director no longer offers: %v", got)
	}
	g.hear("me", nil)
	if got := changed(noon.Add(time.Hour)); !slices.Equal(got, []director.NodeID{"m"}) || g.of["m"] != nil {
		t.Errorf("a node that nobody measures: %v", got)
	}
}
