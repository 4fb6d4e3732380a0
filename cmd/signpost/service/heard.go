package service

import (
	"context"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/proxy"
)

// heardEvery is how often the prober is told which mounts are carried.
const heardEvery = 5 * time.Second

// heard finds the upstreams over which audio came since the last look: the best evidence
// there is that a mount plays at a node.
type heard struct {
	bytes map[upstream]int64 // by the last look
}

type upstream struct {
	mount string
	node  director.NodeID
	since time.Time
}

// look calls tell for each mount and node whose audio came since the last look.
func (h *heard) look(streams []proxy.StreamState, tell func(node director.NodeID, mount string)) {
	now := map[upstream]int64{}
	for _, s := range streams {
		for _, u := range s.Upstreams {
			key := upstream{s.Mount, u.Node, u.Since}
			now[key] = u.Bytes
			if before, known := h.bytes[key]; known && u.Playing && u.Bytes > before {
				tell(u.Node, s.Mount)
			}
		}
	}
	h.bytes = now
}

// tellHeard tells the prober which mounts are carried, until ctx is done.
func (d *Service) tellHeard(ctx context.Context) error {
	var h heard
	return every(ctx, heardEvery, func() { h.look(d.proxy.Streams(), d.prober.Hears) })
}
