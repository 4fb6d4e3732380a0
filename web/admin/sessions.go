package admin

import (
	"cmp"
	"slices"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// allSessions returns the sessions of HLS and DASH, in order of mounts and nodes.
func (a *API) allSessions() (all []api.Sessions) {
	playing, moves := a.cfg.Syncer.Sessions()
	of := func(node director.NodeID, mount string) api.Sessions {
		moved := moves[node][mount]
		return api.Sessions{Node: node, Mount: mount, Playing: playing[node][mount], Moved: api.Moved{
			Drained: moved[director.MovesOut.String()], Weights: moved[director.MovesTo.String()], Failed: moved[director.Flees.String()],
		}}
	}
	for node, mounts := range playing {
		for mount := range mounts {
			all = append(all, of(node, mount))
		}
	}
	for node, mounts := range moves { // from a node that nobody plays from any more
		for mount := range mounts {
			if _, there := playing[node][mount]; !there {
				all = append(all, of(node, mount))
			}
		}
	}
	slices.SortFunc(all, func(a, b api.Sessions) int { return cmp.Or(cmp.Compare(a.Mount, b.Mount), cmp.Compare(a.Node, b.Node)) })
	return all
}

// sessionsBy groups them.
func sessionsBy[K comparable](all []api.Sessions, key func(*api.Sessions) K) map[K][]api.Sessions {
	out := map[K][]api.Sessions{}
	for i := range all {
		out[key(&all[i])] = append(out[key(&all[i])], all[i])
	}
	return out
}
