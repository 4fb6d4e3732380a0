package redisstore_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// TestRoundTrips counts them. At most five would do; it takes one.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	server, s, other := two(t)
	o, b := offer("a"), offer("b")
	trips := func(what string, want uint64, step func()) {
		t.Helper()
		before := s.RoundTrips()
		step()
		if got := s.RoundTrips() - before; got != want {
			t.Errorf("%s took %d round trips, want %d", what, got, want)
		}
	}
	do := func() { sync(t, s, o) }
	trips("the first sync (HELLO, PING, EVALSHA, EVAL)", 4, do)
	trips("a sync with nothing new", 1, do)
	trips("a sync with 1,000 reports and counts", 1, func() {
		for n := range 1000 {
			id := director.NodeID(fmt.Sprint("n", n))
			o.Reports = append(o.Reports, &director.Report{Node: id, By: "a", Taken: day, Listeners: n})
			o.Counts = append(o.Counts, store.Count{Node: id, At: day, N: 1})
		}
		do()
	})
	trips("a sync with a new director and an edit by it", 1, func() {
		sync(t, other, b)
		if _, err := other.Edit(t.Context(), 0, note(0, "x")); err != nil {
			t.Fatal(err)
		}
		o.Overlay = sync(t, s, o).Overlay
	})
	if o.Overlay.Revision != 1 {
		t.Errorf("revision %d, want 1", o.Overlay.Revision)
	}
	server.Flush()
	trips("a sync with an empty store, where all must be sent anew", 4, do) // sync, sync with all, replace, sync
	trips("an edit", 1, func() {
		if _, err := s.Edit(t.Context(), 1, note(0, "y")); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNothingIsLostOnTheWay changes offers at random, has syncs go missing on
// either side, and compares what others see with what was offered.
func TestNothingIsLostOnTheWay(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	dice := rand.New(rand.NewPCG(1, 2)) // the same at every run
	open := func() *redisstore.Store { return open(t, redisstore.Config{URL: server.URL()}) }
	writer, reader, idle := open(), open(), open()
	o := offer("w")
	for n := range 300 {
		o.Counts, o.Reports = nil, nil
		for i := range dice.IntN(40) {
			o.Counts = append(o.Counts, store.Count{Node: "n", At: day.Add(time.Duration(n/4+i) * store.BucketWidth), N: 1 + dice.IntN(3)})
		}
		for i := range dice.IntN(20) {
			o.Reports = append(o.Reports, &director.Report{Node: director.NodeID(fmt.Sprint(i)), By: "w", Taken: day, Listeners: dice.IntN(2)})
		}
		switch dice.IntN(40) {
		case 0:
			writer = open() // restarted under its old name
		case 1:
			reader = open()
		case 2:
			server.Flush()
		case 3:
			server.Do("DEL", "{signpost}:changes")
		case 4:
			server.Do("DEL", "{signpost}:directors")
		case 5:
			sync(t, idle, offer("w")) // another process under the same name
		}
		sync(t, writer, o)
		if dice.IntN(3) == 0 {
			continue // the reader misses some
		}
		want := store.Picture{Counts: map[string][]store.Count{"w": o.Counts}, Reports: o.Reports}
		got := sync(t, reader, offer("r"))
		byNode := cmpopts.SortSlices(func(a, b *director.Report) bool { return a.Node < b.Node })
		if len(o.Counts) == 0 {
			delete(want.Counts, "w")
		}
		if diff := cmp.Diff(want, got, byNode, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(store.Picture{}, "Now", "Directors")); diff != "" {
			t.Fatalf("step %d (-offered +seen):\n%s", n, diff)
		}
	}
	if fields := server.Do("HLEN", "{signpost}:changes").(int64); fields > 200 {
		t.Errorf("%d changes are kept", fields)
	}
}

// TestEverythingExpires: what is left by directors that no longer call is gone,
// and what operators said is not.
func TestEverythingExpires(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Config{URL: server.URL()})
	o := copyOf("a", note(1, "x"))
	o.Counts = []store.Count{{Node: "n", At: day, N: 1}}
	sync(t, s, o)
	for key, expires := range map[string]bool{"schema": false, "overlay": false, "directors": true, "changes": true} {
		ttl := time.Duration(server.Do("PTTL", "{signpost}:"+key).(int64)) * time.Millisecond
		if expires != (ttl > 0 && ttl <= store.ReportLife) {
			t.Errorf("%s expires in %v", key, ttl)
		}
	}
	if keys := server.Do("KEYS", "*").([]any); len(keys) != 4 {
		t.Errorf("keys are %v, want 4", keys)
	}
}

// TestBounds: what is kept of a director is bounded by number and by size, the
// store never has to ask for all of it meanwhile, and the dead are removed.
func TestBounds(t *testing.T) {
	t.Parallel()
	server, s, other := two(t)
	other.UseClock(clockAhead("ahead"))
	kept := func() (changes, bytes int) {
		for i, v := range server.Do("HGETALL", "{signpost}:changes").([]any) {
			if i%2 == 1 {
				changes, bytes = changes+1, bytes+len(v.(string))
			}
		}
		return changes, bytes
	}
	for _, reports := range []int{1, 60} {
		o := offer(fmt.Sprint("director of ", reports))
		var once, most int
		before := s.RoundTrips()
		for n := range 2 * redisstore.MaxChanges {
			o.Reports = nil
			for r := range reports {
				o.Reports = append(o.Reports, report(r, "a", day.Add(time.Duration(n)*time.Second)))
			}
			sync(t, s, o)
			changes, bytes := kept()
			if once == 0 {
				once = bytes
			}
			most = max(most, bytes)
			if changes > redisstore.MaxChanges {
				t.Fatalf("%d changes are kept", changes)
			}
		}
		if most > 4*once+8<<10 {
			t.Errorf("%d bytes are kept of %d", most, once)
		}
		if trips := int(s.RoundTrips() - before); trips > 2*redisstore.MaxChanges+3 { // and those of the first
			t.Errorf("%d syncs took %d round trips", 2*redisstore.MaxChanges, trips)
		}
		if p := sync(t, other, offer("b")); len(p.Reports) != reports || len(p.Directors) != 2 {
			t.Errorf("another director sees %d reports and %d directors, want %d and 2", len(p.Reports), len(p.Directors), reports)
		}
		server.Do("DEL", "{signpost}:directors", "{signpost}:changes")
		if p := sync(t, other, offer("b")); len(p.Reports) != 0 || len(p.Directors) != 1 {
			t.Errorf("another director still sees %d reports and %d directors", len(p.Reports), len(p.Directors))
		}
	}
	sync(t, s, offer("dead"))
	server.Do("SET", "ahead", (store.ReportLife + time.Second).Microseconds())
	sync(t, other, offer("b"))
	if changes, _ := kept(); changes != 1 || server.Do("HLEN", "{signpost}:directors") != int64(1) {
		t.Errorf("%d changes are kept, and %v directors", changes, server.Do("HKEYS", "{signpost}:directors"))
	}
}
