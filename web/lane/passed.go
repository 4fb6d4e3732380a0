package lane

import (
	"context"
	"net"
)

// A Passer is a ResponseWriter of this package. PassOn hands the request on to net/http:
// when the handler returns, what it has written is dropped, and net/http calls the handler
// again. In that call, [Note] returns the note.
type Passer interface{ PassOn(note any) }

// passed is a connection from which something has been read.
type passed struct {
	net.Conn
	read []byte // at most as long as net/http's buffer, which takes all of it with one Read
	note any
}

// Read implements [net.Conn].
func (c *passed) Read(b []byte) (int, error) {
	if len(c.read) > 0 {
		n := copy(b, c.read)
		c.read = c.read[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// Mending returns a connection whose first request is mended if it is crude and comes with
// one Read, as those of a [Listener] are. It is for connections that do not go through one.
// Later requests are left alone: where they begin is known only to who reads them.
func Mending(c net.Conn) net.Conn { return &mending{passed: passed{Conn: c}} }

type mending struct {
	passed
	begun bool
}

// Read implements [net.Conn].
func (c *mending) Read(b []byte) (int, error) {
	if c.begun {
		return c.passed.Read(b)
	}
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	c.begun = true
	size, mended := mend(b[:n])
	if mended == nil {
		return n, err
	}
	whole := append(mended, b[size:n]...)
	n = copy(b, whole)
	c.read = whole[n:]
	return n, err
}

// NetConn returns the wrapped connection, for callers that set socket options.
func (c *passed) NetConn() net.Conn { return c.Conn }

// CloseWrite lets net/http end the answer to a client that is still sending.
func (c *passed) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

type noteKey struct{}

// ConnContext puts a connection's note into its context. It is for [http.Server.ConnContext].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	for {
		switch w := c.(type) {
		case *passed:
			if w.note == nil {
				return ctx
			}
			return context.WithValue(ctx, noteKey{}, w)
		case interface{ NetConn() net.Conn }:
			c = w.NetConn()
		default:
			return ctx
		}
	}
}

// Note returns the note that was passed on with the request of a context; nil: there is
// none, or it was returned before.
func Note(ctx context.Context) any {
	p, _ := ctx.Value(noteKey{}).(*passed)
	if p == nil {
		return nil
	}
	note := p.note
	p.note = nil
	return note
}
