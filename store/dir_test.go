package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/storetest"
)

func TestDir(t *testing.T) {
	t.Parallel()
	storetest.RunFiles(t, func(t *testing.T) [2]store.Files {
		d := store.OpenDir(filepath.Join(t.TempDir(), "not", "yet"))
		return [2]store.Files{d, d}
	})
}

// Private keys are among the files.
func TestDirIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "files")
	if err := store.OpenDir(dir).WriteFile(t.Context(), "a/key", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "a"), filepath.Join(dir, "a", "key")} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v: others may read it", path, info.Mode(), err)
		}
	}
}

// What others put into the directory is refused, and does not hold anybody up.
func TestDirWithOddFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := store.OpenDir(dir)
	if err := errors.Join(
		syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600), os.Mkdir(filepath.Join(dir, "directory"), 0o700),
		os.WriteFile(filepath.Join(dir, "large"), make([]byte, store.MaxFileSize+1), 0o600), os.WriteFile(filepath.Join(dir, ".tmp-1"), nil, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fifo", "directory", "large"} {
		if b, err := d.ReadFile(t.Context(), name); !errors.Is(err, store.ErrAway) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	if names, err := d.FileNames(t.Context()); err != nil || len(names) != 1 {
		t.Errorf("names %q, %v; one is a file", names, err)
	}
}
