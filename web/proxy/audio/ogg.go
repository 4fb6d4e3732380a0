package audio

import (
	"encoding/binary"
	"time"
)

const (
	oggMark       = "OggS\x00" // capture pattern and version
	oggHeaderSize = 27         // bytes, without the table of segments (RFC 3533, 6)

	oggContinued = 1 // flag: the page begins within a packet
	oggBegins    = 2 // flag: a logical stream begins with the page

	// maxOggHeaders bounds consecutive header pages, in bytes. The setup header of Vorbis
	// takes 4 to 8 KB; comments may hold a picture.
	maxOggHeaders = 256 << 10
	// maxWasted bounds ogg.wasted, in bytes. It allows for a few false page beginnings in
	// a row, however long.
	maxWasted = 4 * search
	// maxGap is the longest duration of a page that is believed; anything longer is a
	// jump in the stream's clock.
	maxGap = time.Minute
)

// ogg is what is known about the current logical stream.
type ogg struct {
	params   Params
	serial   uint32
	clock    int      // ticks a second of the granule position
	granule  int64    // where the last page ended; -1: unknown
	sequence uint32   // number of the last page
	mapping  *mapping // nil: no stream has begun
	headers  int      // bytes of consecutive header pages; 0: audio has begun

	// wasted is how many bytes have been checksummed for nothing, in what turned out not
	// to be pages, less the bytes passed since. It keeps many false page beginnings that
	// each claim to be long from taking more than linear time.
	wasted int
}

// A mapping is how a codec is put into Ogg.
type mapping struct {
	mark string // what the first packet begins with
	size int    // minimum bytes of the first packet
	// read returns the rate, the channels, the granule position's ticks per second, and
	// its ticks before the first sample.
	read func(packet []byte) (rate, channels, clock int, skip int64)
	// isHeader reports whether packet, which is not the first, is also a header.
	// In all mappings the first packet of audio begins a page.
	isHeader func(packet []byte) bool
	format   string
}

var mappings = []mapping{
	{ // xiph.org, Vorbis I, 4.2 and A.2
		format: "Vorbis", mark: "\x01vorbis", size: 30,
		read: func(p []byte) (int, int, int, int64) {
			rate := int(binary.LittleEndian.Uint32(p[12:]))
			return rate, int(p[11]), rate, 0
		},
		isHeader: func(p []byte) bool { return p[0]&1 == 1 },
	},
	{ // RFC 7845, 4 and 5
		format: "Opus", mark: "OpusHead", size: 19,
		read: func(p []byte) (int, int, int, int64) {
			return 48000, int(p[9]), 48000, int64(binary.LittleEndian.Uint16(p[10:]))
		},
		isHeader: func(p []byte) bool { return begins(p, "OpusTags") },
	},
	{ // RFC 9639, 10.1 and 8.2: STREAMINFO holds 20 bits of rate and 3 of channels
		format: "FLAC", mark: "\x7fFLAC\x01", size: 51,
		read: func(p []byte) (int, int, int, int64) {
			info := binary.BigEndian.Uint32(p[27:])
			rate := int(info >> 12)
			return rate, int(info>>9&7) + 1, rate, 0
		},
		isHeader: func(p []byte) bool { return p[0] != 0xff }, // a frame's first byte
	},
}

// look says what is at the beginning of b, whose first byte is an O.
func (o *ogg) look(b []byte) piece {
	switch {
	case !begins(b, oggMark):
		return piece{kind: junk, size: 1}
	case len(b) < oggHeaderSize:
		return piece{kind: more}
	case b[5] > 7: // undefined flags
		return piece{kind: junk, size: 1}
	}
	size := oggHeaderSize + int(b[26])
	if len(b) < size {
		return piece{kind: more}
	}
	body := size
	for _, lacing := range b[oggHeaderSize:body] {
		size += int(lacing)
	}
	if o.wasted+size > maxWasted {
		return piece{kind: junk, size: 1}
	}
	if len(b) < size {
		return piece{kind: more}
	}
	if binary.LittleEndian.Uint32(b[22:]) != oggCRC(b[:size]) {
		o.wasted += size
		return piece{kind: junk, size: 1} // a page may begin within
	}
	// The bytes after the page tell whether streams are multiplexed: if they are, all of
	// them begin before any of them continues.
	if b[5]&oggBegins != 0 {
		next := b[size:]
		if len(next) <= len(oggMark) {
			return piece{kind: more}
		}
		if multiplexed := begins(next, oggMark) && next[5]&oggBegins != 0; multiplexed || !o.begin(b[body:size]) {
			return piece{kind: foreign}
		}
	}
	return o.page(b[:size], body)
}

// begin starts a new logical stream from its first packet, and reports whether its codec
// is known.
func (o *ogg) begin(packet []byte) bool {
	for i := range mappings {
		m := &mappings[i]
		if len(packet) < m.size || string(packet[:len(m.mark)]) != m.mark {
			continue
		}
		rate, channels, clock, skip := m.read(packet)
		if rate <= 0 || channels <= 0 {
			return false
		}
		o.params = Params{Codec: Ogg, Format: m.format, Rate: rate, Channels: channels}
		o.mapping, o.clock, o.granule = m, clock, skip
		return true
	}
	return false
}

// page interprets a complete page, whose body begins at offset body.
func (o *ogg) page(b []byte, body int) piece {
	flags := b[5]
	serial, sequence := binary.LittleEndian.Uint32(b[14:]), binary.LittleEndian.Uint32(b[18:])
	isFirst, continued := flags&oggBegins != 0, flags&oggContinued != 0
	switch {
	case isFirst:
		o.serial = serial
	case o.mapping == nil || serial != o.serial:
		return piece{kind: junk, size: len(b)} // of a stream whose headers are not known
	case sequence != o.sequence+1:
		o.granule = -1
	}
	o.sequence = sequence

	u := Unit{Params: o.params, Start: !continued}
	first := b[body:]
	switch {
	case isFirst, o.headers > 0 && (continued || len(first) == 0 || o.mapping.isHeader(first)):
		if o.headers += len(b); o.headers > maxOggHeaders {
			return piece{kind: foreign}
		}
		u.Header, u.Start = true, false
	default:
		o.headers = 0
		u.Duration = o.advance(int64(binary.LittleEndian.Uint64(b[6:])))
	}
	return piece{kind: unit, size: len(b), unit: u}
}

// advance returns the duration from the last granule position to this one. A page in
// which no packet ends has the position -1.
func (o *ogg) advance(to int64) time.Duration {
	if to < 0 {
		return 0
	}
	from := o.granule
	o.granule = to
	if from < 0 || to < from || (to-from)/int64(o.clock) > int64(maxGap/time.Second) {
		return 0
	}
	return playing(to-from, o.clock)
}

// oggTable and oggCRC are the CRC-32 of RFC 3533, 6: Ethernet's polynomial, but most
// significant bit first, with an initial value of 0 and no inversion.
var oggTable = func() (t [256]uint32) {
	for i := range t {
		crc := uint32(i) << 24
		for range 8 {
			if crc>>31 == 1 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}()

// oggCRC returns the checksum of a page, taking its checksum field as 0.
func oggCRC(page []byte) uint32 {
	crc := oggSum(0, page[:22])
	crc = oggSum(crc, []byte{0, 0, 0, 0})
	return oggSum(crc, page[26:])
}

func oggSum(crc uint32, p []byte) uint32 {
	for _, b := range p {
		crc = crc<<8 ^ oggTable[byte(crc>>24)^b]
	}
	return crc
}
