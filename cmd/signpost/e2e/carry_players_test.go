package e2e

import (
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

const (
	sampleRate = 44100
	// window is what is compared at once, in samples: 50 ms.
	window = sampleRate / 20
	// sameSound is the correlation from which a window is the source's. Decoders differ
	// in the last bits; what is lost, doubled or cut into has none.
	sameSound = .95
)

// What real players hear of a stream that is carried inline is what the source
// played, from the first half second on to the end.
func TestInlinePlayersHearTheSource(t *testing.T) {
	t.Parallel()
	seconds := sized(3, 20)
	file, played := noise(t)
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", File: file, Title: "Noise"}}})
	s := direct(t, []*probetest.Node{node}, inline)
	for _, p := range players {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			recorded := samples(t, play(t, p, s.url+"/live.mp3", seconds))
			if len(recorded) < (seconds-1)*sampleRate {
				t.Fatalf("%s recorded %.1f s of %d", p.name, float64(len(recorded))/sampleRate, seconds)
			}
			at := find(played, recorded[sampleRate/2:])
			if at < 0 {
				t.Fatal("nothing of what it recorded was played")
			}
			all, bad := compare(played[at:], recorded[sampleRate/2:])
			t.Logf("%s: %d of %d windows are not the source's", p.name, bad, all)
			if bad > 0 || all < (seconds-2)*20 {
				t.Errorf("%s: %d of %d windows are not the source's", p.name, bad, all)
			}
		})
	}
}

// noise makes a file of which no part is like another, and returns what it sounds
// like when it is played twice.
func noise(t *testing.T) (file string, sound []float32) {
	t.Helper()
	dir, err := os.MkdirTemp("", "signpost-noise-") // which others can read, unlike t.TempDir's
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "noise.mp3")
	ffmpeg(t, "-f", "lavfi", "-i", "anoisesrc=color=pink:seed=7:amplitude=0.5:duration=30:sample_rate=44100",
		"-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0", file)
	twice := filepath.Join(dir, "twice.mp3")
	ffmpeg(t, "-stream_loop", "1", "-i", file, "-c:a", "copy", "-write_xing", "0", "-id3v2_version", "0", twice)
	return file, samples(t, twice)
}

func ffmpeg(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-nostdin", "-v", "error"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg %q: %v", args, err)
	}
	return out
}

// samples reads a recording of any format.
func samples(t *testing.T, file string) []float32 {
	t.Helper()
	raw := ffmpeg(t, "-i", file, "-f", "s16le", "-ac", "1", "-ar", "44100", "-")
	out := make([]float32, len(raw)/2)
	for i := range out {
		out[i] = float32(int16(binary.LittleEndian.Uint16(raw[2*i:])))
	}
	return out
}

// find returns where in all the beginning of some is; -1: nowhere. It looks through
// one sample in coarse first, the mean of them, for all is long.
func find(all, some []float32) int {
	const coarse, short, long = 8, 96, 1024
	a, b := every(coarse, all), every(coarse, some[:short*coarse])
	best, near := 0., 0
	for i := range len(a) - short {
		if c := correlation(a[i:i+short], b); c > best {
			best, near = c, i*coarse
		}
	}
	best, at := 0., -1
	for i := max(0, near-2*coarse); i < min(near+2*coarse, len(all)-long); i++ {
		if c := correlation(all[i:i+long], some[:long]); c > best {
			best, at = c, i
		}
	}
	if best < sameSound {
		return -1
	}
	return at
}

// every returns the means of n samples each.
func every(n int, samples []float32) []float32 {
	out := make([]float32, len(samples)/n)
	for i := range out {
		for _, x := range samples[i*n : (i+1)*n] {
			out[i] += x / float32(n)
		}
	}
	return out
}

// compare counts windows, and those in which b is not a. Clocks may slip by a few
// samples.
func compare(a, b []float32) (all, bad int) {
	const slip = 3
	at := 0
	for from := 0; from+2*window < len(b); from += window { // the last may be cut off
		best, moved := 0., 0
		for d := -slip; d <= slip; d++ {
			begin := from + at + d
			if begin < 0 || begin+window > len(a) {
				continue
			}
			if c := correlation(a[begin:begin+window], b[from:from+window]); c > best {
				best, moved = c, d
			}
		}
		all++
		if best < sameSound {
			bad++
		} else {
			at += moved
		}
	}
	return all, bad
}

// correlation of two signals, from -1 to 1; 0 if one is silent.
func correlation(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		y := float64(b[i])
		ab += float64(x) * y
		aa += float64(x) * float64(x)
		bb += y * y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
