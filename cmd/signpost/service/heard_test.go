package service

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/proxy"
)

// TestHeard: only audio that came since the last look is evidence.
func TestHeard(t *testing.T) {
	t.Parallel()
	begun := time.Unix(0, 0)
	stream := func(since time.Time, playing bool, bytes int64) []proxy.StreamState {
		return []proxy.StreamState{{Mount: "/live.mp3", Upstreams: []proxy.UpstreamState{{Node: "a", Since: since, Playing: playing, Bytes: bytes}}}}
	}
	var h heard
	for i, c := range []struct {
		streams []proxy.StreamState
		want    []string
	}{
		{nil, nil},
		{stream(begun, true, 100), nil}, // it may be all that the server had kept
		{stream(begun, true, 200), []string{"a/live.mp3"}},
		{stream(begun, true, 200), nil},
		{stream(begun, false, 300), nil},
		{stream(begun.Add(1), true, 400), nil}, // another connection
		{stream(begun.Add(1), true, 401), []string{"a/live.mp3"}},
	} {
		var got []string
		h.look(c.streams, func(node director.NodeID, mount string) { got = append(got, string(node)+mount) })
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("look %d (-want +got):\n%s", i, diff)
		}
	}
}
