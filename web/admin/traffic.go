package admin

import (
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// Traffic is what this director has done since it started.
type Traffic struct {
	Answers map[string]uint64            // requests for streams and playlists, by answer
	Regions map[director.RegionID]uint64 // listeners sent to a node, by where they came from
	Nodes   map[director.NodeID]uint64   // the same, by where they were sent
}

// A meter makes rates of counts. One goroutine calls measure; rates is for all.
type meter struct {
	last  Traffic
	at    time.Time // when last was; zero: there is none
	rates atomic.Pointer[api.Rates]
}

func (m *meter) measure(t Traffic, now time.Time) {
	if s := now.Sub(m.at).Seconds(); !m.at.IsZero() && s > 0 {
		m.rates.Store(&api.Rates{
			At: now.UTC(), Seconds: s, Answers: rates(m.last.Answers, t.Answers, s),
			Regions: rates(m.last.Regions, t.Regions, s), Nodes: rates(m.last.Nodes, t.Nodes, s),
		})
	}
	m.last, m.at = t, now
}

func rates[K comparable](before, after map[K]uint64, seconds float64) map[K]float64 {
	out := map[K]float64{}
	for k, n := range after {
		if was := before[k]; n > was {
			out[k] = float64(n-was) / seconds
		}
	}
	return out
}

// from returns how many listeners a second come from a region.
func (m *meter) from(r director.RegionID) float64 {
	if now := m.rates.Load(); now != nil {
		return now.Regions[r]
	}
	return 0
}
