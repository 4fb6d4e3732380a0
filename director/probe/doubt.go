package probe

import (
	"context"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Doubt reports evidence against a node other than its probes, and against one of its
// mounts if mount is not empty; why completes "counting that ...". For a node that is up,
// a doubt counts as one failed probe and the node is probed at once. A good answer
// refutes the doubt; without a failed probe it takes no node down. The mount is requested
// too, as a listener would. Doubt ignores nodes that are down or not probed here.
func (p *Prober) Doubt(id director.NodeID, mount, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubt(id, mount, why, time.Now())
	p.signal()
}

// Hears reports that this director carries a mount from a node, and that audio came in the
// last seconds. A GET could show no more: it settles a doubt about the mount, and one that
// counts as silent plays. It does nothing for a mount that is full, since whoever joins a
// stream that is carried takes no seat. Without a doubt it costs a look-up.
func (p *Prober) Hears(id director.NodeID, mount string) {
	p.mu.Lock()
	news := p.hears(id, mount, time.Now(), p.cfg.Now())
	p.signal()
	p.mu.Unlock()
	p.tell(context.Background(), news)
}
