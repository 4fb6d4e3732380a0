package geo

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
	"unsafe"
)

// blocks holds runs in groups of runsInBlock. Each run takes two to four bytes: a city
// database has 3.5 million runs.
//
// A block begins with one byte per run. The upper five bits are the run's reach, its last
// address minus its first, as an index into reaches: networks have few sizes. The
// lower three bits are a reference to its place: n for the n-th last place that the block
// lists so far, or 0 if this run adds a place to the list. Neighbouring networks are
// often in the same few places. After these bytes come the reaches that are not in
// reaches, and then the listed places, the first at the block's end.
type blocks[S uint32 | uint64] struct {
	heads   []blockHead[S] // of the blocks, and one that ends the last block
	data    []byte         // and 8 bytes more, so that reaches can be read by 8 bytes
	reaches [32]reach[S]
	size    int // of a place in data: 2 or 3 bytes
}

type blockHead[S uint32 | uint64] struct {
	start  S      // the first address
	offset uint32 // in data
}

// reach is how the reach of a run is found without a branch: either it is common, or it
// is the next bytes after the first bytes of the block.
type reach[S uint32 | uint64] struct {
	common S
	mask   S // of the bytes, little-endian
	bytes  int
}

const (
	runsInBlock = 24 // larger blocks take less memory and more time
	refBits     = 3
	refs        = 1 << refBits // 0 means no reference
	otherReach  = 27           // the index of the first of otherBytes; those before are common
	toTheEnd    = 31           // the index of the reach of a block's last run
)

// otherBytes are the sizes of reaches that are not common, of IPv4 and of IPv6.
var otherBytes = map[int][toTheEnd - otherReach]int{4: {1, 2, 3, 4}, 8: {2, 4, 5, 8}}

func (b *blocks[S]) bytes() int {
	return int(unsafe.Sizeof(blockHead[S]{}))*len(b.heads) + len(b.data)
}

// last returns the last of the blocks from <= n < to that does not begin above x. Block
// from must not begin above x.
func (b *blocks[S]) last(from, to int, x S) int {
	for n := to - from; n > 1; {
		half := n >> 1
		if b.heads[from+half].start <= x {
			from += half
		}
		n -= half
	}
	return from
}

// at returns the number of the place of x. x must lie in the block.
func (b *blocks[S]) at(block int, x S) uint32 {
	i, _, _ := b.run(block, x)
	data := b.data[b.heads[block].offset:b.heads[block+1].offset]
	named := namedUpTo(data, i) + 1 - max(1, int(data[i]&(refs-1)))
	at := data[len(data)-b.size*named:]
	if b.size == 2 {
		return uint32(at[0]) | uint32(at[1])<<8
	}
	return uint32(at[0]) | uint32(at[1])<<8 | uint32(at[2])<<16
}

// bounds returns the first and the last address of the run that x lies in. x must lie in
// the block.
func (b *blocks[S]) bounds(block int, x S) (first, last S) {
	i, into, reach := b.run(block, x)
	first = x - into
	if i == runsInBlock-1 || reach == ^S(0) {
		if last = b.heads[block+1].start; block < len(b.heads)-2 {
			last-- // not for the final head, whose start is the end of the space
		}
		return first, last
	}
	return first, first + reach
}

// run returns which run of a block x lies in, the offset of x in that run, and the run's
// reach, which is not valid for the last run of a block.
func (b *blocks[S]) run(block int, x S) (i int, into, reach S) {
	data := b.data[b.heads[block].offset:]
	x -= b.heads[block].start
	others := runsInBlock
	for ; i < runsInBlock-1; i++ {
		r := &b.reaches[data[i]>>refBits]
		reach = r.common | S(binary.LittleEndian.Uint64(data[others:]))&r.mask
		others += r.bytes
		if x <= reach {
			break
		}
		x -= reach + 1
	}
	return i, x, reach
}

// namedUpTo counts those of the runs 0 to i that list a place of their own.
func namedUpTo(data []byte, i int) int {
	const low, ones, high = 0x0101010101010101 * (refs - 1), 0x7f7f7f7f7f7f7f7f, 0x8080808080808080
	n := i + 1
	for ; i >= 8; i -= 8 {
		n -= bits.OnesCount64((binary.LittleEndian.Uint64(data)&low + ones) & high)
		data = data[8:]
	}
	return n - bits.OnesCount64((binary.LittleEndian.Uint64(data)&low+ones)&(high>>(8*(7-i))))
}

// pack puts runs into blocks. The numbers of their places are below places.
func pack[S uint32 | uint64](r runs[S], places int) blocks[S] {
	b := blocks[S]{size: 2}
	if places > 1<<16 {
		b.size = 3
	}
	codes := b.setReaches(r)
	for first := 0; first < len(r.start); first += runsInBlock {
		b.heads = append(b.heads, blockHead[S]{r.start[first], uint32(len(b.data))})
		b.add(codes, runs[S]{r.start[first:], r.place[first:]})
	}
	b.heads = append(b.heads, blockHead[S]{^S(0), uint32(len(b.data))})
	b.heads, b.data = slices.Clone(b.heads), slices.Concat(b.data, make([]byte, 8)) // without spare capacity
	return b
}

// add appends a block with the first runs of r.
func (b *blocks[S]) add(codes map[S]byte, r runs[S]) {
	var (
		heads  [runsInBlock]byte
		others []byte
		named  []uint32
	)
	for i := range min(runsInBlock, len(r.start)) {
		code := byte(toTheEnd)
		if i < runsInBlock-1 && i+1 < len(r.start) {
			reach := r.start[i+1] - r.start[i] - 1
			var ok bool
			if code, ok = codes[reach]; !ok {
				code = otherReach
				for b.reaches[code].mask < reach {
					code++
				}
				others = append(others, binary.LittleEndian.AppendUint64(nil, uint64(reach))[:b.reaches[code].bytes]...)
			}
		}
		ref := 1 + slices.Index(named[:min(len(named), refs-1)], r.place[i])
		if ref == 0 {
			named = slices.Insert(named, 0, r.place[i])
		}
		heads[i] = code<<refBits | byte(ref)
	}
	b.data = append(append(b.data, heads[:]...), others...)
	for _, p := range named {
		b.data = append(b.data, byte(p), byte(p>>8))
		if b.size == 3 {
			b.data = append(b.data, byte(p>>16))
		}
	}
}

// setReaches fills in reaches, and returns the index of each that is common.
func (b *blocks[S]) setReaches(r runs[S]) map[S]byte {
	counts := map[S]int{}
	for i := 1; i < len(r.start); i++ {
		counts[r.start[i]-r.start[i-1]-1]++
	}
	common := slices.SortedFunc(maps.Keys(counts), func(x, y S) int {
		return cmp.Or(counts[y]-counts[x], cmp.Compare(x, y))
	})
	codes := map[S]byte{}
	for i, n := range common[:min(len(common), otherReach)] {
		b.reaches[i].common, codes[n] = n, byte(i)
	}
	width := int(unsafe.Sizeof(S(0)))
	for i, n := range otherBytes[width] {
		b.reaches[otherReach+i] = reach[S]{mask: ^S(0) >> (8 * (width - n)), bytes: n}
	}
	b.reaches[toTheEnd].common = ^S(0)
	return codes
}
