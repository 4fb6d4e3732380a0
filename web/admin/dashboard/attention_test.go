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
	"github.com/signpost-fm/signpost/store"
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

// Sessions of HLS are shown where there are some, and fleets without HLS see nothing of them.
func TestSessionsAreShown(t *testing.T) {
	t.Parallel()
	config := director.Config{
		Nodes:  []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}, Drained: true}, {ID: "ams1", URLs: []string{"http://ams1.example"}}},
		Mounts: []director.Mount{{Name: "/live.m3u8"}, {Name: "/live.mp3"}},
	}
	reports := func(now time.Time) (all []director.Report) {
		for _, n := range config.Nodes {
			all = append(all, director.Report{Node: n.ID, Taken: now, Since: now.Add(-time.Hour), Health: director.Up, IPv4: true, AnyMount: true, Listeners: -1})
		}
		return all
	}
	with := play(t, config, reports, func(c *store.SyncerConfig) {
		c.Sessions = func() store.Sessions {
			return store.Sessions{"fra1": {"/live.m3u8": 17}, "ams1": {"/live.m3u8": 1640}}
		}
		c.Moves = func() store.Moves { return store.Moves{"fra1": {"/live.m3u8": {"drained": 1200, "weights": 3}}} }
	})
	without := play(t, config, reports)
	read := func(r *rig, path string) string {
		t.Helper()
		a, err := http.Get(r.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		page, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		text := regexp.MustCompile(`<[^>]*>|&[a-z]+;`).ReplaceAllString(string(page), " ")
		return strings.Join(strings.Fields(text), " ")
	}
	for path, want := range map[string][]string{
		"/":                 {"1,657 can be moved, 1,203 were moved in the last minute"},
		"/nodes/fra1":       {"Sessions 17 at /live.m3u8 ; 1203 moved away in the last minute: 1200 from a drained node, 3 by weights", "that cannot be moved are not counted"},
		"/nodes/ams1":       {"Sessions 1,640 at /live.m3u8 "},
		"/mounts/live.m3u8": {"Sessions 1,657 1203 moved away", "fra1 plays 17 1203 moved away", "ams1 plays 1,640"},
		"/mounts/live.mp3":  nil,
		"/mounts":           {"1,657 can be moved"},
	} {
		page := ""
		for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(50 * time.Millisecond) {
			if page = read(with, path); len(want) == 0 || strings.Contains(page, want[0]) {
				break
			}
		}
		for _, text := range want {
			if !strings.Contains(page, text) {
				t.Errorf("%s does not say %q: %s", path, text, page)
			}
		}
		for _, page := range []string{read(without, path), map[bool]string{true: page}[len(want) == 0]} {
			if strings.Contains(page, "Sessions") || strings.Contains(page, "moved") {
				t.Errorf("without sessions, %s says: %s", path, page)
			}
		}
	}
}
