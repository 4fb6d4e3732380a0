package audio

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

var pages = []string{
	"-c:a libvorbis -q:a 4 -f ogg",
	"-c:a libopus -b:a 64k -page_duration 60000 -ar 48000 -f ogg",
	"-c:a flac -page_duration 200000 -f ogg",
}

// oggPage makes a page of one packet of less than 255 bytes.
func oggPage(flags byte, granule int64, sequence uint32, packet string) []byte {
	b := append([]byte(oggMark), flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(granule))
	b = binary.LittleEndian.AppendUint32(b, 7)
	b = binary.LittleEndian.AppendUint32(b, sequence)
	b = append(b, 0, 0, 0, 0, 1, byte(len(packet)))
	b = append(b, packet...)
	binary.LittleEndian.PutUint32(b[22:], oggCRC(b))
	return b
}

// Whoever joins a chain of streams gets the header pages of the one at hand, and
// then any page that begins a packet; decoders find no fault with that.
func TestOggJoin(t *testing.T) {
	t.Parallel()
	var chain []byte
	for _, args := range pages {
		chain = append(chain, sample(t, args)...)
	}
	units := split(NewSplitter("application/ogg"), chain, 1400)
	var head []byte
	headers := map[string]int{}
	for i, u := range units {
		if u.Header {
			if i == 0 || !units[i-1].Header {
				head = nil
			}
			head = append(head, u.Data...)
			headers[u.Params.Format]++
			if u.Start || u.Duration != 0 {
				t.Errorf("header page %d starts, or lasts", i)
			}
			continue
		}
		if len(head) < 100 || u.Duration > 3*time.Second {
			t.Errorf("page %d lasts %v, with %d bytes of headers", i, u.Duration, len(head))
		}
		if !u.Start || i%7 != 0 {
			continue
		}
		end := i
		for end < len(units) && !units[end].Header {
			end++
		}
		joining := append(bytes.Clone(head), joined(units[i:end])...)
		if _, errs := run(t, joining, "ffmpeg -v error -i - -f null -"); errs != "" {
			t.Errorf("joining %s at page %d: %s", u.Params.Format, i, errs)
		}
	}
	if headers["Vorbis"] < 2 || headers["Opus"] != 2 || headers["FLAC"] < 2 {
		t.Errorf("header pages: %v", headers)
	}
}

func TestOggClock(t *testing.T) {
	t.Parallel()
	const second = 48000
	head := "OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00" // 312 samples to skip
	var stream []byte
	for _, page := range [][]byte{
		oggPage(2, 0, 0, head),
		oggPage(0, 0, 1, "OpusTags..."),
		oggPage(0, second+312, 2, "a second"),
		oggPage(0, 2*second+312, 3, "another"),
		oggPage(0, -1, 4, "no packet ends here"),
		oggPage(oggContinued, 4*second+312, 5, "two seconds, begun before"),
		oggPage(0, 9*second, 9, "after pages that were lost"),
		oggPage(0, 10*second, 10, "a second"),
		oggPage(0, 5*second, 11, "back in time"),
		oggPage(0, 5000*second, 12, "a leap"),
		oggPage(0, 5001*second, 13, "a second"),
	} {
		stream = append(stream, page...)
	}
	want := []Unit{
		{Header: true}, {Header: true},
		{Start: true, Duration: time.Second}, {Start: true, Duration: time.Second}, {Start: true}, {Duration: 2 * time.Second},
		{Start: true}, {Start: true, Duration: time.Second}, {Start: true}, {Start: true}, {Start: true, Duration: time.Second},
	}
	got := split(NewSplitter(""), stream)
	if len(got) != len(want) {
		t.Fatalf("%d pages of %d", len(got), len(want))
	}
	for i, u := range got {
		if w := want[i]; u.Header != w.Header || u.Start != w.Start || u.Duration != w.Duration {
			t.Errorf("page %d: header %v, start %v, %v; want %+v", i, u.Header, u.Start, u.Duration, w)
		}
	}
}

// Header pages without an end are no stream that others could join.
func TestOggEndlessHeaders(t *testing.T) {
	t.Parallel()
	s := NewSplitter("")
	head := 0
	page := oggPage(2, 0, 0, "OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00")
	for range 20000 {
		s.Write(page, func(u Unit) {
			if u.Header {
				head += len(u.Data)
			}
		})
		page = oggPage(0, 0, 1, "OpusTags...")
	}
	if head > maxOggHeaders || !s.opaque {
		t.Errorf("%d bytes of headers, opaque %v", head, s.opaque)
	}
}

// Each of these claims to begin a long page.
func TestOggFlood(t *testing.T) {
	t.Parallel()
	flood := bytes.Repeat(append([]byte(oggMark), bytes.Repeat([]byte{0xff}, 300)...), 1000)
	for i := range 1000 {
		clear(flood[i*305+5 : i*305+6])
	}
	s := NewSplitter("")
	wasted := 0
	for len(flood) > 0 {
		s.Write(flood[:5], func(Unit) {})
		wasted = max(wasted, s.ogg.wasted)
		flood = flood[5:]
	}
	if wasted == 0 || wasted > maxWasted {
		t.Errorf("%d bytes summed for nothing, at most %d wanted", wasted, maxWasted)
	}
}
