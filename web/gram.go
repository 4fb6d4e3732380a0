package web

import "slices"

// gramLen is how many bytes of a pattern's literal go into the index. Four bytes distinguish
// most patterns and fit into a register.
const gramLen = 4

// gramIndex finds the patterns that may match a user agent, at a cost that does not grow
// with their number. Each pattern is filed under a gram, a few bytes that every match of it
// contains: the longest, and of these the one that the fewest patterns share. A user agent
// is looked up by all its grams. It is immutable and safe for concurrent use.
type gramIndex struct {
	always []int32 // patterns without a literal, ascending
	filed  map[uint64][]int32
	sizes  [gramLen + 1]bool // which lengths of grams are filed
	// sketch has a bit for each filed gram. It rules out most grams of a user agent before
	// the map is read.
	sketch [1 << 10]uint64
}

// needs are sets of literals. Every match of a pattern contains all literals of one of the
// sets. Nil: nothing is known.
type needs [][]string

func newGramIndex(patterns []needs) *gramIndex {
	x := &gramIndex{filed: map[uint64][]int32{}}
	common := map[uint64]int{}
	for _, p := range patterns {
		for _, set := range p {
			eachGram(set, func(g uint64) { common[g]++ })
		}
	}
	for i, p := range patterns {
		if len(p) == 0 {
			x.always = append(x.always, int32(i))
		}
		for _, set := range p {
			var best uint64
			eachGram(set, func(g uint64) {
				if best == 0 || gramSize(g) > gramSize(best) || gramSize(g) == gramSize(best) && common[g] < common[best] {
					best = g
				}
			})
			x.file(best, int32(i))
		}
	}
	return x
}

func (x *gramIndex) file(g uint64, i int32) {
	if list := x.filed[g]; len(list) == 0 || list[len(list)-1] != i {
		x.filed[g] = append(list, i)
	}
	x.sizes[gramSize(g)] = true
	w, bit := sketchBit(g)
	x.sketch[w] |= bit
}

// candidates appends the patterns that may match s to buf and returns them, ascending. s
// must be in lower case, and buf empty.
func (x *gramIndex) candidates(buf []int32, s []byte) []int32 {
	buf = append(buf, x.always...)
	for n := 1; n <= gramLen; n++ {
		if !x.sizes[n] {
			continue
		}
		for i := 0; i+n <= len(s); i++ {
			g := gramOf(s[i : i+n])
			if w, bit := sketchBit(g); x.sketch[w]&bit != 0 {
				buf = append(buf, x.filed[g]...)
			}
		}
	}
	slices.Sort(buf)
	return slices.Compact(buf)
}

// eachGram calls f for each gram of the literals: gramLen bytes, or a whole shorter literal.
func eachGram(literals []string, f func(uint64)) {
	for _, lit := range literals {
		n := min(gramLen, len(lit))
		for i := 0; i+n <= len(lit); i++ {
			f(gramOf([]byte(lit[i : i+n])))
		}
	}
}

// gramOf packs up to four bytes and their number, so that the result is never 0.
func gramOf(b []byte) uint64 {
	g := uint64(len(b))
	for _, c := range b {
		g = g<<8 | uint64(c)
	}
	return g
}

// gramSize returns the number of bytes in a gram, which gramOf puts above them.
func gramSize(g uint64) int {
	n := 0
	for v := g; v > 0xff; v >>= 8 {
		n++
	}
	return n
}

func sketchBit(g uint64) (word uint64, bit uint64) {
	h := g * 0x9e3779b97f4a7c15 >> 48 // Fibonacci hashing (Knuth, TAOCP 6.4): 16 bits
	return h >> 6, 1 << (h & 63)
}
