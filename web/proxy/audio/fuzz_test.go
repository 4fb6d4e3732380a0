package audio

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func FuzzMPEG(f *testing.F) { fuzzSplitter(f, 0, 11) }
func FuzzADTS(f *testing.F) { fuzzSplitter(f, 11, 14) }
func FuzzOgg(f *testing.F)  { fuzzSplitter(f, 14, len(encodings)) }

// fuzzSplitter begins with samples of some encodings.
func fuzzSplitter(f *testing.F, from, to int) {
	for _, enc := range encodings[from:to] {
		data := sample(f, enc.args)
		f.Add(data[:min(len(data), 6000)], uint16(417))
		f.Add(append([]byte("ID3\x04\x00\x00\x00\x00\x00\x05.....\xff\xfb\x90\x64"), data[300:min(len(data), 2000)]...), uint16(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		mendPages(data)
		var s Splitter
		check(t, &s, data, int(size%2000)+1)
	})
}

// mendPages makes the checksums of pages right: a fuzzer does not find them out.
func mendPages(data []byte) {
	for at := 0; ; {
		i := bytes.Index(data[at:], []byte(oggMark))
		if i < 0 {
			return
		}
		at += i
		page := data[at:]
		at++
		if len(page) < oggHeaderSize || len(page) < oggHeaderSize+int(page[26]) {
			return
		}
		size := oggHeaderSize + int(page[26])
		for _, lacing := range page[oggHeaderSize:size] {
			size += int(lacing)
		}
		if size <= len(page) {
			binary.LittleEndian.PutUint32(page[22:], oggCRC(page[:size]))
		}
	}
}

// check finds out whether the units are the input in its order without what was
// skipped, the same however it is divided, and memory is bounded.
func check(t *testing.T, s *Splitter, data []byte, size int) {
	t.Helper()
	whole := split(&Splitter{}, data)
	pieces := split(s, data, size)
	if c := cap(s.buf); c > 256<<10 {
		t.Errorf("%d bytes held", c)
	}
	rest := data
	for i, u := range pieces {
		if len(u.Data) == 0 || u.Duration < 0 || u.Header && u.Start {
			t.Errorf("unit %d: %d bytes, %v, header %v, start %v", i, len(u.Data), u.Duration, u.Header, u.Start)
		}
		at := bytes.Index(rest, u.Data)
		if at < 0 {
			t.Fatalf("unit %d is not from the stream, or not in order", i)
		}
		rest = rest[at+len(u.Data):]
	}
	if diff := difference(whole, pieces); diff != "" {
		t.Errorf("in pieces of %d: %s", size, diff)
	}
}

func FuzzJoin(f *testing.F) {
	for _, test := range joinable {
		units := split(NewSplitter(""), sample(f, test.args))
		f.Add(units[10].Data, units[11].Data, units[12].Data)
	}
	f.Fuzz(func(t *testing.T, one, two, first []byte) {
		copies := [][]byte{bytes.Clone(one), bytes.Clone(two), bytes.Clone(first)}
		joint := Join([][]byte{one, two}, first)
		for i, b := range [][]byte{one, two, first} {
			if !bytes.Equal(b, copies[i]) {
				t.Error("an argument was changed")
			}
		}
		was, ok := layerIII(first)
		if !ok {
			return
		}
		for count := 0; len(joint) > 0; count++ {
			h, ok := parseMPEG(joint)
			if !ok || h.size > len(joint) || h.params != was.params || count > 1 {
				t.Fatalf("%d bytes left are no frame of %v", len(joint), was.params)
			}
			if count == 0 && h.mainDataBegin(joint) != 0 {
				t.Error("the first frame leans on others")
			}
			joint = joint[h.size:]
		}
	})
}

func FuzzICY(f *testing.F) {
	f.Add([]byte("audio\x02StreamTitle='It''s; x';\x00\x00\x00\x00\x00audio\x00audio"), uint16(5), uint16(3))
	f.Add([]byte("\x00\x01StreamTitle='';\x00"), uint16(1), uint16(7))
	f.Fuzz(func(t *testing.T, data []byte, metaint, size uint16) {
		every, n := int(metaint)+1, int(size)+1
		audio, meta, err := deinterleave(every, n, data)
		if again, metaAgain, errAgain := deinterleave(every, len(data)+1, data); !bytes.Equal(audio, again) || len(meta) != len(metaAgain) || (err == nil) != (errAgain == nil) {
			t.Errorf("in pieces of %d: %d and %d bytes, %d and %d blocks", n, len(audio), len(again), len(meta), len(metaAgain))
		}
		for _, m := range meta {
			Title([]byte(m))
		}
		// Whatever is put in comes out again.
		wire := interleave(every, n, data, []string{"StreamTitle='" + string(data) + "';", ""})
		if got, _, err := deinterleave(every, 1000, wire); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes of %d came back: %v", len(got), len(data), err)
		}
	})
}
