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
	whole bool              // this director is of every pair
	mine  []director.NodeID // the nodes that the prober was told to probe
}

// want sets what is to be probed from now on.
func (p *probing) want(nodes []director.Node, mounts []director.Mount) {
	p.nodes, p.mounts, p.news = nodes, mounts, true
}

// share recomputes the pairs if the nodes, the mounts or the live directors changed, and
// says whether it did. self is this director.
func (p *probing) share(self string, live []Director) (anew bool) {
	same := func(a, b Director) bool { return a.ID == b.ID && a.Site == b.Site }
	if !p.news && slices.EqualFunc(p.live, live, same) {
		return false
	}
	p.live = live
	p.pairs = make(map[director.NodeID]pair, len(p.nodes))
	p.whole = true
	for i := range p.nodes {
		pair := probersOf(p.nodes[i].ID, live)
		p.pairs[p.nodes[i].ID] = pair
		p.whole = p.whole && pair.has(self)
	}
	return true
}

// assign tells the prober which nodes to probe, and returns the live directors,
// which share the work. This director probes a node if it is one of the pair. It
// also probes a node that neither of the pair has a current report of, because a
// director of the pair has only just started or has a file without the node. anew says
// that the pairs may be others than before.
func (l *loop) assign(now time.Time) (live []Director, anew bool) {
	live = l.living()
	p := &l.probing
	if anew = p.share(l.cfg.Director, live); !anew && p.whole {
		return live, false
	}
	mine := make([]director.NodeID, 0, len(p.nodes))
	var nodes []director.Node
	for i := range p.nodes {
		n := &p.nodes[i]
		if pair := p.pairs[n.ID]; pair.has(l.cfg.Director) || !l.hears(now, pair, l.sightings.of[n.ID]) {
			mine = append(mine, n.ID)
			nodes = append(nodes, *n)
		}
	}
	if p.news || !slices.Equal(mine, p.mine) {
		p.mine, p.news = mine, false
		l.cfg.Prober.SetNodes(nodes, p.mounts)
	}
	return live, anew
}

// hears says whether one of the pair has a current report of the node's health.
func (l *loop) hears(now time.Time, p pair, reports []*director.Report) bool {
	return slices.ContainsFunc(reports, func(r *director.Report) bool {
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

// judged is what the verdicts of all nodes were made by, besides the reports.
type judged struct {
	live    []Director
	staleAt time.Time // see judges
}

// judge updates the verdicts on the nodes whose reports have changed, or on all nodes if
// something else has changed by which they are judged. It returns the nodes.
func (l *loop) judge(now time.Time, live []Director, changed sighted, all bool) sighted {
	same := func(a, b Director) bool { return a.ID == b.ID && a.Suspect == b.Suspect }
	j := judges{now: now, stale: l.cfg.Stale, live: make(map[string]Director, len(live)), before: l.verdicts, staleAt: l.judged.staleAt}
	if all || !slices.EqualFunc(live, l.judged.live, same) || !j.staleAt.IsZero() && now.After(j.staleAt) {
		j.staleAt = time.Time{}
		for id := range l.sightings.of {
			changed.add(id)
		}
	}
	for _, d := range live {
		j.live[d.ID] = d
	}
	for id := range changed {
		if reports := l.sightings.of[id]; len(reports) > 0 {
			l.verdicts[id] = j.judge(l.probing.pairs[id], reports)
		} else {
			delete(l.verdicts, id)
		}
	}
	l.judged = judged{live, j.staleAt}
	return changed
}
