package lane

import (
	"bytes"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// conn is one connection. Its thread alone uses it, except for where it waits.
type conn struct {
	fd       int
	peer     netip.AddrPort
	remote   string // peer as text; empty: not made yet
	answered bool   // a request was
	next     next
	note     any // for net/http

	in       []byte // what was read and is not answered yet, in this turn
	from, to int    // its answers of this turn, in thread.out
	rest     []byte // in, between turns
	unsent   []byte // answers that the socket has not taken
	held     bool   // the kernel holds the last answer back until the connection's end

	watched uint32 // the event for which it is in the epoll set; 0: it is not

	// Guarded by thread.mu.
	on            *list // where it waits; nil: nowhere, or it was shed
	since         time.Time
	before, after *conn
}

// next is what happens to a connection.
type next uint8

const (
	wait next = iota // it waits for a request, or for the rest of one
	read             // what was read is to be answered
	pass             // it goes to net/http, with what was read
	end
)

// begin returns a new connection.
func (t *thread) begin(fd int, peer netip.AddrPort) *conn {
	c := &conn{}
	if n := len(t.spare); n > 0 {
		c, t.spare = t.spare[n-1], t.spare[:n-1]
	}
	c.fd, c.peer = fd, peer
	return c
}

// reuse keeps the memory of a connection that has ended or left.
func (t *thread) reuse(c *conn) {
	*c = conn{}
	if len(t.spare) < turnSize {
		t.spare = append(t.spare, c)
	}
}

// read begins the turn of a connection: it reads what has arrived into b, behind the rest
// of the turn before, and returns how much of b it uses. If answers are unsent, it sends.
func (c *conn) read(b []byte) int {
	c.from, c.to = 0, 0
	used := copy(b, c.rest)
	if len(c.unsent) > 0 {
		c.in = b[:used]
		c.unsent = c.send(c.unsent)
		return used
	}
	n, err := receive(c.fd, b[used:maxHead])
	switch {
	case n > 0:
		used += n
		c.next = read
	case err == unix.EAGAIN:
		c.next = wait
	default:
		c.next = end
	}
	c.in = b[:used:used]
	return used
}

// send sends answers, and returns what the socket does not take. What comes last before the
// connection's end is held back by the kernel, and goes out in one packet with the FIN: each
// packet costs as much as two other system calls, and a redirect needs only one.
func (c *conn) send(b []byte) (rest []byte) {
	flags := 0
	if c.next == end {
		flags, c.held = unix.MSG_MORE, true
	}
	n, err := send(c.fd, b, flags)
	if err != nil && err != unix.EAGAIN {
		c.next = end
		return nil
	}
	c.answered = true
	return b[max(n, 0):]
}

var get = []byte("GET /")

// mayGrow says whether b may be the beginning of a request that is answered here.
func mayGrow(b []byte) bool {
	if len(b) >= maxHead || headLength(b) > 0 {
		return false
	}
	n := min(len(b), len(get))
	line, _, whole := bytes.Cut(b, []byte("\n"))
	return bytes.Equal(b[:n], get[:n]) && (!whole || bytes.HasSuffix(line, []byte(" HTTP/1.1\r")) || bytes.HasSuffix(line, []byte(" HTTP/1.0\r")))
}

// A list has connections in the order in which they began to wait. Its methods are for who
// holds thread.mu.
type list struct {
	most        time.Duration // how long they may
	first, last *conn
}

func (l *list) add(c *conn, now time.Time) {
	c.on, c.since, c.before, c.after = l, now, l.last, nil
	if l.last == nil {
		l.first = c
	} else {
		l.last.after = c
	}
	l.last = c
}

// remove takes a connection out of the list, which is nil if it is in none.
func (l *list) remove(c *conn) {
	if l == nil {
		return
	}
	if c.before == nil {
		l.first = c.after
	} else {
		c.before.after = c.after
	}
	if c.after == nil {
		l.last = c.before
	} else {
		c.after.before = c.before
	}
	c.on, c.before, c.after = nil, nil, nil
}

// due returns the earlier of at and of when the time of the first connection is up; zero:
// never.
func (l *list) due(at time.Time) time.Time {
	if l.first == nil {
		return at
	}
	if first := l.first.since.Add(l.most); at.IsZero() || first.Before(at) {
		return first
	}
	return at
}
