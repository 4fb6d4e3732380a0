package geo

import (
	"math"
	"unsafe"

	"github.com/signpost-fm/signpost/director"
)

// An index is a compiled database: address ranges with the number of a place.
// It is immutable.
type index struct {
	v4     table4
	v6     table6
	places []packedPlace
	asns   []uint32 // by place; nil: no place has one
}

// packedPlace is a place without its ASN, which city databases do not have.
type packedPlace struct {
	continent, country director.Code
	subdivision        director.Subdivision
	point              director.Point
	lat, lon           int16 // in tenths of a degree
}

func (ix *index) at(a address) director.Place {
	var n uint32
	if a.is4 {
		n = ix.v4.at(a.v4)
	} else {
		n = ix.v6.at(a.hi, a.lo)
	}
	p := &ix.places[n]
	out := director.Place{
		Continent: p.continent, Country: p.country, Subdivision: p.subdivision,
		Point: p.point, Lat: float32(p.lat) / 10, Lon: float32(p.lon) / 10,
	}
	if ix.asns != nil {
		out.ASN = ix.asns[n]
	}
	return out
}

// setPlaces packs the places. Their coordinates are whole tenths of a degree.
func (ix *index) setPlaces(places []director.Place) {
	ix.places = make([]packedPlace, len(places))
	for i, p := range places {
		lat, lon := math.Round(float64(p.Lat)*10), math.Round(float64(p.Lon)*10)
		ix.places[i] = packedPlace{p.Continent, p.Country, p.Subdivision, p.Point, int16(lat), int16(lon)}
		if p.ASN != 0 && ix.asns == nil {
			ix.asns = make([]uint32, len(places))
		}
		if p.ASN != 0 {
			ix.asns[i] = p.ASN
		}
	}
}

// bytes returns how much memory the index takes.
func (ix *index) bytes() int {
	n := int(unsafe.Sizeof(packedPlace{}))*len(ix.places) + 4*len(ix.asns) +
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
