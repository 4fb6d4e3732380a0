package origin

import (
	"cmp"
	"maps"
	"slices"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls"
)

// tell publishes what is known.
func (r *Reader) tell() {
	r.dirty = false
	next := &told{mounts: map[string]*[2]Mount{}}
	odd := map[Refusal]bool{}
	for name, nodes := range r.places {
		var m [2]Mount
		for i := range m {
			var why []Refusal
			m[i], why = agree(nodes, i)
			for _, o := range why {
				odd[o] = true
			}
		}
		next.mounts[name] = &m
		for _, p := range nodes {
			if p.refusal != nil {
				next.refusals = append(next.refusals, *p.refusal)
			}
		}
	}
	next.refusals = append(next.refusals, r.dated(slices.Collect(maps.Keys(odd)))...)
	slices.SortFunc(next.refusals, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Mount, b.Mount), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Text, b.Text))
	})
	r.told.Store(next)
}

// dated dates the refusals that come from comparing nodes, and logs those that are new.
func (r *Reader) dated(odd []Refusal) []Refusal {
	now := r.cfg.Now()
	for i := range odd {
		o, known := &odd[i], false
		o.Since = now
		for _, was := range r.told.Load().refusals {
			if was.Node == o.Node && was.Mount == o.Mount && was.Text == o.Text {
				o.Since, known = was.Since, true
			}
		}
		if !known {
			r.cfg.Log.Warn("a playlist is not used beside the others", "node", o.Node, "mount", o.Mount, "why", o.Text)
		}
	}
	return odd
}

// agree divides a mount's nodes into those between which players can be moved and the
// others. The order of the nodes is the same at all directors.
func agree(nodes map[director.NodeID]*place, scheme int) (m Mount, odd []Refusal) {
	var variants []hls.Pathway
	var mpds []hls.MPDPathway
	media := 0
	ids := slices.Sorted(maps.Keys(nodes))
	for _, id := range ids {
		switch l := nodes[id].lists[scheme]; {
		case l == nil:
		case l.Kind == Media:
			media++
		case l.Kind == Multivariant:
			variants = append(variants, hls.Pathway{ID: string(id), Playlist: l.Multivariant})
		case l.Kind == MPD:
			mpds = append(mpds, hls.MPDPathway{ID: string(id), MPD: l.MPD})
		}
	}
	m.Playlists = map[director.NodeID]*Playlist{}
	take := func(id string) { m.Playlists[director.NodeID(id)] = nodes[director.NodeID(id)].lists[scheme] }
	var others []hls.Odd
	switch {
	case len(variants) > 0:
		m.Kind = Multivariant
		variants, others = hls.Agree(variants)
		for _, p := range variants {
			take(p.ID)
		}
	case len(mpds) > 0:
		mpds, others = hls.AgreeMPD(mpds)
		if m.Kind = MPD; len(mpds) == 1 && len(others) > 0 {
			m.Kind = Media // packagers that know nothing of each other: players are sent to one, and stay
			break
		}
		for _, p := range mpds {
			take(p.ID)
		}
	case media > 0:
		m.Kind = Media
	}
	for _, o := range others {
		if m.Kind.Steers() {
			m.Odd = append(m.Odd, director.NodeID(o.ID))
		}
		odd = append(odd, Refusal{Node: director.NodeID(o.ID), Mount: nodes[director.NodeID(o.ID)].mount, Text: o.Why})
	}
	for _, id := range ids {
		if m.Playlists[id] != nil {
			continue
		}
		m.Others = append(m.Others, id)
		if l := nodes[id].lists[scheme]; l != nil && m.Kind != Unknown && l.Kind != m.Kind && m.Kind != Media {
			m.Odd = append(m.Odd, id)
			odd = append(odd, Refusal{Node: id, Mount: nodes[id].mount, Text: "unlike other nodes, it has " + l.Kind.text() + " here instead of " + m.Kind.text()})
		}
	}
	slices.Sort(m.Odd)
	return m, odd
}

func (k Kind) text() string {
	return [...]string{Unknown: "nothing", Media: "a media playlist", Multivariant: "a multivariant playlist", MPD: "an MPD"}[k]
}
