package output

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A reader takes what it is given, unless it is told to fail, to take a part, or to hang.
type reader struct {
	mu    sync.Mutex
	text  strings.Builder
	fails error
	takes int // bytes before it fails
	hangs chan struct{}
}

func (r *reader) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	hangs := r.hangs
	r.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(p)
	if r.fails != nil {
		n = min(n, r.takes)
	}
	r.text.Write(p[:n])
	return n, r.fails
}

// running starts a Writer in a bubble; its news come as lines.
func running(t *testing.T, r *reader) (w *Writer, news *[]string, stop func()) {
	w, news = New(r), new([]string)
	w.News = func(err error, dropped uint64) { *news = append(*news, fmt.Sprint(err, " ", dropped)) }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return w, news, func() { cancel(); <-done; synctest.Wait() }
}

func line(w *Writer, i int) { _, _ = fmt.Fprintf(w, "line %d\n", i) }

func pass() { time.Sleep(2 * flushAfter); synctest.Wait() } // the bubble's clock

// Whatever becomes of the reader, nobody waits; what is lost is counted, and what comes
// when it is back is there, in whole lines.
func TestReaderInTrouble(t *testing.T) {
	t.Parallel()
	for _, fails := range []error{syscall.EPIPE, syscall.ENOSPC, errors.New("gone")} {
		synctest.Test(t, func(t *testing.T) {
			r := new(reader)
			w, news, stop := running(t, r)
			line(w, 1)
			pass()
			r.set(func() { r.fails, r.takes = fails, 3 })
			line(w, 2)
			line(w, 3)
			pass()
			r.set(func() { r.takes = 0 })
			line(w, 4)
			pass()
			if err, _ := w.Err(); !errors.Is(err, fails) || w.Dropped() != 3 {
				t.Errorf("%v: err %v, %d dropped", fails, err, w.Dropped())
			}
			r.set(func() { r.fails = nil })
			line(w, 5)
			pass()
			line(w, 6)
			stop()
			if got, want := r.text.String(), "line 1\nlin\nline 5\nline 6\n"; got != want {
				t.Errorf("%v: %q, want %q", fails, got, want)
			}
			if got, want := strings.Join(*news, "; "), fmt.Sprint(fails, " 2; <nil> 3"); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
			if err, blocked := w.Err(); err != nil || blocked {
				t.Errorf("back: %v %v", err, blocked)
			}
		})
	}
}

// A reader that hangs holds up neither lines nor the end.
func TestReaderThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &reader{hangs: make(chan struct{})}
		w, _, stop := running(t, r)
		began := time.Now()
		long := strings.Repeat("x", 1023) + "\n"
		const more = 100
		line(w, 1)
		pass() // the first write hangs
		for range bound/len(long) + more {
			_, _ = w.Write([]byte(long))
		}
		if waited := time.Since(began); waited != 2*flushAfter {
			t.Errorf("lines waited %v", waited)
		}
		if _, blocked := w.Err(); !blocked || w.Dropped() != more {
			t.Errorf("blocked %v, %d dropped", blocked, w.Dropped())
		}
		stop()
		if waited := time.Since(began); waited > 2*flushAfter+lastWrite {
			t.Errorf("the end waited for %v", waited)
		}
		close(r.hangs)
		synctest.Wait()
	})
}
