package geo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"time"
)

// A file is a database in a file, as it was when last tried.
type file struct {
	path   string
	tried  fs.FileInfo // nil: it was not there
	index  *index
	source Source
}

// errChanging means that a file was written to while it was read.
var errChanging = errors.New("the file is being written: wait until it is complete")

// changed tells whether the file is another than the one last tried.
func (f *file) changed() bool {
	now, err := os.Stat(f.path)
	if err != nil {
		return f.tried != nil
	}
	return !same(now, f.tried)
}

// same tells whether two looks at a path saw the same file with the same content.
func same(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// load reads and compiles the file. If it cannot be used, what f holds remains.
// Success is logged as msg.
func (f *file) load(log *slog.Logger, msg string) error {
	begun := time.Now()
	data, info, err := read(f.path)
	if !errors.Is(err, errChanging) {
		f.tried = info
	}
	if err != nil {
		return fmt.Errorf("geo database %s: %w", f.path, err)
	}
	r, err := openDatabase(data)
	if err != nil {
		return fmt.Errorf("geo database %s: %w", f.path, err)
	}
	defer r.Close()
	ix, err := compile(r)
	if err != nil {
		return fmt.Errorf("geo database %s (%s): %w", f.path, r.Metadata.DatabaseType, err)
	}
	before := f.source.Built
	f.index, f.source = ix, describe(r, Source{Path: f.path})
	args := []any{"path", f.path, "type", f.source.Type, "built", f.source.Built.Format(time.DateOnly),
		"places", len(ix.places) - 1, "kib", ix.bytes() >> 10, "took", time.Since(begun).Round(time.Millisecond)}
	if !before.IsZero() {
		args = append(args, "built_before", before.Format(time.DateOnly))
	}
	log.Info(msg, args...)
	return nil
}

// read returns the whole content of a regular file, and which file it was. It is
// read, not mapped: a mapped file that is truncated takes the process with it.
func read(path string) ([]byte, fs.FileInfo, error) {
	before, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: check the path, or download the database", err)
	}
	if !before.Mode().IsRegular() { // opening a pipe would block
		return nil, before, errors.New("it is not a file: give the path of an .mmdb file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, before, fmt.Errorf("%w: make it readable for this process", err)
	}
	defer f.Close()
	data := make([]byte, before.Size())
	if _, err := io.ReadFull(f, data); errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) && len(data) > 0 {
		return nil, nil, errChanging
	} else if err != nil && !errors.Is(err, io.EOF) {
		return nil, before, err
	}
	if after, err := os.Stat(path); err != nil || !same(before, after) {
		return nil, nil, errChanging
	}
	return data, before, nil
}

// publish puts what the files hold in use, all at once.
func (l *Locator) publish() {
	s := new(set)
	for _, f := range l.files {
		s.indexes, s.sources = append(s.indexes, f.index), append(s.sources, f.source)
	}
	l.current.Store(s)
	// Compiling a city database takes several times the memory that the index
	// keeps. It is given back at once, for the next need of it is days away.
	debug.FreeOSMemory()
}
