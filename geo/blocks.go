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
	data    []byte
	reaches [32]S // the most common ones, and that of a block's last run
	size    int   // of a place in data: 2 or 3 bytes
}

type blockHead[S uint32 | uint64] struct {
	start  S      // the first address
	offset uint32 // in data
}

const (
	runsInBlock = 24 // larger blocks take less memory and more time
	refBits     = 3
	refs        = 1 << refBits // 0 means no reference
	toTheEnd    = 30           // the index of the reach of a block's last run
	otherReach  = 31           // the reach is an unsigned varint after the first bytes
)

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
	data, i, _, _ := b.run(block, x)
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
	_, i, into, reach := b.run(block, x)
	first = x - into
	if i == runsInBlock-1 || reach == ^S(0) {
		if last = b.heads[block+1].start; block < len(b.heads)-2 {
			last-- // not for the final head, whose start is the end of the space
		}
		return first, last
	}
	return first, first + reach
}

// run returns a block's data, the index of the run that x lies in, the offset of x in
// that run, and the run's reach, which is not valid for the last run of a block.
func (b *blocks[S]) run(block int, x S) (data []byte, i int, into, reach S) {
	data = b.data[b.heads[block].offset:b.heads[block+1].offset]
	x -= b.heads[block].start
	others := runsInBlock
	for ; i < runsInBlock-1; i++ {
		code := data[i] >> refBits
		reach = b.reaches[code]
		if code == otherReach {
			reach = 0
			for shift := 0; ; shift += 7 {
				part := data[others]
				others++
				reach |= S(part&0x7f) << shift
				if part < 0x80 {
					break
				}
			}
		}
		if x <= reach {
			break
		}
		x -= reach + 1
	}
	return data, i, x, reach
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
	codes := b.commonReaches(r)
	for first := 0; first < len(r.start); first += runsInBlock {
		b.heads = append(b.heads, blockHead[S]{r.start[first], uint32(len(b.data))})
		b.add(codes, runs[S]{r.start[first:], r.place[first:]})
	}
	b.heads = append(b.heads, blockHead[S]{^S(0), uint32(len(b.data))})
	b.heads, b.data = slices.Clone(b.heads), slices.Clone(b.data) // without spare capacity
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
				code, others = otherReach, binary.AppendUvarint(others, uint64(reach))
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

// commonReaches fills in reaches with the most common ones, and returns the index of each.
func (b *blocks[S]) commonReaches(r runs[S]) map[S]byte {
	counts := map[S]int{}
	for i := 1; i < len(r.start); i++ {
		counts[r.start[i]-r.start[i-1]-1]++
	}
	common := slices.SortedFunc(maps.Keys(counts), func(x, y S) int {
		return cmp.Or(counts[y]-counts[x], cmp.Compare(x, y))
	})
	codes := map[S]byte{}
	for i, reach := range common[:min(len(common), toTheEnd)] {
		b.reaches[i], codes[reach] = reach, byte(i)
	}
	b.reaches[toTheEnd] = ^S(0)
	return codes
}
