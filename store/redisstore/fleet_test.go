package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// TestTripsOfALargeFleet runs three directors on a fleet of 100 nodes while listeners
// come, and counts what a tick takes. At full size there are 1,000 nodes, and 30 ticks.
func TestTripsOfALargeFleet(t *testing.T) {
	t.Parallel()
	nodes, ticks := 100, 6
	if soaking {
		nodes, ticks = simulatedNodes, 30
	}
	regionsOf20 := nodes / 20
	server := redistest.Start(t, redistest.Options{})
	memory := func() int {
		n, err := strconv.Atoi(server.Info("used_memory"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	empty := memory()
	config := director.Config{Mounts: []director.Mount{{Name: "/live.mp3"}, {Name: "/live.aac"}}}
	for n := range nodes {
		config.Nodes = append(config.Nodes, director.Node{
			ID: director.NodeID(fmt.Sprintf("node-%04d", n)), URLs: []string{fmt.Sprintf("http://node-%04d.example:8000", n)}, Target: 1000,
		})
	}
	for r := range regionsOf20 {
		region := director.Region{ID: director.RegionID(fmt.Sprintf("region-%d", r)), Match: director.Match{ASNs: []uint32{uint32(r + 1)}}}
		for i := range 20 {
			region.Row = append(region.Row, director.Weight{Node: config.Nodes[r*20+i].ID, Weight: 1, Given: true})
		}
		config.Regions = append(config.Regions, region)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 3)
	t.Cleanup(func() {
		cancel()
		for range cap(ended) {
			<-ended
		}
	})
	var handles []*redisstore.Store
	var syncers []*store.Syncer
	for i := range 3 {
		handle := open(t, redisstore.Config{URL: server.URL()})
		s, err := store.NewSyncer(store.SyncerConfig{
			Store: handle, Config: config, Prober: newProbers(), Director: fmt.Sprint("director-", i), Timeout: time.Minute, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- s.Run(ctx) }()
		handles, syncers = append(handles, handle), append(syncers, s)
	}
	if _, err := handles[0].Edit(t.Context(), 0, regions(regionsOf20, 20)); err != nil {
		t.Fatal(err)
	}
	redistest.Await(t, "all to know each other and the edit", func() bool {
		return !slices.ContainsFunc(syncers, func(s *store.Syncer) bool {
			st := s.Status()
			return len(st.Directors) < len(syncers) || st.Revision != 1 || !st.Ready
		})
	})
	trips := func() (n, syncs int) {
		for i, h := range handles {
			n += int(h.RoundTrips())
			syncs += int(syncers[i].Status().Syncs)
		}
		return n, syncs
	}
	tripsBefore, syncsBefore := trips()
	var took []time.Duration
	redistest.Await(t, "the ticks", func() bool {
		for i, s := range syncers {
			for n := range 3 { // every 10 ms
				s.View().Live.Count((len(took)*7 + i*300 + n*31) % nodes)
			}
			took = append(took, s.Status().BuildTime)
		}
		_, syncs := trips()
		return syncs-syncsBefore >= ticks
	})
	n, syncs := trips()
	n, syncs = n-tripsBefore, syncs-syncsBefore
	slices.Sort(took)
	t.Logf("%d ticks took %d round trips; a snapshot took %v, %v at most; redis holds %.2f MB",
		syncs, n, took[len(took)/2].Round(time.Microsecond), took[len(took)-1].Round(time.Microsecond), float64(memory()-empty)/1e6)
	if n > 5*syncs {
		t.Errorf("%d round trips in %d ticks, want 5 a tick at most", n, syncs)
	}
}

// probers is a prober of a large fleet in which all is well: each node is measured
// every two seconds.
type probers struct {
	first chan struct{}
	nodes atomic.Pointer[[]director.Node]
}

func newProbers() *probers {
	p := &probers{first: make(chan struct{})}
	close(p.first)
	return p
}

func (p *probers) SetNodes(nodes []director.Node, _ []director.Mount) {
	p.nodes.Store(&nodes)
}

func (p *probers) Changes(uint64) ([]director.Report, bool, uint64) {
	const interval = 2 * time.Second
	nodes := *p.nodes.Load()
	now := time.Now()
	out := make([]director.Report, len(nodes))
	for i, n := range nodes {
		phase := interval * time.Duration(i) / time.Duration(len(nodes)) // spread evenly
		taken := now.Add(-phase).Truncate(interval).Add(phase)
		out[i] = *report(i, "", taken)
		out[i].Node, out[i].Since = n.ID, now.Truncate(time.Hour)
	}
	return out, true, 0
}

func (p *probers) Suspicion() string                               { return "" }
func (p *probers) Doubt(director.NodeID, string, string)           {}
func (p *probers) Share(director.NodeID, bool, []director.Verdict) {}
func (p *probers) News() <-chan struct{}                           { return nil }
func (p *probers) First() <-chan struct{}                          { return p.first }
