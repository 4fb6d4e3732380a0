package audio

import (
	"bytes"
	"encoding/binary"
)

// Join returns the bytes with which a stream begins at the frame first, in place
// of that frame. The frames before it, in their order, are those that come before
// it in the same stream without a gap; 4 are enough from 64 kbit/s on, 16 from
// 16 kbit/s, and more do no harm. Neither is changed; the result may be first
// itself.
//
// Layer III frames keep part of their audio in the frames before, up to 511 bytes
// back (main_data_begin, ISO/IEC 11172-3, 2.4.2.7). Behind the frames of another
// stream a decoder finds something else there, and plays it. So Join moves that
// part into first itself, under the header of a higher bitrate: nothing is lost,
// and nothing delayed. If there is no bitrate high enough, frames before are sent
// ahead with their side information zeroed; they decode to silence and hold what
// is needed. If there are not enough frames, first is made silent instead.
//
// All other frames stand alone.
func Join(before [][]byte, first []byte) []byte {
	h, ok := layerIII(first)
	if !ok {
		return first
	}
	need := h.mainDataBegin(first)
	if need == 0 {
		return first
	}
	reservoir, ahead := lookBack(before, need)
	if reservoir == nil {
		return appendSilenced(nil, first)
	}
	if whole := h.embed(reservoir, first); whole != nil {
		return whole
	}
	var joint []byte
	for _, f := range ahead {
		joint = appendSilenced(joint, f)
	}
	return append(joint, first...)
}

// layerIII reads the header of a whole Layer III frame.
func layerIII(b []byte) (mpegHeader, bool) {
	if len(b) < headerSize {
		return mpegHeader{}, false
	}
	h, ok := parseMPEG(b)
	_, to := h.sideInfo()
	return h, ok && h.params.Layer == 3 && len(b) == h.size && to <= len(b)
}

// mainDataBegin is how many bytes before a frame its audio begins, not counting
// headers and side information.
func (h mpegHeader) mainDataBegin(b []byte) int {
	from, _ := h.sideInfo()
	if h.low {
		return int(b[from])
	}
	return int(b[from])<<1 | int(b[from+1]>>7)
}

// mainDataSize is the length of a frame's audio in bytes, wherever it begins: the
// sum of part2_3_length over granules and channels.
func (h mpegHeader) mainDataSize(b []byte) int {
	from, to := h.sideInfo()
	info := b[from:to]
	channels := h.params.Channels
	at, parts, step := 16+2*channels, 2*channels, 59 // bits: two granules a frame,
	if h.low {
		at, parts, step = 8+channels, channels, 63 // or one
	}
	sum := 0
	for range parts {
		sum += bits12(info, at)
		at += step
	}
	return (sum + 7) / 8
}

// bits12 returns the 12 bits of b from a bit on.
func bits12(b []byte, at int) int {
	three := uint32(b[at/8])<<16 | uint32(b[at/8+1])<<8
	if at/8+2 < len(b) {
		three |= uint32(b[at/8+2])
	}
	return int(three >> (12 - at%8) & 0xfff)
}

// lookBack collects the last need bytes of main data of frames, and returns the
// frames that hold them; nil if there are too few.
func lookBack(frames [][]byte, need int) (reservoir []byte, holders [][]byte) {
	reservoir = make([]byte, need)
	for i := len(frames) - 1; i >= 0; i-- {
		h, ok := layerIII(frames[i])
		if !ok {
			return nil, nil
		}
		_, to := h.sideInfo()
		main := frames[i][to:]
		main = main[max(0, len(main)-need):]
		need -= copy(reservoir[need-len(main):], main)
		if need == 0 {
			return reservoir, frames[i:]
		}
	}
	return nil, nil
}

// embed makes a frame that holds reservoir as well; nil if there is none so long.
// The frames that follow count back from its end: what is over is put behind its
// own audio, before which none of them reaches, and all else stays at its
// distance from the end.
func (h mpegHeader) embed(reservoir, first []byte) []byte {
	from, to := h.sideInfo()
	size := h.mainDataSize(first)
	main := len(reservoir) + len(first) - to
	if size > main {
		return nil // not a valid frame
	}
	header := [headerSize]byte(first)
	header[1] |= 1  // no CRC
	header[2] &^= 2 // no padding
	for index := range byte(15) {
		header[2] = header[2]&0x0f | index<<4
		big, ok := parseMPEG(header[:])
		if !ok {
			continue
		}
		_, begin := big.sideInfo()
		spare := big.size - begin - main
		if spare < 0 {
			continue
		}
		out := append(make([]byte, 0, big.size), header[:mpegHeaderSize]...)
		out = append(out, first[from:to]...)
		clearMainDataBegin(out[mpegHeaderSize:], h.low)
		out = append(append(out, reservoir...), first[to:]...)
		return insertZeros(out, begin+size, spare)
	}
	return nil
}

func clearMainDataBegin(sideInfo []byte, low bool) {
	sideInfo[0] = 0
	if !low {
		sideInfo[1] &= 0x7f
	}
}

func insertZeros(b []byte, at, n int) []byte {
	b = append(b, make([]byte, n)...)
	copy(b[at+n:], b[at:])
	clear(b[at : at+n])
	return b
}

// appendSilenced appends a Layer III frame with its side information zeroed and
// its CRC corrected.
func appendSilenced(dst, b []byte) []byte {
	at := len(dst)
	dst = append(dst, b...)
	b = dst[at:]
	h, ok := layerIII(b)
	if !ok {
		return dst
	}
	from, to := h.sideInfo()
	clear(b[from:to])
	if h.crc {
		binary.BigEndian.PutUint16(b[mpegHeaderSize:], mpegCRC(b[2:mpegHeaderSize], b[from:to]))
	}
	return dst
}

// mpegCRC is the CRC-16 of ISO/IEC 11172-3, 2.4.3.1, which covers half of the
// header and, with Layer III, the side information.
func mpegCRC(parts ...[]byte) uint16 {
	crc := uint16(0xffff)
	for _, b := range bytes.Join(parts, nil) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc>>15 == 1 {
				crc = crc<<1 ^ 0x8005
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
