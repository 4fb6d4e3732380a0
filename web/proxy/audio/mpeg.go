package audio

import (
	"bytes"
	"encoding/binary"
)

// mpegHeader is the header of an MPEG audio frame (ISO/IEC 11172-3, 2.4.1.3;
// 13818-3 halves the rates, and the unofficial MPEG-2.5 halves them again).
type mpegHeader struct {
	frame
	low  bool // low sampling rates: MPEG-2 and MPEG-2.5
	crc  bool // two bytes of CRC follow the header
	mono bool
}

const mpegHeaderSize = 4 // bytes

// mpegRates are samples a second, by version and index.
var mpegRates = [4][3]int{
	0: {11025, 12000, 8000},
	2: {22050, 24000, 16000},
	3: {44100, 48000, 32000},
}

// mpegKbits are bitrates in kbit/s by index. 0 is free format, whose frame length cannot
// be computed from the header.
var mpegKbits = struct {
	i, ii, iii, lowI, low [15]int
}{
	i:    [15]int{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
	ii:   [15]int{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
	iii:  [15]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	lowI: [15]int{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
	low:  [15]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

func mpegKbit(layer int, low bool, index int) int {
	switch {
	case low && layer == 1:
		return mpegKbits.lowI[index]
	case low:
		return mpegKbits.low[index]
	case layer == 1:
		return mpegKbits.i[index]
	case layer == 2:
		return mpegKbits.ii[index]
	}
	return mpegKbits.iii[index]
}

var mpegFormats = [4][4]string{
	0: {1: "MPEG-2.5 layer I", 2: "MPEG-2.5 layer II", 3: "MPEG-2.5 layer III"},
	2: {1: "MPEG-2 layer I", 2: "MPEG-2 layer II", 3: "MPEG-2 layer III"},
	3: {1: "MPEG-1 layer I", 2: "MPEG-1 layer II", 3: "MPEG-1 layer III"},
}

// parseMPEG parses a header from at least mpegHeaderSize bytes. It rejects reserved values
// and free format.
func parseMPEG(b []byte) (mpegHeader, bool) {
	version := int(b[1] >> 3 & 3)
	layer := 4 - int(b[1]>>1&3)
	bitrate := int(b[2] >> 4)
	rate := int(b[2] >> 2 & 3)
	if b[0] != 0xff || b[1]&0xe0 != 0xe0 || version == 1 || layer == 4 || bitrate == 0 || bitrate == 15 || rate == 3 || b[3]&3 == 2 {
		return mpegHeader{}, false
	}
	h := mpegHeader{
		frame: frame{
			params:  Params{Codec: MPEG, Format: mpegFormats[version][layer], Layer: layer, Rate: mpegRates[version][rate], Channels: 2},
			samples: 1152,
		},
		low:  version != 3,
		crc:  b[1]&1 == 0,
		mono: b[3]>>6 == 3,
	}
	if h.mono {
		h.params.Channels = 1
	}
	slot := 1 // bytes; padding adds one slot
	switch {
	case layer == 1:
		h.samples, slot = 384, 4
	case layer == 3 && h.low:
		h.samples = 576
	}
	bits := h.samples * mpegKbit(layer, h.low, bitrate) * 1000 / 8 // times the rate
	h.size = (bits/(slot*h.params.Rate) + int(b[2]>>1&1)) * slot
	return h, true
}

// sideInfo returns where the side information of a Layer III frame begins and ends.
func (h mpegHeader) sideInfo() (from, to int) {
	from = mpegHeaderSize
	if h.crc {
		from += 2
	}
	switch {
	case h.low && h.mono:
		return from, from + 9
	case h.low || h.mono:
		return from, from + 17
	}
	return from, from + 32
}

// isIndex reports whether a frame is the one that encoders put at the start of a file,
// with the file's length and a seek table. It decodes to silence.
func isIndex(b []byte) bool {
	h, ok := parseMPEG(b)
	if !ok || h.params.Layer != 3 {
		return false
	}
	from, to := h.sideInfo()
	const vbri = 36 // the offset of Fraunhofer's mark, whatever the side information's size
	if len(b) < max(to, vbri)+4 {
		return false
	}
	if name := string(b[to : to+4]); name != "Xing" && name != "Info" && string(b[vbri:vbri+4]) != "VBRI" {
		return false
	}
	return len(bytes.TrimLeft(b[from:to], "\x00")) == 0
}

// maxTag is the longest tag that is skipped as a whole, in bytes. A mark that claims more
// is treated as junk.
const maxTag = 4 << 20

// lookTag finds ID3v2 tags (id3.org, ID3v2.4.0, 3.1) and APEv2 tags
// (wiki.hydrogenaud.io, APEv2 specification), which may hold pictures. ID3v1 is
// 128 bytes of junk.
func lookTag(b []byte) piece {
	const id3, id3Size = "ID3", 10 // bytes of a header or a footer
	const ape, apeSize = "APETAGEX\xd0\x07\x00\x00", 32
	size := 0
	switch {
	case begins(b, id3):
		if len(b) < id3Size {
			return piece{kind: more}
		}
		if b[3] <= 4 && b[5]&0xf == 0 && (b[6]|b[7]|b[8]|b[9]) < 0x80 {
			size = id3Size + int(b[6])<<21 + int(b[7])<<14 + int(b[8])<<7 + int(b[9])
			if hasFooter := b[5]&0x10 != 0; hasFooter {
				size += id3Size
			}
		}
	case begins(b, ape):
		if len(b) < apeSize {
			return piece{kind: more}
		}
		size = apeSize
		if isHeader := b[23]&0x20 != 0; isHeader { // otherwise it is a footer, which follows its items
			size += int(binary.LittleEndian.Uint32(b[12:]))
		}
	}
	if size == 0 || size > maxTag {
		return piece{kind: junk, size: 1}
	}
	return piece{kind: tag, size: size}
}

// begins reports whether b begins with mark, or may once more bytes have arrived.
func begins(b []byte, mark string) bool {
	n := min(len(b), len(mark))
	return string(b[:n]) == mark[:n]
}
