package admin

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// Sessions of HLS are told of the nodes and mounts that they are at, with those that were moved
// away, also from where nobody is any more; of other nodes and mounts nothing is told.
func TestSessionsOfPlayers(t *testing.T) {
	t.Parallel()
	r := fleetOf(t, director.Config{
		Nodes:  []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}}, {ID: "ams1", URLs: []string{"http://ams1.example"}}, {ID: "nyc1", URLs: []string{"http://nyc1.example"}}},
		Mounts: []director.Mount{{Name: "/live.m3u8"}, {Name: "/live.mp3"}, {Name: "/talk.mpd"}},
	}, Config{}, func(c *store.SyncerConfig) {
		c.Sessions = func() store.Sessions {
			return store.Sessions{"fra1": {"/live.m3u8": 0, "/talk.mpd": 3}, "ams1": {"/live.m3u8": 40}}
		}
		c.Moves = func() store.Moves {
			return store.Moves{"fra1": {"/live.m3u8": {"drained": 12, "weights": 2, "later": 5}}, "ams1": {"/talk.mpd": {"failed": 1}}}
		}
	})
	away := api.Sessions{Mount: "/live.m3u8", Node: "fra1", Moved: api.Moved{Drained: 12, Weights: 2}}
	play := api.Sessions{Mount: "/live.m3u8", Node: "ams1", Playing: 40}
	talk := api.Sessions{Mount: "/talk.mpd", Node: "fra1", Playing: 3}
	gone := api.Sessions{Mount: "/talk.mpd", Node: "ams1", Moved: api.Moved{Failed: 1}}
	byNode := map[director.NodeID][]api.Sessions{"fra1": {away, talk}, "ams1": {play, gone}, "nyc1": nil}
	byMount := map[string][]api.Sessions{"/live.m3u8": {play, away}, "/talk.mpd": {gone, talk}, "/live.mp3": nil}
	var diff string
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(10 * time.Millisecond) {
		nodes, mounts := map[director.NodeID][]api.Sessions{}, map[string][]api.Sessions{}
		for id, n := range r.nodes() {
			nodes[id] = n.Sessions
		}
		all, err := r.h.Mounts()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all.Mounts {
			mounts[m.Name] = m.Sessions
		}
		if diff = cmp.Diff(byNode, nodes) + cmp.Diff(byMount, mounts); diff == "" {
			break
		}
	}
	if diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := api.Total(byNode["fra1"]); got.Playing != 3 || got.Moved.String() != "14 moved away in the last minute: 12 from a drained node, 2 by weights" {
		t.Errorf("in all %+v: %s", got, got.Moved)
	}
	if got := api.Total(nil).Moved.String(); got != "" {
		t.Errorf("of nobody it says %q", got)
	}
}
