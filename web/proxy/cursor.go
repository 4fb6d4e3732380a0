package proxy

import (
	"bytes"
	"slices"
)

// zeroBlock says that the title is still the same.
var zeroBlock = []byte{0}

// metaint is how many bytes lie between two metadata blocks of ours: Icecast's.
const metaint = 16000

// A cursor is a listener's place in a chain of chunks, with what is put in
// between for this listener alone. It copies nothing: what is to be written are
// pieces of shared chunks and titles.
type cursor struct {
	at    *chunk
	off   int    // in at.data
	lead  []byte // audio that comes before that
	audio int64  // bytes of the stream that were written
	head  []byte // the answer's head, before anything else
	fresh bool   // has not begun: the next chunk must be one to begin with

	every int    // bytes between two metadata blocks; 0: none wanted
	left  int    // bytes up to the next one
	told  *title // the last that was told
	block []byte // what is left of a metadata block
}

// newCursor begins at a chunk that may be begun with.
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

// enter begins with a chunk.
func (c *cursor) enter(at *chunk) {
	if len(at.header) > 0 {
		c.head = append(c.head[:len(c.head):len(c.head)], at.header...)
	}
	c.goTo(at)
}

// goTo goes on with a chunk, after what is in lead.
func (c *cursor) goTo(at *chunk) {
	c.at, c.off = at, 0
	if at.lead != nil {
		c.lead, c.off = append(c.lead[:len(c.lead):len(c.lead)], at.lead...), int(at.ends[0])
	}
}

// piece returns what is to be written next; nil: nothing for now.
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

// took moves over the first n bytes of the piece.
func (c *cursor) took(n int) {
	switch {
	case len(c.head) > 0:
		c.head = c.head[n:]
	case len(c.block) > 0:
		c.block = c.block[n:]
	case len(c.lead) > 0:
		c.lead = c.lead[n:]
		c.played(n)
	default:
		c.off += n
		c.played(n)
	}
}

// played counts audio up to the next metadata block.
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

// gather appends what is to be written next to pieces, as far as it has room.
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

// advance moves over n bytes that were written.
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

// skip goes on with another chunk once the frame is over that has begun, and with the
// header pages of the other if they are new. What lies between can be freed.
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
