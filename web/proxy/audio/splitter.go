package audio

import (
	"bytes"
	"strings"
	"sync"
	"time"
)

const (
	// search bounds, in bytes, how much is searched for a unit. It covers the rest of the
	// longest Ogg page (65,307 bytes) where a stream begins within one.
	search = 64 << 10
	// portion is how much of a Write is processed at a time, in bytes. It bounds memory
	// however much is written at once.
	portion = 16 << 10
	// agreeing is how many consecutive frame headers must agree before they are believed.
	// In random bytes at 128 kbit/s two agree about once a day, and three not in a
	// lifetime.
	agreeing = 3
	// little is how much may be left of a Write, in bytes, to be kept in memory of its own:
	// any incomplete frame of MPEG audio, and most of ADTS.
	little = 2 << 10
)

// workspaces holds memory for what is being split: a portion, and what was left before it.
var workspaces = sync.Pool{New: func() any { return new([portion + little]byte) }}

// A Splitter splits a byte stream into units. The units are the same however the stream
// is divided among calls of Write, except those of an Opaque stream. Their data put
// together is the stream without what was skipped: junk between frames, tags (ID3, APE),
// and the Xing and VBRI frames at the start of files, which would give a live stream a
// wrong length. A truncated frame cannot be told from a complete one, and includes the
// beginning of the next.
//
// The content decides what a stream is. It may change within MPEG and ADTS, or within
// Ogg: then Params change from one unit to the next. A stream in which nothing is
// understood for 64 KB is Opaque from there on, for good. So are free-format MPEG audio,
// multiplexed Ogg streams (with Skeleton or video), and other codecs in Ogg.
//
// A Splitter holds at most about 150 KB, and normally no more than an incomplete frame.
type Splitter struct {
	rest   []byte // what is left, if it is little and buf is nil
	buf    []byte
	at     int  // buf[:at] is junk, unless the whole stream turns out to be Opaque
	skip   int  // bytes of a tag still to come, which are dropped
	begun  bool // a unit was emitted
	opaque bool
	locked Params // Params of the last frame
	ogg    ogg
}

// NewSplitter returns a Splitter for a stream of that media type, which may have
// parameters. Types other than those of MPEG, ADTS and Ogg are Opaque from the first
// byte, so that no frames are found inside a container. For the types of these three, and
// for those that say nothing, the content decides.
func NewSplitter(mediaType string) *Splitter {
	typ, _, _ := strings.Cut(mediaType, ";")
	switch strings.ToLower(strings.TrimSpace(typ)) {
	case "", "application/octet-stream", "binary/octet-stream",
		"audio/mpeg", "audio/x-mpeg", "audio/mp3", "audio/x-mp3", "audio/mpeg3", "audio/x-mpeg-3", "audio/mpg", "audio/mpa", "audio/mpa-robust", "audio/mp2",
		"audio/aac", "audio/x-aac", "audio/aacp", "audio/x-aacp", "audio/x-hx-aac-adts", "audio/vnd.dlna.adts",
		"application/ogg", "audio/ogg", "audio/x-ogg", "audio/vorbis", "audio/opus", "audio/flac", "audio/x-flac":
		return &Splitter{}
	}
	return &Splitter{opaque: true}
}

// Write takes the next bytes of the stream and calls emit for each unit that they
// complete. Its time is proportional to len(p).
func (s *Splitter) Write(p []byte, emit func(Unit)) {
	if s.buf == nil && !s.opaque {
		space := workspaces.Get().(*[portion + little]byte)
		s.buf = append(space[:0], s.rest...)
		defer func() {
			s.leave(space)
			workspaces.Put(space)
		}()
	}
	for len(p) > 0 && !s.opaque {
		n := min(len(p), portion)
		s.buf = append(s.buf, p[:n]...)
		p = p[n:]
		s.cut(emit)
	}
	if len(p) > 0 {
		s.pass(p, emit)
	}
}

// leave moves what is left to memory of its own, if it is in space.
func (s *Splitter) leave(space *[portion + little]byte) {
	switch {
	case len(s.buf) <= little:
		s.rest, s.buf = append(s.rest[:0], s.buf...), nil
	case &s.buf[0] == &space[0]:
		s.rest, s.buf = nil, bytes.Clone(s.buf)
	}
}

// A piece says what was found at the beginning of some bytes.
type piece struct {
	kind kind
	size int  // bytes
	unit Unit // without Data
}

type kind uint8

const (
	more    kind = iota // more bytes are needed to tell
	junk                // size bytes that mean nothing
	tag                 // size bytes that are not audio; some may still have to arrive
	unit                // a unit
	foreign             // the stream is certainly Opaque
)

// cut emits the complete units in buf, and drops them from it.
func (s *Splitter) cut(emit func(Unit)) {
	done := min(s.skip, len(s.buf)) // buf[:done] has been dealt with
	s.skip -= done
	at := max(s.at, done)
	for at < len(s.buf) && !s.opaque {
		p := s.look(s.buf[at:], at == done)
		if p.kind == more {
			break
		}
		s.ogg.wasted = max(0, s.ogg.wasted-p.size)
		switch p.kind {
		case junk:
			at += p.size
		case tag:
			at += p.size
			s.skip = max(0, at-len(s.buf))
			at = min(at, len(s.buf))
			done = at
		case unit:
			p.unit.Data = s.buf[at : at+p.size : at+p.size]
			at += p.size
			done = at
			s.begun = true
			emit(p.unit)
		}
		if p.kind == foreign || at-done > search {
			s.opaque = true
			s.pass(s.buf[done:], emit)
			s.buf = nil
			return
		}
	}
	s.at = at - done
	if done > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[done:])]
	}
}

// pass emits bytes of an Opaque stream.
func (s *Splitter) pass(p []byte, emit func(Unit)) {
	emit(Unit{Data: p, Start: !s.begun})
	s.begun = true
}

// look says what is at the beginning of b. inSequence means that b immediately follows a
// unit or a tag.
func (s *Splitter) look(b []byte, inSequence bool) piece {
	// A stream does not change from frames to pages or back, and either may look like the
	// other for a while.
	switch b[0] {
	case 0xff:
		if s.ogg.mapping == nil {
			return s.lookFrame(b, inSequence)
		}
	case 'O':
		if s.locked.Codec == Opaque {
			return s.ogg.look(b)
		}
	case 'I', 'A':
		return lookTag(b)
	}
	n := 1
	for n < len(b) && b[n] != 0xff && b[n] != 'O' && b[n] != 'I' && b[n] != 'A' {
		n++
	}
	return piece{kind: junk, size: n}
}

// A frame is what a frame's header says.
type frame struct {
	params  Params
	size    int // bytes with the header
	samples int // per channel
}

// headerSize is how many bytes are needed to parse a header of any kind. No frame is
// shorter.
const headerSize = 7

// parseFrame reads the header of an MPEG or ADTS frame, at least headerSize bytes.
func parseFrame(b []byte) (frame, bool) {
	if b[0] != 0xff {
		return frame{}, false
	}
	if b[1]&0xf6 == 0xf0 {
		return parseADTS(b)
	}
	h, ok := parseMPEG(b)
	return h.frame, ok
}

// lookFrame accepts a frame whose header continues the frame before it, or is followed by
// headers that agree with it.
func (s *Splitter) lookFrame(b []byte, inSequence bool) piece {
	if len(b) < headerSize {
		return piece{kind: more}
	}
	f, ok := parseFrame(b)
	if !ok {
		return piece{kind: junk, size: 1}
	}
	if !inSequence || f.params != s.locked {
		at := f.size
		for range agreeing - 1 {
			if len(b) < at+headerSize {
				return piece{kind: more}
			}
			next, ok := parseFrame(b[at:])
			if !ok || next.params != f.params {
				return piece{kind: junk, size: 1}
			}
			at += next.size
		}
	}
	if len(b) < f.size {
		return piece{kind: more}
	}
	s.locked = f.params
	if f.params.Codec == MPEG && isIndex(b[:f.size]) {
		return piece{kind: tag, size: f.size}
	}
	return piece{kind: unit, size: f.size, unit: Unit{
		Params:   f.params,
		Duration: playing(int64(f.samples), f.params.Rate),
		Start:    true,
	}}
}

// playing returns the duration of samples at a rate per second.
func playing(samples int64, rate int) time.Duration {
	return time.Duration(samples * int64(time.Second) / int64(rate))
}
