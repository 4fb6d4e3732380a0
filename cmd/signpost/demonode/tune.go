package demonode

import (
	"math"
	"sync"
)

// A Tune is what a node plays, in a loop of four bars that never clicks. Nodes of
// the same Tune share its sound. A Tune is safe for concurrent use.
type Tune struct {
	Name string // "Harp in C"

	hz         float64 // the tonic, which hums through the tune and is its strongest tone
	tempo      float64 // beats a minute
	instrument instrument
	notes      func(bar int) []note

	once   sync.Once
	frames []byte
}

// note is a tone of a bar.
type note struct {
	beat, beats float64 // where it begins in the bar, and how long it is held
	pitch       int     // semitones above the tonic
	level       float64
}

const beatsPerBar = 4

// progression is what all tunes have in common: I, VI, IV, V as semitones above the tonic.
var progression = [4][3]int{{0, 4, 7}, {-3, 0, 4}, {5, 9, 12}, {2, 7, 11}}

// Tunes returns three tunes that are told apart at once by key, instrument and tempo.
func Tunes() []*Tune { return tunes }

var tunes = []*Tune{
	{Name: "Harp in C", hz: 261.63, tempo: 92, instrument: harp, notes: arpeggio},
	{Name: "Organ in F", hz: 174.61, tempo: 66, instrument: organ, notes: chords},
	{Name: "Bells in A", hz: 440, tempo: 120, instrument: bells, notes: peal},
}

// arpeggio runs up and down the chord in quavers.
func arpeggio(bar int) []note {
	c := progression[bar%4]
	var out []note
	for i, pitch := range []int{c[0] - 12, c[1], c[2], c[0] + 12, c[1] + 12, c[0] + 12, c[2], c[1]} {
		out = append(out, note{beat: float64(i) / 2, beats: 0.5, pitch: pitch, level: 1})
	}
	return out
}

// chords holds the chord and moves one voice above it.
func chords(bar int) []note {
	c := progression[bar%4]
	out := []note{
		{beats: 4, pitch: c[0], level: 0.4}, {beats: 4, pitch: c[1], level: 0.4}, {beats: 4, pitch: c[2], level: 0.4},
	}
	for i, pitch := range []int{c[2], c[1], c[2]} {
		out = append(out, note{beat: []float64{0, 2, 3}[i], beats: []float64{2, 1, 1}[i], pitch: pitch + 12, level: 0.5})
	}
	return out
}

// peal rings downwards, with a rest at the end of the bar.
func peal(bar int) []note {
	c := progression[bar%4]
	var out []note
	for i, pitch := range []int{c[2] + 12, c[1] + 12, c[0] + 12, c[2], c[1] + 12, c[2]} {
		out = append(out, note{beat: float64(i) / 2, beats: 0.5, pitch: pitch, level: 1})
	}
	return out
}

// samples returns how long the loop is: the four bars, to the nearest frame.
func (t *Tune) samples() int {
	bars := float64(len(progression)*beatsPerBar) * 60 / t.tempo
	return int(math.Round(bars*sampleRate/frameSamples)) * frameSamples
}

// loop returns the tune as MP3 frames, encoded when it is first asked for.
func (t *Tune) loop() []byte {
	t.once.Do(func() { t.frames = encode(t.render()) })
	return t.frames
}

// render returns the loop's samples, at most 0.7 loud. Notes ring across its end.
func (t *Tune) render() []float64 {
	pcm := make([]float64, t.samples())
	t.hum(pcm)
	perBeat := float64(len(pcm)) / float64(len(progression)*beatsPerBar)
	table := t.instrument.table()
	for bar := range len(progression) {
		for _, n := range t.notes(bar) {
			at := int((float64(bar*beatsPerBar) + n.beat) * perBeat)
			t.instrument.play(pcm, table, tone{
				at: at, held: int(n.beats * perBeat), level: n.level,
				hz: t.hz * math.Exp2(float64(n.pitch)/12),
			})
		}
	}
	peak := 0.0
	for _, x := range pcm {
		peak = max(peak, math.Abs(x))
	}
	for i := range pcm {
		pcm[i] *= 0.7 / peak
	}
	return pcm
}

// hum fills pcm with the tonic, tuned by less than 0.1 Hz to whole periods.
func (t *Tune) hum(pcm []float64) {
	periods := math.Round(t.hz * float64(len(pcm)) / sampleRate)
	sin, cos := math.Sincos(2 * math.Pi * periods / float64(len(pcm)))
	x, y := 0.0, humLevel
	for i := range pcm {
		pcm[i] = x
		x, y = x*cos+y*sin, y*cos-x*sin
	}
}

// humLevel keeps the tonic above every note's average, and below its beginning.
const humLevel = 0.6
