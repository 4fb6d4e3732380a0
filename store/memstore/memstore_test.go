package memstore_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/memstore"
	"github.com/signpost-fm/signpost/store/storetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Backend { return backend(t, "") })
}

func TestFile(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		path := filepath.Join(t.TempDir(), "overlay.json")
		b := backend(t, path)
		b.Spoil = func(t *testing.T) {
			if err := os.WriteFile(path, []byte(`{"schema":1,"revision":7,"notes`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return b
	})
}

// backend shares one store among all handles. A file is closed with the last
// of them and read again by the next; memory is kept by one more handle.
func backend(t *testing.T, path string) storetest.Backend {
	t.Helper()
	clock := &clock{now: noon}
	var mu sync.Mutex
	var handles []*memstore.Store
	open := func(t *testing.T) store.Store {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		for _, h := range handles {
			if joined, err := h.Join(); err == nil {
				handles = append(handles, joined)
				return joined
			}
		}
		s := mustOpen(t, memstore.Config{Path: path, Now: clock.Now})
		handles = append(handles, s)
		return s
	}
	if path == "" {
		open(t)
	}
	return storetest.Backend{Open: open, Advance: clock.Advance}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func mustOpen(t *testing.T, c memstore.Config) *memstore.Store {
	t.Helper()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := memstore.Open(c)
	return s
}

func overlayOf(t *testing.T, s store.Store) store.Overlay {
	t.Helper()
	p, err := s.Sync(t.Context(), store.Offer{Director: store.Director{ID: "reader"}})
	if err != nil {
		t.Fatalf("Sync: %v", err)
	}
	return p.Overlay
}

func edit(t *testing.T, s store.Store, at store.Revision, text string) {
	t.Helper()
	o := store.Overlay{Notes: []store.Note{{ID: "n", Text: text, Stamp: store.Stamp{By: "anna", At: noon}}}}
	if _, err := s.Edit(t.Context(), at, o); err != nil {
		t.Fatalf("Edit: %v", err)
	}
}

func TestDamagedFileIsSetAside(t *testing.T) {
	t.Parallel()
	good := `{"schema":1,"revision":3,"nodes":{"n1":{"state":"drained","by":"anna","at":"2026-03-01T12:00:00Z"}}}`
	for name, content := range map[string]string{
		"empty":        "",
		"torn":         good[:60],
		"zeros":        strings.Repeat("\x00", 512),
		"two at once":  good + good,
		"wrong type":   `[]`,
		"wrong values": `{"schema":1,"revision":"three"}`,
		"no schema":    `{"revision":3}`,
		"newer":        `{"schema":2,"revision":3}`,
		"no backup":    `{"overlay":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "overlay.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			s := mustOpen(t, memstore.Config{Path: path, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if got := overlayOf(t, s); got.Revision != 0 {
				t.Errorf("it was read as revision %d", got.Revision)
			}
			aside, _ := filepath.Glob(path + ".corrupt-*")
			if len(aside) != 1 {
				t.Fatalf("set aside: %v, want one file", aside)
			}
			if b, err := os.ReadFile(aside[0]); err != nil || string(b) != content {
				t.Errorf("the file that was set aside holds %q, %v; want %q", b, err, content)
			}
			if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), aside[0]) {
				t.Errorf("the log does not tell where it went:\n%s", &log)
			}
			edit(t, s, 0, "goes on")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got := overlayOf(t, mustOpen(t, memstore.Config{Path: path})); got.Revision != 1 {
				t.Errorf("after an edit and a restart: revision %d, want 1", got.Revision)
			}
		})
	}
}

// A file that cannot be used stops nobody: the store says why, refuses edits, and takes
// up the file once it can.
func TestUnusableFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name, "overlay.json") }
	for _, name := range []string{"locked", "dir/overlay.json", "fifo", "device", "lock"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	holder := mustOpen(t, memstore.Config{Path: in("locked")})
	kept := `{"schema":1,"revision":3}`
	err := errors.Join(
		syscall.Mkfifo(in("fifo"), 0o600), os.Symlink("/dev/zero", in("device")), syscall.Mkfifo(in("lock")+".lock", 0o600),
		os.WriteFile(filepath.Join(dir, "file"), nil, 0o600), os.WriteFile(in("lock"), []byte(kept), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, cause string
		mend        func() error
	}{
		{"locked", "another signpost process has it", holder.Close},
		{"dir", "is a directory", func() error { return os.Remove(in("dir")) }},
		{"file", "not a directory", func() error {
			return errors.Join(os.Remove(filepath.Join(dir, "file")), os.Mkdir(filepath.Join(dir, "file"), 0o700))
		}},
		{"fifo", "it is not a file", func() error { return os.Remove(in("fifo")) }},
		{"device", "it is not a file", func() error { return os.Remove(in("device")) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := mustOpen(t, memstore.Config{Path: in(tc.name)})
				if got := s.Trouble(); !strings.Contains(got, tc.cause) || !strings.Contains(got, in(tc.name)) {
					t.Errorf("told: %q", got)
				}
				if o := overlayOf(t, s); o.Revision != 0 {
					t.Errorf("read: %+v", o)
				}
				if _, err := s.Edit(t.Context(), 0, store.Overlay{}); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), tc.cause) {
					t.Errorf("an edit that cannot be kept: %v", err)
				}
				if err := tc.mend(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(6 * time.Second) // the bubble's clock
				if tc.name != "locked" {
					if err := os.WriteFile(in(tc.name), []byte(kept), 0o600); err != nil {
						t.Fatal(err)
					}
					if o := overlayOf(t, s); o.Revision != 3 {
						t.Errorf("what stands in the file has no effect: %+v", o)
					}
				}
				edit(t, s, overlayOf(t, s).Revision, "x")
				if got := s.Trouble(); got != "" {
					t.Errorf("it can be used, and says: %q", got)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
	t.Run("lock", func(t *testing.T) {
		t.Parallel()
		s := mustOpen(t, memstore.Config{Path: in("lock")}) // it waits for no reader of a FIFO
		if o := overlayOf(t, s); o.Revision != 3 && s.Trouble() == "" {
			t.Errorf("neither read nor told: %+v", o)
		}
	})
}

// A file that has no end, or more than any overlay, is set aside; what a killed process
// has left is removed, and nothing else.
func TestWhatLiesAbout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "overlay.json")
	large, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(large.Truncate(300<<20), large.Close()); err != nil { // sparse
		t.Fatal(err)
	}
	for _, name := range []string{".overlay.json.tmp-123", ".overlay.json.tmp-456", ".other.json.tmp-1", "overlay.json.tmp-1"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, memstore.Config{Path: path})
	if got := s.Trouble(); !strings.Contains(got, "was set aside as "+path+".corrupt-") {
		t.Errorf("told: %q", got)
	}
	edit(t, s, 0, "goes on")
	var names []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name, _, _ := strings.Cut(e.Name(), "corrupt-"); e.Name() != name {
			names = append(names, name)
		} else {
			names = append(names, e.Name())
		}
	}
	if diff := cmp.Diff([]string{".other.json.tmp-1", "overlay.json", "overlay.json.", "overlay.json.lock", "overlay.json.tmp-1"}, names); err != nil || diff != "" {
		t.Errorf("files (-want +got):\n%s (%v)", diff, err)
	}
}

func TestLockEndsWithTheStore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "overlay.json")
	s := mustOpen(t, memstore.Config{Path: path})
	edit(t, s, 0, "x")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := overlayOf(t, mustOpen(t, memstore.Config{Path: path})); got.Revision != 1 {
		t.Errorf("revision %d, want 1", got.Revision)
	}
}

// An edit that did not reach the disk is not acknowledged, and changes nothing.
func TestEditThatCannotBeSaved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, memstore.Config{Path: filepath.Join(dir, "overlay.json")})
	edit(t, s, 0, "before")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	_, err := s.Edit(t.Context(), 1, store.Overlay{})
	if !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Edit: %v, want ErrAway and the path", err)
	}
	if o := overlayOf(t, s); o.Revision != 1 || o.Notes[0].Text != "before" {
		t.Errorf("the failed edit changed the overlay: %+v", o)
	}
	offered := store.Offer{Director: store.Director{ID: "a"}, Overlay: store.Overlay{Revision: 9}}
	if _, err := s.Sync(t.Context(), offered); !errors.Is(err, store.ErrAway) {
		t.Errorf("a refill that cannot be saved: %v, want ErrAway", err)
	}
}

// Nothing but the overlay, its lock and what was set aside lies about.
func TestNoLitter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, memstore.Config{Path: filepath.Join(dir, "overlay.json")})
	for at := range store.Revision(5) {
		edit(t, s, at, "x")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"overlay.json", "overlay.json.lock"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// While the clock is set back, directors that died must not live on until it
// has caught up.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	clock := &clock{now: noon}
	s := mustOpen(t, memstore.Config{Now: clock.Now})
	offer := func(id string) store.Picture {
		p, err := s.Sync(t.Context(), store.Offer{Director: store.Director{ID: id}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	offer("dead")
	clock.Advance(-time.Hour)
	if got := len(offer("a").Directors); got != 2 {
		t.Errorf("%d live directors as the clock steps, want 2", got)
	}
	clock.Advance(store.DirectorLife + 1)
	if got := len(offer("a").Directors); got != 1 {
		t.Errorf("%d live directors after a director's life, want 1", got)
	}
}

// A file changes hands: until one process releases it, the other obeys what it holds and
// refuses edits; no edit is lost between them.
func TestFileChangesHands(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "overlay.json")
	before := mustOpen(t, memstore.Config{Path: path})
	edit(t, before, 0, "first")
	next := mustOpen(t, memstore.Config{Path: path})
	if o := overlayOf(t, next); o.Revision != 1 {
		t.Errorf("what stands in the file has no effect: %+v", o)
	}
	if _, err := next.Edit(t.Context(), 1, store.Overlay{}); !errors.Is(err, store.ErrAway) {
		t.Errorf("an edit by who does not hold the file: %v", err)
	}
	edit(t, before, 1, "last")
	if err := before.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := before.Edit(t.Context(), 2, store.Overlay{}); !errors.Is(err, store.ErrAway) {
		t.Errorf("an edit by who has released the file: %v", err)
	}
	next.Claim()
	if o, trouble := overlayOf(t, next), next.Trouble(); o.Revision != 2 || trouble != "" {
		t.Errorf("after the claim: %+v, %q", o, trouble)
	}
	edit(t, next, 2, "goes on")
}
