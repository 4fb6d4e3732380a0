package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// sendBuffer is the kernel's buffer toward a listener, in bytes. Left alone,
// Linux lets it grow to some 4 MB, which takes minutes to fill at 128 kbit/s and
// hides a stalled listener all that time. 64 KB are 4 s at 128 kbit/s, and hold
// a burst on connect.
const sendBuffer = 64 << 10

// A listener is where a stream goes. Its methods are called by one goroutine,
// but for interrupt.
type listener interface {
	watch(cancel context.CancelCauseFunc) // cancels with an End once the listener is gone
	start(a answer, first []byte) error
	write(p []byte) error
	interrupt() // makes a write that blocks return
	close(abort bool)
}

// accept takes over the listener's connection if that is possible.
func accept(w http.ResponseWriter, r *http.Request, stall time.Duration) (listener, error) {
	rc := http.NewResponseController(w)
	conn, _, err := rc.Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		return &written{w: w, rc: rc, major: r.ProtoMajor, stall: stall}, nil
	}
	if err != nil {
		return nil, err
	}
	// The server's own timeouts may still stand on the connection.
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if tcp := tcpOf(conn); tcp != nil {
		_ = tcp.SetWriteBuffer(sendBuffer)
		setUserTimeout(tcp, stall)
	}
	return &hijacked{conn: conn, stall: stall, unwatched: make(chan struct{})}, nil
}

// tcpOf finds the TCP connection under TLS, the PROXY protocol and other
// wrappers that have NetConn or Raw; nil if there is none.
func tcpOf(conn net.Conn) *net.TCPConn {
	for {
		switch c := conn.(type) {
		case *net.TCPConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		case interface{ Raw() net.Conn }:
			conn = c.Raw()
		default:
			return nil
		}
	}
}

// hijacked is a connection of our own.
type hijacked struct {
	conn      net.Conn
	stall     time.Duration
	unwatched chan struct{} // closed when watch's goroutine has ended
}

// watch reads the connection: a listener says nothing more, so that whatever
// ends the reading is its end. Stray bytes are dropped.
func (l *hijacked) watch(cancel context.CancelCauseFunc) {
	go func() {
		defer close(l.unwatched)
		var stray [64]byte
		for {
			if _, err := l.conn.Read(stray[:]); err != nil {
				cancel(listenerEnd(err))
				return
			}
		}
	}()
}

func (l *hijacked) start(a answer, first []byte) error {
	return l.write(append(a.wire(), first...))
}

func (l *hijacked) write(p []byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.stall)); err != nil {
		return err
	}
	_, err := l.conn.Write(p)
	return err
}

func (l *hijacked) interrupt() { _ = l.conn.SetDeadline(time.Unix(1, 0)) }

// close ends the connection and the watching. An abort also drops what the
// kernel still holds for the listener, which a stalled one would never fetch, and
// leaves out TLS's farewell, which would wait 5 s for it.
func (l *hijacked) close(abort bool) {
	if tcp := tcpOf(l.conn); abort && tcp != nil {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
	_ = l.conn.Close()
	<-l.unwatched
}

// written is a response that stays in net/http's hands: HTTP/2, or a
// ResponseWriter that cannot be hijacked.
type written struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	major int
	stall time.Duration
}

// watch has nothing to do: the request's context ends when the listener leaves.
func (l *written) watch(context.CancelCauseFunc) {}

func (l *written) start(a answer, first []byte) error {
	h := l.w.Header()
	for _, f := range a.fields {
		h[f.name] = append(h[f.name], f.value)
	}
	if l.major < 2 {
		// Makes net/http delimit the body by closing; the field itself is not sent.
		h.Set("Transfer-Encoding", "identity")
		h.Set("Connection", "close")
	} else {
		delete(h, "Connection") // not allowed in HTTP/2 (RFC 9113, 8.2.2)
	}
	l.w.WriteHeader(http.StatusOK)
	return l.write(first)
}

func (l *written) write(p []byte) error {
	if err := l.rc.SetWriteDeadline(time.Now().Add(l.stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := l.w.Write(p); err != nil {
		return err
	}
	return l.rc.Flush()
}

func (l *written) interrupt() { _ = l.rc.SetWriteDeadline(time.Unix(1, 0)) }

func (l *written) close(bool) {}
