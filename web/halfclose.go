package web

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/web/lane"
)

// halfClose is the time after a request within which a client's FIN only closes its sending
// side: some clients close it as soon as they have sent the request, and wait for the
// answer. A later FIN means that the client has left. For a stream that is carried inline
// the same rule holds from its beginning on.
const halfClose = time.Second

// patientListener makes its connections patientConns. It is not for TLS, where the end of
// the client's data is not told by a FIN.
type patientListener struct {
	net.Listener
	mends bool // crude requests: nobody has done that yet
}

// Accept implements [net.Listener].
func (l patientListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.mends {
		c = lane.Mending(c)
	}
	return &patientConn{Conn: c}, nil
}

// patientConn keeps net/http from mistaking a client that half-closes its connection for one
// that has left.
type patientConn struct {
	net.Conn

	mu     sync.Mutex
	over   bool          // reads end at once: closed, or with a deadline in the past
	parked chan struct{} // not nil while a read is parked
}

// Read implements [net.Conn]. While a handler runs, net/http reads a single byte to notice
// that the client has left: if the read fails, it cancels the request's context. To
// interrupt the read, it sets a deadline in the past.
func (c *patientConn) Read(b []byte) (int, error) {
	if len(b) != 1 {
		return c.Conn.Read(b)
	}
	began := time.Now()
	n, err := c.Conn.Read(b)
	if n == 0 && errors.Is(err, io.EOF) && time.Since(began) < halfClose {
		c.park()
		return 0, os.ErrDeadlineExceeded
	}
	return n, err
}

func (c *patientConn) park() {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	parked := make(chan struct{})
	c.parked = parked
	c.mu.Unlock()
	<-parked
}

// readsBy notes a read deadline, and wakes a parked read if it has passed.
func (c *patientConn) readsBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = !t.IsZero() && !t.After(time.Now())
	if c.over && c.parked != nil {
		close(c.parked)
		c.parked = nil
	}
}

// SetDeadline implements [net.Conn].
func (c *patientConn) SetDeadline(t time.Time) error {
	c.readsBy(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (c *patientConn) SetReadDeadline(t time.Time) error {
	c.readsBy(t)
	return c.Conn.SetReadDeadline(t)
}

// Close implements [net.Conn].
func (c *patientConn) Close() error {
	c.readsBy(time.Unix(1, 0))
	return c.Conn.Close()
}

// NetConn returns the underlying connection, for callers that set socket options.
func (c *patientConn) NetConn() net.Conn { return c.Conn }

// CloseWrite closes the sending side, so that net/http can end the answer to a client that
// is still sending.
func (c *patientConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
