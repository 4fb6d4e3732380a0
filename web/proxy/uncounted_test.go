package proxy

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

// TestWhomNodesCount: a node counts connections, so that listeners who share one are
// known here only, and one that takes over is told of its listeners before they come.
func TestWhomNodesCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		alone     bool
		opened    int64
		uncounted map[string]int
	}{
		"shared":       {false, 1, map[string]int{"/live.mp3": 2}},
		"per listener": {true, 3, map[string]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stations := []*station{startStation(t, 0, okHead), startStation(t, 0, okHead)}
			var opened [2]atomic.Int64
			cfg := quick()
			cfg.PerListener = c.alone
			cfg.Opening = func(node director.NodeID) { opened[node[len(node)-1]-'0'].Add(1) }
			f := startFront(t, cfg, Request{Upstreams: upstreams(stations[0].node, stations[1].node), Mount: "/live.mp3"})
			stations[0].tell(40)
			stations[1].tell(40)
			var all []*heard
			for range 3 {
				all = append(all, f.hear(t, getRequest))
			}
			check := func(when string, want map[string]int) {
				t.Helper()
				until(t, when, func() bool { return cmp.Equal(f.proxy.Uncounted(), want) })
			}
			check("while they listen", c.uncounted)
			f.proxy.Vacate("node0")
			until(t, "they go over", func() bool { return stations[0].listeners() == 0 })
			check("after they went over", c.uncounted)
			for i := range opened {
				if n := opened[i].Load(); n != c.opened {
					t.Errorf("%d connections to node%d, want %d", n, i, c.opened)
				}
			}
			for _, h := range all {
				_ = h.conn.Close()
			}
			check("when they have left", map[string]int{})
		})
	}
}

// TestALingeringConnectionIsNobody: the node counts a listener, and there is none.
func TestALingeringConnectionIsNobody(t *testing.T) {
	t.Parallel()
	s := startStation(t, 0, okHead)
	cfg := quick()
	cfg.Linger = time.Hour
	f := startFront(t, cfg, Request{Upstreams: upstreams(s.node), Mount: "/live.mp3"})
	s.tell(40)
	_ = f.hear(t, getRequest).conn.Close()
	f.result(t)
	if diff := cmp.Diff(map[string]int{"/live.mp3": -1}, f.proxy.Uncounted()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
