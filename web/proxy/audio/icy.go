package audio

import (
	"bytes"
	"errors"
	"fmt"
)

// ICY metadata follows each metaint bytes of audio in a stream: a byte with the length of
// a block in units of 16 bytes, and the block, padded with NULs. The length is 0 as long
// as the metadata are unchanged. There is no standard; this is what SHOUTcast and Icecast
// send.
const (
	icyUnit = 16            // bytes
	maxMeta = 255 * icyUnit // bytes of a block
)

// ErrMetadata says that there is no metadata where a block should be: the upstream's
// metaint is wrong, and audio and metadata cannot be told apart.
var ErrMetadata = errors.New("no metadata where icy-metaint says that it is")

// A Deinterleaver takes the metadata out of a stream.
type Deinterleaver struct {
	metaint int
	left    int    // bytes of audio before the next length
	block   []byte // the part of a block that has arrived
	missing int    // bytes of the block still to come
	err     error
}

// NewDeinterleaver returns a Deinterleaver for a stream with metadata after each metaint
// bytes. If metaint is 0 or less, the stream has no metadata.
func NewDeinterleaver(metaint int) *Deinterleaver {
	return &Deinterleaver{metaint: metaint, left: metaint}
}

// Write takes the next bytes of the stream. It calls audio for each stretch of audio in
// them, and meta for each block of metadata that they complete, without its length and
// padding. It does not call meta for empty blocks. The bytes are valid during these calls.
// An error wraps ErrMetadata and is permanent. It is returned at the first block that is
// not metadata; where the audio is zeros, that may be late.
func (d *Deinterleaver) Write(p []byte, audio, meta func([]byte)) error {
	if d.metaint <= 0 && len(p) > 0 {
		audio(p)
		return nil
	}
	for len(p) > 0 && d.err == nil {
		switch {
		case d.left > 0:
			n := min(d.left, len(p))
			audio(p[:n])
			d.left -= n
			p = p[n:]
		case d.missing == 0:
			d.missing = int(p[0]) * icyUnit
			d.block = d.block[:0]
			if d.missing == 0 {
				d.left = d.metaint
			}
			p = p[1:]
		default:
			n := min(d.missing, len(p))
			d.block = append(d.block, p[:n]...)
			p = p[n:]
			if d.missing -= n; d.missing == 0 {
				d.finish(meta)
			}
		}
	}
	return d.err
}

func (d *Deinterleaver) finish(meta func([]byte)) {
	d.left = d.metaint
	content := bytes.TrimRight(d.block, "\x00")
	switch {
	case len(content) == 0:
	case !isMeta(content):
		d.err = fmt.Errorf("%w: %.40q", ErrMetadata, content)
	default:
		meta(content)
	}
}

// isMeta reports whether a block begins like metadata, with a name and ='.
// Random bytes do so less than once in 10^6 blocks.
func isMeta(content []byte) bool {
	n := 0
	for n < len(content) {
		c := content[n]
		if letter := c|0x20 >= 'a' && c|0x20 <= 'z'; !letter && (c < '0' || c > '9') && c != '_' && c != '-' {
			break
		}
		n++
	}
	return n > 2 && bytes.HasPrefix(content[n:], []byte("='"))
}

// A Block is metadata in the form it has in a stream: length, content, padding. It must
// not be changed, and so may be shared; nil: no metadata.
type Block []byte

// NewBlock makes a Block from content such as a [Deinterleaver] returns, unchanged. What
// exceeds 4,080 bytes is cut off.
func NewBlock(content []byte) Block {
	content = content[:min(len(content), maxMeta)]
	units := (len(content) + icyUnit - 1) / icyUnit
	b := make(Block, 1+units*icyUnit)
	b[0] = byte(units)
	copy(b[1:], content)
	return b
}

// Title returns the title in metadata, which may be empty, and whether there is one. The
// title ends at the first quote and semicolon that are followed by another name or by
// nothing, because players disagree about quotes and semicolons within titles.
func Title(meta []byte) ([]byte, bool) {
	_, rest, ok := bytes.Cut(meta, []byte("StreamTitle='"))
	if !ok {
		return nil, false
	}
	rest = bytes.TrimRight(rest, "\x00 \r\n")
	for from := 0; ; {
		i := bytes.Index(rest[from:], []byte("';"))
		if i < 0 {
			return bytes.TrimSuffix(rest, []byte("'")), true // cut off, or without a semicolon
		}
		end := from + i
		from = end + len("';")
		behind := bytes.TrimLeft(rest[from:], " ")
		if len(behind) == 0 || isMeta(behind) {
			return rest[:end], true
		}
	}
}
