package store

import (
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// probing is the list of nodes to probe, and which directors probe them.
type probing struct {
	nodes  []director.Node // those of all directors together
	mounts []director.Mount
	news   bool // nodes or mounts differ from what the prober was told

	live  []Director // the directors that the pairs are picked from
	pairs map[director.NodeID]pair
	mine  []director.NodeID // the nodes that the prober was told to probe
}

// want sets what is to be probed from now on.
func (p *probing) want(nodes []director.Node, mounts []director.Mount) {
	p.nodes, p.mounts, p.news = nodes, mounts, true
}

// share recomputes the pairs if the nodes, the mounts or the live directors changed.
func (p *probing) share(live []Director) {
	same := func(a, b Director) bool { return a.ID == b.ID && a.Site == b.Site }
	if !p.news && slices.EqualFunc(p.live, live, same) {
		return
	}
	p.live = live
	p.pairs = make(map[director.NodeID]pair, len(p.nodes))
	for _, n := range p.nodes {
		p.pairs[n.ID] = probersOf(n.ID, live)
	}
}

// assign tells the prober which nodes to probe, and returns the live directors,
// which share the work. This director probes a node if it is one of the pair. It
// also probes a node that neither of the pair has a current report of, because a
// director of the pair has only just started or has a file without the node.
func (l *loop) assign(now time.Time, reports map[director.NodeID][]director.Report) (live []Director) {
	live = l.living()
	p := &l.probing
	p.share(live)
	mine := make([]director.NodeID, 0, len(p.nodes))
	var nodes []director.Node
	for _, n := range p.nodes {
		if pair := p.pairs[n.ID]; pair.has(l.cfg.Director) || !l.hears(now, pair, reports[n.ID]) {
			mine = append(mine, n.ID)
			nodes = append(nodes, n)
		}
	}
	if p.news || !slices.Equal(mine, p.mine) {
		p.mine, p.news = mine, false
		l.cfg.Prober.SetNodes(nodes, p.mounts)
	}
	return live
}

// hears says whether one of the pair has a current report of the node's health.
func (l *loop) hears(now time.Time, p pair, reports []director.Report) bool {
	return slices.ContainsFunc(reports, func(r director.Report) bool {
		return p.has(r.By) && r.Health != director.HealthUnknown && now.Sub(r.Taken) <= l.cfg.Stale
	})
}

// living returns this director and those that share the work with it. If the store
// has not answered for DirectorLife, it returns this director alone.
func (l *loop) living() []Director {
	l.mu.Lock()
	self, synced := l.self(), l.synced
	l.mu.Unlock()
	live := []Director{self}
	if l.cfg.Now().Sub(synced) > DirectorLife {
		return live
	}
	for _, d := range l.picture.Directors {
		if d.ID != self.ID {
			live = append(live, d)
		}
	}
	return live
}

// judge updates the verdict on each node.
func (l *loop) judge(now time.Time, live []Director, reports map[director.NodeID][]director.Report) {
	j := judges{now: now, stale: l.cfg.Stale, live: make(map[string]Director, len(live)), before: l.verdicts}
	for _, d := range live {
		j.live[d.ID] = d
	}
	l.verdicts = make(map[director.NodeID]director.Report, len(reports))
	for id, all := range reports {
		l.verdicts[id] = j.judge(l.probing.pairs[id], all)
	}
}
