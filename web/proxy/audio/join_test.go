package audio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// joinable are encodings to join; need is how many frames before are needed.
var joinable = []struct {
	args string
	need int
}{
	{"-c:a libmp3lame -b:a 128k -f mp3", 4},
	{"-c:a libmp3lame -b:a 128k -joint_stereo 0 -f mp3", 4},
	{"-c:a libmp3lame -b:a 256k -f mp3", 4}, // too much for a single frame
	{"-c:a libmp3lame -b:a 192k -f mp3", 4},
	{"-c:a libmp3lame -q:a 4 -ar 48000 -f mp3", 16},
	{"-c:a libmp3lame -b:a 64k -ac 1 -f mp3", 4},
	{"-c:a libmp3lame -b:a 32k -ar 32000 -f mp3", 16},
	{"-c:a libmp3lame -b:a 48k -ar 22050 -f mp3", 16},
	{"-c:a libmp3lame -b:a 16k -ar 11025 -ac 1 -f mp3", 16},
	{"-c:a libtwolame -b:a 128k -error_protection 1 -f mp2", 0},
	{"-c:a aac -b:a 96k -aac_pns 0 -f adts", 0},
}

// A joint is a stream that goes on with another one's frame.
type joint struct {
	units []Unit // of both streams
	cut   int    // the first left out of the old one
	from  int    // the first of the new one
	need  int
}

func (j joint) old() []byte { return joined(j.units[:j.cut]) }
func (j joint) rest() []byte {
	return joined(j.units[j.from+1:])
}

func (j joint) first() []byte {
	var before [][]byte
	for _, u := range j.units[max(0, j.from-j.need):j.from] {
		before = append(before, u.Data)
	}
	return Join(before, j.units[j.from].Data)
}

func (j joint) samples() int {
	p := j.units[0].Params
	return int(math.Round(j.units[0].Duration.Seconds()*float64(p.Rate))) * p.Channels
}

// Across a joint, decoders find no error, play no pop and no more than a frame of
// silence, and afterwards exactly what they play when there is no joint.
func TestJoin(t *testing.T) {
	t.Parallel()
	for _, test := range joinable {
		t.Run(name(test.args), func(t *testing.T) {
			t.Parallel()
			units := split(NewSplitter(""), sample(t, test.args))
			straight := decode(t, units[0].Params, joined(units))
			loudest := peak(straight)
			for _, j := range []joint{
				{units, len(units) / 3, len(units) / 2, test.need},
				{units, len(units)/3 + 1, len(units)/2 + 3, test.need},
				{units, len(units)/2 + 2, len(units)/2 - 4, test.need},
			} {
				first := j.first()
				pcm := decode(t, units[0].Params, concat(j.old(), first, j.rest()))
				frame := j.samples()
				around := pcm[(j.cut-1)*frame : (j.cut+4)*frame]
				// What the two streams overlap in adds up: the peak may exceed either's.
				if p := peak(around); p > 1.25*loudest {
					t.Errorf("peak of %.2f at the joint, %.2f without", p, loudest)
				}
				added := len(split(NewSplitter(""), concat(first, j.rest()))) - len(units[j.from:])
				if added > 1 {
					t.Errorf("%d frames ahead", added)
				}
				// The joint itself takes a frame of overlap and one of filters.
				got := pcm[(j.cut+added+2)*frame:]
				want := straight[(j.from+2)*frame:]
				if at := differ(got, want); at >= 0 {
					t.Errorf("%d and %d samples differ from sample %d on, %d in a frame", len(got), len(want), at, frame)
				}
			}
		})
	}
}

// Without Join, there is a pop, so that TestJoin can tell.
func TestNoJoin(t *testing.T) {
	t.Parallel()
	units := split(NewSplitter(""), sample(t, joinable[0].args))
	straight := peak(decode(t, units[0].Params, joined(units)))
	worst := 0.0
	for i := range 4 {
		pcm := decode(t, units[0].Params, concat(joined(units[:30+i]), joined(units[40+2*i:])))
		worst = max(worst, peak(pcm))
	}
	if worst < 1.25*straight {
		t.Errorf("a peak of %.2f, %.2f without a joint", worst, straight)
	}
}

// mpg123 has a decoder of its own, in which the same holds.
func TestJoinMpg123(t *testing.T) {
	t.Parallel()
	for _, test := range joinable[:9] {
		units := split(NewSplitter(""), sample(t, test.args))
		straight := mpg123(t, joined(units))
		j := joint{units, len(units) / 3, len(units)/2 + 3, test.need}
		pcm := mpg123(t, concat(j.old(), j.first(), j.rest()))
		if p := peak(pcm); p > 1.25*peak(straight) {
			t.Errorf("%s: peak of %.2f, %.2f without a joint", test.args, p, peak(straight))
		}
		want := straight[(j.from+2)*j.samples():]
		if at := differ(pcm[len(pcm)-len(want):], want); at >= 0 {
			t.Errorf("%s: of %d samples after the joint, those from %d on differ", test.args, len(want), at)
		}
	}
}

func mpg123(t *testing.T, data []byte) []float64 {
	t.Helper()
	out, errs := run(t, data, "mpg123 -q -s -e f32 -")
	if errs != "" {
		t.Errorf("mpg123: %s", errs)
	}
	return floats(out)
}

// With too few frames before, the first is silent rather than wrong.
func TestJoinWithout(t *testing.T) {
	t.Parallel()
	units := split(NewSplitter(""), sample(t, joinable[0].args))
	for i := 10; i < 20; i++ {
		first := units[i].Data
		h, _ := layerIII(first)
		if h.mainDataBegin(first) == 0 {
			continue
		}
		got := Join(nil, first)
		if len(got) != len(first) || len(bytes.TrimLeft(got[4:36], "\x00")) != 0 {
			t.Errorf("frame %d became %.60x", i, got)
		}
	}
	for _, first := range [][]byte{nil, {0xff}, []byte("no frame at all"), units[0].Data[:40], units[0].Data} {
		if diff := cmp.Diff(first, Join(nil, first)); diff != "" {
			t.Error(diff)
		}
	}
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// decode decodes with ffmpeg, which must find nothing to complain about.
func decode(t *testing.T, p Params, data []byte) []float64 {
	t.Helper()
	format := "mp3"
	if p.Codec == ADTS {
		format = "aac"
	}
	out, errs := run(t, data, fmt.Sprintf("ffmpeg -hide_banner -v warning -f %s -i - -f f32le -ar %d -ac %d -", format, p.Rate, p.Channels))
	for line := range strings.Lines(errs) {
		if !strings.Contains(line, "Estimating duration from bitrate") {
			t.Errorf("ffmpeg: %s", line)
		}
	}
	return floats(out)
}

// floats reads samples of 32 bits.
func floats(b []byte) []float64 {
	pcm := make([]float64, len(b)/4)
	for i := range pcm {
		pcm[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return pcm
}

func peak(pcm []float64) float64 {
	p := 0.0
	for _, v := range pcm {
		p = max(p, math.Abs(v))
	}
	return p
}

// differ returns where a and b differ by more than rounding; -1 if nowhere.
func differ(a, b []float64) int {
	for i := range min(len(a), len(b)) {
		if math.Abs(a[i]-b[i]) > 1e-4 {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}
