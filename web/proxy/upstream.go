package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/director"
)

// maxMetaint bounds a node's metadata interval, in bytes. Servers use 8,192 to 65,536.
const maxMetaint = 1 << 24

// An upstream is one connection to a node that answered. It is used by one
// goroutine; close may be called by any, and more than once.
type upstream struct {
	node   director.NodeID
	conn   net.Conn // nil: a loop has its socket
	head   head
	unhook func() bool   // detaches conn from the context that it was opened with
	br     *bufio.Reader // what arrived after the head
	body   io.Reader     // the body without its framing; nil: the body has none
}

func (u *upstream) close() {
	if u.conn != nil {
		u.unhook()
		_ = u.conn.Close()
	}
}

// hook closes the connection as soon as ctx ends.
func (u *upstream) hook(ctx context.Context) {
	conn := u.conn
	u.unhook = context.AfterFunc(ctx, func() { _ = conn.Close() })
}

// begin judges the head and determines how the body is framed. On an error it closes the
// connection.
func (u *upstream) begin() (*upstream, error) {
	err := u.judge()
	if err == nil {
		u.body, err = u.framing()
	}
	if err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// judge decides from the head alone whether the answer is a stream for the listener.
func (u *upstream) judge() error {
	h := &u.head
	switch {
	case h.code == http.StatusForbidden || h.code == http.StatusServiceUnavailable:
		return &refusal{why: WhyFull, detail: fmt.Sprintf("%.100q", h.status), code: h.code}
	case h.code == http.StatusUnauthorized && h.proto != "ICY": // SHOUTcast 1 answers 401 when a stream is off the air
		return &refusal{why: WhyMembers, detail: fmt.Sprintf("%.100q", h.status), code: h.code, challenges: h.all("WWW-Authenticate")}
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
	n, err := strconv.ParseUint(interval, 10, 63)
	switch {
	case interval == "":
	case err != nil:
		return refuse(WhyMetadata, "icy-metaint %.40q is no number of bytes", interval)
	case n > maxMetaint:
		return refuse(WhyMetadata, "icy-metaint %.40q is more than any server's", interval)
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
	return nil, nil
}

// Read reads the body without its framing.
func (u *upstream) Read(p []byte) (int, error) {
	switch {
	case u.body != nil:
		return u.body.Read(p)
	case u.br != nil && u.br.Buffered() > 0:
		return u.br.Read(p)
	}
	u.br = nil // frees its buffer, which matters where each listener has an upstream
	return u.conn.Read(p)
}
