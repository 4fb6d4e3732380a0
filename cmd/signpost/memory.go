package main

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	// trimEvery is how soon memory is given back after a wave of inline listeners.
	trimEvery = 5 * time.Second
	// trimAfter is how many of them make that worth while: each leaves some 20 KB of
	// net/http's behind (its connection, buffers, request and stack), and is itself
	// content with 1.5 KB. Collecting costs some 15 ms of CPU.
	trimAfter = 100
)

// trim gives back to the system what inline listeners needed only for their
// arrival, until ctx is done. With gcPercent the collector would wait until five
// times the memory in use was full of it, and then keep that for later.
func (d *service) trim(ctx context.Context) error {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for trimmed := uint64(0); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if n := d.proxy.Usage().Carried; n-trimmed >= trimAfter {
			debug.FreeOSMemory()
			trimmed = n
		}
	}
}
