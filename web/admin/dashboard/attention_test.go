package dashboard_test

import (
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// A node that is up and does not play a mount needs attention, with the reason, in the
// page as it comes and after the first news. One that plays nothing has no seats, either.
func TestANodeThatLacksAMount(t *testing.T) {
	t.Parallel()
	since := time.Now().Add(-time.Hour)
	r := play(t, director.Config{
		Nodes:  []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}}, {ID: "ams1", URLs: []string{"http://ams1.example"}}, {ID: "nyc1", URLs: []string{"http://nyc1.example"}}},
		Mounts: []director.Mount{{Name: "/live.mp3"}, {Name: "/news.mp3"}},
	}, func(now time.Time) []director.Report {
		mounts := []director.MountReport{{Path: "/live.mp3"}, {Path: "/news.mp3"}}
		silent := director.Verdict{Path: "/news.mp3", State: director.MountSilent, Cause: "source gone", Since: since, Taken: now}
		return []director.Report{
			{Node: "fra1", Taken: now, Health: director.Up, IPv4: true, Mounts: mounts},
			{Node: "ams1", Taken: now, Health: director.Up, IPv4: true, Mounts: mounts[:1], Verdicts: []director.Verdict{silent}},
			{Node: "nyc1", Taken: now, Health: director.Up, IPv4: true, Limit: 900, Mounts: mounts, Verdicts: []director.Verdict{{State: director.MountSilent, Taken: now}}},
		}
	})
	b := browsertest.Start(t)
	b.Go(r.URL + "/")
	const told = `document.querySelector('[data-f="trouble"]').textContent === '2' && document.querySelector('[data-f="fit"]').textContent === '2' &&
		document.querySelector('[data-f="target"]').textContent === '0' && document.querySelector('[data-f="unfit"]').textContent === '1 plays nothing' &&
		/plays nothing/.test(document.querySelector('#nodes tr[data-id=nyc1]').textContent) && /lacks \/news.mp3/.test(document.querySelector('#nodes tr[data-id=ams1]').textContent)`
	b.Await("it is in the page", told)
	b.Await("it is live", live)
	b.Await("news of a node have come", `document.querySelector('[data-f="nodes"]').textContent === '3' && performance.getEntriesByType('resource').length > 0`)
	if !browsertest.Eval[bool](b, told) {
		t.Errorf("after the first news nobody is told: %s", browsertest.Eval[string](b, `document.querySelector('#nodes').textContent`))
	}
	noFaults(t, b)
}
