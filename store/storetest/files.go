package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/store"
)

// RunFiles is the suite for [store.Files]. start sets up files of their own for each
// test, and returns handles on them for two directors.
func RunFiles(t *testing.T, start func(t *testing.T) [2]store.Files) {
	for name, test := range map[string]func(*testing.T, [2]store.Files){
		"written, replaced, removed": testFiles,
		"names":                      testFileNames,
		"a lease":                    testLease,
		"one holder of many":         testLeaseRace,
		"mistakes":                   testFileMistakes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

func testFiles(t *testing.T, handles [2]store.Files) {
	ctx, one, other := t.Context(), handles[0], handles[1]
	if _, err := one.ReadFile(ctx, "a/b.pem"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that nobody wrote: %v", err)
	}
	for _, content := range [][]byte{[]byte("first"), {0, 0xff, '\n', '\r'}, {}, bytes.Repeat([]byte("x"), store.MaxFileSize)} {
		if err := one.WriteFile(ctx, "a/b.pem", content); err != nil {
			t.Fatal(err)
		}
		if got, err := other.ReadFile(ctx, "a/b.pem"); err != nil || !bytes.Equal(got, content) {
			t.Errorf("read %.20q of %d bytes, %v; %.20q was written", got, len(got), err, content)
		}
	}
	for range 2 { // what is not there is removed
		if err := other.RemoveFile(ctx, "a/b.pem"); err != nil {
			t.Error(err)
		}
	}
	if _, err := one.ReadFile(ctx, "a/b.pem"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that was removed: %v", err)
	}
}

func testFileNames(t *testing.T, handles [2]store.Files) {
	ctx := t.Context()
	if names, err := handles[0].FileNames(ctx); err != nil || len(names) != 0 {
		t.Errorf("without files: %q, %v", names, err)
	}
	want := []string{"a", "b/c", "b/d@e.example/f_g-h.json"}
	for _, name := range want {
		if err := handles[0].WriteFile(ctx, name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := handles[1].FileNames(ctx); err != nil || !slices.Equal(names, want) {
		t.Errorf("names %q, %v", names, err)
	}
}

func testLease(t *testing.T, handles [2]store.Files) {
	claim := func(handle int, holder string, d time.Duration, want bool) {
		t.Helper()
		if got, err := handles[handle].Claim(t.Context(), "issue_radio.example", holder, d); err != nil || got != want {
			t.Errorf("claim by %s for %v: %v, %v", holder, d, got, err)
		}
	}
	claim(0, "anna", time.Hour, true)
	claim(1, "bob", time.Hour, false)
	claim(1, "bob", 0, false) // nobody ends the lease of another
	claim(1, "anna", time.Hour, true)
	claim(0, "anna", 0, true)
	claim(0, "anna", 0, true)
	claim(1, "bob", 100*time.Millisecond, true) // and Bob dies
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got, err := handles[0].Claim(t.Context(), "issue_radio.example", "anna", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if got {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the lease of a holder who died was not given to another within %v", patience)
		}
	}
	claim(1, "bob", time.Hour, false)
}

func testLeaseRace(t *testing.T, handles [2]store.Files) {
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if ok, err := handles[i%len(handles)].Claim(t.Context(), "race", fmt.Sprint("holder ", i), time.Hour); err != nil {
				t.Error(err)
			} else if ok {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 40 hold one lease", won.Load())
	}
}

func testFileMistakes(t *testing.T, handles [2]store.Files) {
	ctx, f := t.Context(), handles[0]
	for _, name := range []string{"", "/a", "a/", "../a", "a/../b", "a//b", ".hidden", "a/.b", "a b", "a\x00b", strings.Repeat("a", 201)} {
		_, err := f.ReadFile(ctx, name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read %q: %v", name, err)
		}
		if err := errors.Join(f.WriteFile(ctx, name, nil)); err == nil {
			t.Errorf("%q was written", name)
		}
		if err := f.RemoveFile(ctx, name); err == nil {
			t.Errorf("%q was removed", name)
		}
	}
	if err := f.WriteFile(ctx, "large", make([]byte, store.MaxFileSize+1)); err == nil || errors.Is(err, store.ErrAway) {
		t.Errorf("a file that is too large: %v", err)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.ReadFile(done, "a"); err == nil {
		t.Error("a file that is not there was read")
	}
}
