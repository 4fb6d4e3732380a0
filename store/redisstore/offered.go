package redisstore

import (
	"cmp"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// offered is what one director offers to the others. With 1,000 nodes it takes
// 500 kB as JSON, of which a tick changes about a hundredth; that is why only changes
// are sent.
type offered struct {
	counts  map[time.Time][]store.Count // by bucket, in order of nodes
	reports map[reportID]*director.Report

	registrations map[registrationID]store.Registration
}

func newOffered() offered {
	return offered{map[time.Time][]store.Count{}, map[reportID]*director.Report{}, map[registrationID]store.Registration{}}
}

// reportID identifies a report: a newer report with the same reportID replaces it.
type reportID struct {
	Node director.NodeID `json:"node"`
	By   string          `json:"by,omitempty"`
}

// registrationID identifies a registration: that of a node by one instance of an agent.
type registrationID struct {
	Node     director.NodeID `json:"node"`
	Instance string          `json:"instance"`
}

// A change is the difference between an earlier and a later offered, in the form that
// it has in Redis. The difference to an empty one is all that is offered.
type change struct {
	Counts  []bucket           `json:"counts,omitempty"`
	Reports []*director.Report `json:"reports,omitempty"`
	Gone    []reportID         `json:"gone,omitempty"` // reports no longer offered

	Registrations []store.Registration `json:"registrations,omitempty"`
	Left          []registrationID     `json:"left,omitempty"` // registrations no longer offered
}

// bucket is all counts of one bucket. If Nodes is empty, the bucket is no longer offered.
type bucket struct {
	At    time.Time               `json:"at"`
	Nodes map[director.NodeID]int `json:"n,omitempty"`
	// Estimated is how many of these are an estimate. Older directors neither write nor
	// read it.
	Estimated map[director.NodeID]int `json:"e,omitempty"`
}

// offeredIn returns what o offers.
func offeredIn(o store.Offer) offered {
	out := newOffered()
	for _, c := range o.Counts {
		c.At = c.At.UTC().Round(0) // normalized, since it is a map key
		out.counts[c.At] = append(out.counts[c.At], c)
	}
	for at, counts := range out.counts {
		out.counts[at] = merged(counts)
	}
	for _, r := range o.Reports {
		if kbit := finite(r.Kbit); kbit != r.Kbit {
			sound := *r
			sound.Kbit = kbit
			r = &sound
		}
		id := reportID{r.Node, r.By}
		if have, ok := out.reports[id]; !ok || r.Taken.After(have.Taken) {
			out.reports[id] = r
		}
	}
	for _, r := range o.Registrations {
		r.Report.Kbit = finite(r.Report.Kbit)
		id := registrationID{r.Node, r.Instance}
		if have, ok := out.registrations[id]; !ok || r.Seen.After(have.Seen) {
			out.registrations[id] = r
		}
	}
	return out
}

// finite returns f, or 0, which means "not reported", if JSON has no form for f.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// merged sorts the counts of one bucket by node and sums those of the same node. It
// modifies counts.
func merged(counts []store.Count) []store.Count {
	slices.SortFunc(counts, func(a, b store.Count) int { return cmp.Compare(a.Node, b.Node) })
	out := counts[:0]
	for _, c := range counts {
		if last := len(out) - 1; last >= 0 && out[last].Node == c.Node {
			out[last].N += c.N
			out[last].Estimated += c.Estimated
		} else {
			out = append(out, c)
		}
	}
	return out
}

// differences returns the values of now that before does not have, and the keys that only
// before has.
func differences[K comparable, V any](now, before map[K]V) (changed []V, gone []K) {
	for id, v := range now {
		if have, ok := before[id]; !ok || !reflect.DeepEqual(v, have) {
			changed = append(changed, v)
		}
	}
	for id := range before {
		if _, ok := now[id]; !ok {
			gone = append(gone, id)
		}
	}
	return changed, gone
}

// since returns the change that turns before into o, and whether there is any
// difference.
func (o offered) since(before offered) (change, bool) {
	var c change
	for at, counts := range o.counts {
		if slices.Equal(counts, before.counts[at]) {
			continue
		}
		b := bucket{At: at, Nodes: make(map[director.NodeID]int, len(counts))}
		for _, one := range counts {
			b.Nodes[one.Node] = one.N
			if one.Estimated != 0 {
				if b.Estimated == nil {
					b.Estimated = map[director.NodeID]int{}
				}
				b.Estimated[one.Node] = one.Estimated
			}
		}
		c.Counts = append(c.Counts, b)
	}
	for at := range before.counts {
		if o.counts[at] == nil {
			c.Counts = append(c.Counts, bucket{At: at})
		}
	}
	c.Reports, c.Gone = differences(o.reports, before.reports)
	c.Registrations, c.Left = differences(o.registrations, before.registrations)
	return c, len(c.Counts)+len(c.Reports)+len(c.Gone)+len(c.Registrations)+len(c.Left) > 0
}

// apply applies the change c to o.
func (o offered) apply(c change) {
	for _, b := range c.Counts {
		at := b.At.UTC()
		if len(b.Nodes) == 0 {
			delete(o.counts, at)
			continue
		}
		counts := make([]store.Count, 0, len(b.Nodes))
		for node, n := range b.Nodes {
			counts = append(counts, store.Count{Node: node, At: at, N: n, Estimated: b.Estimated[node]})
		}
		o.counts[at] = merged(counts)
	}
	for _, r := range c.Reports {
		if r == nil {
			continue // nobody writes that
		}
		o.reports[reportID{r.Node, r.By}] = r
	}
	for _, id := range c.Gone {
		delete(o.reports, id)
	}
	for _, r := range c.Registrations {
		o.registrations[registrationID{r.Node, r.Instance}] = r
	}
	for _, id := range c.Left {
		delete(o.registrations, id)
	}
}

// list returns all counts, in order of time and node.
func (o offered) list() []store.Count {
	buckets := make([][]store.Count, 0, len(o.counts))
	for _, at := range slices.SortedFunc(maps.Keys(o.counts), time.Time.Compare) {
		buckets = append(buckets, o.counts[at])
	}
	return slices.Concat(buckets...)
}

// sent is what Redis holds of this director after its last change, as far as known.
type sent struct {
	director string
	head     int64 // the number of that change; 0: nothing is known, send all
	offered  offered

	// The number of changes, and the bytes of those after the first, which is whole
	// bytes long. They bound how much accumulates before all is sent again.
	changes, bytes, whole int
}

// next returns the change to send so that Redis then holds o, and the number of the
// change that it follows: 0 if it is all of o. The body is empty if there is no
// difference.
func (s *sent) next(director string, o offered) (body []byte, follows int64, err error) {
	if s.director != director {
		*s = sent{director: director}
	}
	if s.changes+1 >= maxChanges || s.bytes > 2*s.whole+4<<10 {
		s.head = 0
	}
	before := s.offered
	if s.head == 0 {
		before = offered{}
	}
	c, different := o.since(before)
	if !different && s.head != 0 {
		return nil, s.head, nil
	}
	body, err = pack(c)
	return body, s.head, err
}

// kept notes that Redis holds o after the change with this number. follows and the
// length of the body are those of the change that next returned.
func (s *sent) kept(o offered, number, follows int64, body int) {
	switch {
	case follows == 0:
		s.changes, s.bytes, s.whole = 1, 0, body
	case number != follows:
		s.changes, s.bytes = s.changes+1, s.bytes+body
	}
	s.head, s.offered = number, o
}
