package audio

import (
	"bytes"
	"os"
	"testing"
)

func TestTags(t *testing.T) {
	t.Parallel()
	frames := split(NewSplitter(""), sample(t, "-c:a libmp3lame -b:a 128k -f mp3"))
	picture := 200 << 10 // larger than what is searched
	id3 := append([]byte{'I', 'D', '3', 4, 0, 0, 0, byte(picture >> 14), byte(picture >> 7 & 0x7f), byte(picture & 0x7f)}, bytes.Repeat([]byte("\xff\xfb\x90\x64"), picture/4)...)
	ape := append([]byte("APETAGEX\xd0\x07\x00\x00"), byte(picture&0xff), byte(picture>>8&0xff), byte(picture>>16), 0, 1, 0, 0, 0, 0, 0, 0, 0xa0)
	ape = append(ape, make([]byte, 8+picture)...)
	id3v1 := append([]byte("TAG"), make([]byte, 125)...)
	for name, tag := range map[string][]byte{"ID3v2": id3, "APEv2": ape, "ID3v1": id3v1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var data []byte
			data = append(data, tag...)
			data = append(data, joined(frames[:10])...)
			data = append(data, tag...)
			data = append(data, joined(frames[10:20])...)
			for _, sizes := range [][]int{nil, {1}, {1000}} {
				if diff := difference(frames[:20], split(NewSplitter("audio/mpeg"), data, sizes...)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// Files begin with a frame for those who seek in them.
func TestIndex(t *testing.T) {
	t.Parallel()
	for i, enc := range encodings[:7] {
		frames := split(NewSplitter(""), sample(t, enc.args))
		first := frames[1].Data
		h, _ := layerIII(first)
		from, to := h.sideInfo()
		silence := make([]byte, to-from)
		for _, index := range [][]byte{[]byte("Xing"), []byte("Info"), append(make([]byte, 36-to), "VBRI"...)} {
			data := concat(reframe(first, silence, append(index, make([]byte, 10)...), nil), joined(frames))
			if diff := difference(frames, split(NewSplitter(""), data)); diff != "" {
				t.Errorf("%s: %q: %s", enc.args, index, diff)
			}
		}
		if i > 0 {
			continue
		}
		file := t.TempDir() + "/file.mp3" // into a pipe, ffmpeg writes no index
		ffmpeg(t, program(), "-f s16le -ar 44100 -ac 2 -i - "+enc.args+" "+file)
		data, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(data[:1000], []byte("Info")) {
			t.Fatal("no index: ", err)
		}
		if diff := difference(frames, split(NewSplitter(""), data)); diff != "" {
			t.Errorf("a file: %s", diff)
		}
	}
}

// Headers that no encoder at hand writes. Sizes are from the standards' formulas.
func TestHeaders(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]frame{
		"\xff\xff\x40\x00\x00\x00\x00": {Params{MPEG, "MPEG-1 layer I", 1, 44100, 2}, 136, 384},    // 128 kbit/s
		"\xff\xfe\x42\xc0\x00\x00\x00": {Params{MPEG, "MPEG-1 layer I", 1, 44100, 1}, 140, 384},    // padded, CRC
		"\xff\xf7\xe8\x40\x00\x00\x00": {Params{MPEG, "MPEG-2 layer I", 1, 16000, 2}, 768, 384},    // 256 kbit/s
		"\xff\xfd\xe4\x80\x00\x00\x00": {Params{MPEG, "MPEG-1 layer II", 2, 48000, 2}, 1152, 1152}, // 384 kbit/s
		"\xff\xe3\xe8\xc0\x00\x00\x00": {Params{MPEG, "MPEG-2.5 layer III", 3, 8000, 1}, 1440, 576},
		"\xff\xf1\x50\x80\x10\x1f\xfc": {Params{ADTS, "AAC LC", 0, 44100, 2}, 128, 1024},
		"\xff\xf8\x0d\xc3\xff\xff\xff": {Params{ADTS, "AAC Main", 0, 48000, 8}, 8191, 4096}, // MPEG-2, CRC, four blocks
		"\xff\xf9\xf0\x00\x02\x1f\xfd": {Params{ADTS, "AAC LTP", 0, 7350, 0}, 16, 2048},
	} {
		if got, ok := parseFrame([]byte(header)); !ok || got != want {
			t.Errorf("%x: %v %+v, want %+v", header, ok, got, want)
		}
	}
	for what, header := range map[string]string{
		"no sync":                     "\xff\xdb\x90\x64\x00\x00\x00",
		"version":                     "\xff\xeb\x90\x64\x00\x00\x00",
		"bitrate":                     "\xff\xfb\xf0\x64\x00\x00\x00",
		"free format":                 "\xff\xfb\x00\x64\x00\x00\x00",
		"rate":                        "\xff\xfb\x9c\x64\x00\x00\x00",
		"emphasis":                    "\xff\xfb\x90\x66\x00\x00\x00",
		"ADTS rate":                   "\xff\xf1\x74\x80\x10\x1f\xfc",
		"ADTS without data":           "\xff\xf1\x50\x80\x00\xff\xfc",
		"ADTS of CRC and no data":     "\xff\xf0\x50\x80\x01\xff\xff",
		"layer 0 without ADTS's sync": "\xff\xe1\x50\x80\x10\x1f\xfc",
	} {
		if f, ok := parseFrame([]byte(header)); ok {
			t.Errorf("%s: taken for %+v", what, f)
		}
	}
}
