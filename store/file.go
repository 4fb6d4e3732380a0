package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A File keeps an overlay on disk, as JSON for people to read. One process at a
// time has it: a lock file beside it, which stays, sees to that.
type File struct {
	path string
	lock *os.File
}

// OpenFile locks the file at path and reads the overlay in it; where there is no
// file yet, an empty one. What GET /api/v1/overlay has answered is read as well, so
// that it is a backup. The file's directory must exist.
//
// A file that is damaged, or that a newer Signpost wrote, is renamed to
// path.corrupt-<time>, and an error is logged that says so; then the overlay is
// empty. Everything else is an error: the file or its directory cannot be read
// or written, or another process has it.
func OpenFile(path string, log *slog.Logger) (*File, Overlay, error) {
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, Overlay{}, fmt.Errorf("overlay file %s: %w", path, err)
	}
	f := &File{path: path, lock: lock}
	o, err := f.load(log)
	if err != nil {
		return nil, Overlay{}, errors.Join(fmt.Errorf("overlay file %s: %w", path, err), f.Close())
	}
	return f, o, nil
}

func (f *File) load(log *slog.Logger) (Overlay, error) {
	b, err := os.ReadFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Overlay{}, nil
	case err != nil:
		return Overlay{}, fmt.Errorf("%w; make it a file that user %d can read and write, or move it away to begin with an empty overlay", cause(err), os.Getuid())
	}
	var o Overlay
	var dense bytes.Buffer // what is kept as raw JSON must not keep the file's indentation
	damage := json.Compact(&dense, b)
	if damage == nil {
		damage = json.Unmarshal(unwrapped(dense.Bytes()), &o)
	}
	if damage == nil {
		return o, nil
	}
	aside := f.path + ".corrupt-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(f.path, aside); err != nil {
		return Overlay{}, fmt.Errorf("it is damaged (%w) and cannot be set aside: %w; move it away by hand", damage, cause(err))
	}
	log.Error("the overlay file cannot be used and was set aside; starting with an empty overlay. Mend it, stop signpost and move it back, or make the changes again",
		"file", f.path, "set_aside", aside, "err", damage)
	return Overlay{}, syncDir(filepath.Dir(f.path))
}

// unwrapped takes the overlay out of an answer of the API.
func unwrapped(b []byte) []byte {
	var answer struct {
		Schema  json.RawMessage `json:"schema"`
		Overlay json.RawMessage `json:"overlay"`
	}
	if json.Unmarshal(b, &answer) == nil && answer.Schema == nil && answer.Overlay != nil {
		return answer.Overlay
	}
	return b
}

// Save replaces the overlay on disk. When it returns nil, o survives a power
// cut; when it fails, the file holds the old overlay or the new one, whole. It
// is not safe for concurrent use.
func (f *File) Save(o Overlay) error {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return fmt.Errorf("save overlay file %s: %w", f.path, err)
	}
	if err := f.write(append(b, '\n')); err != nil {
		return fmt.Errorf("save overlay file %s: %w; free space or make its directory writable", f.path, cause(err))
	}
	return nil
}

func (f *File) write(b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".tmp-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(filepath.Dir(f.path))
}

// Close releases the lock. The file must not be saved to afterwards.
func (f *File) Close() error { return f.lock.Close() }

// lockFile takes an exclusive lock that ends with the process, however it ends.
func lockFile(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the directory %s does not exist; create it, writable for user %d", filepath.Dir(path), os.Getuid())
	}
	if err != nil {
		return nil, fmt.Errorf("cannot create its lock %s: %w; make the directory writable for user %d", path, cause(err), os.Getuid())
	}
	switch err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("another signpost process has it (it holds the lock %s); stop that one, or give this one a path of its own", path), lock.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("cannot lock %s: %w; use a file system with locks", path, err), lock.Close())
	}
	return lock, nil
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// cause takes the operation and path off an error that is about to name them.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
