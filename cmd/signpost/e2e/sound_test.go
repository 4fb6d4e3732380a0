package e2e

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"testing"
)

// heard returns the tone, of those given in Hz, that stands out in a recording
// of a player, or 0 if none does. Whatever the format, ffmpeg reads it.
func heard(t *testing.T, recording string, tones []int) int {
	t.Helper()
	const rate = 8000
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pcm, err := exec.CommandContext(ctx, "ffmpeg", "-v", "quiet", "-i", recording, "-f", "s16le", "-ac", "1", "-ar", "8000", "-t", "1.5", "-").Output()
	if err != nil || len(pcm) < rate { // half a second at least
		info, _ := os.Stat(recording)
		t.Logf("%s: %d bytes of sound, file %+v, %v", recording, len(pcm), info, err)
		return 0
	}
	samples := make([]float64, len(pcm)/2)
	total := 0.0
	for i := range samples {
		samples[i] = float64(int16(binary.LittleEndian.Uint16(pcm[2*i:])))
		total += samples[i] * samples[i]
	}
	best, loudest := 0, 0.0
	for _, hz := range tones {
		if p := power(samples, float64(hz)/rate); p > loudest {
			best, loudest = hz, p
		}
	}
	// A pure tone holds nearly all of the energy; noise holds next to nothing at one frequency.
	if loudest < total/2 {
		t.Logf("%s: %d Hz has only %.0f %% of the energy", recording, best, 100*loudest/total)
		return 0
	}
	return best
}

// power is the energy at one frequency, in cycles a sample, by Goertzel's
// algorithm, scaled so that a pure tone has all of its own energy.
func power(samples []float64, frequency float64) float64 {
	c := 2 * math.Cos(2*math.Pi*frequency)
	var s1, s2 float64
	for _, x := range samples {
		s1, s2 = x+c*s1-s2, s1
	}
	return (s1*s1 + s2*s2 - c*s1*s2) * 2 / float64(len(samples))
}
