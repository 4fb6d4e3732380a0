package demonode

import "math"

// instrument is how a note sounds: its overtones and how it swells and fades.
type instrument struct {
	overtones []float64 // amplitude of each harmonic, from the fundamental on
	attack    float64   // seconds until it is loudest
	fade      float64   // seconds in which it falls to 1/e; 0: it is held
	release   float64   // seconds from the end of a held note to silence
}

var (
	harp  = instrument{overtones: []float64{1, 0.45, 0.22, 0.1, 0.05}, attack: 0.004, fade: 0.45}
	organ = instrument{overtones: []float64{0.6, 0.35, 0.1, 0.2, 0, 0.06, 0, 0.08}, attack: 0.06, release: 0.15}
	bells = instrument{overtones: []float64{1, 0, 0.15, 0.35, 0, 0.12}, attack: 0.002, fade: 0.7}
)

// tableSize is one period; with linear interpolation, 2048 points keep the error
// of the eighth harmonic below -80 dB.
const tableSize = 2048

// table returns one period, and its first point again.
func (in instrument) table() []float64 {
	table := make([]float64, tableSize+1)
	for h, level := range in.overtones {
		for i := range table {
			table[i] += level * math.Sin(2*math.Pi*float64((h+1)*i)/tableSize)
		}
	}
	return table
}

type tone struct {
	at, held int // samples
	hz       float64
	level    float64
}

// play adds a tone to a sound that repeats for ever.
func (in instrument) play(pcm, table []float64, n tone) {
	attack := in.attack * sampleRate
	// A tone that fades has done so, to -70 dB, after 8 times its time.
	length, decay := int(8*in.fade*sampleRate), math.Exp(-1/(in.fade*sampleRate))
	if in.fade == 0 {
		length, decay = n.held+int(in.release*sampleRate), 1
	}
	phase, step := 0.0, n.hz*tableSize/sampleRate
	level, at := n.level, n.at
	for i := range length {
		whole := int(phase)
		value := table[whole] + (table[whole+1]-table[whole])*(phase-float64(whole))
		gain := level * min(1, float64(i)/attack)
		if over := i - n.held; in.fade == 0 && over > 0 {
			gain *= 1 - float64(over)/(in.release*sampleRate)
		}
		pcm[at] += gain * value
		level *= decay
		if phase += step; phase >= tableSize {
			phase -= tableSize
		}
		if at++; at == len(pcm) {
			at = 0
		}
	}
}
