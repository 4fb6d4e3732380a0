package service

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// headroom is how many bytes of garbage may accumulate before a collection. Go sets
	// it in proportion to the live heap, which is too little with the embedded database
	// and far too much with one of cities. A redirect allocates 0.5 KB and collections
	// begin at 0.7 of the headroom, so that there is one for every 10,000 redirects. It
	// takes some 4 ms of CPU: 0.4 us a redirect.
	headroom = 8 << 20
	// leastPercent is for directors that carry many streams inline, whose heap makes
	// each collection expensive.
	leastPercent = 25
	mostPercent  = 400

	// tuneEvery is how often the collector is adapted to the size of the live heap, and
	// how soon memory is returned after a wave of inline listeners.
	tuneEvery = 5 * time.Second
	// startTakes is when the pages of the program that only the start needed are given back,
	// and after which the collector is adapted even if no first snapshot has come.
	startTakes = 10 * time.Second
	// trimAfter is how many of them make that worthwhile: each leaves some 20 KB of
	// net/http's behind (connection, buffers, request and stack), and needs only 1.5 KB
	// itself. With an upstream of its own it leaves 250 KB, most of them the node's burst.
	// A collection costs some 15 ms of CPU.
	trimAfter = 100
	// trimLast is how many make it worthwhile at the end of a wave.
	trimLast = 10
)

// memory keeps the size of the process near what it needs.
type memory struct {
	carried func() uint64 // inline listeners so far
	trimmed uint64        // carried, when memory was last returned
	before  uint64        // carried, when it was last looked at
	live    [1]metrics.Sample
	percent int
}

// TuneMemory keeps the size of the process near what it needs, until Close.
func (d *Service) TuneMemory() {
	debug.FreeOSMemory() // loading databases takes several times what they need then
	d.closing.run("memory", d.tuneMemory)
}

func (d *Service) tuneMemory(ctx context.Context) error {
	m := memory{carried: func() uint64 { return 0 }}
	if d.proxy != nil {
		m.carried = func() uint64 { return d.proxy.Usage().Carried }
	}
	m.live[0].Name = "/gc/heap/live:bytes"
	started := time.AfterFunc(startTakes, func() { forgetProgram() })
	defer started.Stop()
	// The first probe of thousands of nodes makes much garbage at once: until it is over, Go's
	// own percentage holds, for the headroom would mean a collection for every 500 probes.
	select {
	case <-ctx.Done():
		return nil
	case <-d.Ready():
	case <-time.After(startTakes):
	}
	debug.FreeOSMemory()
	m.tune()
	return every(ctx, tuneEvery, m.tune)
}

func (m *memory) tune() {
	if m.trims() {
		debug.FreeOSMemory()
	}
	if os.Getenv("GOGC") != "" {
		return // the operator has decided
	}
	metrics.Read(m.live[:])
	if p := percentOf(m.live[0].Value.Uint64()); p != m.percent {
		debug.SetGCPercent(p)
		m.percent = p
	}
}

// trims reports whether memory is to be returned: a wave of listeners has come, or ended.
func (m *memory) trims() bool {
	n := m.carried()
	most := uint64(trimAfter)
	if n == m.before {
		most = trimLast
	}
	m.before = n
	if n-m.trimmed < most {
		return false
	}
	m.trimmed = n
	return true
}

// percentOf returns the GC percentage that gives the headroom with so many live bytes. It
// is in steps, since a change stops the world.
func percentOf(live uint64) int {
	percent := headroom * 100 / max(live, 1)
	return int(min(max(percent, leastPercent), mostPercent)) / 5 * 5
}
