package audio

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var encodings = []struct {
	args string
	want Params
}{
	{"-c:a libmp3lame -b:a 128k -f mp3", Params{MPEG, "MPEG-1 layer III", 3, 44100, 2}},
	{"-c:a libmp3lame -b:a 128k -joint_stereo 0 -f mp3", Params{MPEG, "MPEG-1 layer III", 3, 44100, 2}},
	{"-c:a libmp3lame -q:a 4 -ar 48000 -f mp3", Params{MPEG, "MPEG-1 layer III", 3, 48000, 2}},
	{"-c:a libmp3lame -b:a 320k -ar 32000 -f mp3", Params{MPEG, "MPEG-1 layer III", 3, 32000, 2}},
	{"-c:a libmp3lame -b:a 64k -ac 1 -f mp3", Params{MPEG, "MPEG-1 layer III", 3, 44100, 1}},
	{"-c:a libmp3lame -b:a 48k -ar 22050 -f mp3", Params{MPEG, "MPEG-2 layer III", 3, 22050, 2}},
	{"-c:a libmp3lame -b:a 16k -ar 11025 -ac 1 -f mp3", Params{MPEG, "MPEG-2.5 layer III", 3, 11025, 1}},
	{"-c:a libshine -b:a 128k -f mp3", Params{MPEG, "MPEG-1 layer III", 3, 44100, 2}},
	{"-c:a mp2 -b:a 192k -ar 48000 -f mp2", Params{MPEG, "MPEG-1 layer II", 2, 48000, 2}},
	{"-c:a libtwolame -b:a 64k -ar 24000 -ac 1 -f mp2", Params{MPEG, "MPEG-2 layer II", 2, 24000, 1}},
	{"-c:a libtwolame -b:a 128k -error_protection 1 -f mp2", Params{MPEG, "MPEG-1 layer II", 2, 44100, 2}},
	{"-c:a aac -b:a 96k -f adts", Params{ADTS, "AAC LC", 0, 44100, 2}},
	{"-c:a aac -b:a 32k -ar 8000 -ac 1 -f adts", Params{ADTS, "AAC LC", 0, 8000, 1}},
	{"-c:a aac -b:a 256k -ac 6 -ar 48000 -f adts", Params{ADTS, "AAC LC", 0, 48000, 6}},
	{"-c:a libvorbis -q:a 4 -f ogg", Params{Ogg, "Vorbis", 0, 44100, 2}},
	{"-c:a libopus -b:a 64k -ar 48000 -f ogg", Params{Ogg, "Opus", 0, 48000, 2}},
	{"-c:a libopus -b:a 24k -ac 1 -page_duration 60000 -ar 48000 -f ogg", Params{Ogg, "Opus", 0, 48000, 1}},
	{"-c:a flac -f ogg", Params{Ogg, "FLAC", 0, 44100, 2}},
}

func name(args string) string {
	return strings.NewReplacer("-c:a ", "", ":a", "", "-", "", " ", "_").Replace(args)
}

// What ffprobe finds in a stream of each encoder is what is found here.
func TestEncoders(t *testing.T) {
	t.Parallel()
	for _, enc := range encodings {
		t.Run(name(enc.args), func(t *testing.T) {
			t.Parallel()
			data := sample(t, enc.args)
			units := split(NewSplitter(""), data)
			probed := probe(t, data)

			var frames int
			var length time.Duration
			for i, u := range units {
				if u.Params != enc.want {
					t.Fatalf("unit %d: %v, want %v", i, u.Params, enc.want)
				}
				length += u.Duration
				frames++
			}
			if enc.want.Codec != Ogg {
				if frames != len(probed.sizes) {
					t.Errorf("%d frames, ffprobe finds %d", frames, len(probed.sizes))
				}
				for i, size := range probed.sizes {
					// ADTS headers and all: ffprobe's packets of a raw stream are frames.
					if i < len(units) && len(units[i].Data) != size {
						t.Fatalf("frame %d has %d bytes, ffprobe finds %d", i, len(units[i].Data), size)
					}
				}
			} else if !bytes.Equal(joined(units), data) {
				t.Errorf("%d bytes of pages out of %d", len(joined(units)), len(data))
			}
			want := probed.length
			if enc.want.Codec == Ogg { // of which ffprobe does not know the length of every packet
				pcm := ffmpeg(t, data, "-i - -f s16le -ac 1 -")
				want = playing(int64(len(pcm)/2), enc.want.Rate)
			}
			if diff := math.Abs((length - want).Seconds()); diff > 0.01 {
				t.Errorf("lasts %v, want %v", length, want)
			}
		})
	}
}

type probed struct {
	sizes  []int
	length time.Duration
}

func probe(t *testing.T, data []byte) probed {
	t.Helper()
	out, _ := run(t, data, "ffprobe -v error -show_entries packet=size,duration_time -of json -")
	var found struct {
		Packets []struct {
			Size     string
			Duration string `json:"duration_time"`
		}
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	var p probed
	var seconds float64
	for _, packet := range found.Packets {
		size, _ := strconv.Atoi(packet.Size)
		d, _ := strconv.ParseFloat(packet.Duration, 64)
		p.sizes = append(p.sizes, size)
		seconds += d
	}
	p.length = time.Duration(seconds * float64(time.Second))
	return p
}

// The units do not depend on how the stream came.
func TestDivision(t *testing.T) {
	t.Parallel()
	for _, enc := range encodings {
		t.Run(name(enc.args), func(t *testing.T) {
			t.Parallel()
			data := sample(t, enc.args)
			want := split(NewSplitter(""), data)
			for _, sizes := range [][]int{{1}, {2, 3}, {417}, {1460}, {1, 40000}, {len(data) - 1}} {
				if diff := difference(want, split(NewSplitter(""), data, sizes...)); diff != "" {
					t.Errorf("in pieces of %d: %s", sizes, diff)
				}
			}
		})
	}
}

// Joining in the middle, junk between frames, and frames cut short cost the frames
// concerned and no other.
func TestJunk(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 5000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	falseSync := bytes.Repeat([]byte("ID3APETAGEXOggS\x00\x00\xff\xfb\x90\x64\xff\xf1\x50\x80"), 5)
	for _, enc := range encodings {
		t.Run(name(enc.args), func(t *testing.T) {
			t.Parallel()
			units := split(NewSplitter(""), sample(t, enc.args))
			var stream []byte
			var want []string
			add := func(u Unit) {
				stream = append(stream, u.Data...)
				want = append(want, string(u.Data))
			}
			stream = append(stream, noise[:777]...)
			for i, u := range units {
				switch {
				case i%16 == 4 && !u.Header:
					stream = append(stream, noise...)
				case i%16 == 9 && !u.Header:
					stream = append(stream, falseSync...)
				}
				add(u)
			}
			stream = append(stream, make([]byte, search-10000)...) // for what was taken for a long page
			var got []string
			for _, u := range split(NewSplitter(""), stream, 1000) {
				if u.Params != enc.want {
					t.Fatalf("%v among %v", u.Params, enc.want)
				}
				got = append(got, string(u.Data))
			}
			missing := 0
			for len(want) > 0 && len(got) > 0 {
				if want[0] == got[0] {
					got = got[1:]
				} else {
					missing++
				}
				want = want[1:]
			}
			if len(got) > 0 || missing > 0 || len(want) >= agreeing {
				t.Errorf("%d invented, %d missing, %d at the end", len(got), missing, len(want))
			}
		})
	}
}

// A frame that was cut short takes at most the one after it along.
func TestCutShort(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"-c:a libmp3lame -b:a 128k -f mp3", "-c:a aac -b:a 96k -f adts", "-c:a libopus -b:a 24k -ac 1 -page_duration 60000 -ar 48000 -f ogg"} {
		units := split(NewSplitter(""), sample(t, args))
		cut := bytes.Clone(joined(units[:20]))
		cut = append(cut[:len(cut)-len(units[19].Data)/2], joined(units[20:])...)
		got := split(NewSplitter(""), cut)
		if len(got) < len(units)-2 {
			t.Errorf("%s: %d of %d units", args, len(got), len(units))
		}
		if diff := difference(units[22:], got[len(got)-len(units)+22:]); diff != "" {
			t.Errorf("%s: after the cut: %s", args, diff)
		}
	}
}

func TestOpaque(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 100<<10) // more than is looked through for a frame
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	mp3 := sample(t, "-c:a libmp3lame -b:a 128k -f mp3")
	free := joined(split(NewSplitter(""), mp3))
	for i := range free[:len(free)-1] {
		if free[i] == 0xff && free[i+1] == 0xfb {
			free[i+2] &= 0x0f
		}
	}
	webm := sample(t, "-c:a libopus -b:a 64k -ar 48000 -f webm")
	multiplexed, _ := run(t, nil, "ffmpeg -v error -f lavfi -i sine=d=2 -f lavfi -i sine=d=2:f=99 -map 0 -map 1 -c:a libvorbis -f ogg -")
	for name, test := range map[string]struct {
		typ  string
		data []byte
	}{
		"noise":                  {"audio/mpeg", noise},
		"zeros":                  {"", make([]byte, 100<<10)},
		"html":                   {"audio/mpeg", []byte(strings.Repeat("<html>OggS ID3 \xff\xff\xff", 5000))},
		"WebM by its type":       {"audio/webm; codecs=opus", webm},
		"WebM by its content":    {"application/octet-stream", bytes.Repeat(webm, 5)},
		"free format":            {"audio/mpeg", free},
		"MPEG in a container":    {"video/nsv", mp3},
		"multiplexed":            {"application/ogg", multiplexed},
		"a format unknown in it": {"audio/ogg", oggPage(2, 0, 0, "Speex   1.2")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, sizes := range [][]int{nil, {1}, {1400}} {
				units := split(NewSplitter(test.typ), append(bytes.Clone(test.data), noise...), sizes...)
				if all := joined(units); !bytes.Equal(all, append(bytes.Clone(test.data), noise...)) {
					t.Fatalf("%d bytes of %d", len(all), len(test.data)+len(noise))
				}
				for i, u := range units {
					if u.Params != (Params{}) || u.Start != (i == 0) {
						t.Fatalf("unit %d: %+v, start %v", i, u.Params, u.Start)
					}
				}
			}
		})
	}
}

// A stream that changes its encoding goes on, with other parameters.
func TestChange(t *testing.T) {
	t.Parallel()
	for _, pages := range []bool{false, true} {
		testChange(t, pages)
	}
}

func testChange(t *testing.T, pages bool) {
	var data []byte
	var want []string
	for _, enc := range encodings {
		if (enc.want.Codec == Ogg) != pages {
			continue
		}
		data = append(data, sample(t, enc.args)...)
		if s := enc.want.String(); len(want) == 0 || want[len(want)-1] != s {
			want = append(want, s)
		}
	}
	var got []string
	for _, u := range split(NewSplitter("audio/mpeg"), data, 3000) {
		if s := u.Params.String(); len(got) == 0 || got[len(got)-1] != s {
			got = append(got, s)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Pages among frames are junk, and frames among pages.
func TestNoChange(t *testing.T) {
	t.Parallel()
	frames := split(NewSplitter(""), sample(t, "-c:a libmp3lame -b:a 128k -f mp3"))
	pages := split(NewSplitter(""), sample(t, "-c:a libopus -b:a 64k -page_duration 60000 -ar 48000 -f ogg"))
	for _, streams := range [][2][]Unit{{frames, pages}, {pages, frames}} {
		whole, others := streams[0], streams[1]
		data := concat(joined(whole[:10]), joined(others[:10]), joined(whole[10:]))
		if diff := difference(whole, split(NewSplitter(""), data)); diff != "" {
			t.Errorf("%v: %s", whole[0].Params, diff)
		}
	}
}

func TestParamsString(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]Params{
		"opaque":                              {},
		"MPEG-1 layer III, 44100 Hz, stereo":  encodings[0].want,
		"AAC LC, 48000 Hz, 6 channels":        {ADTS, "AAC LC", 0, 48000, 6},
		"AAC LC, 8000 Hz, mono":               {ADTS, "AAC LC", 0, 8000, 1},
		"AAC Main, 96000 Hz, channels unsaid": {ADTS, "AAC Main", 0, 96000, 0},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
