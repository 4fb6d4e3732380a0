package service

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	// mixLife is how long a listener counts, on average: listeners who were sent to a
	// node longer ago have probably left.
	mixLife = time.Hour
	mixStep = time.Minute
)

// A mix estimates from which regions the listeners of each node come, from where this
// director has sent listeners. Each counts less as time goes by: half after 40 minutes.
// It is safe for concurrent use.
type mix struct {
	counts func() sentCounts
	now    func() time.Time

	mu   sync.Mutex
	at   time.Time // of the last sample
	last sentCounts
	sent map[director.NodeID]map[director.RegionID]float64
}

// sentCounts is what [web.Server.Sent] returns.
type sentCounts = map[director.RegionID]map[director.NodeID]uint64

func newMix(counts func() sentCounts, now func() time.Time) *mix {
	return &mix{counts: counts, now: now, at: now(), sent: map[director.NodeID]map[director.RegionID]float64{}}
}

// run samples until ctx is done.
func (m *mix) run(ctx context.Context) error {
	return every(ctx, mixStep, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sample()
	})
}

// sample adds what was sent since the last sample, and removes nodes that are no longer
// counted. m.mu is held.
func (m *mix) sample() {
	now := m.now()
	rest := math.Exp(-float64(now.Sub(m.at)) / float64(mixLife))
	for _, regions := range m.sent {
		for region := range regions {
			regions[region] *= rest
		}
	}
	counts, counted := m.counts(), map[director.NodeID]bool{}
	for region, nodes := range counts {
		for node, n := range nodes {
			counted[node] = true
			if m.sent[node] == nil {
				m.sent[node] = map[director.RegionID]float64{}
			}
			last := m.last[region][node]
			if n < last { // the count started again
				last = 0
			}
			m.sent[node][region] += float64(n - last)
		}
	}
	maps.DeleteFunc(m.sent, func(node director.NodeID, _ map[director.RegionID]float64) bool { return !counted[node] })
	m.at, m.last = now, counts
}

// of returns the listeners of a node by region. Empty: this director has sent it none.
func (m *mix) of(node director.NodeID) map[director.RegionID]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now().Sub(m.at) > time.Second {
		m.sample()
	}
	out := map[director.RegionID]float64{}
	for region, n := range m.sent[node] {
		if n >= 0.5 { // less is hardly a listener
			out[region] = n
		}
	}
	return out
}
