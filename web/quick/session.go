package quick

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"
)

// session serves one connection at a time, and holds the memory for its requests.
type session struct {
	p    *Listener
	conn net.Conn
	now  Immediate

	reader reader
	answer answer
	buf    [maxHead]byte
	n      int // bytes of buf that were read and are not answered yet
	next   next
	unsent []byte // what is left of answer.out
}

// next is what happens to a connection after its answers.
type next uint8

const (
	wait next = iota // it waits for its next request
	pass             // it goes to net/http, with what was read
	end
)

func newSession(p *Listener) *session {
	ctx := p.s.Context
	if ctx == nil {
		ctx = context.Background()
	}
	x := &session{p: p}
	x.reader.init((&http.Request{}).WithContext(ctx))
	x.answer.header = http.Header{}
	return x
}

// keptAnswer is the largest buffer for answers that is kept for reuse, in bytes.
const keptAnswer = 64 << 10

func (x *session) begin(c net.Conn, i Immediate) {
	x.conn, x.now, x.n = c, i, 0
	if a := &x.answer; cap(a.out) > keptAnswer {
		a.out, a.body = nil, nil
	}
	x.reader.req.RemoteAddr = "" // handle sets it with the first request
}

// serve answers what has arrived. It returns false if the connection has to wait.
func (x *session) serve() bool {
	n, err := x.now.ReadNow(x.buf[:])
	switch {
	case err != nil:
		x.next = end
	case n == 0:
		x.next = pass // the request may never come
	default:
		x.n = n
		x.respond()
	}
	if len(x.unsent) > 0 || x.next == wait {
		return false
	}
	x.finish()
	return true
}

// stay waits for the client to take the rest of an answer and to send its next request.
func (x *session) stay() {
	s := x.p.s
	s.enter(x.conn)
	defer s.exit(x.conn)
	for {
		if len(x.unsent) > 0 {
			_ = x.conn.SetWriteDeadline(time.Now().Add(s.IdleTimeout))
			if _, err := x.conn.Write(x.unsent); err != nil {
				x.next = end
			}
			_ = x.conn.SetWriteDeadline(time.Time{}) // the next answer has its own
			x.unsent = nil
		}
		if x.next == wait {
			_ = x.conn.SetReadDeadline(time.Now().Add(s.IdleTimeout))
			if s.ending.Load() { // otherwise Shutdown will find the connection and set its own deadline
				x.next = end
			} else if n, err := x.read(); err != nil {
				x.next = end
			} else {
				x.n = n
				x.respond()
				continue
			}
		}
		_ = x.conn.SetDeadline(time.Time{})
		x.finish()
		return
	}
}

// read waits for the next request.
func (x *session) read() (int, error) {
	if waits := x.p.s.Waits; waits != nil {
		waits(x.conn, true)
		defer waits(x.conn, false)
	}
	return x.conn.Read(x.buf[:])
}

func (x *session) finish() {
	if x.next == end {
		_ = x.conn.Close()
		return
	}
	c := x.conn
	if x.n > 0 {
		c = &passed{Conn: c, read: append([]byte(nil), x.buf[:x.n]...), note: x.answer.note}
	}
	x.p.leave(arrival{conn: c})
}

// respond answers all complete requests in the buffer and sends as much as the socket takes.
func (x *session) respond() {
	a := &x.answer
	a.out, a.note = a.out[:0], nil
	x.next = wait
	done := 0
	for x.next == wait && done < x.n {
		size := x.reader.read(x.buf[done:x.n])
		if size == 0 && x.mend(done) {
			size = x.reader.read(x.buf[done:x.n])
		}
		if size == 0 {
			x.next = pass
			break
		}
		if x.handle(); x.next == wait {
			done += size
			if a.finish(x.reader.req, x.p.s.ending.Load() || x.p.s.leaving.Load()) {
				x.next = end
			}
		}
	}
	x.n = copy(x.buf[:], x.buf[done:x.n])
	x.unsent = nil
	if len(a.out) == 0 {
		return
	}
	n, err := x.now.WriteNow(a.out, x.next == end)
	if err != nil {
		x.next = end
		return
	}
	x.unsent = a.out[n:]
}

// mend replaces a crude request in the buffer by one that net/http accepts, if it fits.
func (x *session) mend(at int) bool {
	size, mended := mend(x.buf[at:x.n])
	if mended == nil || x.n-size+len(mended) > len(x.buf) {
		return false
	}
	rest := append([]byte(nil), x.buf[at+size:x.n]...)
	x.n = at + copy(x.buf[at:], mended)
	x.n += copy(x.buf[x.n:], rest)
	return true
}

// handle calls the handler. A panic ends the connection, as in net/http.
func (x *session) handle() {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		x.next = end
		if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			x.p.s.logf("panic serving %s: %v\n%s", x.conn.RemoteAddr(), p, debug.Stack())
		}
	}()
	r, a := x.reader.req, &x.answer
	if r.RemoteAddr == "" {
		r.RemoteAddr = textOf(x.conn.RemoteAddr())
	}
	a.begin()
	x.p.s.Handler.ServeHTTP(a, r)
	if a.passed {
		x.next = pass
	}
}

func (s *Server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

// textOf is a.String(), with fewer allocations.
func textOf(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok && t.Zone == "" {
		if ap := t.AddrPort(); ap.IsValid() {
			return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
		}
	}
	return a.String()
}
