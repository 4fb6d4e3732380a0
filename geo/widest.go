package geo

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/signpost-fm/signpost/director"
)

// widestSteps is how many ranges of one place Widest examines at most: some 100 us of
// work.
const widestSteps = 2048

// Widest returns the length in bits of the widest prefix around addr, but none wider
// than atLeast, in which alike is true for the place of every address. alike must be true
// for addr's own place. The result may be narrower than the widest prefix if that would
// take long to find, but is never too wide. Widest does not allocate, and is safe for
// concurrent use.
func (l *Locator) Widest(addr netip.Addr, atLeast int, alike func(director.Place) bool) int {
	if !addr.IsValid() {
		return 0
	}
	a := l.split(addr)
	if a.is4 && !addr.Is4() {
		return 128 // it embeds an IPv4 address, and its neighbours embed any others
	}
	w := walk{l: l, layers: *l.current.Load(), is4: a.is4, left: widestSteps, alike: alike}
	at, width := point{a.hi, a.lo}, 128
	if a.is4 {
		at, width = point{0, uint64(a.v4)}, 32
	}
	first, last := w.around(at)
	n := width
	for n > max(atLeast, 0) {
		from, to := at.block(width-n+1, width)
		if !from.before(first) && !last.before(to) {
			n-- // still within the range that addr lies in
			continue
		}
		// Only the half that is new.
		if half, end := at.block(width-n, width); half == from {
			from = end.next()
		} else {
			to = half.prev()
		}
		if !w.all(from, to) {
			break
		}
		n--
	}
	return n
}

// A walk goes through an address space, from one range of one place to the next.
type walk struct {
	l      *Locator
	layers []layer
	is4    bool
	left   int // how many more ranges may be examined
	alike  func(director.Place) bool
}

// all reports whether alike is true for every place from one address to another. It also
// returns false if finding out takes too many steps.
func (w *walk) all(from, to point) bool {
	var place director.Place
	for {
		if w.left--; w.left < 0 {
			return false
		}
		if w.l.locate(&place, w.layers, w.address(from)); !w.alike(place) {
			return false
		}
		_, last := w.around(from)
		if !last.before(to) {
			return true
		}
		from = last.next()
	}
}

func (w *walk) address(p point) address {
	if w.is4 {
		return address{is4: true, v4: uint32(p.lo)}
	}
	return w.l.split(address{hi: p.hi, lo: p.lo}.addr())
}

// around returns the first and the last address of a range around p in which the
// place is certainly the same. The range ends where a range of any database ends, and
// where addresses begin or cease to be special or to embed IPv4 addresses.
func (w *walk) around(p point) (first, last point) {
	a := w.address(p)
	if a.is4 != w.is4 {
		return p, p // an embedded IPv4 address, in the middle of a walk
	}
	last = point{^uint64(0), ^uint64(0)}
	if a.is4 {
		last = point{0, 1<<32 - 1}
	}
	for i := range w.layers {
		f, l := w.layers[i].index.rangeAt(a)
		first, last = first.max(f), last.min(l)
	}
	for _, s := range w.l.edges(a.is4) {
		switch {
		case p.before(s.first):
			last = last.min(s.first.prev())
		case s.last.before(p):
			first = first.max(s.last.next())
		default:
			first, last = first.max(s.first), last.min(s.last)
		}
	}
	return first, last
}

// rangeAt returns the first and the last address of the run around a, which is in one
// place.
func (ix *index) rangeAt(a address) (from, to point) {
	if a.is4 {
		first, last := ix.v4.bounds(ix.v4.blockOf(a.v4), a.v4)
		return point{0, uint64(first)}, point{0, uint64(last)}
	}
	t := &ix.v6
	block := t.blockOf(a.hi)
	if p := t.blocks.at(block, a.hi); p >= t.places {
		d := &t.deep[p-t.places]
		i := last(d.start, a.lo)
		from, to = point{a.hi, d.start[i]}, point{a.hi, ^uint64(0)}
		if i+1 < len(d.start) {
			to.lo = d.start[i+1] - 1
		}
		return from, to
	}
	first, last := t.bounds(block, a.hi)
	return point{first, 0}, point{last, ^uint64(0)}
}

// point is an address as a number of 128 bits. IPv4 takes the lowest 32 of them.
type point struct{ hi, lo uint64 }

func (p point) before(o point) bool { return p.hi < o.hi || p.hi == o.hi && p.lo < o.lo }

func (p point) min(o point) point {
	if o.before(p) {
		return o
	}
	return p
}

func (p point) max(o point) point {
	if p.before(o) {
		return o
	}
	return p
}

func (p point) next() point {
	lo, carry := bits.Add64(p.lo, 1, 0)
	return point{p.hi + carry, lo}
}

func (p point) prev() point {
	lo, borrow := bits.Sub64(p.lo, 1, 0)
	return point{p.hi - borrow, lo}
}

// block returns the first and the last point of the block of 1<<size addresses around p,
// in a space of width bits.
func (p point) block(size, width int) (first, last point) {
	var mask point // the bits that differ within the block
	switch {
	case size >= 128:
		mask = point{^uint64(0), ^uint64(0)}
	case size >= 64:
		mask = point{1<<(size-64) - 1, ^uint64(0)}
	default:
		mask = point{0, 1<<size - 1}
	}
	if width == 32 {
		mask.lo &= 1<<32 - 1
	}
	return point{p.hi &^ mask.hi, p.lo &^ mask.lo}, point{p.hi | mask.hi, p.lo | mask.lo}
}

// bounds is a network by its first and last address.
type bounds struct{ first, last point }

var edges4 = boundsOf(special4)

// edges returns the networks at whose borders addresses begin or cease to be special or
// to embed IPv4 addresses.
func (l *Locator) edges(is4 bool) []bounds {
	if is4 {
		return edges4
	}
	return l.edges6
}

func (l *Locator) findEdges() []bounds {
	return boundsOf(slices.Concat(special6, embedding6, l.nat64, []netip.Prefix{public6}))
}

func boundsOf(networks []netip.Prefix) []bounds {
	var all []bounds
	for _, n := range networks {
		b := n.Addr().As16()
		p, width := point{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}, 128
		if n.Addr().Is4() {
			p, width = point{0, p.lo & (1<<32 - 1)}, 32
		}
		first, last := p.block(width-n.Bits(), width)
		all = append(all, bounds{first, last})
	}
	return all
}
