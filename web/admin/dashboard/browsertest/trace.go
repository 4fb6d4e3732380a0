package browsertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/io"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
)

// Work is what a page's main thread did, which runs its scripts, lays it out and paints
// it. It is in CPU time, so how busy the machine is does not matter.
type Work struct {
	Tasks          int
	Total, Longest time.Duration // Longest: of one task, during which the page does not react
}

// Trace records Chromium's trace while do runs, and returns the work in it.
func (b *Tab) Trace(do func()) Work {
	b.t.Helper()
	done := make(chan io.StreamHandle, 1)
	err := chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*tracing.EventTracingComplete); ok {
			done <- e.Stream
		}
	})
	if err != nil {
		b.fail("listen for the trace", err)
	}
	Call(b, tracing.Start, tracing.StartParams{
		TransferMode: tracing.StartTransferModeReturnAsStream,
		TraceConfig:  &tracing.TraceConfig{IncludedCategories: []string{"disabled-by-default-devtools.timeline"}},
	})
	do()
	Call(b, tracing.End, cdp.Empty{})
	var trace bytes.Buffer
	select {
	case handle := <-done:
		for {
			part := Call(b, io.Read, io.ReadParams{Handle: handle})
			trace.Write(part.Data)
			if part.EOF {
				break
			}
		}
	case <-time.After(Patience):
		b.t.Fatal("the trace does not come")
	}
	work, err := workIn(trace.Bytes())
	if err != nil {
		b.fail("read the trace", err)
	}
	return work
}

// workIn sums the tasks of renderers' main threads.
func workIn(trace []byte) (w Work, err error) {
	type thread struct{ PID, TID int }
	var all struct {
		TraceEvents []struct {
			thread
			Name string
			Ph   string
			Tdur int64 // µs of CPU time
			Args struct{ Name string }
		}
	}
	if err := json.Unmarshal(trace, &all); err != nil {
		return w, err
	}
	main := map[thread]bool{}
	for _, e := range all.TraceEvents {
		if e.Name == "thread_name" && strings.HasSuffix(e.Args.Name, "RendererMain") {
			main[e.thread] = true
		}
	}
	for _, e := range all.TraceEvents {
		if e.Name != "RunTask" || e.Ph != "X" || !main[e.thread] {
			continue
		}
		took := time.Duration(e.Tdur) * time.Microsecond
		w.Tasks++
		w.Total += took
		w.Longest = max(w.Longest, took)
	}
	if w.Tasks == 0 {
		return w, errors.New("it holds no task of a page")
	}
	return w, nil
}
