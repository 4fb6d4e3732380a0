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

// A file is a database or a geofeed on disk, as of the last attempt to load it.
type file struct {
	path   string
	feed   bool        // it is a geofeed
	tried  fs.FileInfo // at the last attempt; nil: it did not exist
	seen   fs.FileInfo // at the last look; nil: it did not exist
	since  time.Time   // since when it has been as in seen
	index  *index
	source Source
}

// errChanging means that a file changed while it was read.
var errChanging = errors.New("the file is being written: wait until it is complete")

// look checks the file. changed reports whether it differs from the one last tried.
// settled reports whether it has not changed for the given time: until then it may be
// half written. The file's modification time would not tell: it comes from another
// clock, which ticks slowly, and may be set to the past.
func (f *file) look(settle time.Duration) (changed, settled bool) {
	now, err := os.Stat(f.path)
	if err != nil {
		now = nil
	}
	if !same(now, f.seen) {
		f.seen, f.since = now, time.Now()
	}
	return !same(f.seen, f.tried), time.Since(f.since) >= settle
}

// same reports whether two looks at a path saw the same file with the same size and
// modification time, or both saw none.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// load reads and compiles the file as last seen. If it cannot be used, f keeps its index.
// Success is logged as msg.
func (f *file) load(log *slog.Logger, msg string) error {
	begun := time.Now()
	data, err := read(f.path, f.seen)
	if !errors.Is(err, errChanging) {
		f.tried = f.seen
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	ix, source, err := f.compile(data)
	if err != nil && source.Type != "" {
		return fmt.Errorf("%s (%s): %w", f, source.Type, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	before := f.source.Built
	f.index, f.source = ix, source
	args := []any{"file", f.path, "type", f.source.Type, "built", f.source.Built.Format(time.DateOnly),
		"places", len(ix.places) - 1, "kib", ix.bytes() >> 10, "took", time.Since(begun).Round(time.Millisecond)}
	if !before.IsZero() {
		args = append(args, "built_before", before.Format(time.DateOnly))
	}
	log.Info(f.kind()+" "+msg, args...)
	return nil
}

func (f *file) kind() string {
	if f.feed {
		return "geo feed"
	}
	return "geo database"
}

// String names the file for messages.
func (f *file) String() string { return f.kind() + " " + f.path }

// Check returns an error that says why a file cannot be used as a database or a geofeed.
func Check(path string, feed bool) error {
	f := file{path: path, feed: feed}
	f.look(0)
	data, err := read(path, f.seen)
	if err == nil {
		_, _, err = f.compile(data)
	}
	debug.FreeOSMemory() // as publish does
	return err
}

// compile builds an index from the file's content.
func (f *file) compile(data []byte) (*index, Source, error) {
	if f.feed {
		ix, err := compileFeed(data)
		if err != nil {
			return nil, Source{}, err
		}
		return ix, Source{Path: f.path, Type: "geofeed", Built: f.seen.ModTime().UTC()}, nil
	}
	r, err := openDatabase(data)
	if err != nil {
		return nil, Source{}, err
	}
	defer r.Close()
	ix, err := compile(r)
	return ix, describe(r, Source{Path: f.path}), err
}

// read returns the content of the file that was seen at path, or errChanging if the file
// has changed since then or changes while it is read. It is read, not mapped: truncating
// a mapped file would crash the process.
func read(path string, seen fs.FileInfo) ([]byte, error) {
	if seen == nil {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: check the path, or download the database", err)
		}
		return nil, errChanging
	}
	if !seen.Mode().IsRegular() { // opening a pipe would block
		return nil, errors.New("it is not a file: give the path of an .mmdb file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: make it readable for this process", err)
	}
	defer f.Close()
	data := make([]byte, seen.Size())
	switch _, err := io.ReadFull(f, data); {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, errChanging
	case err != nil:
		return nil, err
	}
	if after, err := os.Stat(path); err != nil || !same(seen, after) {
		return nil, errChanging
	}
	return data, nil
}

// publish puts the indexes of all files in use at once. Without a database, the
// embedded one is used.
func (l *Locator) publish() error {
	var layers []layer
	if l.corrections.index != nil {
		layers = append(layers, l.corrections)
	}
	databases := 0
	for _, f := range l.files {
		if f.index != nil {
			layers = append(layers, layer{f.index, f.source, f.feed})
		}
		if f.index != nil && !f.feed {
			databases++
		}
	}
	if databases == 0 {
		if l.fallback.index == nil {
			var err error
			if l.fallback, err = l.embedded(); err != nil {
				return err
			}
		}
		layers = append(layers, l.fallback)
	} else {
		l.fallback = layer{}
	}
	l.current.Store(&layers)
	l.edition.Store(editions.Add(1))
	// Compiling a city database takes several times the memory that the index
	// keeps. Return it to the system at once: it is next needed in days.
	debug.FreeOSMemory()
	return nil
}
