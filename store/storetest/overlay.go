package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// patience bounds how long a test waits for what should happen at once.
const patience = 2 * time.Minute

func testCompareAndSet(t *testing.T, b *backend) {
	first, second := b.open(t), b.open(t)
	stamp := store.Stamp{By: "anna", At: day, Why: "maintenance", Until: day.Add(time.Hour)}
	o := store.Overlay{
		Revision:  99, // ignored by Edit
		Rows:      map[director.RegionID]store.Row{"de": {Weights: map[director.NodeID]float64{"n1": 0.3, "n2": 70}, Stamp: stamp}},
		Nodes:     map[director.NodeID]store.NodeSetting{"n1": {State: store.NodeDrained, Stamp: stamp}},
		Overflows: map[director.RegionID]store.Overflow{"de": {Regions: []director.RegionID{"world", "at"}, Stamp: stamp}, "at": {Regions: []director.RegionID{}, Stamp: stamp}},
		Rules:     []store.Rule{{ID: "z", Rule: json.RawMessage(`{"agent":"a*"}`), Stamp: stamp}, {ID: "a", Rule: json.RawMessage(`[1]`), Stamp: stamp}},
		Notes:     []store.Note{{ID: "n", About: "nodes/n1", Text: "new \"disk\" <ü>\n", Stamp: stamp}},
	}
	o.History = []store.Change{{
		Revision: 1, By: "anna", At: day, Why: "maintenance", Undoes: 7, Unknown: map[string]json.RawMessage{"via": json.RawMessage(`"api"`)},
		Entries: []store.EntryChange{{Entry: "rules/z", Before: json.RawMessage(`{"id":"z"}`), Next: "a"}, {Entry: "rows/de", After: json.RawMessage(`{"x":[1]}`)}},
	}}
	edit(t, first, 0, o)
	o.Revision = 1
	for i, s := range []store.Store{first, second} {
		if diff := cmp.Diff(o, take(t, s, offer(fmt.Sprint(i))).Overlay, same); diff != "" {
			t.Errorf("overlay at handle %d (-want +got):\n%s", i, diff)
		}
	}
	for _, at := range []store.Revision{0, 2, 99} {
		rev, err := second.Edit(t.Context(), at, note(0, "stale"))
		if !errors.Is(err, store.ErrConflict) || rev != 1 {
			t.Errorf("Edit at %d: revision %d, %v; want 1 and ErrConflict", at, rev, err)
		}
	}
	edit(t, second, 1, note(0, "fresh"))
	if diff := cmp.Diff(note(2, "fresh"), take(t, first, offer("a")).Overlay, same); diff != "" {
		t.Errorf("overlay after the second edit (-want +got):\n%s", diff)
	}
}

func testConcurrentEdits(t *testing.T, b *backend) {
	const editors, each = 4, 10
	handles := []store.Store{b.open(t), b.open(t)}
	var wg sync.WaitGroup
	for e := range editors {
		s := handles[e%len(handles)]
		wg.Go(func() {
			for n := range each {
				for {
					p, err := s.Sync(t.Context(), offer(fmt.Sprint("d", e)))
					if err != nil {
						t.Errorf("Sync: %v", err)
						return
					}
					o := p.Overlay.Clone()
					o.Notes = append(o.Notes, store.Note{ID: fmt.Sprintf("%d-%d", e, n)})
					_, err = s.Edit(t.Context(), p.Overlay.Revision, o)
					if err == nil {
						break
					}
					if !errors.Is(err, store.ErrConflict) {
						t.Errorf("Edit: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	o := take(t, handles[0], offer("a")).Overlay
	if o.Revision != editors*each || len(o.Notes) != editors*each {
		t.Errorf("revision %d with %d notes, want %d of each", o.Revision, len(o.Notes), editors*each)
	}
}

func testRefill(t *testing.T, b *backend) {
	s, other := b.open(t), b.open(t)
	offering := func(o store.Overlay) store.Offer {
		out := offer("a")
		out.Overlay = o
		return out
	}
	steps := []struct {
		why           string
		offered, want store.Overlay
	}{
		{"the store is empty", note(5, "copy"), note(5, "copy")},
		{"the same again", note(5, "copy"), note(5, "copy")},
		{"the revision is equal: the store wins", note(5, "another"), note(5, "copy")},
		{"the offer is older", note(4, "old"), note(5, "copy")},
		{"the offer is empty", store.Overlay{}, note(5, "copy")},
		{"the offer is newer", note(8, "newer"), note(8, "newer")},
	}
	for _, step := range steps {
		if diff := cmp.Diff(step.want, take(t, s, offering(step.offered)).Overlay, same); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.why, diff)
		}
		if diff := cmp.Diff(step.want, take(t, other, offer("b")).Overlay, same); diff != "" {
			t.Errorf("%s, seen by another (-want +got):\n%s", step.why, diff)
		}
	}
	edit(t, other, 8, note(0, "edited"))
	if diff := cmp.Diff(note(9, "edited"), take(t, s, offering(note(8, "newer"))).Overlay, same); diff != "" {
		t.Errorf("an edit after the refill (-want +got):\n%s", diff)
	}
}

func testUnknownFields(t *testing.T, b *backend) {
	var o store.Overlay
	doc := `{"schema":1,"revision":3,"moods":[{"x":1}],
		"rows":{"de":{"weights":{"n1":1},"mode":"soft","by":"anna","at":"2026-03-01T12:00:00Z"}},
		"nodes":{"n1":{"state":"resting","depth":2,"by":"anna","at":"2026-03-01T12:00:00Z"}}}`
	if err := json.Unmarshal([]byte(doc), &o); err != nil {
		t.Fatal(err)
	}
	edit(t, b.open(t), 0, o)
	o.Revision = 1
	if diff := cmp.Diff(o, take(t, b.open(t), offer("a")).Overlay, same); diff != "" {
		t.Errorf("overlay (-want +got):\n%s", diff)
	}
	if string(o.Unknown["moods"]) != `[{"x":1}]` {
		t.Errorf("the unknown field reads %s", o.Unknown["moods"])
	}
}

func testEditOutlivesHandle(t *testing.T, b *backend) {
	s := b.open(t)
	edit(t, s, 0, note(0, "kept"))
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if diff := cmp.Diff(note(1, "kept"), take(t, b.open(t), offer("a")).Overlay, same); diff != "" {
		t.Errorf("overlay (-want +got):\n%s", diff)
	}
}

func testHints(t *testing.T, b *backend) {
	s, other := b.open(t), b.open(t)
	hints := s.Watch(t.Context())
	await := func(what string) {
		t.Helper()
		select {
		case _, open := <-hints:
			if !open {
				t.Fatal("the watch ended")
			}
		case <-time.After(patience):
			t.Fatalf("no hint of %s", what)
		}
	}
	edit(t, other, 0, note(0, "one"))
	await("an edit by another handle")
	for at := store.Revision(1); at < 5; at++ { // nobody receives meanwhile: edits must not block
		edit(t, other, at, note(0, "many"))
	}
	await("many edits")
	o := offer("b")
	o.Overlay = note(50, "refill")
	take(t, other, o)
	await("a refill")
}

func testWatchEnds(t *testing.T, b *backend) {
	s, other := b.open(t), b.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	byContext, byClose, goesOn := s.Watch(ctx), s.Watch(t.Context()), other.Watch(t.Context())
	ends := func(how string, hints <-chan struct{}) {
		t.Helper()
		late := time.After(patience)
		for {
			select {
			case _, open := <-hints:
				if !open {
					return
				}
			case <-late:
				t.Fatalf("the watch goes on after %s", how)
			}
		}
	}
	cancel()
	ends("its context is done", byContext)
	edit(t, s, 0, note(0, "x"))
	if _, open := <-byClose; !open {
		t.Error("the other watch ended, too")
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ends("the handle is closed", byClose)
	ends("it began on a closed handle", s.Watch(t.Context()))
	edit(t, other, 1, note(0, "y"))
	for range 2 { // the first hint may be of the previous edit
		select {
		case _, open := <-goesOn:
			if !open {
				t.Fatal("the watch of another handle ended, too")
			}
		default:
		}
	}
}

// testSpoilt does not prescribe what a store does with invalid data: it may fail or
// work, but a director that holds a copy must be able to repair it.
func testSpoilt(t *testing.T, b *backend) {
	if b.Spoil == nil {
		t.Skip("nothing can spoil this store")
	}
	s := b.open(t)
	edit(t, s, 0, note(0, "good"))
	held := take(t, s, offer("a")).Overlay
	b.Spoil(t)
	other := b.open(t)
	if p, err := other.Sync(t.Context(), offer("b")); err == nil && p.Overlay.Revision != 0 {
		if diff := cmp.Diff(held, p.Overlay, same); diff != "" {
			t.Errorf("rubbish became an overlay (-want +got):\n%s", diff)
		}
	}
	o := offer("a")
	o.Overlay = held
	if diff := cmp.Diff(held, take(t, s, o).Overlay, same); diff != "" {
		t.Errorf("after a director offered its copy (-want +got):\n%s", diff)
	}
	edit(t, other, 1, note(0, "better"))
	if diff := cmp.Diff(note(2, "better"), take(t, s, o).Overlay, same); diff != "" {
		t.Errorf("an edit after it was mended (-want +got):\n%s", diff)
	}
}
