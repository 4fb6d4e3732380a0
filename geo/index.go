package geo

import (
	"unsafe"

	"github.com/signpost-fm/signpost/director"
)

// An index is a compiled database: address ranges with the number of a place.
// It is immutable.
type index struct {
	v4     table4
	v6     table6
	places []director.Place // not packed: unpacking one costs a request more than finding it
}

// at returns the place of an address, which callers must not change.
func (ix *index) at(a address) *director.Place {
	if a.is4 {
		return &ix.places[ix.v4.at(a.v4)]
	}
	return &ix.places[ix.v6.at(a.hi, a.lo)]
}

// bytes returns how much memory the index takes.
func (ix *index) bytes() int {
	n := int(unsafe.Sizeof(director.Place{}))*len(ix.places) +
		4*len(ix.v4.block) + ix.v4.blocks.bytes() + 8*len(ix.v6.top) + ix.v6.blocks.bytes()
	for _, d := range ix.v6.deep {
		n += 48 + 12*len(d.start)
	}
	return n
}

// runs covers an address space without gaps: run i reaches from start[i] to just before
// start[i+1]. The first begins at 0.
type runs[S uint32 | uint64] struct {
	start []S
	place []uint32
}

// set puts everything from start on at place, until the next call. A network takes two
// calls: one for its start and one, with place 0, for what follows it. Networks come in
// ascending order, so only the last run can change.
func (r *runs[S]) set(start S, place uint32) {
	if n := len(r.start) - 1; n >= 0 && r.start[n] == start {
		r.start, r.place = r.start[:n], r.place[:n]
	}
	if n := len(r.place) - 1; n >= 0 && r.place[n] == place {
		return
	}
	r.start, r.place = append(r.start, start), append(r.place, place)
}

// last returns the index of the last of the sorted starts that is not above x. starts[0]
// must not be above x.
func last(starts []uint64, x uint64) int {
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

// table4 finds the block of an IPv4 address by its upper half i: it is one of
// block[i] to block[i+1].
type table4 struct {
	blocks[uint32]
	block []uint32 // 1<<16 + 1 of them
}

func (t *table4) at(a uint32) uint32 {
	return t.blocks.at(t.blockOf(a), a)
}

func (t *table4) blockOf(a uint32) int {
	from, to := t.block[a>>16], t.block[a>>16+1]
	return t.last(int(from), int(to)+1, a)
}

func newTable4(r runs[uint32], places int) table4 {
	const halves = 1 << 16
	t := table4{blocks: pack(r, places), block: make([]uint32, halves+1)}
	b, end := 0, len(t.heads)-1
	for half := range uint32(halves) {
		for b+1 < end && t.heads[b+1].start <= half<<16 {
			b++
		}
		t.block[half] = uint32(b)
	}
	t.block[halves] = uint32(end - 1)
	return t
}

// table6 holds runs of IPv6 networks up to /64. Networks smaller than a /64 are in deep:
// a run with the number places+n stands for deep[n]. Only few parts of the IPv6 space are
// in use, and these are crowded, so a jump table as for IPv4 would not help. Instead top
// holds the start of every fanout-th block, few enough to stay in the processor's cache.
type table6 struct {
	blocks[uint64]
	top    []uint64
	deep   []runs[uint64]
	places uint32
}

const fanout = 64

func (t *table6) at(hi, lo uint64) uint32 {
	p := t.blocks.at(t.blockOf(hi), hi)
	if p < t.places {
		return p
	}
	d := &t.deep[p-t.places]
	return d.place[last(d.start, lo)]
}

func (t *table6) blockOf(hi uint64) int {
	from := last(t.top, hi) * fanout
	return t.last(from, min(from+fanout, len(t.heads)-1), hi)
}

// newTable6 builds a table. In r, the number places+n stands for deep[n].
func newTable6(r runs[uint64], deep []runs[uint64], places int) table6 {
	t := table6{blocks: pack(r, places+len(deep)), deep: deep, places: uint32(places)}
	for i := 0; i < len(t.heads)-1; i += fanout {
		t.top = append(t.top, t.heads[i].start)
	}
	return t
}
