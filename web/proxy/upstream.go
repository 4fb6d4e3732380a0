package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// An upstream is one connection to a node that answered. It is used by one
// goroutine; close may be called by any, and more than once.
type upstream struct {
	node director.NodeID
	conn net.Conn
	head head
	// idle is how long a read of the connection may take; 0 while opening, when
	// one deadline stands for everything.
	idle   time.Duration
	unhook func() bool // detaches conn from the context it was opened under

	br     *bufio.Reader // what came behind the head
	body   io.Reader     // the body without its framing; nil: the connection itself, to its end
	first  *chunk        // the first bytes of the body
	direct *direct       // reads conn when body is nil and br is empty
}

func (u *upstream) close() {
	u.unhook()
	_ = u.conn.Close()
}

// Read reads the connection under the deadline of the moment.
func (u *upstream) Read(p []byte) (int, error) {
	if err := u.arm(); err != nil {
		return 0, err
	}
	return u.conn.Read(p)
}

func (u *upstream) arm() error {
	if u.idle == 0 {
		return nil
	}
	return u.conn.SetReadDeadline(time.Now().Add(u.idle))
}

// begin judges the head, removes the body's framing and waits for the first
// bytes of audio. It closes the connection unless all is well.
func (u *upstream) begin(a ask) (*upstream, error) {
	err := u.judge(a)
	if err == nil {
		if u.body, err = u.framing(); err == nil {
			err = u.await()
		}
	}
	if err != nil {
		u.close()
		return nil, err
	}
	_ = u.conn.SetDeadline(time.Time{})
	return u, nil
}

// judge decides by the head alone whether this is a stream for the listener.
func (u *upstream) judge(a ask) error {
	h := &u.head
	switch {
	case h.code == http.StatusForbidden || h.code == http.StatusServiceUnavailable:
		return refuse(WhyFull, "%.100q", h.status)
	case h.code/100 != 2:
		return refuse(WhyStatus, "%.100q", h.status)
	}
	if enc := h.get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return refuse(WhyNotAudio, "the body is encoded as %.40q", enc)
	}
	if typ := h.get("Content-Type"); !isAudio(mediaType(typ)) {
		return refuse(WhyNotAudio, "%.100q is not audio", typ)
	}
	interval := h.get("icy-metaint")
	n, err := strconv.ParseUint(interval, 10, 31)
	switch {
	case interval == "":
	case err != nil:
		return refuse(WhyMetadata, "icy-metaint %.40q is no number of bytes", interval)
	case n == 0: // there is none; players have been seen to take the zero at its word
		h.drop("icy-metaint")
	case !a.metadata:
		return refuse(WhyMetadata, "metadata that was not asked for is mixed into the audio")
	}
	return nil
}

func (u *upstream) framing() (io.Reader, error) {
	coding := u.head.get("Transfer-Encoding")
	switch {
	case strings.EqualFold(coding, "chunked"): // in an HTTP/1.0 answer, too
		return &framed{br: u.br, chunked: true}, nil
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return nil, refuse(WhyNotAudio, "the body is encoded as %.40q", coding)
	}
	if length := u.head.get("Content-Length"); length != "" {
		n, err := strconv.ParseUint(length, 10, 63)
		if err != nil {
			return nil, refuse(WhyHeader, "Content-Length %.40q is no number of bytes", length)
		}
		return &framed{br: u.br, left: n}, nil
	}
	if tcp, ok := u.conn.(*net.TCPConn); ok {
		u.direct = newDirect(tcp)
	}
	return nil, nil
}

// await reads the first bytes of the body, and looks whether they are a page in
// an audio stream's clothes.
func (u *upstream) await() error {
	c, err := u.next()
	if err != nil {
		return openingError(WhyEnded, err)
	}
	if typ := http.DetectContentType(c.bytes()); hasPrefixFold(typ, "text/html") || hasPrefixFold(typ, "text/xml") {
		c.free()
		return refuse(WhyNotAudio, "the body is a page, though it is said to be %.100q", u.head.get("Content-Type"))
	}
	u.first = c
	return nil
}

// next waits for more of the body. The caller frees the chunk. A plain
// connection borrows it only once there is something to read, so that the many
// listeners who wait hold no buffer.
func (u *upstream) next() (*chunk, error) {
	if u.body == nil && u.br != nil && u.br.Buffered() == 0 {
		u.br = nil
	}
	if u.body == nil && u.br == nil && u.direct != nil {
		if err := u.arm(); err != nil {
			return nil, err
		}
		return u.direct.next()
	}
	r := u.body
	switch {
	case r != nil:
	case u.br != nil:
		r = u.br
	default:
		r = u
	}
	c := chunks.Get().(*chunk)
	var err error
	if c.n, err = io.ReadAtLeast(r, c.buf[:], 1); err != nil {
		c.free()
		return nil, err
	}
	return c, nil
}
