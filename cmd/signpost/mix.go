package main

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web"
)

const (
	// mixLife is how long a listener counts in a mix, on average: who was sent to a
	// node longer ago has probably left it.
	mixLife = time.Hour
	mixStep = time.Minute
)

// A mix says from which regions the listeners of a node come, by where this
// director has sent whom: each counts for less as time goes by, half after about
// 40 minutes. Safe for concurrent use.
type mix struct {
	traffic func() web.Traffic
	now     func() time.Time

	mu   sync.Mutex
	at   time.Time // of the last sample
	last map[director.RegionID]map[director.NodeID]uint64
	sent map[director.NodeID]map[director.RegionID]float64
}

func newMix(traffic func() web.Traffic, now func() time.Time) *mix {
	return &mix{traffic: traffic, now: now, at: now(), sent: map[director.NodeID]map[director.RegionID]float64{}}
}

// run samples until ctx is done.
func (m *mix) run(ctx context.Context) error {
	t := time.NewTicker(mixStep)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			m.mu.Lock()
			m.sample()
			m.mu.Unlock()
		}
	}
}

// sample takes in what was sent since the last sample. m.mu is held.
func (m *mix) sample() {
	now := m.now()
	rest := math.Exp(-float64(now.Sub(m.at)) / float64(mixLife))
	for _, regions := range m.sent {
		for region := range regions {
			regions[region] *= rest
		}
	}
	sent := m.traffic().Sent
	for region, nodes := range sent {
		for node, n := range nodes {
			if m.sent[node] == nil {
				m.sent[node] = map[director.RegionID]float64{}
			}
			m.sent[node][region] += float64(n - m.last[region][node])
		}
	}
	m.at, m.last = now, sent
}

// of returns how many listeners of a node count for each region, as of now; empty:
// this director has sent it none.
func (m *mix) of(node director.NodeID) map[director.RegionID]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now().Sub(m.at) > time.Second {
		m.sample()
	}
	out := map[director.RegionID]float64{}
	for region, n := range m.sent[node] {
		if n >= 0.5 { // what is less is hardly anybody
			out[region] = n
		}
	}
	return out
}
