package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// TestSettle: of two who ask the same server the newer word counts, that of a listener
// before that of statistics; and one director's network takes nothing away.
func TestSettle(t *testing.T) {
	t.Parallel()
	const live = "/live.mp3"
	const plays, silent, full = director.MountPlays, director.MountSilent, director.MountFull
	up := func(by string, ago int, mounts string, verdicts ...director.Verdict) director.Report {
		r := said(by, director.Up, ago, 5)
		for _, p := range strings.Fields(mounts) {
			r.Mounts = append(r.Mounts, director.MountReport{Path: p, Listeners: 5})
		}
		r.Verdicts = verdicts
		return r
	}
	v := func(path string, state director.MountState, cause director.Cause, ago int) director.Verdict {
		at := noon.Add(-time.Duration(ago) * time.Second)
		return director.Verdict{Path: path, State: state, Cause: cause, Since: at, Taken: at}
	}
	secure := func(v director.Verdict) director.Verdict { v.Scheme = director.HTTPS; return v }
	listed := func(v director.Verdict) director.Verdict { v.Listed = true; return v }
	for name, tc := range map[string]struct {
		a, b    director.Report
		suspect string
		mounts  string
		state   director.MountState // of the one verdict; unknown: there is none
		by      string
	}{
		"nobody has a verdict":       {up("a", 1, live), up("b", 2, live), "", live, 0, ""},
		"one has asked":              {up("a", 2, "", v(live, silent, director.SourceGone, 2)), up("b", 1, live), "", "", silent, "a"},
		"the newer one has asked":    {up("a", 2, "", v(live, silent, director.SourceGone, 9)), up("b", 1, live, v(live, plays, "", 1)), "", live, 0, ""},
		"it plays a fallback":        {up("a", 2, live, v(live, plays, director.PlaysFallback, 2)), up("b", 1, "", v(live, silent, director.SourceGone, 3)), "", live, plays, "a"},
		"it is full":                 {up("a", 1, live, listed(v(live, full, director.SeatsTaken, 3))), up("b", 1, live, v(live, plays, "", 1)), "", live, full, "a"},
		"refused, though listed":     {up("a", 1, "", listed(v(live, silent, director.Refused, 3))), up("b", 0, live), "", "", silent, "a"},
		"one does not get through":   {up("a", 1, live, secure(v("", silent, director.Unreachable, 1))), up("b", 1, live, secure(v("", plays, "", 5))), "", live, plays, "b"},
		"one has not tried yet":      {up("a", 1, live, secure(v("", silent, director.Unreachable, 1))), up("b", 1, live), "", live, 0, ""},
		"neither gets through":       {up("a", 1, live, secure(v("", silent, director.Unreachable, 1))), up("b", 1, live, secure(v("", silent, director.Unreachable, 2))), "", live, silent, "a"},
		"the certificate is for all": {up("a", 1, live, secure(v("", silent, director.BadCertificate, 1))), up("b", 1, live, secure(v("", plays, "", 5))), "", live, silent, "a"},
		"one suspects itself":        {up("a", 1, live, secure(v("", silent, director.Unreachable, 1))), up("b", 1, live, secure(v("", silent, director.Unreachable, 5))), "a", live, silent, "b"},
		"there is only one":          {up("a", 1, live, secure(v("", silent, director.Unreachable, 1))), director.Report{}, "", live, silent, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := judges{now: noon, stale: 15 * time.Second, live: map[string]Director{"a": {ID: "a"}, "b": {ID: "b"}}}
			if tc.suspect != "" {
				j.live[tc.suspect] = Director{ID: tc.suspect, Suspect: "all is dark"}
			}
			reports := []director.Report{tc.a, tc.b}
			if tc.b.By == "" {
				reports = reports[:1]
			}
			for range 2 { // whoever is heard first
				r := j.judge(pair{"a", "b"}, byPointer(reports))
				var mounts []string
				for _, m := range r.Mounts {
					mounts = append(mounts, m.Path)
				}
				if got := strings.Join(mounts, " "); got != tc.mounts {
					t.Errorf("mounts %q, want %q", got, tc.mounts)
				}
				var got director.Verdict
				if len(r.Verdicts) > 0 {
					got = r.Verdicts[0]
				}
				if len(r.Verdicts) > 1 || got.State != tc.state || got.By != tc.by {
					t.Errorf("verdicts %+v, want %v by %q", r.Verdicts, tc.state, tc.by)
				}
				slices.Reverse(reports)
			}
		})
	}
}

// TestSettleRemembers: since when a mount does not play is what the first one saw.
func TestSettleRemembers(t *testing.T) {
	t.Parallel()
	first := director.Verdict{Path: "/live.mp3", State: director.MountSilent, Since: noon.Add(-time.Hour), Taken: noon.Add(-time.Minute)}
	j := judges{now: noon, stale: 15 * time.Second, before: map[director.NodeID]director.Report{"n": {Node: "n", Health: director.Up, Verdicts: []director.Verdict{first}}}}
	r := said("b", director.Up, 0, 5)
	r.Verdicts = []director.Verdict{{Path: "/live.mp3", State: director.MountSilent, Since: noon, Taken: noon}}
	got := j.judge(pair{first: "b"}, []*director.Report{&r})
	if len(got.Verdicts) != 1 || !got.Verdicts[0].Since.Equal(first.Since) || !got.Verdicts[0].Taken.Equal(noon) {
		t.Errorf("%+v", got.Verdicts)
	}
	if r.Verdicts[0].By != "" {
		t.Error("the prober's own verdict was changed")
	}
}
