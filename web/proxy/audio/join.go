package audio

import "bytes"

// Join returns the bytes that replace the frame first where a stream begins with it. The
// argument before holds the frames that precede first in the same stream without a gap,
// in order. 4 are enough from 64 kbit/s on, 16 from 16 kbit/s on, and more do no harm.
// Neither argument is changed; the result may be first itself.
//
// A Layer III frame keeps part of its audio in earlier frames, up to 511 bytes back
// (main_data_begin, ISO/IEC 11172-3, 2.4.2.7). After the frames of another stream a
// decoder finds other data there and plays it: a pop of many times the level. So Join
// moves that part into first itself, under the header of a higher bitrate: nothing is
// lost and nothing is delayed. If no bitrate is high enough, which happens from
// 192 kbit/s on, Join puts a silent frame that holds that part in front. If there are not
// enough frames before, it makes first silent instead.
//
// All other frames are self-contained.
func Join(before [][]byte, first []byte) []byte {
	h, ok := layerIII(first)
	if !ok {
		return first
	}
	need := h.mainDataBegin(first)
	if need == 0 {
		return first
	}
	from, to := h.sideInfo()
	sideInfo, main := first[from:to], first[to:]
	silence := make([]byte, len(sideInfo))

	reservoir := lookBack(before, need)
	if reservoir == nil {
		return reframe(first, silence, nil, main)
	}
	// The frames that follow count back from the end of this one, and never reach into
	// this one's audio.
	whole := append(reservoir, main...)
	if size := h.mainDataSize(first); size <= len(whole) {
		alone := bytes.Clone(sideInfo)
		alone[0] = 0
		if !h.low {
			alone[1] &= 0x7f
		}
		if f := reframe(first, alone, whole[:size], whole[size:]); f != nil {
			return f
		}
	}
	return append(reframe(first, silence, nil, reservoir), first...)
}

// reframe makes a Layer III frame of the same kind as like, in the smallest size that has
// room. Its main data part starts with begin and finishes with end. It has no CRC. The
// result is nil if no bitrate is high enough.
func reframe(like, sideInfo, begin, end []byte) []byte {
	header := [headerSize]byte(like)
	header[1] |= 1
	for size := range byte(15 << 1) { // bitrate and padding
		header[2] = size>>1<<4 | header[2]&0x0d | size&1<<1
		h, ok := parseMPEG(header[:])
		spare := h.size - mpegHeaderSize - len(sideInfo) - len(begin) - len(end)
		if !ok || spare < 0 {
			continue
		}
		return bytes.Join([][]byte{header[:mpegHeaderSize], sideInfo, begin, make([]byte, spare), end}, nil)
	}
	return nil
}

// layerIII parses the header of a complete Layer III frame.
func layerIII(b []byte) (mpegHeader, bool) {
	if len(b) < headerSize {
		return mpegHeader{}, false
	}
	h, ok := parseMPEG(b)
	_, to := h.sideInfo()
	return h, ok && h.params.Layer == 3 && len(b) == h.size && to <= len(b)
}

// mainDataBegin returns how many bytes before a frame its audio begins, not counting
// headers and side information.
func (h mpegHeader) mainDataBegin(b []byte) int {
	from, _ := h.sideInfo()
	if h.low {
		return int(b[from])
	}
	return int(b[from])<<1 | int(b[from+1]>>7)
}

// mainDataSize returns the length of a frame's audio in bytes, wherever it begins: the sum
// of part2_3_length over granules and channels.
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

// bits12 returns the 12 bits of b that begin at bit at.
func bits12(b []byte, at int) int {
	three := uint32(b[at/8])<<16 | uint32(b[at/8+1])<<8
	if at/8+2 < len(b) {
		three |= uint32(b[at/8+2])
	}
	return int(three >> (12 - at%8) & 0xfff)
}

// lookBack returns the last need bytes of main data in frames; nil: there are fewer.
func lookBack(frames [][]byte, need int) []byte {
	reservoir := make([]byte, need)
	for i := len(frames) - 1; i >= 0; i-- {
		h, ok := layerIII(frames[i])
		if !ok {
			return nil
		}
		_, to := h.sideInfo()
		main := frames[i][to:]
		main = main[max(0, len(main)-need):]
		need -= copy(reservoir[need-len(main):], main)
		if need == 0 {
			return reservoir
		}
	}
	return nil
}
