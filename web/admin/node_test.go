package admin

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/director"
)

func TestCarries(t *testing.T) {
	t.Parallel()
	report := director.Report{Health: director.Up, Mounts: []director.MountReport{
		{Path: "/a", Listeners: 1}, {Path: "/moved", Listeners: 2}, {Path: "/b", Listeners: 3}, {Path: "/a", Listeners: 4},
	}}
	anything, down := report, report
	anything.AnyMount, down.Health, down.AnyMount = true, director.Failed, true
	const none = -9
	for name, tt := range map[string]struct {
		report director.Report
		want   map[string]int // listeners
	}{
		"up":        {report, map[string]int{"/a": 1, "/b": 2, "/c": none, "/moved": 2}},
		"any mount": {anything, map[string]int{"/a": 1, "/b": 2, "/c": -1, "/moved": 2}},
		"down":      {down, map[string]int{"/a": none, "/b": none, "/c": none, "/moved": none}},
	} {
		c := carrierOf(director.NodeState{Node: director.Node{Paths: map[string]string{"/b": "/moved"}}, Report: tt.report})
		got := map[string]int{}
		for mount := range tt.want {
			got[mount] = none
			if told := c.carries(&director.Mount{Name: mount}); told != nil {
				got[mount] = told.Listeners
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestManyMounts: what many mounts cost grows with their number, and not with its square.
func TestManyMounts(t *testing.T) {
	t.Parallel()
	const few, many = 500, 16 * 500
	took := func(mounts int) time.Duration {
		report := director.Report{Health: director.Up, Mounts: make([]director.MountReport, mounts)}
		for i := range report.Mounts {
			report.Mounts[i].Path = fmt.Sprintf("/%06d.mp3", i)
		}
		begun := time.Now()
		nodes := []carrier{carrierOf(director.NodeState{Report: report})}
		for i := range report.Mounts {
			if m := describeMount(&director.Mount{Name: report.Mounts[i].Path}, nodes); len(m.Nodes) != 1 {
				t.Fatalf("nobody carries %s", m.Name)
			}
		}
		return time.Since(begun)
	}
	// 256 times as long if each is compared with each. A machine that stands still now
	// and then does not do so in all of the tries.
	times := math.Inf(1)
	for try := 0; try < 20 && times > many/few*4; try++ {
		times = min(times, took(many).Seconds()/took(few).Seconds())
	}
	if times > many/few*4 {
		t.Errorf("%d mounts take %.0f times as long as %d", many, times, few)
	}
}

// TestNodeMetricsAreBounded: a mount that plays has a series, one of which nothing is
// known has two, and all together are bounded.
func TestNodeMetricsAreBounded(t *testing.T) {
	t.Parallel()
	for nodes, want := range map[int]int{1: 2 + 2000, 2: 2*2 + 2000 + 2*2000, 9: 9*2 + maxMountSeries} {
		config := director.Config{Nodes: []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}}}}
		for i := range nodes - 1 {
			config.Nodes = append(config.Nodes, director.Node{ID: director.NodeID(fmt.Sprint("n", i)), URLs: []string{fmt.Sprintf("http://n%d.example", i)}})
		}
		for i := range 2000 {
			config.Mounts = append(config.Mounts, director.Mount{Name: fmt.Sprintf("/%04d.mp3", i)})
		}
		r := fleetOf(t, config, Config{})
		ch := make(chan prometheus.Metric, 2*maxMountSeries)
		nodeMetrics{r.h}.Collect(ch)
		if got := len(ch); got > want || got < want-2000 {
			t.Errorf("%d nodes with 2,000 mounts: %d series, want %d", nodes, got, want)
		}
	}
}
