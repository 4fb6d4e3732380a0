package demonode

import "math"

// A Layer III encoder first splits the sound into 32 bands, 18 samples of each to
// a granule, and then each band by a transform of its own into 18 lines
// (ISO 11172-3, C.1.3 and C.1.5.3). Only the lowest bands are used here: the
// tunes have nothing above 11 kHz.
const (
	bandCount    = 32
	usedBands    = 15
	bandLines    = 18
	coded        = usedBands * bandLines // lines of a granule that may be other than zero
	granule      = bandCount * bandLines // samples
	frameSamples = 2 * granule
)

// synthesisWindow is the first half of table B.3 (D[i]) of ISO 11172-3 and its
// middle, in units of 1/65536. The second half mirrors it, negated but at every
// 64th; the encoder's window (table C.1) is a 32nd of it.
var synthesisWindow = [257]int32{
	0, -1, -1, -1, -1, -1, -1, -2, -2, -2, -2, -3, -3, -4, -4, -5,
	-5, -6, -7, -7, -8, -9, -10, -11, -13, -14, -16, -17, -19, -21, -24, -26,
	-29, -31, -35, -38, -41, -45, -49, -53, -58, -63, -68, -73, -79, -85, -91, -97,
	-104, -111, -117, -125, -132, -139, -147, -154, -161, -169, -176, -183, -190, -196, -202, -208,
	213, 218, 222, 225, 227, 228, 228, 227, 224, 221, 215, 208, 200, 189, 177, 163,
	146, 127, 106, 83, 57, 29, -2, -36, -72, -111, -153, -197, -244, -294, -347, -401,
	-459, -519, -581, -645, -711, -779, -848, -919, -991, -1064, -1137, -1210, -1283, -1356, -1428, -1498,
	-1567, -1634, -1698, -1759, -1817, -1870, -1919, -1962, -2001, -2032, -2057, -2075, -2085, -2087, -2080, -2063,
	2037, 2000, 1952, 1893, 1822, 1739, 1644, 1535, 1414, 1280, 1131, 970, 794, 605, 402, 185,
	-45, -288, -545, -814, -1095, -1388, -1692, -2006, -2330, -2663, -3004, -3351, -3705, -4063, -4425, -4788,
	-5153, -5517, -5879, -6237, -6589, -6935, -7271, -7597, -7910, -8209, -8491, -8755, -8998, -9219, -9416, -9585,
	-9727, -9838, -9916, -9959, -9966, -9935, -9863, -9750, -9592, -9389, -9139, -8840, -8492, -8092, -7640, -7134,
	6574, 5959, 5288, 4561, 3776, 2935, 2037, 1082, 70, -998, -2122, -3300, -4533, -5818, -7154, -8540,
	-9975, -11455, -12980, -14548, -16155, -17799, -19478, -21189, -22929, -24694, -26482, -28289, -30112, -31947, -33791, -35640,
	-37489, -39336, -41176, -43006, -44821, -46617, -48390, -50137, -51853, -53534, -55178, -56778, -58333, -59838, -61289, -62684,
	-64019, -65290, -66494, -67629, -68692, -69679, -70590, -71420, -72169, -72835, -73415, -73908, -74313, -74630, -74856, -74992,
	75038,
}

// filters holds what the two steps multiply by.
var filters = func() (f struct {
	window [512]float64
	bands  [usedBands][32]float64            // band, folded window tap
	lines  [bandLines][2 * bandLines]float64 // line, sample: window and cosine in one
	alias  [8]struct{ own, other float64 }   // table B.9
}) {
	for i, d := range synthesisWindow {
		f.window[i] = float64(d) / (65536 * bandCount)
	}
	for i := 1; i < 256; i++ {
		f.window[512-i] = -f.window[i]
		if i%64 == 0 {
			f.window[512-i] = f.window[i]
		}
	}
	for k := range f.bands {
		for j := range f.bands[k] {
			f.bands[k][j] = math.Cos(float64((2*k+1)*j) * math.Pi / 64)
		}
	}
	for k := range f.lines {
		for n := range f.lines[k] {
			window := math.Sin(math.Pi / 36 * (float64(n) + 0.5))
			f.lines[k][n] = window * math.Cos(math.Pi/72*float64((2*n+19)*(2*k+1))) / 9
		}
	}
	for i, c := range [8]float64{-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037} {
		f.alias[i].own = 1 / math.Sqrt(1+c*c)
		f.alias[i].other = c / math.Sqrt(1+c*c)
	}
	return f
}()

type slot [usedBands]float64 // one sample of each band

// splitBands returns the band samples of a sound that repeats for ever; its
// length is a multiple of 32.
func splitBands(pcm []float64) []slot {
	// What comes before the first sample is the end.
	past := len(filters.window) - bandCount
	sound := append(append(make([]float64, 0, past+len(pcm)), pcm[len(pcm)-past:]...), pcm...)
	out := make([]slot, len(pcm)/bandCount)
	var y [64]float64
	var folded [32]float64
	for t := range out {
		newest := past + bandCount*t + bandCount - 1
		for i := range y {
			y[i] = 0
			for j := i; j < 512; j += 64 {
				y[i] += filters.window[j] * sound[newest-j]
			}
		}
		// The cosines are symmetric about tap 16, and antisymmetric about tap 48.
		folded[0] = y[16]
		for j := 1; j <= 16; j++ {
			folded[j] = y[16+j] + y[16-j]
		}
		for j := 17; j < 32; j++ {
			folded[j] = y[16+j] - y[80-j]
		}
		for k := range out[t] {
			sum := 0.0
			for j, v := range folded {
				sum += filters.bands[k][j] * v
			}
			out[t][k] = sum
		}
	}
	return out
}

// spectrum returns the lines of a granule from its slots and those of the granule before.
func spectrum(before, now []slot) *[coded]float64 {
	var out [coded]float64
	for band := range usedBands {
		var in [2 * bandLines]float64
		for n := range bandLines {
			in[n], in[bandLines+n] = before[n][band], now[n][band]
			if band&n&1 == 1 { // odd bands come upside down
				in[n], in[bandLines+n] = -in[n], -in[bandLines+n]
			}
		}
		for k := range bandLines {
			sum := 0.0
			for n, v := range in {
				sum += filters.lines[k][n] * v
			}
			out[band*bandLines+k] = sum
		}
	}
	for edge := bandLines; edge < coded; edge += bandLines {
		for i, a := range filters.alias {
			below, above := out[edge-1-i], out[edge+i]
			out[edge-1-i] = below*a.own + above*a.other
			out[edge+i] = above*a.own - below*a.other
		}
	}
	return &out
}
