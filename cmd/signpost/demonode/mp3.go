package demonode

import (
	"math"
	"runtime"
	"sync"
)

// The stream is MPEG-1 Layer III, 48 kHz, mono, 128 kbit/s. At these numbers a
// frame is exactly 384 bytes and 24 ms, without padding.
const (
	sampleRate = 48000
	bitRate    = 128000
	frameBytes = frameSamples / 8 * bitRate / sampleRate
	headBytes  = 4
	sideBytes  = 17 // of a mono frame
	frameBits  = 8 * (frameBytes - headBytes - sideBytes)
)

// frameHead says just that, and "original".
var frameHead = [headBytes]byte{0xff, 0xfb, 0x94, 0xc4}

// encode makes Layer III frames of a sound that repeats for ever: the last frame
// leads into the first. Samples are within -1..1, and their number is a multiple
// of a frame's.
//
// It is the smallest encoder that does a tune justice: long blocks, one step for
// all lines, one family of Huffman tables, no psychoacoustics. No frame borrows
// bits of another, so that a listener may begin at any.
func encode(pcm []float64) []byte {
	slots := splitBands(pcm)
	granules := len(pcm) / granule
	at := func(g int) []slot {
		g = (g + granules) % granules
		return slots[g*bandLines : (g+1)*bandLines]
	}
	out := make([]byte, len(pcm)/frameSamples*frameBytes)
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for f := w; f < len(pcm)/frameSamples; f += workers {
				g := 2 * f
				first := quantise(spectrum(at(g-1), at(g)), frameBits/2)
				second := quantise(spectrum(at(g), at(g+1)), frameBits-first.bits)
				writeFrame(out[f*frameBytes:(f+1)*frameBytes], first, second)
			}
		})
	}
	wg.Wait()
	return out
}

// quantised is a granule, ready to be written.
type quantised struct {
	values
	gain int // global_gain
}

// unitGain is the global_gain at which a line's value is what was coded.
const unitGain = 210

// quantise finds the finest step that fits into bits. A step up in gain makes
// the lines coarser by a fourth of an octave, and their 3/4th powers by 3/16.
func quantise(lines *[coded]float64, bits int) *quantised {
	var power [coded]float64
	for i, x := range lines {
		power[i] = math.Sqrt(math.Abs(x) * math.Sqrt(math.Abs(x)))
	}
	best, q := new(quantised), new(quantised)
	for low, high := 0, 255; low <= high; { // at the coarsest step all is zero, which always fits
		q.gain = (low + high) / 2
		if q.fill(lines, &power) && q.bits <= bits {
			high = q.gain - 1
			best, q = q, best
		} else {
			low = q.gain + 1
		}
	}
	return best
}

// fill rounds the lines to the step, and reports whether they can be coded.
func (q *quantised) fill(lines, power *[coded]float64) bool {
	scale := math.Exp2(float64(unitGain-q.gain) * 3 / 16)
	for i, p := range power {
		// A decoder raises to 4/3, which puts the middle between two values lower.
		n := p*scale + 0.5 - 0.0946
		if n > maxValue {
			return false
		}
		if q.line[i] = int(n); lines[i] < 0 {
			q.line[i] = -q.line[i]
		}
	}
	q.measure()
	return true
}

// writeFrame fills p (ISO 11172-3, 2.4.1).
func writeFrame(p []byte, granules ...*quantised) {
	copy(p, frameHead[:])
	w := bitWriter{p: p[headBytes:]}
	w.put(0, 9) // main_data_begin: no bits of earlier frames
	w.put(0, 5) // private bits
	w.put(0, 4) // scfsi
	for _, q := range granules {
		w.put(uint32(q.bits), 12)
		w.put(uint32(q.pairs), 9)
		w.put(uint32(q.gain), 8)
		w.put(0, 4) // scalefac_compress: no scale factors
		w.put(0, 1) // long blocks
		for range 3 {
			w.put(uint32(24+q.table), 5)
		}
		w.put(7, 4) // where the regions meet, which all have the same table
		w.put(7, 3)
		w.put(0, 2) // preflag, scalefac_scale
		w.put(1, 1) // fours by table B
	}
	for _, q := range granules {
		q.each(w.put)
	}
}

// bitWriter fills zeroed bytes from the highest bit on.
type bitWriter struct {
	p  []byte
	at int // bits written
}

func (w *bitWriter) put(word uint32, bits int) {
	for i := bits - 1; i >= 0; i-- {
		w.p[w.at/8] |= byte(word>>i&1) << (7 - w.at%8)
		w.at++
	}
}
