package demonode

import (
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestSound decodes each tune twice round with ffmpeg: without an error, true to
// what was rendered, and with the tonic as the strongest tone of any 5 s.
func TestSound(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if testing.Short() {
			t.Skip("ffmpeg is not installed")
		}
		t.Fatal("ffmpeg is not installed; run with -short to skip this")
	}
	for _, tune := range Tunes() {
		t.Run(tune.Name, func(t *testing.T) {
			t.Parallel()
			loop := tune.loop()
			pcm := decode(t, slices.Concat(loop, loop))
			want := tune.render()
			if len(pcm) < 2*len(want)-2*frameSamples {
				t.Fatalf("%d samples decoded, want %d", len(pcm), 2*len(want))
			}
			second := pcm[len(want):]
			if db := likeness(want, second); db < 50 {
				t.Errorf("the decoded tune is %.0f dB off, want 50 at least", db)
			}
			if db := likeness(want, second[:2*codecDelay]); db < 50 {
				t.Errorf("the decoded joint is %.0f dB off, want 50 at least", db)
			}
			for _, from := range []int{sampleRate, len(want) - 2*sampleRate} { // within, and across the joint
				if hz := strongest(pcm[from : from+5*sampleRate]); math.Abs(hz-tune.hz) > 1 {
					t.Errorf("from %d on, the strongest tone is %.1f Hz, want %.1f", from, hz, tune.hz)
				}
			}
		})
	}
}

// TestPairCodes checks that no code word begins another, and that none is missing.
func TestPairCodes(t *testing.T) {
	t.Parallel()
	const longest = 12
	var used [1 << longest]int
	for _, row := range pairCodes {
		for _, code := range row {
			free := longest - code&15
			for i := range 1 << free {
				used[int(code>>4)<<free+i]++
			}
		}
	}
	for word, n := range used {
		if n != 1 {
			t.Fatalf("%012b is read as %d code words", word, n)
		}
	}
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

// codecDelay is how much later than the encoder's input the decoder's output is:
// 481 samples of the two filter banks' windows and 576 of the overlap.
const codecDelay = 1057

// likeness returns the signal's distance from the error, in dB.
func likeness(want, got []float64) float64 {
	var signal, noise float64
	for i := range len(got) - codecDelay {
		d := want[i] - got[i+codecDelay]
		signal, noise = signal+want[i]*want[i], noise+d*d
	}
	return 10 * math.Log10(signal/noise)
}

// strongest returns the strongest of the quarter tones from 55 to 1760 Hz, where
// all that is played lies.
func strongest(pcm []float64) float64 {
	const every = 8 // 6 kHz is enough; what lies above folds back weakly
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

func BenchmarkEncode(b *testing.B) {
	pcm := Tunes()[0].render()
	b.SetBytes(int64(len(pcm) * 2))
	b.ReportAllocs()
	for b.Loop() {
		encode(pcm)
	}
}

func BenchmarkRender(b *testing.B) {
	for b.Loop() {
		Tunes()[0].render()
	}
}
