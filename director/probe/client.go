package probe

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

const (
	maxBody      = 4 << 20  // bytes of a statistics page; 2,000 mounts take about 2 MB
	maxErrorBody = 4 << 10  // bytes of an error page that are read
	maxHeader    = 64 << 10 // bytes of an answer's header
	maxText      = 256      // bytes of a server's text that are kept or shown
)

// client opens a new connection for every request: Icecast closes them anyway,
// and an old connection says nothing about new ones.
//
// It is not an http.Transport, because a server at its limit may answer before it
// has read a request, as Icecast 2.4.4 does. A Transport takes that for an unsolicited
// response, drops it and complains on the standard log.
type client struct {
	tls  *tls.Config                                                       // nil: the system's roots
	dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: by TCP
}

// do sends a request and returns the response with its body unread. It follows no
// redirect and ignores the environment's proxy settings. The connection is closed when
// ctx is done or the body is closed.
func (c *client) do(ctx context.Context, req *http.Request) (*http.Response, error) {
	conn, err := c.connect(ctx, req.URL)
	if err != nil {
		return nil, &notConnected{err}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	hangUp := func() error { stop(); return conn.Close() }

	// A server that refuses may not wait for the request, so a write error does not
	// matter as long as there is a response to read.
	writeErr := req.Write(conn)
	in := &io.LimitedReader{R: conn, N: maxHeader}
	resp, err := http.ReadResponse(withoutICY(bufio.NewReader(in)), req)
	switch {
	case err == nil:
		in.N = 2 * maxBody // leaves room for chunked encoding's overhead
		if secure, ok := conn.(*tls.Conn); ok {
			state := secure.ConnectionState()
			resp.TLS = &state
		}
		resp.Body = &body{resp.Body, hangUp}
		return resp, nil
	case in.N <= 0:
		err = fmt.Errorf("a header of more than %d KiB", maxHeader>>10)
	case writeErr != nil:
		err = writeErr
	}
	_ = hangUp() // err is what is reported
	return nil, err
}

// notConnected is an error from before the connection, TLS included, was established.
type notConnected struct{ error }

func (e *notConnected) Unwrap() error { return e.error }

// withoutICY turns the status line "ICY 200 OK" of SHOUTcast 1 and 2 into an HTTP one.
func withoutICY(in *bufio.Reader) *bufio.Reader {
	if start, _ := in.Peek(len("ICY ")); string(start) != "ICY " {
		return in // the next read returns any error again
	}
	_, _ = in.Discard(len("ICY")) // it is in the buffer
	return bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.0"), in))
}

func (c *client) connect(ctx context.Context, u *url.URL) (net.Conn, error) {
	dial := c.dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), director.PortOf(u)))
	if err != nil || u.Scheme != "https" {
		return conn, err
	}
	config := &tls.Config{}
	if c.tls != nil {
		config = c.tls.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = u.Hostname()
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // err is what is reported
		return nil, err
	}
	return secure, nil
}

// body is a response's body; closing it closes the connection.
type body struct {
	io.ReadCloser
	hangUp func() error
}

// Close does not drain the body, which may be endless.
func (b *body) Close() error { return b.hangUp() }

// probeURL returns the URL to probe a node at: its http one if it has one, because
// that costs the node less.
func probeURL(urls []string) string {
	for _, u := range urls {
		if strings.HasPrefix(strings.ToLower(u), "http:") {
			return u
		}
	}
	if len(urls) > 0 {
		return urls[0]
	}
	return ""
}

// get requests a path below the node's URL. It returns a redirect as the response and
// does not follow it. The caller closes the body.
func (t target) get(ctx context.Context, path string) (*http.Response, error) {
	return t.getPart(ctx, strings.TrimSuffix(t.base, "/")+path, path, "")
}

// getPart is get for a URL at the node, called path in messages, and for a range of bytes;
// empty: all of them.
func (t target) getPart(ctx context.Context, url, path, bytes string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	if bytes != "" {
		req.Header.Set("Range", "bytes="+bytes)
	}
	req.Header.Set("User-Agent", cmp.Or(t.agent, "signpost-probe"))
	if t.admin && strings.HasPrefix(path, "/admin/") {
		req.SetBasicAuth(t.user, t.password)
	}
	req.Close = true
	resp, err := t.client.do(ctx, req)
	var unreached *notConnected
	switch {
	case errors.As(err, &unreached):
		return nil, &notConnected{t.failed(ctx, path, unreached.error)}
	case err != nil:
		return nil, t.failed(ctx, path, err)
	}
	if t.ends != nil && resp.TLS != nil {
		*t.ends = chainEnds(resp.TLS)
	}
	return resp, nil
}

// chainEnds returns the earliest expiry among a connection's verified chain, the root
// excepted; zero: no chain was verified.
func chainEnds(c *tls.ConnectionState) (ends time.Time) {
	if len(c.VerifiedChains) == 0 {
		return time.Time{}
	}
	chain := c.VerifiedChains[0]
	for i, cert := range chain {
		if (i == 0 || i < len(chain)-1) && (ends.IsZero() || cert.NotAfter.Before(ends)) {
			ends = cert.NotAfter
		}
	}
	return ends.UTC()
}

// read returns the whole body, or an error if it is late or exceeds maxBody.
func (t target) read(ctx context.Context, path string, resp *http.Response) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, t.failed(ctx, path, err)
	}
	if len(b) > maxBody {
		return nil, fmt.Errorf("GET %s: more than %d MiB: not a statistics page", path, maxBody>>20)
	}
	return b, nil
}

// failed turns a network error into a message for operators.
func (t target) failed(ctx context.Context, path string, err error) error {
	var late net.Error
	var call *os.SyscallError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("GET %s: no whole answer within %v", path, t.timeout)
	case errors.As(err, &call):
		return fmt.Errorf("GET %s: %w", path, call.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("GET %s: closed before the answer was whole", path)
	default:
		return &clipped{fmt.Sprintf("GET %s: %s", path, clip(wording.Text(err))), err}
	}
}

// clipped is an error whose text was made fit for a report by clip.
type clipped struct {
	text string
	err  error
}

func (e *clipped) Error() string { return e.text }
func (e *clipped) Unwrap() error { return e.err }

// unexpected is the error for a response with the wrong status.
type unexpected struct {
	path, status, location string
	code                   int
}

func statusError(path string, resp *http.Response) *unexpected {
	return &unexpected{path, clip(resp.Status), clip(resp.Header.Get("Location")), resp.StatusCode}
}

func (e *unexpected) Error() string {
	got := fmt.Sprintf("GET %s: %s", e.path, e.status)
	switch {
	case e.location != "":
		return fmt.Sprintf("%s to %s: not followed, set the node's own url", got, e.location)
	case e.code == http.StatusUnauthorized:
		return got + ": check the node's admin user and password"
	case e.code == http.StatusNotFound && e.path == statusPath:
		return got + ": Icecast-KH has no such page, give the node's admin user and password"
	}
	return got
}

// clip makes a server's text fit for a report: valid UTF-8 on one line, and short.
func clip(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), 2*maxText)], "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxText {
		end := maxText
		for !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.TrimSpace(s)
}

// bodyHas says whether the first maxErrorBody bytes of an error page contain text. Read
// errors do not matter: a full server resets the connection after its page.
func bodyHas(resp *http.Response, text string) bool {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	return strings.Contains(string(b), text)
}
