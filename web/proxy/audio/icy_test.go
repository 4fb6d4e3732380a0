package audio

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// interleave puts titles into audio, each for as long as the others, and writes
// it in pieces.
func interleave(metaint, size int, audio []byte, titles []string) []byte {
	l := NewInterleaver(metaint)
	var wire []byte
	for at := 0; at < len(audio); at += size {
		title := titles[at*len(titles)/len(audio)]
		for _, part := range l.Append(nil, audio[at:min(at+size, len(audio))], NewBlock([]byte(title))) {
			wire = append(wire, part...)
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

// One who joins gets the title with the first block, and again only what changes.
func TestInterleaver(t *testing.T) {
	t.Parallel()
	one, two := TitleBlock([]byte("1")), TitleBlock([]byte("2"))
	l := NewInterleaver(4)
	var got []string
	for _, write := range []struct {
		audio   string
		current Block
	}{{"abcdef", nil}, {"gh", one}, {"ij", one}, {"kl", one}, {"mnopqrstuvwx", two}, {"yz", TitleBlock([]byte("2"))}} {
		for _, part := range l.Append(nil, []byte(write.audio), write.current) {
			got = append(got, string(part))
		}
	}
	want := []string{"abcd", "\x00", "ef", "gh", string(one), "ij", "kl", "\x00", "mnop", string(two), "qrst", "\x00", "uvwx", "\x00", "yz"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var none Interleaver
	if got := none.Append(nil, []byte("abc"), one); len(got) != 1 || string(got[0]) != "abc" {
		t.Errorf("without metadata: %q", got)
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

func TestTitleBlock(t *testing.T) {
	t.Parallel()
	for title, want := range map[string]string{
		"Artist - Song":                "Artist - Song",
		"quotes' and ';":               "quotes' and ' ;",
		"a\r\nb\x00c":                  "a  b c",
		"M\xfcller":                    "M\xfcller",
		"end'":                         "end'",
		"":                             "",
		strings.Repeat("\u00e9", 3000): strings.Repeat("\u00e9", (maxMeta-15)/2),
	} {
		b := TitleBlock([]byte(title))
		if len(b) != 1+int(b[0])*icyUnit {
			t.Errorf("%q: %d bytes, length %d", title, len(b), b[0])
		}
		if got, ok := Title(b[1:]); !ok || string(got) != want {
			t.Errorf("%.40q: %.40q, want %.40q", title, got, want)
		}
	}
	if b := NewBlock(nil); len(b) != 1 || b[0] != 0 {
		t.Errorf("nothing is %x", b)
	}
	if b := NewBlock(make([]byte, 10000)); len(b) != 1+maxMeta {
		t.Errorf("%d bytes", len(b))
	}
}
