package store

import (
	"slices"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// sightings are the reports that directors have of each node: this director's own, and
// those that others offer. They are kept from one snapshot to the next, and say which
// nodes have other reports than before. Only the loop changes them.
type sightings struct {
	edit  uint64                                 // the prober's number for what is in own; 0: all is to be asked for
	own   []*director.Report                     // by the store's clock; offered to others, and so never changed in place
	at    map[director.NodeID]int                // in own
	other map[director.NodeID][]*director.Report // by other directors

	picture []*director.Report // what other was made from
	changed sighted            // nodes whose reports are new or gone since the last group

	mu sync.Mutex                             // guards of: it is read by others than the loop
	of map[director.NodeID][]*director.Report // own and other by node, with no time in the future
}

// sighted is a set of nodes.
type sighted map[director.NodeID]struct{}

func (s *sighted) add(id director.NodeID) {
	if *s == nil {
		*s = sighted{}
	}
	(*s)[id] = struct{}{}
}

// Sightings returns the reports of a node that directors have now, each director's own.
func (s *Syncer) Sightings(id director.NodeID) []director.Report {
	g := &s.loop.sightings
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []director.Report
	for _, r := range g.of[id] {
		all = append(all, *r)
	}
	return all
}

// look updates this director's own reports: those of the prober, with times by the
// store's clock and this director in By.
func (l *loop) look() {
	g := &l.sightings
	news, all, edit := l.cfg.Prober.Changes(g.edit)
	g.edit = edit
	switch {
	case all:
		for id := range g.at {
			g.changed.add(id)
		}
		g.own, g.at = make([]*director.Report, 0, len(news)), make(map[director.NodeID]int, len(news))
	case len(news) > 0:
		g.own = slices.Clone(g.own)
	}
	now := l.cfg.Now()
	for i := range news {
		r := &news[i]
		r.By = l.cfg.Director
		for _, t := range timesOf(r) {
			*t = byStore(*t, now, l.offset)
		}
		at, known := g.at[r.Node]
		if !known {
			at = len(g.own)
			g.at[r.Node] = at
			g.own = append(g.own, nil)
		}
		g.own[at] = r
		g.changed.add(r.Node)
	}
}

// hear updates the reports of the other directors from a Picture's. This director's own
// among them are ignored: what it offered before is older.
func (g *sightings) hear(self string, reports []*director.Report) {
	if slices.Equal(reports, g.picture) {
		return
	}
	g.picture = reports
	other := map[director.NodeID][]*director.Report{}
	for _, r := range reports {
		if r.By != self {
			other[r.Node] = append(other[r.Node], r)
		}
	}
	for id, is := range other {
		was := g.other[id]
		if len(is) != len(was) || slices.ContainsFunc(is, func(r *director.Report) bool { return !slices.Contains(was, r) }) {
			g.changed.add(id)
		}
	}
	for id := range g.other {
		if other[id] == nil {
			g.changed.add(id)
		}
	}
	g.other = other
}

// group puts together the reports of each node that has others than at the last call, and
// returns those nodes. Times in the future, as after a step of the clock, become now; such
// nodes count as changed until the future has come.
func (g *sightings) group(now time.Time) (changed sighted) {
	changed, g.changed = g.changed, nil
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of == nil {
		g.of = map[director.NodeID][]*director.Report{}
	}
	for id := range changed {
		var all []*director.Report
		if at, ok := g.at[id]; ok {
			all = append(all, g.own[at])
		}
		all = append(all, g.other[id]...)
		for i, r := range all {
			if isEarly(r, now) {
				early := *r
				notAfter(now, timesOf(&early)...)
				all[i] = &early
				g.changed.add(id)
			}
		}
		if all == nil {
			delete(g.of, id)
			continue
		}
		g.of[id] = all
	}
	return changed
}
