package director

import (
	"math"
	"slices"
)

// seating finds seats for a demand: [Snapshot.Reserve], [Snapshot.Absorb] and
// [Snapshot.Forecast] are this one computation, and differ only in who needs a seat and
// in which seats are free.
//
//   - Each crowd looks for seats below target along its region's ladder: rung after rung,
//     by weight, or by free capacity in a row by load. Crowds that want the same seats
//     share them. Listeners who find none take seats that are free below the limits, at
//     any rung.
//   - A node has seats for the mounts that it plays, up to the mount's own limit.
//   - Schemes, address families, pacing and warm-up are left out.
type seating struct {
	*origins
	empty bool // everybody needs a seat, so that no seat is taken yet

	target, limit []float64 // by node: free seats below its target, and between that and its limit
	// mounts are the free seats of a mount's own, by node: 0 where it does not play,
	// endless where it has no limit. Mounts that have the same share one entry.
	mounts [][]float64
	known  map[string]int // the index into mounts, by name
}

// endless is more seats than there are listeners anywhere.
const endless = 1e12

func newSeating(o *origins, empty bool) *seating {
	nodes := len(o.s.nodes)
	k := &seating{origins: o, empty: empty, target: make([]float64, nodes), limit: make([]float64, nodes), known: map[string]int{}}
	for i := range o.s.nodes {
		st := o.s.nodes[i]
		used := float64(st.used)
		if empty {
			used = 0
		}
		switch {
		case st.health != Fit || st.full && !empty:
			continue
		case st.full: // it holds as many as it can
			k.target[i] = min(float64(st.used), seatsUpTo(st.target))
			k.limit[i] = float64(st.used) - k.target[i]
			continue
		}
		k.target[i] = max(0, seatsUpTo(st.target)-used)
		k.limit[i] = endless
		if st.limit > 0 {
			k.limit[i] = max(0, float64(st.limit)-max(used, float64(st.target)))
		}
	}
	return k
}

// seatsUpTo returns a target as seats; 0 means that it is not known.
func seatsUpTo(target int) float64 {
	if target == 0 {
		return endless
	}
	return float64(target)
}

// mount returns the index into k.mounts of a mount; empty: any.
func (k *seating) mount(name string) int {
	if i, ok := k.known[name]; ok {
		return i
	}
	own := make([]float64, len(k.s.nodes))
	m, exists := k.s.names[name]
	for n := range own {
		switch {
		case name == "" && k.s.nodes[n].plays != 0:
			own[n] = endless
		case exists:
			own[n] = k.own(n, m)
		}
	}
	i := slices.IndexFunc(k.mounts, func(o []float64) bool { return !limited(own) && slices.Equal(o, own) })
	if i < 0 {
		i = len(k.mounts)
		k.mounts = append(k.mounts, own)
	}
	k.known[name] = i
	return i
}

// limited says whether a mount has a limit of its own at some node.
func limited(own []float64) bool {
	return slices.ContainsFunc(own, func(seats float64) bool { return seats != 0 && seats != endless })
}

// own returns the seats that mount m has of its own at node n.
func (k *seating) own(n, m int) float64 {
	c := k.s.carriesAt(m, n)
	if c.is == LacksMount || c.schemes == 0 {
		return 0
	}
	r := k.s.nodes[n].report.mount(k.s.nodePath(n, m))
	switch {
	case c.is == NodeFull && !k.empty:
		return 0
	case r != nil && r.Limit > 0 && k.empty:
		return float64(r.Limit)
	case r != nil && r.Limit > 0:
		return float64(max(0, r.Limit-max(0, r.Listeners)))
	case c.is == NodeFull && r != nil:
		return float64(max(0, r.Listeners)) // it holds as many as it can
	case c.is == NodeFull:
		return 0
	}
	return endless
}

// party is the crowds of one origin that listen to mounts with the same seats.
type party struct {
	*origin
	mount  int // of seats
	crowds []amount[Crowd]

	looks        []*rung // the rungs in which it looks now
	rung         int
	listeners    float64
	left         float64 // listeners without a seat
	overflow     float64 // those with a seat below target, but not in the first rung
	beyondTarget float64 // those who found none below target
	sum          float64 // the sum of the shares of the rung's nodes that have seats
}

// seated is the result of a seating.
type seated struct {
	parties   []party
	held      []float64 // by node: who found a seat there
	unbounded bool      // somebody may use a node that has no known limit
}

// seat finds seats for d while the nodes in dead have none.
func (k *seating) seat(d Demand, dead ...int) seated {
	out := seated{parties: k.parties(d), held: make([]float64, len(k.target))}
	free := seats{node: slices.Clone(k.target), mounts: make([][]float64, len(k.mounts))}
	limit := slices.Clone(k.limit)
	for i, own := range k.mounts {
		if limited(own) {
			free.mounts[i] = slices.Clone(own)
		}
	}
	for _, n := range dead {
		free.node[n], limit[n] = 0, 0
	}
	for i := range out.parties {
		p := &out.parties[i]
		out.unbounded = out.unbounded || slices.ContainsFunc(p.union.entries, func(e entry) bool {
			return limit[e.node] == endless && k.mounts[p.mount][e.node] == endless
		})
	}
	k.give(out.parties, &free, out.held)
	without := 0.0
	for i := range out.parties {
		p := &out.parties[i]
		p.beyondTarget = p.left
		without = max(without, p.left)
		p.looks, p.rung = []*rung{p.union}, 0
	}
	if free.node = limit; without > someone {
		k.give(out.parties, &free, out.held)
	}
	return out
}

func (k *seating) parties(d Demand) (all []party) {
	for _, c := range d.crowds() {
		at, is := k.of[c.Region]
		if !is {
			continue
		}
		o, m := &k.all[at], k.mount(c.Mount)
		i := slices.IndexFunc(all, func(p party) bool { return p.origin == o && p.mount == m })
		if i < 0 {
			i = len(all)
			all = append(all, party{origin: o, mount: m, looks: o.ladder})
		}
		all[i].crowds = append(all[i].crowds, amount[Crowd]{c, d[c]})
		all[i].listeners += d[c]
		all[i].left += d[c]
	}
	return all
}

// Loss is what becomes of listeners who look for another node at once, while everybody
// else stays where they are: because a node or a site fails.
type Loss struct {
	Node NodeID `json:"node,omitempty"`
	Site string `json:"site,omitempty"`

	Listeners    int `json:"listeners"`          // who look for another node, those on the way included
	Overflow     int `json:"overflow,omitempty"` // of them, how many find one below target only in another region's row
	BeyondTarget int `json:"beyond_target"`      // of them, how many find no node below its target
	BeyondLimit  int `json:"beyond_limit"`       // of them, how many find no node below its limit: they are turned away
	// Unbounded says that a node which they may use has no known limit. It is assumed to
	// hold any number of listeners, so the numbers may be too optimistic.
	Unbounded bool `json:"unbounded,omitempty"`
}

// loss adds up the crowds for which accept returns true; nil: all of them.
func (s *seated) loss(accept func(Crowd) bool) Loss {
	var all, overflow, target, limit float64
	for i := range s.parties {
		p := &s.parties[i]
		for _, c := range p.crowds {
			if accept == nil || accept(c.of) {
				part := c.n / p.listeners
				all, overflow, target, limit = all+c.n, overflow+part*p.overflow, target+part*p.beyondTarget, limit+part*p.left
			}
		}
	}
	return Loss{
		Listeners: int(math.Round(all)), Overflow: int(math.Ceil(overflow - someone)), BeyondTarget: int(math.Ceil(target - someone)),
		BeyondLimit: int(math.Ceil(limit - someone)), Unbounded: s.unbounded,
	}
}

// seats are numbers of seats by node.
type seats struct {
	node   []float64
	mounts [][]float64 // of the mounts' own, as in seating; nil: it has no limit anywhere
}

// like returns as many seats of each kind as in f, all 0.
func (f *seats) like() seats {
	out := seats{node: make([]float64, len(f.node)), mounts: make([][]float64, len(f.mounts))}
	for i, own := range f.mounts {
		if own != nil {
			out.mounts[i] = make([]float64, len(own))
		}
	}
	return out
}

func (f *seats) add(mount, node int, n float64) {
	f.node[node] += n
	if own := f.mounts[mount]; own != nil {
		own[node] += n
	}
}

// give gives free seats to the parties, and adds them to held. All parties that want a
// seat share it, so the result does not depend on their order. Each round fills a node
// or a mount, ends a rung or seats a whole party.
func (k *seating) give(parties []party, free *seats, held []float64) {
	asked, given := free.like(), free.like()
	for k.ask(parties, free, &asked) {
		for i := range parties {
			p := &parties[i]
			if p.sum == 0 {
				continue
			}
			r, wanted := p.looks[p.rung], p.left
			for _, e := range r.entries {
				want := wanted * k.share(p, r, e, free) / p.sum
				if want == 0 {
					continue
				}
				part := min(1, free.node[e.node]/asked.node[e.node])
				if own := free.mounts[p.mount]; own != nil {
					part = min(part, own[e.node]/asked.mounts[p.mount][e.node])
				}
				given.add(p.mount, e.node, want*part)
				p.left -= want * part
				if p.rung > 0 {
					p.overflow += want * part
				}
			}
		}
		for n, g := range given.node {
			held[n] += g
		}
		free.take(&given)
		asked.clear()
		given.clear()
	}
}

func (f *seats) take(given *seats) {
	subtract(f.node, given.node)
	for i, own := range f.mounts {
		subtract(own, given.mounts[i])
	}
}

func (f *seats) clear() {
	clear(f.node)
	for _, own := range f.mounts {
		clear(own)
	}
}

func subtract(from, given []float64) {
	for n := range from {
		if from[n] -= given[n]; from[n] < someone {
			from[n] = 0
		}
	}
}

// someone is the smallest part of a listener that counts: less is a rounding error.
const someone = 1e-3

// ask adds up how many seats the parties want at each node, each party at the
// first rung of its ladder that has any. It returns false when nobody wants one.
func (k *seating) ask(parties []party, free, asked *seats) (wanted bool) {
	for i := range parties {
		p := &parties[i]
		p.sum = 0
		for ; p.left > someone && p.rung < len(p.looks); p.rung++ {
			r := p.looks[p.rung]
			for _, e := range r.entries {
				p.sum += k.share(p, r, e, free)
			}
			if p.sum == 0 {
				continue
			}
			for _, e := range r.entries {
				asked.add(p.mount, e.node, p.left*k.share(p, r, e, free)/p.sum)
			}
			wanted = true
			break
		}
	}
	return wanted
}

// share is the weight of a node among those of a rung that have seats for a party.
func (k *seating) share(p *party, r *rung, e entry, free *seats) float64 {
	own := free.mounts[p.mount]
	switch {
	case free.node[e.node] == 0 || k.mounts[p.mount][e.node] == 0 || own != nil && own[e.node] == 0:
		return 0
	case r.given:
		return e.weight
	}
	return free.node[e.node]
}
