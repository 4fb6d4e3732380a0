package simulate

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/sim"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/geo"
)

// replay is what a scenario plays of records, and how it was.
type replay struct {
	names     []string
	requests  []request // those that are played
	stays     []time.Duration
	origins   []int // by client
	mounts    []int // by mount of the records
	midnight  time.Time
	from      time.Duration // since midnight
	habits    []sim.Habit
	playlists int     // the index of their habit
	sums      float64 // of the parts of the other habits

	nodes, regions []string
	samples        [][]int // by node of the records: listeners, at the times of the scenario's samples
	sent           map[[2]uint16]int
}

// replayed changes a scenario into one whose listeners are those of the records. regions
// has the region of each of its origins.
func (p *Plan) replayed(s *sim.Scenario, from, until time.Duration) (out *replay, regions []director.RegionID, remarks []string, err error) {
	r := p.Records
	out = &replay{names: r.Names, midnight: r.midnight, from: from, nodes: r.nodes.all, regions: r.regions.all, sent: map[[2]uint16]int{}}
	first := r.midnight.Add(from).UnixMilli()
	last := r.midnight.Add(until).UnixMilli()
	begin, _ := slices.BinarySearchFunc(r.requests, first, func(q request, at int64) int { return cmp.Compare(q.at, at) })
	end, _ := slices.BinarySearchFunc(r.requests, last, func(q request, at int64) int { return cmp.Compare(q.at, at) })
	out.requests = slices.Clone(r.requests[begin:end])
	if more := out.nameMounts(s, r); more != "" {
		remarks = append(remarks, more)
	}
	if len(out.requests) == 0 {
		return nil, nil, nil, fmt.Errorf("no request of the records from %s until %s asks for a mount of the file", Clock(from), Clock(until))
	}
	remarks = append(remarks, fmt.Sprintf("the records are those of %s; times are UTC, and nobody listens before the first of them", r.midnight.Format(time.DateOnly)))
	for _, l := range r.skipped {
		remarks = append(remarks, fmt.Sprintf("not played: %d %s", l.n, l.why))
	}
	if r.others > 0 {
		remarks = append(remarks, fmt.Sprintf("%s of %d are no request records, and were skipped", wording.Count(r.others, "line"), r.lines))
	}
	if n := countForms(out.requests, ofInline); n > 0 {
		remarks = append(remarks, fmt.Sprintf("%s played as if each had a connection of its own to the node", wording.Count(n, "inline stream")))
	}
	out.people(s)
	out.draw(s, p.Seed)
	if regions, err = out.places(s, r, p.Locate); err != nil {
		return nil, nil, nil, err
	}
	out.asItWas(s)
	s.Arrivals = out.arrivals()
	return out, regions, remarks, nil
}

func countForms(all []request, f form) (n int) {
	for i := range all {
		if all[i].form&f != 0 {
			n++
		}
	}
	return n
}

// nameMounts finds the records' mounts in the scenario, and drops the requests for others.
func (t *replay) nameMounts(s *sim.Scenario, r *Records) (remark string) {
	declared := s.Fleet.Mounts
	if len(declared) == 0 {
		for _, name := range r.mounts.all {
			declared = append(declared, director.Mount{Name: name})
		}
		s.Fleet.Mounts = declared
	}
	var unknown []string
	for _, name := range r.mounts.all {
		i := slices.IndexFunc(declared, func(m director.Mount) bool { return m.Name == name || slices.Contains(m.Aliases, name) })
		t.mounts = append(t.mounts, i)
		if i < 0 {
			unknown = append(unknown, name)
		}
	}
	before := len(t.requests)
	t.requests = slices.DeleteFunc(t.requests, func(q request) bool { return t.mounts[q.mount] < 0 })
	if gone := before - len(t.requests); gone > 0 {
		const most = 5
		if len(unknown) > most {
			unknown = append(unknown[:most], "...")
		}
		return fmt.Sprintf("not played: %s for mounts that the file does not have: %s", wording.Count(gone, "request"), strings.Join(unknown, ", "))
	}
	return ""
}

// people sets the habits. What a player asked for a second time is in the records.
func (t *replay) people(s *sim.Scenario) {
	for _, h := range sim.Players() {
		h.Opens, h.NodeOpens = 0, 0
		if h.Entries > 0 {
			t.playlists = len(t.habits)
		} else {
			t.sums += h.Part
		}
		t.habits = append(t.habits, h)
	}
	s.Habits = t.habits
}

// habit is that of a request's player: always the same for a listener.
func (t *replay) habit(q *request) int {
	if q.form&ofPlaylist != 0 {
		return t.playlists
	}
	x := float64(q.who%1000) / 1000 * t.sums
	for i, h := range t.habits {
		if h.Entries > 0 {
			continue
		}
		if x -= h.Part; x < 0 {
			return i
		}
	}
	return 0
}

// draw says how long each listens: those whose stream was carried, as long as it was; the
// others by chance, and no longer than until they come again.
func (t *replay) draw(s *sim.Scenario, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0x7a57)) //nolint:gosec // a simulation needs repeatable numbers
	mean := cmp.Or(s.Crowd.Session, usualSession)
	t.stays = make([]time.Duration, len(t.requests))
	for i := range t.requests {
		m := mean
		if r.Float64() < zapping {
			m = zappingFor
		}
		drawn := max(time.Millisecond, time.Duration(min(-math.Log(1-r.Float64())*float64(m), float64(longestPlay))))
		if known := t.requests[i].stays; known > 0 {
			drawn = time.Duration(known) * time.Millisecond
		}
		t.stays[i] = drawn
	}
	order := make([]int32, len(t.requests))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		x, y := &t.requests[a], &t.requests[b]
		return cmp.Or(cmp.Compare(x.who, y.who), cmp.Compare(x.mount, y.mount), cmp.Compare(a, b))
	})
	for k := 1; k < len(order); k++ {
		q, next := &t.requests[order[k-1]], &t.requests[order[k]]
		if q.who != next.who || q.who == 0 {
			continue
		}
		q.form |= ofMany
		next.form |= ofMany
		if gap := time.Duration(next.at-q.at) * time.Millisecond; q.mount == next.mount && next.form&ofCrowd == 0 && q.stays == 0 {
			t.stays[order[k-1]] = max(min(t.stays[order[k-1]], gap), time.Millisecond)
		}
	}
}

const (
	usualSession = 30 * time.Minute // as [sim.Crowd] has it, and those who only zap by
	zapping      = 0.3
	zappingFor   = 30 * time.Second
)

// places makes an origin of all networks between which a decision makes no difference.
func (t *replay) places(s *sim.Scenario, r *Records, locate func(netip.Addr) director.Place) (regions []director.RegionID, err error) {
	fleet, err := director.Compile(s.Fleet)
	if err != nil {
		return nil, err
	}
	snap := fleet.Build(nil, director.Input{Now: s.Start})
	type kind struct {
		director.Origin
		six bool
	}
	s.Origins = nil
	index := map[kind]int{}
	t.origins = make([]int, len(r.clients))
	for i, c := range r.clients {
		o := sim.Origin{Addr: c.net.Addr(), Place: placeOf(c, locate)}
		region := regionOf(snap, o)
		if !slices.ContainsFunc(s.Fleet.Regions, func(r director.Region) bool { return r.ID == region && len(r.Row)+len(r.Overflow) > 0 }) {
			// By distance: within a degree, it is the same.
			o.Place.Lat, o.Place.Lon = float32(math.Round(float64(o.Place.Lat))), float32(math.Round(float64(o.Place.Lon)))
		}
		key := kind{snap.Origin(o.Addr, o.Place), o.Addr.Is6()}
		at, there := index[key]
		if !there {
			at = len(s.Origins)
			if at > maxOrigins {
				return nil, fmt.Errorf("the records' listeners are at more than %d places between which the file decides differently", maxOrigins)
			}
			index[key] = at
			o.Name = cmp.Or(string(region), "by distance")
			s.Origins, regions = append(s.Origins, o), append(regions, region)
		}
		t.origins[i] = at
		s.Origins[at].Networks++
	}
	return regions, nil
}

const maxOrigins = 60_000 // a listener's origin is 16 bits

// placeOf is where today's databases have a network, and where they do not know it, the
// country that it was taken for.
func placeOf(c netOf, locate func(netip.Addr) director.Place) director.Place {
	p := director.Place{}
	if locate != nil && c.net.IsValid() {
		p = locate(c.net.Addr())
	}
	if p.Country == (director.Code{}) && c.country != (director.Code{}) {
		p = geo.Complete(director.Place{Country: c.country, ASN: p.ASN})
	}
	return p
}

// asItWas counts the listeners of each node, by where the records say that they were sent.
func (t *replay) asItWas(s *sim.Scenario) {
	n := int(s.For/s.Every) + 1
	t.samples = make([][]int, len(t.nodes))
	for i := range t.samples {
		t.samples[i] = make([]int, n+1)
	}
	at := func(d time.Duration) int { return min(int((d+s.Every-1)/s.Every), n) }
	for i := range t.requests {
		q := &t.requests[i]
		t.sent[[2]uint16{q.region, q.node}]++
		if q.node == 0 {
			continue // nobody
		}
		came := t.since(q)
		t.samples[q.node][at(came)]++
		t.samples[q.node][at(came+t.stays[i])]--
	}
	for _, all := range t.samples {
		for k := 1; k < len(all); k++ {
			all[k] += all[k-1]
		}
	}
	for i := range t.samples {
		t.samples[i] = t.samples[i][:n]
	}
}

// since is when a request came, since the scenario's start.
func (t *replay) since(q *request) time.Duration {
	return time.UnixMilli(q.at).Sub(t.midnight) - t.from
}

func (t *replay) arrivals() iter.Seq[sim.Arrival] {
	return func(yield func(sim.Arrival) bool) {
		for i := range t.requests {
			q := &t.requests[i]
			a := sim.Arrival{At: t.since(q), Origin: t.origins[q.client], Mount: t.mounts[q.mount], Habit: t.habit(q), Stays: t.stays[i], Person: q.who >> 1}
			if q.form&ofMany != 0 {
				a.Person |= sim.SharedPerson
			}
			if !yield(a) {
				return
			}
		}
	}
}

// most is how many listened at once, at the most.
func (t *replay) most() (most int) {
	if len(t.samples) == 0 {
		return 0
	}
	for k := range t.samples[0] {
		all := 0
		for _, n := range t.samples {
			all += n[k]
		}
		most = max(most, all)
	}
	return most
}

// compare says what came of the requests, beside what the records say. It adds the
// listeners as they were to the report's samples.
func (t *replay) compare(r *Report, h *sim.History, regions []director.RegionID) *Replay {
	out := &Replay{Records: t.names, Requests: len(t.requests)}
	at := func(id director.RegionID) *ReplayRegion {
		i := slices.IndexFunc(out.Regions, func(one ReplayRegion) bool { return one.ID == id })
		if i < 0 {
			i = len(out.Regions)
			out.Regions = append(out.Regions, ReplayRegion{ID: id, Sent: map[director.NodeID]Compared{}})
		}
		return &out.Regions[i]
	}
	add := func(region director.RegionID, node director.NodeID, was, would int) {
		one := at(region)
		if node == "" {
			one.Refused.Was += was
			one.Refused.Would += would
			return
		}
		c := one.Sent[node]
		one.Sent[node] = Compared{c.Was + was, c.Would + would}
	}
	for o, sent := range h.Sent {
		for n, count := range sent {
			if count > 0 {
				add(regions[o], h.Scenario.Fleet.Nodes[n].ID, 0, count)
			}
		}
		add(regions[o], "", 0, h.Refused[o])
	}
	for k, n := range t.sent {
		add(director.RegionID(t.regions[k[0]]), director.NodeID(t.nodes[k[1]]), n, 0)
	}
	slices.SortFunc(out.Regions, func(a, b ReplayRegion) int { return cmp.Compare(a.ID, b.ID) })
	r.Samples.Was = map[director.NodeID][]int{}
	for i, n := range r.Nodes {
		one := ReplayNode{ID: n.ID, Mean: Compared{0, n.Mean}, Most: Compared{0, n.Most}}
		if k := slices.Index(t.nodes, string(n.ID)); k > 0 {
			t.was(&one, k)
			r.Samples.Was[n.ID] = t.samples[k]
		}
		for _, sent := range h.Sent {
			one.Sent.Would += sent[i]
		}
		out.Nodes = append(out.Nodes, one)
	}
	for k, id := range t.nodes { // those that the file does not have
		if k > 0 && len(t.samples) > 0 && !slices.ContainsFunc(r.Nodes, func(n Node) bool { return string(n.ID) == id }) {
			one := ReplayNode{ID: director.NodeID(id)}
			if t.was(&one, k); one.Sent.Was > 0 {
				out.Nodes = append(out.Nodes, one)
			}
		}
	}
	return out
}

// was fills in how it was at the k-th node of the records.
func (t *replay) was(n *ReplayNode, k int) {
	for at, count := range t.sent {
		if int(at[1]) == k {
			n.Sent.Was += count
		}
	}
	for _, l := range t.samples[k] {
		n.Mean.Was += l
		n.Most.Was = max(n.Most.Was, l)
	}
	n.Mean.Was /= max(1, len(t.samples[k]))
}
