package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Dir keeps [Files] in a directory that belongs to this process alone: those of a
// director without a shared store, or its own copy of shared ones. Only the process's
// user may read them. Leases are kept in memory.
type Dir struct {
	path string

	mu     sync.Mutex // guards leases, and is held while a file is replaced
	leases map[string]lease
}

type lease struct {
	holder string
	until  time.Time
}

// OpenDir returns the files in a directory, which need not exist yet.
func OpenDir(path string) *Dir { return &Dir{path: path, leases: map[string]lease{}} }

// temporary is the pattern of files that are not complete yet. No file is named like it.
const temporary = ".tmp-*"

// ReadFile implements [Files].
func (d *Dir) ReadFile(_ context.Context, name string) ([]byte, error) {
	if err := CheckFile(name, nil); err != nil {
		return nil, err
	}
	b, damage, err := readFile(filepath.Join(d.path, name), MaxFileSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	case errors.Join(err, damage) != nil:
		return nil, fmt.Errorf("%w: read %s: %w", ErrAway, filepath.Join(d.path, name), errors.Join(cause(err), damage))
	}
	return b, nil
}

// WriteFile implements [Files]. A file survives a power cut.
func (d *Dir) WriteFile(_ context.Context, name string, content []byte) error {
	if err := CheckFile(name, content); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	path := filepath.Join(d.path, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = replaceFile(path, temporary, content)
	}
	if err != nil {
		return fmt.Errorf("%w: write %s: %w; free space or make its directory writable", ErrAway, path, cause(err))
	}
	return nil
}

// RemoveFile implements [Files].
func (d *Dir) RemoveFile(_ context.Context, name string) error {
	if err := CheckFile(name, nil); err != nil {
		return err
	}
	path := filepath.Join(d.path, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: remove %s: %w", ErrAway, path, cause(err))
	}
	return nil
}

// FileNames implements [Files].
func (d *Dir) FileNames(context.Context) ([]string, error) {
	var names []string
	err := filepath.WalkDir(d.path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		rel, err := filepath.Rel(d.path, path)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: read %s: %w", ErrAway, d.path, cause(err))
	}
	slices.Sort(names)
	return names, nil
}

// Claim implements [Files].
func (d *Dir) Claim(_ context.Context, name, holder string, length time.Duration) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if held := d.leases[name]; held.holder != holder && now.Before(held.until) {
		return false, nil
	}
	d.leases[name] = lease{holder, now.Add(length)}
	if length <= 0 {
		delete(d.leases, name)
	}
	return true, nil
}
