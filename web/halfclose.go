package web

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// halfClose is the time after its request within which a client's FIN ends its sending
// side only: some close that as soon as they have asked, and wait for the answer. Later
// it means that the client has left. A stream that is carried inline goes by the same
// rule from its beginning on.
const halfClose = time.Second

// patientListener makes its connections patient. It is not for TLS, where a FIN is not
// what the client says.
type patientListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l patientListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &patientConn{Conn: c}, nil
}

// patientConn keeps net/http from taking a client that half-closes its connection for
// one that left.
type patientConn struct {
	net.Conn

	mu     sync.Mutex
	over   bool          // reads end at once: closed, or with a deadline in the past
	parked chan struct{} // not nil while a read is parked
}

// Read implements [net.Conn]. net/http reads a single byte while a handler runs, to
// learn that the client has left, and ends the request's context when that fails. It
// interrupts that read by a deadline in the past.
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

// readsBy wakes a parked read whose time is over.
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

// NetConn returns the connection under it, for callers that set socket options.
func (c *patientConn) NetConn() net.Conn { return c.Conn }

// CloseWrite lets net/http end the answer to a client that is still sending.
func (c *patientConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
