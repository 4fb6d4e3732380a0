package service

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// headroom is how many bytes of garbage may lie about before they are collected.
	// As a part of what lives, which is Go's way to say it, it would be little beside
	// the embedded database and very much beside one of cities. A redirect leaves
	// 1 KB behind, so that this is a collection for every 30,000 of them.
	headroom = 32 << 20
	// leastPercent is for directors that carry many streams inline: there, the more
	// lives the dearer is a collection.
	leastPercent = 25
	mostPercent  = 400

	// tuneEvery is how soon the collector learns of another size of what lives, and
	// memory is given back after a wave of inline listeners.
	tuneEvery = 5 * time.Second
	// trimAfter is how many of them make that worth while: each leaves some 20 KB of
	// net/http's behind (its connection, buffers, request and stack), and is itself
	// content with 1.5 KB. Collecting costs some 15 ms of CPU.
	trimAfter = 100
)

// memory keeps what the process holds near what it needs.
type memory struct {
	carried func() uint64 // inline listeners so far
	trimmed uint64        // and then
	live    [1]metrics.Sample
	percent int
}

// KeepMemory keeps what the process holds near what it needs, until Close.
func (d *Service) KeepMemory() {
	debug.FreeOSMemory() // loading databases left several times what is kept
	d.closing.run("memory", d.keepMemory)
}

func (d *Service) keepMemory(ctx context.Context) error {
	m := memory{carried: func() uint64 { return 0 }}
	if d.proxy != nil {
		m.carried = func() uint64 { return d.proxy.Usage().Carried }
	}
	m.live[0].Name = "/gc/heap/live:bytes"
	tick := time.NewTicker(tuneEvery)
	defer tick.Stop()
	for {
		m.tune()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (m *memory) tune() {
	if n := m.carried(); n-m.trimmed >= trimAfter {
		debug.FreeOSMemory()
		m.trimmed = n
	}
	if os.Getenv("GOGC") != "" {
		return // the operator knows better
	}
	metrics.Read(m.live[:])
	if p := percentOf(m.live[0].Value.Uint64()); p != m.percent {
		debug.SetGCPercent(p)
		m.percent = p
	}
}

// percentOf returns the setting that leaves the headroom beside so many live bytes,
// in steps, for changing it stops everything for a moment.
func percentOf(live uint64) int {
	percent := headroom * 100 / max(live, 1)
	return int(min(max(percent, leastPercent), mostPercent)) / 5 * 5
}
