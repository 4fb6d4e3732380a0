package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// maxUnsent bounds what is encrypted for a listener and not sent, in bytes. A loop encrypts
// nothing while there is something, so only answers to the listener's own TLS messages
// could add to it without end.
const maxUnsent = 4 * chunkSize

// maxTurns bounds how often a wire asks for its client's flights to be acknowledged at once.
// A handshake has one after the server's own; where the server asks for another key, two.
const maxTurns = 2

// Wired makes the connections of a listener such that a [Proxy] can write a stream to them
// over TLS without a goroutine for each: TLS is added on top of the listener that Wired returns.
//
// Besides, a client's last flight of a handshake is acknowledged at once. A player that leaves
// Nagle's algorithm on, as ffmpeg and mpv do, sends its request only then, and Linux waits 40 ms for
// an answer that could carry the acknowledgement (RFC 1122, 4.2.3.2). Where the client
// speaks last, as in TLS 1.3 and in resumed sessions of TLS 1.2, there is no such answer.
func Wired(l net.Listener) net.Listener { return wiredListener{l} }

type wiredListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l wiredListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &wire{Conn: c}, nil
}

// A wire is the connection below TLS. Package crypto/tls waits in Read and Write; once a
// loop has taken over, neither waits: what the socket does not take is kept, and a Read
// that finds nothing fails with [os.ErrDeadlineExceeded], after which crypto/tls goes on
// where it was. From then on it is used by the loop's goroutine only.
type wire struct {
	net.Conn
	turns  atomic.Int32 // how often it was read after it was written, twice; and one if it was written since
	taken  bool
	fd     int
	early  []byte // what was read from Conn and is to be read first
	unsent []byte // encrypted
}

// NetConn returns the connection that is wrapped, for callers that set socket options.
func (w *wire) NetConn() net.Conn { return w.Conn }

// keepEarly keeps what Conn has read and nobody has read from it: as a reader of the
// PROXY protocol does. Nothing more is read from the socket.
func (w *wire) keepEarly() {
	_ = w.SetReadDeadline(time.Unix(1, 0))
	var b [512]byte
	for {
		n, err := w.Conn.Read(b[:])
		w.early = append(w.early, b[:n]...)
		if err != nil {
			break
		}
	}
	_ = w.SetReadDeadline(time.Time{})
}

// Read implements [net.Conn].
func (w *wire) Read(b []byte) (int, error) {
	switch {
	case len(w.early) > 0:
		n := copy(b, w.early)
		if w.early = w.early[n:]; len(w.early) == 0 {
			w.early = nil
		}
		return n, nil
	case !w.taken:
		if n := w.turns.Load(); n%2 == 1 {
			w.turns.Store(n + 1)
			acknowledgeAtOnce(w.Conn)
		}
		return w.Conn.Read(b)
	}
	for {
		n, err := unix.Read(w.fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, os.ErrDeadlineExceeded
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write implements [net.Conn].
func (w *wire) Write(b []byte) (int, error) {
	if !w.taken {
		if n := w.turns.Load(); n%2 == 0 && n < 2*maxTurns {
			w.turns.Store(n + 1)
		}
		return w.Conn.Write(b)
	}
	n, err := 0, error(unix.EAGAIN)
	if len(w.unsent) == 0 {
		n, err = send(w.fd, b)
	}
	switch {
	case err != nil && !errors.Is(err, unix.EAGAIN):
		return 0, err
	case len(w.unsent)+len(b)-n > maxUnsent:
		return 0, errors.New("too much waits to be sent to a listener")
	}
	w.unsent = append(w.unsent, b[n:]...)
	return len(b), nil
}

// flush sends what is left. The error is EAGAIN if the socket does not take all of it.
func (w *wire) flush() error {
	for len(w.unsent) > 0 {
		n, err := send(w.fd, w.unsent)
		if err != nil {
			return err
		}
		w.unsent = w.unsent[n:]
	}
	w.unsent = nil
	return nil
}

// send writes what the socket takes.
func send(fd int, b []byte) (int, error) {
	for {
		if n, err := unix.Write(fd, b); !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}

// encrypt writes what comes next over TLS, once what was encrypted before is sent. It
// returns how much of the stream that was. b is memory for it.
func (s *looped) encrypt(b []byte) (int, error) {
	if err := s.wire.flush(); err != nil {
		return 0, err
	}
	n := s.cur.fill(b)
	if n == 0 {
		return 0, nil
	}
	return s.tls.Write(b[:n])
}

// read reads what the listener has sent. Without an error, 0 means that it sends no more.
func (s *looped) read(b []byte) (int, error) {
	if s.tls == nil {
		return unix.Read(s.fd, b)
	}
	n, err := s.tls.Read(b)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = unix.EAGAIN
	case errors.Is(err, io.EOF):
		err = nil
	}
	return n, err
}
