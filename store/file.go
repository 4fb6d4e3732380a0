package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/signpost-fm/signpost/director/wording"
)

const (
	// maxFile bounds what is read of an overlay's file, in bytes: eight times what a
	// store accepts, to allow for indentation.
	maxFile = 32 << 20
	// retryFile is the shortest time between two attempts to open a file.
	retryFile = 5 * time.Second
)

// A File keeps an overlay on disk, as JSON for people to read. One process at a
// time holds it, by a lock file beside it, which is never removed. While it cannot
// be opened, [File.Trouble] says why and [File.Retry] tries again. It is safe for
// concurrent use.
type File struct {
	path string
	log  *slog.Logger

	opened  atomic.Bool
	trouble atomic.Pointer[string] // nil: none

	mu     sync.Mutex // guards what follows; also held during disk I/O
	lock   *os.File   // nil: it is not open
	err    error      // why it is not open
	tried  time.Time  // the last attempt to open it
	closed bool
}

// OpenFile locks the file at path and returns the overlay in it, or an empty one if
// there is no file yet. It creates the file's directory. It also reads a saved
// answer of GET /api/v1/overlay, so that such an answer serves as a backup.
//
// A file that is damaged or too large, or that a newer Signpost wrote, is renamed
// to path.corrupt-<time>; the overlay is then empty. If another process has locked the
// file, OpenFile returns the overlay in it all the same. Then, and if the file cannot be
// read or locked, [File.Retry] tries again. All these cases are logged, and reported by
// [File.Trouble].
func OpenFile(path string, log *slog.Logger) (*File, Overlay) {
	f := &File{path: path, log: log}
	f.mu.Lock()
	defer f.mu.Unlock()
	o, err := f.open()
	switch {
	case errors.Is(err, errLocked):
		o = f.peek()
		log.Warn("another process has the file of operators' changes: its content applies, and edits are refused until it can be locked", "err", err, "revision", o.Revision)
	case err != nil:
		log.Error("the file of operators' changes cannot be used; it is tried again, and until then what is in it has no effect", "err", err)
	}
	return f, o
}

// open locks and reads the file. f.mu is held.
func (f *File) open() (o Overlay, err error) {
	f.tried = time.Now()
	f.trouble.Store(nil)
	if f.lock, err = lockFile(f.path + ".lock"); err == nil {
		f.sweep()
		if o, err = f.load(); err != nil {
			err = errors.Join(err, f.lock.Close())
			f.lock = nil
		}
	}
	if f.err = err; err != nil {
		f.err = fmt.Errorf("file of operators' changes %s: %w", f.path, err)
		f.tell(wording.Text(f.err))
		return o, f.err
	}
	f.opened.Store(true)
	return o, nil
}

// errLocked says that another process holds the lock.
var errLocked = errors.New("another signpost process has it")

// peek returns the overlay in a file that another process holds, as far as it can be read.
func (f *File) peek() Overlay {
	o, err := ReadOverlay(f.path)
	if err != nil {
		return Overlay{}
	}
	return o
}

// ReadOverlay reads the overlay in a file as it is now, without a lock, and changes
// nothing. If there is no file, the overlay is empty.
func ReadOverlay(path string) (Overlay, error) {
	b, damage, err := readFile(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Overlay{}, nil
	}
	if err = errors.Join(err, damage); err != nil {
		return Overlay{}, err
	}
	return decode(b)
}

func decode(b []byte) (o Overlay, err error) {
	var dense bytes.Buffer // without the file's indentation, which raw JSON values would keep
	if err := json.Compact(&dense, b); err != nil {
		return Overlay{}, err
	}
	if err := json.Unmarshal(unwrapped(dense.Bytes()), &o); err != nil {
		return Overlay{}, err
	}
	return o, nil
}

// Claim lets the next [File.Retry] try at once, whenever the last attempt was: whoever
// held the file has released it.
func (f *File) Claim() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tried = time.Time{}
}

func (f *File) tell(trouble string) { f.trouble.Store(&trouble) }

// Retry tries again to open a file that could not be opened, if retryFile has
// passed since the last attempt. If opened is true, o is the overlay in the file.
func (f *File) Retry() (o Overlay, opened bool) {
	if f.opened.Load() {
		return o, false // without waiting for the disk
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock != nil || f.closed || time.Since(f.tried) < retryFile {
		return o, false
	}
	o, err := f.open()
	if err != nil {
		return o, false
	}
	f.log.Info("the file of operators' changes can be used again", "path", f.path, "revision", o.Revision)
	return o, true
}

// Trouble says what is wrong with the file and what the consequence is; empty:
// nothing is wrong. It does not wait for the disk.
func (f *File) Trouble() string {
	if t := f.trouble.Load(); t != nil {
		return *t
	}
	return ""
}

// sweep removes temporary files left by a process that was killed while it saved.
// f.mu is held.
func (f *File) sweep() {
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(f.path), f.temporary())) // the pattern is valid
	for _, name := range left {
		_ = os.Remove(name) // the next start tries again
	}
}

func (f *File) temporary() string { return "." + filepath.Base(f.path) + ".tmp-*" }

func (f *File) load() (Overlay, error) {
	b, damage, err := readFile(f.path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Overlay{}, nil
	case err != nil:
		return Overlay{}, fmt.Errorf("%w; make it a file that user %d can read and write, or move it away to begin with none of the operators' changes", cause(err), os.Getuid())
	}
	if damage == nil {
		var o Overlay
		if o, damage = decode(b); damage == nil {
			return o, nil
		}
	}
	aside := f.path + ".corrupt-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(f.path, aside); err != nil {
		return Overlay{}, fmt.Errorf("it is damaged (%w) and cannot be set aside: %w; move it away by hand", damage, cause(err))
	}
	info, _ := os.Stat(aside) // nil: it is not told how large it is
	lost := lostIn(b, info)
	f.tell("the file of operators' changes could not be used and was set aside as " + aside + ": the operators' changes in it are lost unless a store has them; mend it and move it back while signpost is stopped, or make them again: " + lost)
	f.log.Error("the file of operators' changes cannot be used and was set aside; starting with none. Mend it, stop signpost and move it back, or make the changes again",
		"path", f.path, "set_aside", aside, "err", damage, "lost", lost)
	return Overlay{}, syncDir(filepath.Dir(f.path))
}

// readFile reads a regular file. It does not block on a FIFO, and does not read an
// endless device. damage says that the file is larger than most, in bytes.
func readFile(path string, most int64) (b []byte, damage, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case info.IsDir():
		return nil, nil, syscall.EISDIR
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("it is not a file but of the kind %s", info.Mode().Type())
	}
	b, err = io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(b)) > most {
		damage = fmt.Errorf("it has more than %d KB", most>>10)
	}
	return b, damage, err
}

// unwrapped returns the overlay inside an answer of the API; other input it returns
// unchanged.
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

// Save replaces the overlay on disk. When it returns nil, o survives a power cut;
// when it fails, the file holds either the old overlay or the new one, complete.
func (f *File) Save(o Overlay) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return f.err
	}
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return fmt.Errorf("save file of operators' changes %s: %w", f.path, err)
	}
	if err := replaceFile(f.path, f.temporary(), append(b, '\n')); err != nil {
		return fmt.Errorf("save file of operators' changes %s: %w; free space or make its directory writable", f.path, cause(err))
	}
	return nil
}

// replaceFile replaces a file as a whole, and durably. temporary is the pattern of the
// name of the file that is written first.
func replaceFile(path, temporary string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), temporary)
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// Close releases the lock. [File.Save] fails afterwards.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed, f.err = true, fmt.Errorf("file of operators' changes %s: %w", f.path, ErrClosed)
	if f.lock == nil {
		return nil
	}
	err := f.lock.Close()
	f.lock = nil
	return err
}

// lockFile takes an exclusive lock, which is released however the process ends.
func lockFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("the directory %s cannot be made: %w; create it, writable for user %d", filepath.Dir(path), cause(err), os.Getuid())
	}
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot create its lock %s: %w; make the directory writable for user %d", path, cause(err), os.Getuid())
	}
	switch err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("%w (it holds the lock %s); stop that one, or give this one a path of its own", errLocked, path), lock.Close())
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

// cause strips the operation and path from an error; the caller's message has them.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
