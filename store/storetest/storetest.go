// Package storetest is the test suite that every store must pass.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// A Backend is one store, which is empty at first.
type Backend struct {
	// Open opens a handle for one more director. The suite closes what it opens.
	Open func(t *testing.T) store.Store
	// Advance moves the store's clock forward.
	Advance func(d time.Duration)
	// Spoil writes invalid data where the store keeps its overlay. nil: impossible.
	Spoil func(t *testing.T)
}

// Run runs the suite. start sets up a new store for each test.
func Run(t *testing.T, start func(t *testing.T) Backend) {
	tests := []struct {
		name string
		test func(t *testing.T, b *backend)
	}{
		{"an empty store", testEmpty},
		{"a repeated Sync counts once", testRepeatedSync},
		{"an offer replaces the one before", testOfferReplaces},
		{"directors see each other", testSeveralDirectors},
		{"a dead director is forgotten by and by", testDeadDirector},
		{"a director that stops is live no more", testLeft},
		{"a restarted director adds to what it left", testRestartedDirector},
		{"the newest report for node and prober", testNewestReports},
		{"registrations", testRegistrations},
		{"an offer without a director", testNamelessOffer},
		{"compare and set", testCompareAndSet},
		{"concurrent edits lose nothing", testConcurrentEdits},
		{"refill", testRefill},
		{"fields of a newer version", testUnknownFields},
		{"an edit outlives its handle", testEditOutlivesHandle},
		{"hints", testHints},
		{"the end of a watch", testWatchEnds},
		{"a context that is done", testDoneContext},
		{"a closed handle", testClosed},
		{"rubbish", testSpoilt},
		{"everything at once", testEverythingAtOnce},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.test(t, &backend{start(t)})
		})
	}
}

type backend struct{ Backend }

// open opens a handle, which is closed when the test ends.
func (b *backend) open(t *testing.T) store.Store {
	t.Helper()
	s := b.Open(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func take(t *testing.T, s store.Store, o store.Offer) store.Picture {
	t.Helper()
	p, err := s.Sync(t.Context(), o)
	if err != nil {
		t.Fatalf("Sync: %v", err)
	}
	return p
}

func edit(t *testing.T, s store.Store, at store.Revision, o store.Overlay) {
	t.Helper()
	rev, err := s.Edit(t.Context(), at, o)
	if err != nil || rev != at+1 {
		t.Fatalf("Edit at %d: revision %d, %v", at, rev, err)
	}
}

// day is the time of the tests' reports and edits. Stores do not check it.
var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func offer(id string, counts ...store.Count) store.Offer {
	d := store.Director{ID: id, Name: "name of " + id, Leaving: id == "a", Site: "site-" + id, Config: "c0ffee", Uncounted: map[string]int{"/" + id: len(id), "/lingers": -1}, Sessions: store.Sessions{"n1": {"/" + id: len(id), "/nobody": 0}}, Moves: store.Moves{"n1": {"/" + id: {"drained": len(id)}}}, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}
	return store.Offer{Director: d, Counts: counts}
}

func count(node director.NodeID, bucket, n int) store.Count {
	return store.Count{Node: node, At: day.Add(time.Duration(bucket) * store.BucketWidth), N: n}
}

// note returns an overlay with a revision and one note.
func note(at store.Revision, text string) store.Overlay {
	return store.Overlay{Revision: at, Notes: []store.Note{{ID: "n", Text: text, Stamp: store.Stamp{By: "anna", At: day}}}}
}

var (
	// Raw JSON may be formatted differently, and an empty list equals no list.
	sameJSON = cmp.FilterValues(func(a, b json.RawMessage) bool { return len(a)+len(b) > 0 }, cmp.Transformer("json", func(m json.RawMessage) (v any) {
		_ = json.Unmarshal(m, &v)
		return v
	}))
	same   = cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}), sameJSON}
	noSeen = cmp.Options{same, cmpopts.IgnoreFields(store.Director{}, "Seen")}
	noNow  = cmp.Options{noSeen, cmpopts.IgnoreFields(store.Picture{}, "Now")}
)

func testEmpty(t *testing.T, b *backend) {
	s := b.open(t)
	p := take(t, s, offer("a"))
	if p.Now.IsZero() || p.Now.Location() != time.UTC {
		t.Errorf("Now is %v, want the store's clock in UTC", p.Now)
	}
	want := store.Picture{Directors: []store.Director{offer("a").Director}}
	if diff := cmp.Diff(want, p, noNow); diff != "" {
		t.Errorf("picture of an empty store (-want +got):\n%s", diff)
	}
	if seen := p.Directors[0].Seen; !seen.Equal(p.Now) {
		t.Errorf("seen at %v, want now, %v", seen, p.Now)
	}
}

func testRepeatedSync(t *testing.T, b *backend) {
	s := b.open(t)
	o := offer("a", count("n1", 0, 5), count("n1", 1, 2), count("n2", 1, 1))
	o.Counts[0].Estimated = 3
	o.Reports = []*director.Report{{Node: "n1", By: "a", Taken: day, Health: director.Up, Listeners: 7}}
	first := take(t, s, o)
	for range 3 {
		again := take(t, s, o)
		if diff := cmp.Diff(first, again, noNow); diff != "" {
			t.Fatalf("a repeated Sync changed the picture (-first +again):\n%s", diff)
		}
	}
	if diff := cmp.Diff(map[string][]store.Count{"a": o.Counts}, first.Counts, same); diff != "" {
		t.Errorf("counts (-offered +picture):\n%s", diff)
	}
	if diff := cmp.Diff(o.Reports, first.Reports, same); diff != "" {
		t.Errorf("reports (-offered +picture):\n%s", diff)
	}
}

func testOfferReplaces(t *testing.T, b *backend) {
	s := b.open(t)
	o := offer("a", count("n1", 0, 5), count("n1", 1, 2))
	o.Reports = []*director.Report{{Node: "n1", By: "a", Taken: day}}
	take(t, s, o)
	next := offer("a", count("n1", 1, 4), count("n1", 2, 1))
	next.Reports = []*director.Report{{Node: "n2", By: "a", Taken: day}}
	next.Director.Config = "decade"
	p := take(t, s, next)
	want := store.Picture{
		Directors: []store.Director{next.Director},
		Counts:    map[string][]store.Count{"a": next.Counts},
		Reports:   next.Reports,
	}
	if diff := cmp.Diff(want, p, noNow); diff != "" {
		t.Errorf("picture (-want +got):\n%s", diff)
	}
	if p = take(t, s, offer("a")); len(p.Counts["a"]) != 0 || len(p.Reports) != 0 {
		t.Errorf("an empty offer left counts %v and reports %v", p.Counts, p.Reports)
	}
}

func testSeveralDirectors(t *testing.T, b *backend) {
	offers := []store.Offer{
		offer("a", count("n1", 0, 1)),
		offer("b", count("n1", 0, 2), count("n2", 0, 3)),
		offer("c"),
	}
	want := store.Picture{Counts: map[string][]store.Count{"a": offers[0].Counts, "b": offers[1].Counts}}
	handles := make([]store.Store, len(offers))
	for i, o := range offers {
		want.Directors = append(want.Directors, o.Director)
		handles[i] = b.open(t)
		take(t, handles[i], o)
	}
	for i, s := range handles {
		if diff := cmp.Diff(want, take(t, s, offers[i]), noNow); diff != "" {
			t.Errorf("picture that %s has (-want +got):\n%s", offers[i].Director.ID, diff)
		}
	}
}

func testDeadDirector(t *testing.T, b *backend) {
	dead, s := b.open(t), b.open(t)
	o := offer("dead", count("n1", 0, 4))
	o.Reports = []*director.Report{{Node: "n1", By: "dead", Taken: day}}
	o.Director.AsOf = day
	take(t, dead, o)

	look := func(after time.Duration, lives, counts, reports bool) {
		t.Helper()
		p := take(t, s, offer("z"))
		if got := len(p.Directors) == 2; got != lives {
			t.Errorf("after %v it is live: %v, want %v", after, got, lives)
		}
		if got := len(p.Absent) == 1 && p.Absent[0].ID == "dead" && p.Absent[0].AsOf.Equal(day); got != (!lives && reports) {
			t.Errorf("after %v it is absent: %v, want %v", after, got, !lives && reports)
		}
		if got := len(p.Counts["dead"]) > 0; got != counts {
			t.Errorf("after %v its counts are there: %v, want %v", after, got, counts)
		}
		if got := len(p.Reports) > 0; got != reports {
			t.Errorf("after %v its reports are there: %v, want %v", after, got, reports)
		}
	}
	const second = time.Second // distance from the end of a life, so that a coarse clock passes, too
	passed := time.Duration(0)
	until := func(d time.Duration) time.Duration {
		b.Advance(d - passed)
		passed = d
		return d
	}
	look(until(store.DirectorLife-second), true, true, true)
	look(until(store.DirectorLife+second), false, true, true)
	look(until(store.CountLife-second), false, true, true)
	look(until(store.CountLife+second), false, false, true)
	look(until(store.ReportLife-second), false, false, true)
	look(until(store.ReportLife+second), false, false, false)
}

func testLeft(t *testing.T, b *backend) {
	s, leaving := b.open(t), b.open(t)
	o := offer("gone", count("n1", 0, 4))
	take(t, leaving, o)
	o.Director.Left = true
	for who, p := range map[string]store.Picture{"itself": take(t, leaving, o), "another": take(t, s, offer("z"))} {
		if slices.ContainsFunc(p.Directors, func(d store.Director) bool { return d.ID == "gone" }) || len(p.Absent) != 1 || !p.Absent[0].Left {
			t.Errorf("to %s: live %v, absent %v", who, p.Directors, p.Absent)
		}
		if len(p.Counts["gone"]) != 1 {
			t.Errorf("to %s: the listeners that it sent are not on their way any more: %v", who, p.Counts)
		}
	}
}

func testRestartedDirector(t *testing.T, b *backend) {
	s := b.open(t)
	before := offer("d1-first", count("n1", 0, 4))
	take(t, s, before)
	after := offer("d1-second", count("n1", 0, 2))
	p := take(t, b.open(t), after)
	want := map[string][]store.Count{"d1-first": before.Counts, "d1-second": after.Counts}
	if diff := cmp.Diff(want, p.Counts, same); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	b.Advance(store.CountLife + time.Second)
	p = take(t, s, after)
	if diff := cmp.Diff(map[string][]store.Count{"d1-second": after.Counts}, p.Counts, same); diff != "" {
		t.Errorf("counts once the first run is past (-want +got):\n%s", diff)
	}
}

func testNewestReports(t *testing.T, b *backend) {
	report := func(by string, second, listeners int) *director.Report {
		return &director.Report{Node: "n1", By: by, Taken: day.Add(time.Duration(second) * time.Second), Health: director.Up,
			Listeners: listeners, Mounts: []director.MountReport{{Path: "/ü.mp3", Title: "<b>\x00"}}}
	}
	// An agent's report may reach the store through several directors.
	x, y := offer("x"), offer("y")
	x.Reports = []*director.Report{report("agent", 1, 10), report("x", 5, 50)}
	y.Reports = []*director.Report{report("agent", 2, 20), report("y", 4, 40)}
	take(t, b.open(t), x)
	p := take(t, b.open(t), y)
	want := []*director.Report{y.Reports[0], x.Reports[1], y.Reports[1]}
	byProber := cmpopts.SortSlices(func(a, b *director.Report) bool { return a.By < b.By })
	if diff := cmp.Diff(want, p.Reports, same, byProber); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

func testNamelessOffer(t *testing.T, b *backend) {
	if _, err := b.open(t).Sync(t.Context(), store.Offer{}); err == nil {
		t.Error("an offer without a director's id is taken")
	}
}

func testDoneContext(t *testing.T, b *backend) {
	s := b.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Sync(ctx, offer("a")); !errors.Is(err, store.ErrAway) {
		t.Errorf("Sync: %v, want ErrAway", err)
	}
	if _, err := s.Edit(ctx, 0, note(0, "x")); !errors.Is(err, store.ErrAway) {
		t.Errorf("Edit: %v, want ErrAway", err)
	}
}

func testClosed(t *testing.T, b *backend) {
	s := b.open(t)
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if _, err := s.Sync(t.Context(), offer("a")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Sync: %v, want ErrClosed", err)
	}
	if _, err := s.Edit(t.Context(), 0, note(0, "x")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Edit: %v, want ErrClosed", err)
	}
	if err := s.Close(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Close again: %v, want ErrClosed", err)
	}
}

func testEverythingAtOnce(t *testing.T, b *backend) {
	handles := []store.Store{b.open(t), b.open(t)}
	var wg sync.WaitGroup
	for i := range 6 {
		s := handles[i%len(handles)]
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			hints := s.Watch(ctx)
			seen := store.Revision(0)
			for n := range 30 {
				p, err := s.Sync(ctx, offer(fmt.Sprint("d", i), count("n1", n, 1)))
				if err != nil || p.Overlay.Revision < seen {
					t.Errorf("Sync: revision %d after %d, %v", p.Overlay.Revision, seen, err)
					return
				}
				seen = p.Overlay.Revision
				if _, err := s.Edit(ctx, seen, note(0, fmt.Sprint(i, n))); err != nil && !errors.Is(err, store.ErrConflict) {
					t.Errorf("Edit: %v", err)
				}
				select {
				case <-hints:
				default:
				}
			}
		})
	}
	wg.Wait()
}
