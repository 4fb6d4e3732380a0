package director

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// lab builds snapshots for tests from a Config and reports that say "up".
type lab struct {
	tb      testing.TB
	cfg     Config
	reports map[NodeID]Report
	input   Input
	now     time.Time
}

// newLab has the nodes a, b, c ... at http://a.example:8000 with target 1,000 and limit 1,500.
func newLab(tb testing.TB, nodes int) *lab {
	l := &lab{tb: tb, reports: map[NodeID]Report{}, now: time.Unix(1_700_000_000, 0)}
	l.cfg.Mounts = []Mount{{Name: "/live.mp3", Aliases: []string{"/stream"}}, {Name: "/jazz.mp3"}}
	for i := range nodes {
		id := NodeID(rune('a' + i))
		l.cfg.Nodes = append(l.cfg.Nodes, Node{ID: id, URLs: []string{"http://" + string(id) + ".example:8000"}, Target: 1000, Limit: 1500})
		l.reports[id] = upReport(id)
	}
	return l
}

func upReport(id NodeID) Report {
	return Report{Node: id, Health: Up, Mounts: []MountReport{{Path: "/live.mp3"}, {Path: "/jazz.mp3"}}}
}

func (l *lab) report(id NodeID, change func(*Report)) {
	r := l.reports[id]
	change(&r)
	l.reports[id] = r
}

// limits lets node a's /live.mp3 have 5 listeners, of whom it holds 2 besides 50 at
// /jazz.mp3, and enRoute are on their way; two of the 52 are relays.
func (l *lab) limits(enRoute int) {
	l.cfg.Nodes[0].Relays = 2
	l.report("a", func(r *Report) {
		r.Listeners = 52
		r.Mounts = []MountReport{{Path: "/live.mp3", Listeners: 2, Limit: 5}, {Path: "/jazz.mp3", Listeners: 50}}
	})
	l.input.EnRoute = map[NodeID]int{"a": enRoute}
}

func (l *lab) row(id RegionID, m Match, weights ...any) *Region {
	r := Region{ID: id, Match: m}
	for i := 0; i < len(weights); i += 2 {
		r.Row = append(r.Row, Weight{Node: NodeID(weights[i].(string)), Weight: float64(weights[i+1].(int)), Given: true})
	}
	l.cfg.Regions = append(l.cfg.Regions, r)
	return &l.cfg.Regions[len(l.cfg.Regions)-1]
}

func (l *lab) listed(id RegionID, m Match, nodes ...NodeID) {
	r := Region{ID: id, Match: m}
	for _, n := range nodes {
		r.Row = append(r.Row, Weight{Node: n})
	}
	l.cfg.Regions = append(l.cfg.Regions, r)
}

func (l *lab) fleet() *Fleet {
	l.tb.Helper()
	f, err := Compile(l.cfg)
	if err != nil {
		l.tb.Fatal(err)
	}
	return f
}

func (l *lab) snapshot() *Snapshot {
	l.tb.Helper()
	return l.fleet().Build(nil, l.in())
}

func (l *lab) in() Input {
	in := l.input
	in.Now, in.Reports = l.now, l.reports
	return in
}

var everyone = Match{Default: true}

// decide returns the outcome and the ranked nodes, "placed a b".
func decide(s *Snapshot, l Listener, want int) string {
	if l.Mount == "" {
		l.Mount = "/live.mp3"
	}
	if l.Scheme == 0 {
		l.Scheme = HTTP
	}
	d := Decision{Want: want}
	s.Decide(&d, l, nil)
	out := d.Outcome.String()
	for _, c := range d.Ranked {
		out += " " + string(s.NodeID(c.Node))
	}
	return out
}

// shares sends n different listeners and returns each node's part of them.
func shares(tb testing.TB, s *Snapshot, l Listener, n int) map[NodeID]float64 {
	tb.Helper()
	l.Mount, l.Scheme = "/live.mp3", HTTP
	var d Decision
	out := map[NodeID]float64{}
	for i := range n {
		l.Key = hashString(fmt.Sprintf("listener %d", i))
		s.Decide(&d, l, nil)
		if len(d.Ranked) == 0 {
			tb.Fatalf("listener %d: %v", i, d.Outcome)
		}
		out[s.NodeID(d.Ranked[0].Node)] += 1 / float64(n)
	}
	return out
}

func wantShares(tb testing.TB, got, want map[NodeID]float64) {
	tb.Helper()
	for id := range got {
		if _, ok := want[id]; !ok {
			tb.Errorf("node %s got %.4f, want nothing", id, got[id])
		}
	}
	for id, w := range want {
		if diff := got[id] - w; diff > 0.01 || diff < -0.01 {
			tb.Errorf("node %s got %.4f, want %.4f within 0.01", id, got[id], w)
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
