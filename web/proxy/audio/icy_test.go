package audio

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// interleave puts titles into audio as a server does that writes it in pieces: each
// for as long as the others, and told once.
func interleave(metaint, size int, audio []byte, titles []string) []byte {
	var wire []byte
	left, told := metaint, ""
	for at := 0; at < len(audio); at += size {
		title := titles[at*len(titles)/len(audio)]
		for _, c := range audio[at:min(at+size, len(audio))] {
			wire = append(wire, c)
			if left--; left > 0 {
				continue
			}
			left = metaint
			if title == told {
				wire = append(wire, 0)
				continue
			}
			wire, told = append(wire, NewBlock([]byte(title))...), title
		}
	}
	return wire
}

func deinterleave(metaint, size int, wire []byte) (audio []byte, meta []string, err error) {
	d := NewDeinterleaver(metaint)
	for len(wire) > 0 && err == nil {
		n := min(size, len(wire))
		err = d.Write(wire[:n], func(p []byte) { audio = append(audio, p...) }, func(p []byte) { meta = append(meta, string(p)) })
		wire = wire[n:]
	}
	return audio, meta, err
}

func TestInterleaved(t *testing.T) {
	t.Parallel()
	audio := make([]byte, 50000)
	for i := range audio {
		audio[i] = byte(rand.Uint32())
	}
	titles := []string{"StreamTitle='One';", "StreamTitle='Two';StreamUrl='http://x/';", strings.Repeat("StreamTitle='long", 15)}
	for _, metaint := range []int{1, 16, 1000, 16000} {
		for _, size := range []int{1, 999, 1000, 1001, 50000} {
			got, meta, err := deinterleave(metaint, 1460, interleave(metaint, size, audio, titles))
			if err != nil || !bytes.Equal(got, audio) {
				t.Fatalf("every %d bytes, written in %d: %d of %d bytes, %v", metaint, size, len(got), len(audio), err)
			}
			if len(meta) == 0 || meta[0] != titles[0] || size < 2000 && !cmp.Equal(meta, titles) {
				t.Errorf("every %d bytes, written in %d: %q", metaint, size, meta)
			}
		}
	}
}

// A metaint that is wrong is found out by the block it leads to.
func TestWrongMetaint(t *testing.T) {
	t.Parallel()
	audio := sample(t, "-c:a libmp3lame -b:a 128k -f mp3")
	wire := interleave(1000, 1000, audio, []string{"StreamTitle='One';"})
	for _, metaint := range []int{1, 100, 999, 1001, 8192} {
		got, meta, err := deinterleave(metaint, 1460, wire)
		if !errors.Is(err, ErrMetadata) {
			t.Errorf("%d: %d bytes of audio, %q, %v", metaint, len(got), meta, err)
		}
	}
	d := NewDeinterleaver(2)
	ignore := func([]byte) {}
	if err := d.Write([]byte("ab\x01no metadata at all"), ignore, ignore); err == nil {
		t.Fatal("no error")
	}
	if err := d.Write([]byte("ab"), func([]byte) { t.Error("audio after an error") }, ignore); !errors.Is(err, ErrMetadata) {
		t.Errorf("the error is gone: %v", err)
	}
	if got, _, err := deinterleave(0, 100, wire); err != nil || !bytes.Equal(got, wire) {
		t.Errorf("without metadata: %d bytes of %d, %v", len(got), len(wire), err)
	}
}

func TestTitle(t *testing.T) {
	t.Parallel()
	for meta, want := range map[string]string{
		"StreamTitle='Artist - Song';":                            "Artist - Song",
		"StreamTitle='Don't; don't';StreamUrl='';":                "Don't; don't",
		"StreamTitle='A';B';":                                     "A';B",
		"StreamTitle='It's';StreamUrl='http://x/?a='b'';":         "It's",
		"StreamTitle='';StreamUrl='x';":                           "",
		"StreamUrl='x'; StreamTitle='last'; ":                     "last",
		"StreamTitle='M\xfcller \xe9t\xe9';\x00\x00":              "M\xfcller \xe9t\xe9",
		"StreamTitle='cut o":                                      "cut o",
		"StreamTitle='no semicolon'":                              "no semicolon",
		"StreamTitle='ad';adw_ad='true';durationMilliseconds='1'": "ad",
	} {
		if got, ok := Title([]byte(meta)); !ok || string(got) != want {
			t.Errorf("%q: %q, want %q", meta, got, want)
		}
	}
	if got, ok := Title([]byte("StreamUrl='x';")); ok {
		t.Errorf("no title, but %q", got)
	}
}

func TestBlock(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"":                                "\x00",
		"StreamTitle='A';":                "\x01StreamTitle='A';",
		"StreamTitle='AB';":               "\x02StreamTitle='AB';" + strings.Repeat("\x00", 15),
		strings.Repeat("M\xfcller", 1000): "\xff" + strings.Repeat("M\xfcller", 1000)[:maxMeta],
	} {
		if got := string(NewBlock([]byte(content))); got != want {
			t.Errorf("%.40q: %.40q (%d bytes), want %.40q", content, got, len(got), want)
		}
	}
}
