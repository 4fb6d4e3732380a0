package proxy

import (
	"bytes"
	"slices"
)

// zeroBlock is the empty metadata block: the title is unchanged.
var zeroBlock = []byte{0}

// metaint is how many bytes of audio a listener gets between two metadata blocks:
// Icecast's number.
const metaint = 16000

// A cursor is a listener's position in a chain of chunks, with what is inserted for this
// listener alone. It copies no audio: what is written are pieces of shared chunks and
// titles.
type cursor struct {
	at    *chunk
	off   int    // in at.data
	lead  []byte // audio to be written before that
	audio int64  // bytes of the stream that were written
	head  []byte // the answer's head, before anything else
	fresh bool   // not begun yet: waits for a chunk that a listener may begin with

	every int    // bytes between two metadata blocks; 0: none wanted
	left  int    // bytes up to the next block
	told  *title // the last title that was sent
	block []byte // the rest of a metadata block
}

// newCursor returns a cursor at a chunk. If a listener may not begin with that chunk, the
// cursor begins with the first later one where it may.
func newCursor(at *chunk, head []byte, metadata bool) cursor {
	c := cursor{at: at, head: head, fresh: !at.start}
	if at.start {
		c.enter(at)
	}
	if metadata {
		c.every, c.left = metaint, metaint
	}
	return c
}

// enter begins the stream with a chunk, after its header pages.
func (c *cursor) enter(at *chunk) {
	if len(at.header) > 0 {
		c.head = append(c.head[:len(c.head):len(c.head)], at.header...)
	}
	c.goTo(at)
}

// goTo continues with a chunk, after what is in lead.
func (c *cursor) goTo(at *chunk) {
	c.at, c.off = at, 0
	if at.lead != nil {
		c.lead, c.off = append(c.lead[:len(c.lead):len(c.lead)], at.lead...), int(at.ends[0])
	}
}

// piece returns what is to be written next; nil: there is nothing yet.
func (c *cursor) piece() []byte {
	for {
		switch {
		case len(c.head) > 0:
			return c.head
		case len(c.block) > 0:
			return c.block
		case len(c.lead) > 0:
			return c.upToMetadata(c.lead)
		case c.off < len(c.at.data):
			return c.upToMetadata(c.at.data[c.off:])
		}
		next := c.at.next.Load()
		if next == nil {
			return nil
		}
		c.at, c.off = next, 0
		if c.fresh {
			if !next.start {
				c.off = len(next.data)
				continue
			}
			c.fresh = false
			c.enter(next)
		}
	}
}

func (c *cursor) upToMetadata(p []byte) []byte {
	if c.every > 0 && len(p) > c.left {
		return p[:c.left]
	}
	return p
}

// took advances over the first n bytes of the piece.
func (c *cursor) took(n int) {
	switch {
	case len(c.head) > 0:
		c.head = rest(c.head, n)
	case len(c.block) > 0:
		c.block = c.block[n:]
	case len(c.lead) > 0:
		c.lead = rest(c.lead, n)
		c.played(n)
	default:
		c.off += n
		c.played(n)
	}
}

// rest returns b without its first n bytes; nil if there are no more, which frees b.
func rest(b []byte, n int) []byte {
	if n == len(b) {
		return nil
	}
	return b[n:]
}

// played counts n bytes of audio, and inserts a metadata block when one is due.
func (c *cursor) played(n int) {
	c.audio += int64(n)
	if c.every == 0 {
		return
	}
	if c.left -= n; c.left == 0 {
		c.left, c.block = c.every, zeroBlock
		if t := c.at.title; t != nil && t != c.told {
			c.told, c.block = t, t.block
		}
	}
}

// gather appends what is to be written next to pieces, up to its capacity.
func (c *cursor) gather(pieces [][]byte) [][]byte {
	ahead := *c
	for len(pieces) < cap(pieces) {
		p := ahead.piece()
		if p == nil {
			break
		}
		pieces = append(pieces, p)
		ahead.took(len(p))
	}
	return pieces
}

// fill copies what is to be written next into b, and returns how much that is.
func (c *cursor) fill(b []byte) (n int) {
	ahead := *c
	for n < len(b) {
		p := ahead.piece()
		if p == nil {
			break
		}
		k := copy(b[n:], p)
		ahead.took(k)
		n += k
	}
	return n
}

// advance advances over n bytes that were written.
func (c *cursor) advance(n int) {
	for n > 0 {
		k := min(n, len(c.piece()))
		c.took(k)
		n -= k
	}
}

// due returns the chunk with the next byte to be written; nil: all is written.
func (c *cursor) due() *chunk {
	if c.piece() == nil {
		return nil
	}
	return c.at
}

// skip finishes the frame that has begun and continues with another chunk, preceded by
// that chunk's header pages if they are new. The chunks in between can be freed.
func (c *cursor) skip(to *chunk) {
	if len(c.lead) == 0 && c.off > 0 {
		for _, end := range c.at.ends {
			if int(end) >= c.off {
				c.lead = c.at.data[c.off:end]
				break
			}
		}
	}
	if !bytes.Equal(c.at.header, to.header) {
		c.lead = slices.Concat(c.lead, to.header)
	}
	c.goTo(to)
}
