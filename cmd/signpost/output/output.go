// Package output writes lines for readers who may be slow, full or gone, and never lets
// the program wait for them.
package output

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"
)

const (
	// flushAfter is how long a line may wait to be written.
	flushAfter = 200 * time.Millisecond
	// batch is how many bytes are written without waiting.
	batch = 64 << 10
	// bound is how many bytes are kept while they cannot be written. Beyond it lines are
	// dropped and counted.
	bound = 4 << 20
	// lastWrite is how long the last lines may take once the program ends: a pipe that
	// nobody reads takes for ever.
	lastWrite = time.Second
)

// A Writer takes lines and writes them in the background: no call waits, and none fails.
// Lines that cannot be written are dropped and counted. [Writer.Run] must run beside it.
// It is safe for concurrent use.
type Writer struct {
	out  io.Writer
	full chan struct{}
	// News is called, if it is set before Run, when writing begins to fail, and with nil
	// when it works again. dropped are the lines lost since it last worked.
	News func(err error, dropped uint64)

	mu      sync.Mutex // guards what follows; not held while writing
	buf     []byte
	dropped uint64
	err     error // of the newest write
}

// New returns a Writer to out.
func New(out io.Writer) *Writer {
	return &Writer{out: out, full: make(chan struct{}, 1), buf: make([]byte, 0, 2*batch)}
}

// Append adds the line, with its newline, that line appends to what it is given.
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

// Write adds a line, which p is with its newline. It always succeeds.
func (w *Writer) Write(p []byte) (int, error) {
	w.Append(func(b []byte) []byte { return append(b, p...) })
	return len(p), nil
}

// Dropped returns how many lines were lost so far.
func (w *Writer) Dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Err returns why the newest write failed; nil: it did not, or has not ended. blocked says
// that it has not ended although more lines wait than are kept.
func (w *Writer) Err() (err error, blocked bool) { //nolint:revive // the error is not Err's own
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err, len(w.buf) >= bound
}

// Run writes until ctx is done, and then what is left, if that does not take long.
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
		if torn { // the half of a line that was written before is a line by itself
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
