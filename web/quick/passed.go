package quick

import (
	"context"
	"net"
)

// A Passer is a ResponseWriter of this package's. PassOn leaves the request to
// net/http, whose handler gets it anew: the handler returns, what it has written is
// forgotten, and [Note] tells the other the note.
type Passer interface{ PassOn(note any) }

// passed is a connection of which something has been read.
type passed struct {
	net.Conn
	read []byte // no longer than net/http's buffer: it is gone with the first Read
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

// NetConn returns the connection under it, for who sets a socket's options.
func (c *passed) NetConn() net.Conn { return c.Conn }

// CloseWrite is for net/http's last word to a client that is still sending.
func (c *passed) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

type noteKey struct{}

// ConnContext is for [http.Server.ConnContext]: it brings notes along.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if p, ok := c.(*passed); ok && p.note != nil {
		return context.WithValue(ctx, noteKey{}, p)
	}
	return ctx
}

// Note returns the note that was passed on with a request, to the first who asks
// with that request's context; nil: there is none.
func Note(ctx context.Context) any {
	p, _ := ctx.Value(noteKey{}).(*passed)
	if p == nil {
		return nil
	}
	note := p.note
	p.note = nil
	return note
}
