package admin

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signpost-fm/signpost/director"
)

// TestWhatANodeCarries: the mounts of a node, and the nodes of a mount, are those whose
// listeners hear something, whatever the statistics list.
func TestWhatANodeCarries(t *testing.T) {
	t.Parallel()
	report := director.Report{Health: director.Up, Mounts: []director.MountReport{
		{Path: "/a", Listeners: 1}, {Path: "/moved", Listeners: 2}, {Path: "/b", Listeners: 3}, {Path: "/a", Listeners: 4},
	}}
	anything, down, hangs := report, report, report
	anything.AnyMount, down.Health, down.AnyMount = true, director.Failed, true
	hangs.Verdicts = []director.Verdict{{Path: "/a", State: director.MountSilent, Cause: director.SourceHangs}, {Path: "/moved", State: director.MountFull}}
	for name, tt := range map[string]struct {
		report    director.Report
		want      []string
		listeners []int
	}{
		"up":        {report, []string{"/a", "/b"}, []int{1, 2, 0}},
		"any mount": {anything, []string{"/a", "/b", "/c"}, []int{1, 2, 0}},
		"down":      {down, []string{}, []int{0, 0, 0}},
		"hangs":     {hangs, []string{"/b"}, []int{0, 2, 0}},
	} {
		view := viewOf(t, director.Node{ID: "n", Paths: map[string]string{"/b": "/moved"}}, tt.report, "/a", "/b", "/c")
		d := describer{View: view}
		if diff := cmp.Diff(tt.want, d.carried(0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		nodes := []teller{tellerOf(view.Node(0))}
		for i, want := range tt.listeners {
			m := describeMount(view, i, nodes)
			if carried := slices.Contains(tt.want, m.Name); m.Listeners != want || len(m.Nodes) == 1 != carried || len(m.Down) == 1 != !carried {
				t.Errorf("%s: %+v", name, m)
			}
		}
	}
}

func viewOf(t *testing.T, n director.Node, r director.Report, mounts ...string) director.View {
	t.Helper()
	n.URLs = []string{"http://n.example"}
	c := director.Config{Nodes: []director.Node{n}}
	for _, name := range mounts {
		c.Mounts = append(c.Mounts, director.Mount{Name: name})
	}
	f, err := director.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return director.View{Snapshot: f.Build(nil, director.Input{Reports: map[director.NodeID]director.Report{n.ID: r}})}
}

// TestManyMounts: what many mounts cost grows with their number, and not with its square.
func TestManyMounts(t *testing.T) {
	t.Parallel()
	const few, many = 500, 16 * 500
	prepare := func(mounts int) director.View {
		report := director.Report{Health: director.Up, Mounts: make([]director.MountReport, mounts)}
		var names []string
		for i := range report.Mounts {
			names = append(names, fmt.Sprintf("/%06d.mp3", i))
			report.Mounts[i].Path = names[i]
		}
		return viewOf(t, director.Node{ID: "n"}, report, names...)
	}
	took := func(view director.View) time.Duration {
		begun := time.Now()
		nodes := []teller{tellerOf(view.Node(0))}
		for i := range view.Mounts() {
			if m := describeMount(view, i, nodes); len(m.Nodes) != 1 {
				t.Fatalf("nobody carries %s", m.Name)
			}
		}
		return time.Since(begun)
	}
	// 256 times as long if each is compared with each. A machine that stands still now
	// and then does not do so in all of the tries.
	times := math.Inf(1)
	small, large := prepare(few), prepare(many)
	for try := 0; try < 20 && times > many/few*4; try++ {
		times = min(times, took(large).Seconds()/took(small).Seconds())
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
