package geo

import (
	"slices"

	"github.com/signpost-fm/signpost/director"
)

// An index is a compiled database: address ranges with the number of a place.
// It is immutable, and whatever was not known has place 0.
type index struct {
	v4     table4
	v6     table6
	places []director.Place
}

func (ix *index) at(a address) *director.Place {
	if a.is4 {
		return &ix.places[ix.v4.at(a.v4)]
	}
	return &ix.places[ix.v6.at(a.hi, a.lo)]
}

// bytes is how much memory the index holds.
func (ix *index) bytes() int {
	const place = 20 // unsafe.Sizeof(director.Place{})
	n := len(ix.places)*place + 4*len(ix.v4.block) + 6*len(ix.v4.low) + 8*len(ix.v6.top) + 12*len(ix.v6.start)
	for _, d := range ix.v6.deep {
		n += 48 + 12*len(d.start)
	}
	return n
}

// runs covers an address space without gaps: run i reaches from start[i] to
// start[i+1], the first begins at 0.
type runs[S uint32 | uint64] struct {
	start []S
	place []uint32
}

// set says that everything from start on is at place, for now. Networks are put
// in by two calls, one for where they begin and one, with place 0, for what
// follows. They come in ascending order, so that only the last run can change.
func (r *runs[S]) set(start S, place uint32) {
	if n := len(r.start) - 1; n >= 0 && r.start[n] == start {
		r.start, r.place = r.start[:n], r.place[:n]
	}
	if n := len(r.place) - 1; n >= 0 && r.place[n] == place {
		return
	}
	r.start, r.place = append(r.start, start), append(r.place, place)
}

// last returns the last of the sorted starts that is not above x; starts[0] must
// not be.
func last[S uint16 | uint64](starts []S, x S) int {
	at := 0
	for n := len(starts); n > 1; {
		half := n >> 1
		if starts[at+half] <= x {
			at += half
		}
		n -= half
	}
	return at
}

// table4 holds runs of IPv4 addresses by their upper half: those of a /16 are
// low[block[i]:block[i+1]], and the first of them begins with the /16.
type table4 struct {
	block []uint32 // 1<<16 + 1 of them
	low   []uint16
	place []uint32
}

func (t *table4) at(a uint32) uint32 {
	from, to := t.block[a>>16], t.block[a>>16+1]
	return t.place[int(from)+last(t.low[from:to], uint16(a))]
}

func pack4(r runs[uint32]) table4 {
	const blocks = 1 << 16
	t := table4{
		block: make([]uint32, blocks+1),
		low:   make([]uint16, 0, len(r.start)+blocks),
		place: make([]uint32, 0, len(r.start)+blocks),
	}
	next := 0 // of r
	for b := range uint32(blocks) {
		t.block[b] = uint32(len(t.low))
		if next == len(r.start) || r.start[next] != b<<16 {
			t.low, t.place = append(t.low, 0), append(t.place, r.place[next-1])
		}
		for ; next < len(r.start) && r.start[next]>>16 == b; next++ {
			t.low, t.place = append(t.low, uint16(r.start[next])), append(t.place, r.place[next])
		}
	}
	t.block[blocks] = uint32(len(t.low))
	t.low, t.place = slices.Clip(t.low), slices.Clip(t.place)
	return t
}

// table6 holds runs of IPv6 networks up to /64. Those that lie within one /64
// are found in deep, whose number then stands, with deepBit, in place of the
// place's. In use are few parts of IPv6, all of them crowded, so that a jump
// table as for IPv4 would not help: instead top holds every fanout-th start,
// small enough to stay in the processor's cache.
type table6 struct {
	top   []uint64
	start []uint64
	place []uint32
	deep  []runs[uint64]
}

const (
	fanout  = 64
	deepBit = 1 << 31
)

func (t *table6) at(hi, lo uint64) uint32 {
	from := last(t.top, hi) * fanout
	p := t.place[from+last(t.start[from:min(from+fanout, len(t.start))], hi)]
	if p&deepBit == 0 {
		return p
	}
	d := &t.deep[p&^deepBit]
	return d.place[last(d.start, lo)]
}

func pack6(r runs[uint64], deep []runs[uint64]) table6 {
	t := table6{start: slices.Clone(r.start), place: slices.Clone(r.place), deep: deep}
	for i := 0; i < len(t.start); i += fanout {
		t.top = append(t.top, t.start[i])
	}
	return t
}
