package hls

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxSegments is how many segments and parts a media playlist may have: 55 hours of two
// seconds each.
const maxSegments = 100_000

// Media is a media playlist (4.4.3): the segments of one variant or rendition.
type Media struct {
	Target   time.Duration // the longest segment (EXT-X-TARGETDURATION)
	Sequence int64         // the number of the first segment (EXT-X-MEDIA-SEQUENCE)
	Rounds   int64         // how many discontinuities are gone (EXT-X-DISCONTINUITY-SEQUENCE)
	Type     string        // VOD, EVENT, or empty: segments come and go (EXT-X-PLAYLIST-TYPE)
	End      bool          // no segment will come any more (EXT-X-ENDLIST)
	Segments []Segment     // in order, whole ones only
	Skipped  int           // segments before Segments that a delta update leaves out (EXT-X-SKIP)

	PartTarget time.Duration // the longest part (EXT-X-PART-INF); 0: it is not of low latency
	Parts      []Part        // those of the segment that is not whole yet (EXT-X-PART)
	// Hint is the part that comes next, absolute (EXT-X-PRELOAD-HINT). A server does not
	// answer a request for it before it is there.
	Hint           string
	CanBlockReload bool // the server holds an answer until what is asked for is there (EXT-X-SERVER-CONTROL)
	// HoldBack and PartHoldBack are how far from the end players begin (EXT-X-SERVER-CONTROL);
	// 0: not told.
	HoldBack, PartHoldBack time.Duration

	Warnings []string
}

// A Segment is a whole segment of a media playlist (4.4.4).
type Segment struct {
	URI           string // absolute
	Sequence      int64
	Duration      time.Duration
	Discontinuity bool      // its timestamps or its format do not follow from those before it
	Gap           bool      // it is not there, and players pass over it (EXT-X-GAP)
	Key           string    // the METHOD it is encrypted by; empty: it is not encrypted
	Init          string    // the absolute URI of the EXT-X-MAP; empty: it needs none
	Range         Range     // of the resource at URI
	Time          time.Time // by the encoder's clock (EXT-X-PROGRAM-DATE-TIME); zero: not told
}

// A Part is a part of a segment (4.4.4.9).
type Part struct {
	URI         string // absolute
	Duration    time.Duration
	Independent bool
	Gap         bool
	Range       Range
}

// A Range is a part of a resource, in bytes (4.4.4.2). A Length of 0 means all of it.
type Range struct{ Offset, Length int64 }

// Next returns the number of the segment that comes after the whole ones.
func (m *Media) Next() int64 { return m.Sequence + int64(m.Skipped) + int64(len(m.Segments)) }

// Last returns the newest whole segment that is there; nil: none is.
func (m *Media) Last() *Segment {
	for i := len(m.Segments) - 1; i >= 0; i-- {
		if s := &m.Segments[i]; !s.Gap {
			return s
		}
	}
	return nil
}

// ParseMedia parses a media playlist that was read from the absolute URL at, to which its
// relative URIs refer. Its errors are of type *[Error], except for at itself.
func ParseMedia(text []byte, at *url.URL) (*Media, error) {
	d, err := open(text, at)
	if err != nil {
		return nil, err
	}
	p := mediaParser{document: d, offsets: map[string]int64{}}
	for n, line := range d.lines() {
		if err := p.take(n, line); err != nil {
			return nil, err
		}
		if len(p.m.Segments)+len(p.m.Parts)+p.m.Skipped > maxSegments {
			return nil, d.fail(n, "more than %d segments: no playlist for players", maxSegments)
		}
	}
	m := &p.m
	switch {
	case p.pending:
		return nil, d.fail(p.extinf, "no URI follows the segment's EXTINF (4.4.4.1)")
	case m.Target == 0:
		return nil, d.fail(0, "has no EXT-X-TARGETDURATION (4.4.3.1): no media playlist")
	case m.Sequence > math.MaxInt64-2*maxSegments:
		return nil, d.fail(0, "EXT-X-MEDIA-SEQUENCE:%d is too large", m.Sequence)
	}
	for i := range m.Segments {
		s := &m.Segments[i]
		s.Sequence = m.Sequence + int64(m.Skipped) + int64(i)
		if s.Duration > m.Target+m.Target/2 && s.Duration > m.Target+500*time.Millisecond {
			d.warn("segments are longer than the target duration of %v (4.4.3.1)", m.Target)
		}
	}
	m.Warnings = d.warnings
	return m, nil
}

// A mediaParser has what of a playlist is valid for the lines to come.
type mediaParser struct {
	*document
	m       Media
	next    Segment // what is known of the segment whose URI comes
	extinf  int     // the line of its EXTINF
	pending bool    // its EXTINF was there
	key     string
	init    string
	offsets map[string]int64 // where the last range of a resource ended
}

func (p *mediaParser) take(n int, line string) error {
	name, value := tag(line)
	switch name {
	case "":
		if line[0] == '#' {
			return nil
		}
		return p.segment(n, line)
	case "EXTINF":
		length, _, _ := strings.Cut(value, ",")
		var err error
		p.next.Duration, err = seconds(length)
		if err != nil {
			return p.fail(n, "EXTINF:%s: %v (4.4.4.1)", clip(length), err)
		}
		p.pending, p.extinf = true, n
	case "EXT-X-TARGETDURATION":
		t, err := seconds(value)
		if err != nil || t <= 0 {
			return p.fail(n, "EXT-X-TARGETDURATION:%s is no duration (4.4.3.1)", clip(value))
		}
		p.m.Target = t
	case "EXT-X-MEDIA-SEQUENCE":
		return p.number(n, name, value, &p.m.Sequence)
	case "EXT-X-DISCONTINUITY-SEQUENCE":
		return p.number(n, name, value, &p.m.Rounds)
	case "EXT-X-PLAYLIST-TYPE":
		p.m.Type = value
	case "EXT-X-ENDLIST":
		p.m.End = true
	case "EXT-X-DISCONTINUITY":
		p.next.Discontinuity = true
	case "EXT-X-GAP":
		p.next.Gap = true
	case "EXT-X-PROGRAM-DATE-TIME":
		p.next.Time = dateTime(value)
	case "EXT-X-BYTERANGE":
		p.next.Range = byteRange(value)
		if p.next.Range.Length == 0 {
			return p.fail(n, "EXT-X-BYTERANGE:%s is no range (4.4.4.2)", clip(value))
		}
	case "EXT-X-STREAM-INF":
		return p.fail(n, "a multivariant playlist, and no media playlist")
	case "EXT-X-KEY", "EXT-X-MAP", "EXT-X-PART-INF", "EXT-X-PART", "EXT-X-PRELOAD-HINT", "EXT-X-SERVER-CONTROL", "EXT-X-SKIP", "EXT-X-DEFINE":
		list, err := parseAttributes(value)
		if err != nil {
			return p.fail(n, "%s: %v", name, err)
		}
		return p.listed(n, name, list)
	}
	return nil
}

// listed takes a tag with attributes.
func (p *mediaParser) listed(n int, name string, list attributes) error {
	var err error
	switch name {
	case "EXT-X-DEFINE":
		p.define(list)
		if imported := list.get("IMPORT"); imported != "" {
			p.askedFrom[imported] = true // the multivariant playlist has its value
		}
	case "EXT-X-KEY":
		if p.key = list.get("METHOD"); p.key == "NONE" {
			p.key = ""
		}
	case "EXT-X-MAP":
		p.init, err = p.absolute(n, list.get("URI"), false)
	case "EXT-X-PART-INF":
		p.m.PartTarget, err = seconds(list.get("PART-TARGET"))
		if err != nil {
			return p.fail(n, "PART-TARGET: %v (4.4.3.7)", err)
		}
	case "EXT-X-PART":
		var part Part
		if part.URI, err = p.absolute(n, list.get("URI"), false); err != nil {
			return err
		}
		if part.Duration, err = seconds(list.get("DURATION")); err != nil {
			return p.fail(n, "DURATION: %v (4.4.4.9)", err)
		}
		part.Independent, part.Gap = list.get("INDEPENDENT") == "YES", list.get("GAP") == "YES"
		part.Range = p.ranged(part.URI, byteRange(list.get("BYTERANGE")))
		p.m.Parts = append(p.m.Parts, part)
	case "EXT-X-PRELOAD-HINT":
		if list.get("TYPE") == "PART" {
			p.m.Hint, err = p.absolute(n, list.get("URI"), false)
		}
	case "EXT-X-SERVER-CONTROL":
		p.m.CanBlockReload = list.get("CAN-BLOCK-RELOAD") == "YES"
		p.m.HoldBack, _ = seconds(list.get("HOLD-BACK"))
		p.m.PartHoldBack, _ = seconds(list.get("PART-HOLD-BACK"))
	case "EXT-X-SKIP":
		skipped := list.get("SKIPPED-SEGMENTS")
		p.m.Skipped, err = strconv.Atoi(skipped)
		if err != nil || p.m.Skipped < 0 {
			p.m.Skipped = 0
			return p.fail(n, "SKIPPED-SEGMENTS=%s is no number (4.4.5.2)", clip(skipped))
		}
	}
	return err
}

// segment takes the URI of a segment.
func (p *mediaParser) segment(n int, line string) error {
	if !p.pending {
		return p.fail(n, "the URI %q has no EXTINF before it (4.4.4.1)", clip(line))
	}
	uri, err := p.absolute(n, line, false)
	if err != nil {
		return err
	}
	if sameResource(uri, p.at.String()) {
		return p.fail(n, "%q leads to this playlist itself", clip(line))
	}
	s := p.next
	s.URI, s.Key, s.Init = uri, p.key, p.init
	s.Range = p.ranged(uri, s.Range)
	p.m.Segments = append(p.m.Segments, s)
	p.m.Parts, p.next, p.pending = p.m.Parts[:0], Segment{}, false
	return nil
}

// ranged returns a range with its offset, which is where the last range of the same
// resource ended if it is not told (4.4.4.2).
func (p *mediaParser) ranged(uri string, r Range) Range {
	if r.Length == 0 {
		return r
	}
	if r.Offset < 0 {
		r.Offset = p.offsets[uri]
	}
	p.offsets[uri] = r.Offset + r.Length
	return r
}

func (p *mediaParser) number(line int, name, value string, to *int64) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return p.fail(line, "%s:%s is no number", name, clip(value))
	}
	*to = n
	return nil
}

// byteRange parses "length" or "length@offset". Without an offset the result has one below
// 0; a Length of 0 says that it is no range.
func byteRange(s string) Range {
	length, offset, told := strings.Cut(strings.TrimSpace(s), "@")
	n, err := strconv.ParseInt(length, 10, 64)
	if err != nil || n <= 0 {
		return Range{}
	}
	if !told {
		return Range{-1, n}
	}
	at, err := strconv.ParseInt(offset, 10, 64)
	if err != nil || at < 0 || at > math.MaxInt64-n {
		return Range{}
	}
	return Range{at, n}
}

// maxSeconds is a day: no segment is that long.
const maxSeconds = 24 * 60 * 60

// seconds parses a number of seconds, whole or with a fraction.
func seconds(s string) (time.Duration, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > maxSeconds {
		return 0, fmt.Errorf("%q is no number of seconds", clip(s))
	}
	return time.Duration(math.Round(f * float64(time.Second))), nil
}

// dateTime parses a time as packagers write it; zero: it is none.
func dateTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}
