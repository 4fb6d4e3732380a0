package director

import "math"

// Weighted rendezvous hashing: every listener draws a number for every node, and the
// node with the lowest quotient of draw and share wins. A change of one share moves
// only the listeners that it must move (D. Thaler and C. Ravishankar, "Using
// name-based mappings to increase hit rates", 1998; the logarithmic method is
// J. Schindelhauer and G. Schomaker's, "Weighted distributed hash tables", 2005).

// uniform returns a number between 0 and 1, both excluded, that depends only on the
// listener and the node.
func uniform(key, node uint64) float64 {
	return (float64(mix(key^node)>>11) + 0.5) / (1 << 53)
}

// exponential converts a uniform number to an exponentially distributed one.
func exponential(u float64) float64 { return -math.Log(u) }

// mix is the finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast
// splittable pseudorandom number generators", 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashString returns the 64-bit FNV-1a hash of a short name, passed through mix.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}
