package demonode

import (
	"math"
	"math/cmplx"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// tonics hum through the tunes and are their strongest tones, as in loops.sh.
var tonics = map[string]float64{"Harp in C": 261.63, "Organ in F": 174.61, "Bells in A": 440} // Hz

// TestSound decodes each tune twice round with ffmpeg: without an error, with the
// tonic as the strongest tone of any 5 s, and without a click or a jump between the
// rounds.
func TestSound(t *testing.T) {
	t.Parallel()
	proctest.Need(t, "ffmpeg")
	for _, tune := range Tunes() {
		t.Run(tune.Name, func(t *testing.T) {
			t.Parallel()
			pcm, round := decode(t, slices.Concat(tune.loop, tune.loop)), len(tune.loop)/frameBytes*frameSamples
			if len(pcm) < 2*round-2*frameSamples {
				t.Fatalf("%d samples decoded, want %d", len(pcm), 2*round)
			}
			for _, from := range []int{sampleRate, round - 2*sampleRate} { // within, and across the joint
				if hz := strongest(pcm[from : from+5*sampleRate]); math.Abs(hz-tonics[tune.Name]) > 1 {
					t.Errorf("from %d on, the strongest tone is %.1f Hz, want %.1f", from, hz, tonics[tune.Name])
				}
			}
			if jump := phaseJump(tune, pcm, round); jump > mostJump {
				t.Errorf("the tonic jumps by %.2f rad where the loop begins again", jump)
			}
			cut := tune.loop[:len(tune.loop)-frameBytes] // as if the script had cut one frame too early
			if jump := phaseJump(tune, decode(t, slices.Concat(cut, cut)), round-frameSamples); jump < 2*mostJump {
				t.Errorf("a loop that is a frame too short is not noticed: the tonic jumps by %.2f rad", jump)
			}
			joint, elsewhere := bend(pcm[round-2*frameSamples:round+4*frameSamples]), bend(pcm[:round-2*frameSamples])
			if joint > 1.2*elsewhere {
				t.Errorf("the loop clicks where it begins again: the wave bends by %.3f, elsewhere by %.3f", joint, elsewhere)
			}
		})
	}
}

const (
	sampleRate   = 24000
	frameSamples = 576
	// mostJump leaves room for the notes that have the tonic's pitch.
	mostJump = 0.1 // rad
)

// phaseJump returns by how much the tonic's phase differs between the second before
// a joint and the one after it. It hums in whole periods a loop.
func phaseJump(tune *Tune, pcm []float64, joint int) float64 {
	frames := float64(len(tune.loop) / frameBytes * frameSamples)
	step := 2 * math.Pi * math.Round(tonics[tune.Name]*frames/sampleRate) / frames
	phase := func(from int) complex128 {
		sum := complex(0, 0)
		for i := from; i < from+sampleRate; i++ {
			sum += complex(pcm[i], 0) * cmplx.Rect(1, -step*float64(i))
		}
		return sum
	}
	return math.Abs(cmplx.Phase(phase(joint+2*frameSamples) / phase(joint-sampleRate)))
}

// bend returns by how much the wave turns most within a sample: a click turns it
// more than any tone.
func bend(pcm []float64) (most float64) {
	for i := 1; i+1 < len(pcm); i++ {
		most = max(most, math.Abs(pcm[i-1]-2*pcm[i]+pcm[i+1]))
	}
	return most
}

// decode runs ffmpeg and returns samples within -1..1; anything it complains of is an error.
func decode(t *testing.T, mp3 []byte) []float64 {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-xerror", "-err_detect", "explode", "-f", "mp3", "-i", "pipe:0", "-f", "s16le", "pipe:1")
	cmd.Stdin = strings.NewReader(string(mp3))
	var complaints strings.Builder
	cmd.Stderr = &complaints
	raw, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("ffmpeg: %v: %s", err, complaints.String())
	}
	pcm := make([]float64, len(raw)/2)
	for i := range pcm {
		pcm[i] = float64(int16(uint16(raw[2*i])|uint16(raw[2*i+1])<<8)) / 32768
	}
	return pcm
}

// strongest returns the strongest of the quarter tones from 55 to 1760 Hz, where
// all that is played lies.
func strongest(pcm []float64) float64 {
	const every = 4 // 6 kHz is enough; what lies above folds back weakly
	best, bestHz := 0.0, 0.0
	for k := -72; k <= 48; k++ {
		hz := 440 * math.Exp2(float64(k)/24)
		sin, cos := math.Sincos(2 * math.Pi * hz * every / sampleRate)
		x, y, re, im := 1.0, 0.0, 0.0, 0.0
		for i := 0; i < len(pcm); i += every {
			re, im = re+x*pcm[i], im+y*pcm[i]
			x, y = x*cos-y*sin, x*sin+y*cos
		}
		if p := re*re + im*im; p > best {
			best, bestHz = p, hz
		}
	}
	return bestHz
}
