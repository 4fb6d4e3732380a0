package dashboard_test

import (
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
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

// The page of a mount is coloured where a node played it and no longer does, and not where
// a node never had it, is down, or was taken out of use.
func TestWhereAMountPlays(t *testing.T) {
	t.Parallel()
	var nodes []director.Node
	for _, id := range []director.NodeID{"plays", "gone", "never", "down", "drained"} {
		nodes = append(nodes, director.Node{ID: id, URLs: []string{"http://" + string(id) + ".example"}, Drained: id == "drained"})
	}
	r := play(t, director.Config{Nodes: nodes, Mounts: []director.Mount{{Name: "/live.mp3"}}}, func(now time.Time) (all []director.Report) {
		for _, n := range nodes {
			one := director.Report{Node: n.ID, Taken: now, Since: now.Add(-time.Hour), Health: director.Up, IPv4: true, Mounts: []director.MountReport{{Path: "/other.mp3"}}}
			switch n.ID {
			case "plays":
				one.Mounts = []director.MountReport{{Path: "/live.mp3"}}
			case "gone":
				one.Verdicts = []director.Verdict{{Path: "/live.mp3", State: director.MountSilent, Cause: director.SourceGone, Since: now.Add(-time.Minute), Taken: now}}
			case "down":
				one.Health, one.Mounts = director.Failed, nil
			}
			all = append(all, one)
		}
		return all
	})
	a, err := http.Get(r.URL + "/mounts/live.mp3")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	page, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`<tr( class="warn")?><th scope="row"><a href="/nodes/(\w+)">[\s\S]*?<span class="say (\w+)"><span>([^<]+)`).FindAllStringSubmatch(string(page), -1) {
		got[m[2]] = strings.TrimSpace(m[1] + " " + m[3] + ": " + m[4])
	}
	want := map[string]string{
		"plays": "good: plays", "gone": `class="warn" warn: does not play`, "never": "dim: does not have it",
		"down": "dim: not known", "drained": "dim: not known",
	}
	if !maps.Equal(got, want) {
		t.Errorf("the page says %v, want %v", got, want)
	}
}
