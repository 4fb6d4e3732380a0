package redisstore_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// idle is a prober that has heard nothing of any node.
type idle struct{ first chan struct{} }

func (idle) SetNodes([]director.Node, []director.Mount)       {}
func (idle) Changes(uint64) ([]director.Report, bool, uint64) { return nil, true, 0 }
func (idle) Suspicion() string                                { return "" }
func (idle) Doubt(director.NodeID, string, string)            {}
func (idle) Share(director.NodeID, bool, []director.Verdict)  {}
func (idle) News() <-chan struct{}                            { return nil }
func (p idle) First() <-chan struct{}                         { return p.first }

// syncer runs a director's syncer until the test ends.
func syncer(t *testing.T, url string, tick time.Duration) *store.Syncer {
	t.Helper()
	p := idle{make(chan struct{})}
	close(p.first)
	s, err := store.NewSyncer(store.SyncerConfig{
		Store: open(t, redisstore.Config{URL: url}), Prober: p, Tick: tick, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler),
		Config: director.Config{Nodes: []director.Node{{ID: "n1", URLs: []string{"http://127.0.0.1:1"}}, {ID: "n2", URLs: []string{"http://127.0.0.2:1"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	<-s.Ready()
	return s
}

func setDrained(id director.NodeID, drained bool) func(o *store.Overlay) error {
	return func(o *store.Overlay) error {
		delete(o.Nodes, id)
		if drained {
			if o.Nodes == nil {
				o.Nodes = map[director.NodeID]store.NodeSetting{}
			}
			o.Nodes[id] = store.NodeSetting{State: store.NodeDrained}
		}
		return nil
	}
}

// obey waits until the snapshots of all directors say that n1 is drained, or not.
func obey(t *testing.T, drained bool, fleet ...*store.Syncer) {
	t.Helper()
	for _, s := range fleet {
		redistest.Await(t, "a director to obey", func() bool {
			return (s.View().Node(0).State == director.Drained) == drained
		})
	}
}

// An edit reaches every director at once, by the hint and not by the next tick,
// with its history.
func TestEditsReachAllDirectors(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	const tick = time.Minute // so long that only a hint can be it
	fleet := []*store.Syncer{syncer(t, server.URL(), tick), syncer(t, server.URL(), tick), syncer(t, server.URL(), tick)}
	redistest.Await(t, "three subscriptions", func() bool {
		counts, _ := server.Do("PUBSUB", "NUMSUB", "{signpost}:edits").([]any)
		return len(counts) == 2 && counts[1] == int64(len(fleet))
	})
	var worst, sum time.Duration
	const edits = 20
	for i := range edits {
		drained := i%2 == 0
		began := time.Now()
		if _, err := fleet[i%3].Change(t.Context(), store.Author{By: "anna"}, setDrained("n1", drained)); err != nil {
			t.Fatal(err)
		}
		obey(t, drained, fleet...)
		took := time.Since(began)
		worst, sum = max(worst, took), sum+took
	}
	t.Logf("from the call of Change until three directors obey: mean %v, worst %v", sum/edits, worst)
	for _, s := range fleet {
		if o := s.Overlay(); o.Revision != edits || len(o.History) != edits || s.Status().EditLag == 0 {
			t.Errorf("revision %d, %d changes, lag %v", o.Revision, len(o.History), s.Status().EditLag)
		}
	}
	c, err := fleet[1].Undo(t.Context(), store.Author{By: "ben"}, edits)
	if err != nil || c.Undoes != edits {
		t.Fatalf("undo: %+v, %v", c, err)
	}
	obey(t, true, fleet...)
}

// What is wrong in Redis is told with the director's status.
func TestStatusTellsProblems(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := syncer(t, server.URL(), 50*time.Millisecond)
	if p := s.Status().Problems; len(p) != 0 {
		t.Errorf("problems in a new Redis: %v", p)
	}
	server.Do("HSET", "{signpost}:directors", "x", "rubbish")
	redistest.Await(t, "the rubbish to be told", func() bool {
		p := s.Status().Problems
		return len(p) == 1 && strings.Contains(p[0], "{signpost}:directors x: no record of a director")
	})
	server.Do("HDEL", "{signpost}:directors", "x")
	redistest.Await(t, "all to be well again", func() bool { return len(s.Status().Problems) == 0 })
}
