package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyOf is an offer by a director that holds the overlay.
func copyOf(id string, o store.Overlay) store.Offer {
	out := offer(id)
	out.Overlay = o
	return out
}

func TestKilledAndRestarted(t *testing.T) {
	t.Parallel()
	server, s, other := two(t)
	sync(t, other, offer("b"))
	hints := other.Watch(t.Context())
	<-hints // the subscription is there
	if _, err := s.Edit(t.Context(), 0, note(0, "kept")); err != nil {
		t.Fatal(err)
	}
	await(t, hints)
	held := sync(t, s, offer("a")).Overlay
	server.Kill()
	for range 20 { // more failures than go-redis tolerates before it dials once a second only
		if _, err := s.Sync(t.Context(), copyOf("a", held)); !errors.Is(err, store.ErrAway) {
			t.Fatalf("Sync with redis killed: %v", err)
		}
	}
	server.Restart() // with nothing: it saves nothing
	p := sync(t, s, copyOf("a", held))
	if diff := cmp.Diff(held, p.Overlay); diff != "" {
		t.Errorf("overlay at the first sync after the restart (-want +got):\n%s", diff)
	}
	if p := sync(t, other, offer("b")); len(p.Directors) != 2 || p.Overlay.Revision != 1 {
		t.Errorf("the other director sees %d directors and revision %d, want 2 and 1", len(p.Directors), p.Overlay.Revision)
	}
	await(t, hints) // the subscription is there again
}

func TestFlushed(t *testing.T) {
	t.Parallel()
	server, s, other := two(t)
	full := copyOf("a", note(7, "kept"))
	full.Counts = []store.Count{{Node: "n1", At: day, N: 4}}
	sync(t, s, full)
	before := sync(t, other, offer("b"))
	server.Flush()
	server.Do("SCRIPT", "FLUSH")
	sync(t, s, full)
	after := sync(t, other, offer("b"))
	for _, p := range []*store.Picture{&before, &after} {
		p.Now = time.Time{}
		for i := range p.Directors {
			p.Directors[i].Seen = time.Time{}
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("picture after the flush (-before +after):\n%s", diff)
	}
	if before.Overlay.Revision != 7 {
		t.Errorf("revision %d, want 7", before.Overlay.Revision)
	}
}

// TestFlushedWithoutACopy: an empty store is an empty overlay, not an error.
func TestFlushedWithoutACopy(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Config{URL: server.URL()})
	if _, err := s.Edit(t.Context(), 0, note(0, "lost")); err != nil {
		t.Fatal(err)
	}
	sync(t, s, offer("a"))
	server.Flush()
	if p := sync(t, s, offer("a")); p.Overlay.Revision != 0 || len(p.Overlay.Notes) != 0 {
		t.Errorf("overlay is %+v, want an empty one", p.Overlay)
	}
}

func TestSuspended(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s, patient := openAsShipped(t, redisstore.Config{URL: server.URL()}), open(t, redisstore.Config{URL: server.URL()})
	syncAtLast(t, s, offer("a"))
	sync(t, patient, offer("a"))
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := patient.Sync(ctx, offer("a")); !errors.Is(err, store.ErrAway) {
		t.Errorf("Sync: %v, want ErrAway", err)
	}
	if took := time.Since(began); took > redisstore.Patience/2 {
		t.Errorf("Sync with a deadline in 200ms took %v: its own time-out of %v ended it", took, redisstore.Patience)
	}
	mustBeAway(t, s, "does not answer in time")
	server.Continue()
	redistest.Await(t, "redis to have woken up", func() bool { _, err := server.Try("PING"); return err == nil })
	// What was sent meanwhile takes effect now, or not; both are fine.
	if p := syncAtLast(t, s, offer("a")); len(p.Directors) != 1 {
		t.Errorf("%d directors, want 1", len(p.Directors))
	}
}

func TestSlowRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	line := redistest.NewLine(t, server.Addr)
	line.Delay(200 * time.Millisecond)
	s := open(t, redisstore.Config{URL: "redis://" + line.Addr})
	sync(t, s, copyOf("a", note(3, "kept")))
	if p := sync(t, s, offer("a")); p.Overlay.Revision != 3 {
		t.Errorf("revision %d, want 3", p.Overlay.Revision)
	}
}

// TestAnswerLost: what took effect although nobody heard so counts once.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	server, s, other := two(t)
	o := offer("a")
	for n := 1; n <= 3; n++ {
		o.Counts = append(o.Counts, store.Count{Node: "n1", At: day.Add(time.Duration(n) * store.BucketWidth), N: n})
		if n == 2 {
			server.Stop()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if _, err := s.Sync(ctx, o); err == nil {
				t.Error("a stopped redis has answered")
			}
			cancel()
			server.Continue() // and it finds the script in its socket
		}
		sync(t, s, o)
		if diff := cmp.Diff(o.Counts, sync(t, other, offer("b")).Counts["a"]); diff != "" {
			t.Errorf("counts that another director sees (-want +got):\n%s", diff)
		}
	}
}

// TestFailoverLosesTheLastSeconds puts back what a replica would have had.
func TestFailoverLosesTheLastSeconds(t *testing.T) {
	t.Parallel()
	server, s, other := two(t)
	o := copyOf("a", note(1, "one"))
	o.Counts = []store.Count{{Node: "n1", At: day, N: 1}}
	sync(t, s, o)
	keys := []string{"{signpost}:overlay", "{signpost}:directors", "{signpost}:changes"}
	var dumps []any
	for _, k := range keys {
		dumps = append(dumps, server.Do("DUMP", k))
	}
	if _, err := s.Edit(t.Context(), 1, note(0, "two")); err != nil {
		t.Fatal(err)
	}
	o.Counts = []store.Count{{Node: "n1", At: day, N: 2}}
	o.Overlay = sync(t, s, o).Overlay
	sync(t, other, offer("b"))
	for i, k := range keys {
		server.Do("RESTORE", k, 0, dumps[i], "REPLACE")
	}
	o.Counts = []store.Count{{Node: "n1", At: day, N: 3}}
	sync(t, s, o)
	p := sync(t, other, offer("b"))
	if diff := cmp.Diff(o.Counts, p.Counts["a"]); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(note(2, "two"), p.Overlay); diff != "" {
		t.Errorf("overlay (-want +got):\n%s", diff)
	}
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	c, config := sentinels(t)
	s := open(t, config)
	wrong := config
	wrong.MasterName = "nobody"
	mustBeAway(t, open(t, wrong), "watch no master of this name")
	wrong = config
	wrong.SentinelPasswordFile = file(t, "wrong")
	mustBeAway(t, open(t, wrong), "password")
	if _, err := s.Edit(t.Context(), 0, note(0, "kept")); err != nil {
		t.Fatal(err)
	}
	held := sync(t, s, offer("a")).Overlay
	c.KillMaster()
	c.Trio[0].Kill()
	redistest.Await(t, "the failover", func() bool {
		_, err := s.Sync(t.Context(), copyOf("a", held))
		if err != nil && !errors.Is(err, store.ErrAway) {
			t.Errorf("Sync: %v", err)
		}
		return err == nil
	})
	if role := c.Replica.Info("role"); role != "master" {
		t.Errorf("the replica is a %s", role)
	}
	if p := sync(t, s, copyOf("a", held)); p.Overlay.Revision != 1 {
		t.Errorf("revision %d after the failover, want 1", p.Overlay.Revision)
	}
}

// TestSilentWatch: a subscription that is silent is asked whether it is alive; if
// it is, it stays as it is, and if not, there is another.
func TestSilentWatch(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Config{URL: server.URL()})
	s.PingAfter(50 * time.Millisecond)
	hints := s.Watch(t.Context())
	await(t, hints)
	subscribers := func() string { return server.Do("CLIENT", "LIST", "TYPE", "pubsub").(string) }
	id, _, _ := strings.Cut(subscribers(), " ")
	redistest.Await(t, "a ping", func() bool { return strings.Contains(subscribers(), "cmd=ping") })
	if now, _, _ := strings.Cut(subscribers(), " "); now != id {
		t.Errorf("the subscription was %s and is %s", id, now)
	}
	select {
	case <-hints:
		t.Error("a hint while nothing happened")
	default:
	}
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	await(t, hints) // for what may have been missed
	if _, err := s.Edit(t.Context(), 0, note(0, "x")); err != nil {
		t.Fatal(err)
	}
	await(t, hints)
}

// TestClose looks for goroutines and connections that are left.
func TestClose(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	for _, state := range []string{"running", "suspended"} {
		s := openAsShipped(t, redisstore.Config{URL: server.URL(), Prefix: "closed"})
		hints := s.Watch(t.Context())
		<-hints
		syncAtLast(t, s, offer("a"))
		if state == "suspended" {
			server.Stop()
			_, _ = s.Sync(t.Context(), offer("a"))
		}
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		select {
		case err := <-closed:
			if err != nil {
				t.Errorf("Close: %v", err)
			}
		case <-time.After(patience):
			t.Fatalf("%s: Close has not returned within %v", state, patience)
		}
		if _, open := <-hints; open {
			t.Errorf("%s: the watch goes on", state)
		}
		if state == "suspended" {
			server.Continue()
		}
		redistest.Await(t, "connections to close", func() bool { return server.Info("connected_clients") == "1" })
	}
	mine := "signpost/store/redisstore.(*Store)"
	redistest.Await(t, "goroutines to end", func() bool {
		for _, g := range goroutines() {
			if strings.Contains(g, mine) && strings.Contains(g, "TestClose") {
				return false
			}
		}
		return true
	})
}

func goroutines() []string {
	buf := make([]byte, 4<<20)
	return strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
}

// TestNotSentAgain: a Cluster's client sends again what it has no answer to, which may have
// taken effect. An edit would then conflict with itself.
func TestNotSentAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Args: []string{"--cluster-enabled", "yes"}})
	server.Do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	line := redistest.NewLine(t, server.Addr)
	_, port, _ := strings.Cut(line.Addr, ":")
	server.Do("CONFIG", "SET", "cluster-announce-port", port)
	redistest.Await(t, "the cluster to be whole", func() bool { return strings.Contains(fmt.Sprint(server.Do("CLUSTER", "INFO")), "cluster_state:ok") })
	s := open(t, redisstore.Config{URL: "redis://" + line.Addr, Cluster: true})
	sync(t, s, offer("a"))
	before := scriptsRun(t, server)
	line.LoseAnswer()
	if _, err := s.Sync(t.Context(), offer("a")); !errors.Is(err, store.ErrAway) {
		t.Errorf("Sync: %v, want ErrAway", err)
	}
	if more := scriptsRun(t, server) - before; more != 1 {
		t.Errorf("%d scripts came, want one", more)
	}
}

// scriptsRun returns how many scripts a server was asked for by their hash.
func scriptsRun(t *testing.T, server *redistest.Server) int {
	t.Helper()
	calls, _, _ := strings.Cut(server.Info("cmdstat_evalsha"), ",")
	n, err := strconv.Atoi(strings.TrimPrefix(calls, "calls="))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
