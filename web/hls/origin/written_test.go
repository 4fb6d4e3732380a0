package origin

import (
	"testing"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls"
)

// written returns what listeners would get of a node's playlist.
func written(t *testing.T, m *Mount, node director.NodeID) string {
	t.Helper()
	out, err := hls.Merge(nil, []hls.Pathway{{ID: string(node), Playlist: m.Playlists[node].Multivariant}}, "https://radio.example/live.m3u8.steer")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
