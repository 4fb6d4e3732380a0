// Package output writes lines to a reader that may be slow, full or gone, and never makes
// the program wait for it.
package output

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"
)

const (
	// flushAfter is how long a line waits at most before it is written.
	flushAfter = 200 * time.Millisecond
	// batch is how many bytes are written at once, without waiting for flushAfter.
	batch = 64 << 10
	// bound is how many bytes are kept while they cannot be written. Lines beyond it are
	// dropped and counted.
	bound = 4 << 20
	// lastWrite is how long writing the last lines may take when the program ends: a pipe
	// that nobody reads would block for ever.
	lastWrite = time.Second
)

// A Writer accepts lines and writes them in the background: no call waits for a write, and
// none fails. Lines that cannot be written are dropped and counted. [Writer.Run] must run
// in a goroutine of its own. A Writer is safe for concurrent use.
type Writer struct {
	out  io.Writer
	full chan struct{}
	// News, if set before Run, is called with an error when writing begins to fail, and
	// with nil when it works again. dropped is how many lines were lost since it last
	// worked.
	News func(err error, dropped uint64)

	mu      sync.Mutex // guards what follows; not held while writing
	buf     []byte
	dropped uint64
	err     error // of the last write that ended
}

// New returns a Writer to out.
func New(out io.Writer) *Writer {
	return &Writer{out: out, full: make(chan struct{}, 1), buf: make([]byte, 0, 2*batch)}
}

// Append adds one line: line appends it, with its newline, to the slice that it is given.
func (w *Writer) Append(line func([]byte) []byte) {
	w.mu.Lock()
	if len(w.buf) >= bound {
		w.dropped++
		w.mu.Unlock()
		return
	}
	w.buf = line(w.buf)
	full := len(w.buf) >= batch
	w.mu.Unlock()
	if full {
		select {
		case w.full <- struct{}{}:
		default:
		}
	}
}

// Write adds the line p, which includes its newline. It always succeeds.
func (w *Writer) Write(p []byte) (int, error) {
	w.Append(func(b []byte) []byte { return append(b, p...) })
	return len(p), nil
}

// Dropped returns how many lines have been lost so far.
func (w *Writer) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Err returns the error of the last write that ended; nil: it succeeded, or none has ended.
// blocked reports that the buffer is full, since the write under way does not end.
func (w *Writer) Err() (err error, blocked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err, len(w.buf) >= bound
}

// Run writes lines until ctx is done. It then waits up to lastWrite for the rest to be
// written.
func (w *Writer) Run(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.write(ctx)
	}()
	<-ctx.Done()
	select {
	case <-ended:
	case <-time.After(lastWrite):
	}
	return nil
}

func (w *Writer) write(ctx context.Context) {
	tick := time.NewTicker(flushAfter)
	defer tick.Stop()
	spare := make([]byte, 0, 2*batch)
	told, torn := uint64(0), false
	for last := false; !last; {
		select {
		case <-ctx.Done():
			last = true
		case <-tick.C:
		case <-w.full:
		}
		w.mu.Lock()
		w.buf, spare = spare[:0], w.buf
		w.mu.Unlock()
		if len(spare) == 0 {
			continue
		}
		var err error
		if torn { // the part of a line that was written before becomes a line of its own
			_, err = w.out.Write([]byte{'\n'})
			torn = err != nil
		}
		n := 0
		if err == nil {
			n, err = w.out.Write(spare)
		}
		if n < len(spare) && n > 0 {
			torn = spare[n-1] != '\n'
		}
		w.mu.Lock()
		before := w.err
		w.err = err
		if err != nil {
			w.dropped += uint64(bytes.Count(spare[n:], []byte{'\n'}))
		}
		dropped := w.dropped - told
		w.mu.Unlock()
		if w.News != nil && ((err == nil) != (before == nil) || err == nil && dropped > 0) {
			if err == nil {
				told += dropped
			}
			w.News(err, dropped)
		}
		if cap(spare) > 8*batch {
			spare = make([]byte, 0, 2*batch)
		}
	}
}
