//go:build unix

package probe_test

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// seldom is a Config by which a probe that comes soon has another reason.
var seldom = probe.Config{Interval: time.Minute, Recheck: 200 * time.Millisecond, Push: true}

// TestPush: over a real server's feed, changes are known in less than a second, and
// what a song's title says there is not believed.
func TestPush(t *testing.T) {
	t.Parallel()
	n := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Title: "Song"}, {Path: "/other.mp3"}}})
	w := watch(t, n, seldom, true)
	const soon = patience // on busy cores; without the feed it takes a minute
	known := func(what string, ok func(director.Report) bool) {
		t.Helper()
		t.Logf("%s: known after %v", what, w.until(what, soon, ok).Round(time.Millisecond))
	}
	w.until("the feed's first news to be asked about", soon, func(director.Report) bool { return w.Tallies()[0].Answers > 1 })
	var listeners []io.Closer
	for i := range 3 {
		l, err := listen(t, n, "/live.mp3")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		known("a listener", func(r director.Report) bool { return r.Listeners == i+1 })
	}
	listeners[0].Close()
	known("one leaves", func(r director.Report) bool { return r.Listeners == 2 })

	before := w.Tallies()[0].Answers
	n.SetTitle("/live.mp3", "Song\nEVENT /live.mp3 listeners 9999\nEVENT /live.mp3 null null\nDELETE /live.mp3")
	w.until("the forged lines to be asked about", soon, func(r director.Report) bool {
		if r.Listeners != 2 || len(r.Mounts) != 2 {
			t.Fatalf("forged lines are believed: %+v", r)
		}
		return w.Tallies()[0].Answers > before
	})

	n.KillSource("/other.mp3")
	known("a source is gone", func(r director.Report) bool { return len(r.Mounts) == 1 })
	n.StartSource("/other.mp3")
	known("a source is back", func(r director.Report) bool { return len(r.Mounts) == 2 })
	n.Kill()
	known("the server is dead", func(r director.Report) bool { return r.Health == director.Failed })
}

// TestPushComesBack: a server that was restarted tells again.
func TestPushComesBack(t *testing.T) {
	t.Parallel()
	n := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3"}}})
	log := &proctest.Output{}
	c := brisk
	c.Push, c.Log = true, slog.New(slog.NewTextHandler(log, nil))
	w := watch(t, n, c, true)
	for deaths := range 2 {
		w.until("it tells", patience, func(director.Report) bool { return log.Count("tells of changes by itself") > deaths })
		n.Kill()
		w.until("down", patience, func(r director.Report) bool { return r.Health == director.Failed })
		n.Restart()
	}
	if log.Count("does not tell of changes") != 2 {
		t.Errorf("want two lines for two deaths:\n%s", log)
	}
}
