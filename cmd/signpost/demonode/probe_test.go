package demonode

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
)

// TestProbed has the real prober take the node for an Icecast.
func TestProbed(t *testing.T) {
	t.Parallel()
	n := start(t, Options{Name: "fra1", Mounts: []string{"/b.mp3", "/live.mp3"}})
	get(t, n.URL()+"/live.mp3") // stays to the end

	p := probe.New(probe.Config{Timeout: patience})
	p.SetNodes([]director.Node{{ID: "fra1", URLs: []string{n.URL()}}}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	select {
	case <-p.First():
	case <-time.After(patience):
		t.Fatal("the node was not probed")
	}
	cancel()
	<-done
	reports := p.Reports()
	if len(reports) != 1 {
		t.Fatalf("reports %+v", reports)
	}
	want := director.Report{
		Node: "fra1", Health: director.Up, Listeners: 1, Server: serverID,
		Mounts: []director.MountReport{
			{Path: "/b.mp3", Type: "audio/mpeg", Name: "Signpost demo: fra1", Title: n.title(0)},
			{Path: "/live.mp3", Listeners: 1, Peak: 1, Type: "audio/mpeg", Name: "Signpost demo: fra1", Title: n.title(0)},
		},
	}
	ignored := cmp.Options{
		cmpopts.IgnoreFields(director.Report{}, "By", "Taken", "Since", "Detail", "Returned", "IPv4", "IPv6"),
		cmpopts.IgnoreFields(director.MountReport{}, "Started"),
	}
	if diff := cmp.Diff(want, reports[0], ignored); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}
