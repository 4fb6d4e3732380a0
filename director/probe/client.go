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
)

const (
	maxBody      = 4 << 20  // bytes of a statistics page; 2,000 mounts take about 2 MB
	maxErrorBody = 4 << 10  // bytes of an error page that are looked at
	maxHeader    = 64 << 10 // bytes of an answer's header
	maxText      = 256      // bytes of a server's text that are kept or shown
)

// client makes a connection of its own for every question: Icecast closes them
// anyway, and an old connection says nothing about new ones.
//
// It is not an http.Transport, because a server at its limit answers before it
// is asked. Icecast 2.4.4 does; a Transport takes that for a stray answer, drops
// it and complains on the standard log.
type client struct {
	dial net.Dialer
	tls  *tls.Config // nil: the system's roots
}

// do sends a request and returns the answer's head. It follows no redirect and
// uses no proxy of the environment. The connection ends with ctx or the body.
func (c *client) do(ctx context.Context, req *http.Request) (*http.Response, error) {
	conn, err := c.connect(ctx, req.URL)
	if err != nil {
		return nil, &notConnected{err}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	hangUp := func() error { stop(); return conn.Close() }

	// A server that refuses does not wait for the request, so an error in writing
	// does not matter while there is an answer to read.
	writeErr := req.Write(conn)
	in := &io.LimitedReader{R: conn, N: maxHeader}
	resp, err := http.ReadResponse(withoutICY(bufio.NewReader(in)), req)
	switch {
	case err == nil:
		in.N = 2 * maxBody // with the overhead of chunks
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
	_ = hangUp() // it is given up
	return nil, err
}

// notConnected says that there was not even a connection, TLS included.
type notConnected struct{ error }

func (e *notConnected) Unwrap() error { return e.error }

// withoutICY makes HTTP of the status line "ICY 200 OK" of SHOUTcast 1 and 2.
func withoutICY(in *bufio.Reader) *bufio.Reader {
	if start, _ := in.Peek(len("ICY ")); string(start) != "ICY " {
		return in // an error comes again
	}
	_, _ = in.Discard(len("ICY")) // which is there
	return bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.0"), in))
}

func (c *client) connect(ctx context.Context, u *url.URL) (net.Conn, error) {
	conn, err := c.dial.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), director.PortOf(u)))
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
		_ = conn.Close() // it is given up
		return nil, err
	}
	return secure, nil
}

// body ends the connection with the answer's body.
type body struct {
	io.ReadCloser
	hangUp func() error
}

// Close does not read the rest, which may be endless.
func (b *body) Close() error { return b.hangUp() }

// probeURL is the URL to ask a node at: its http one if it has one, for it
// costs the node less.
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

// get asks for a path below the node's URL and returns the answer's head. A
// redirect is an answer, and not followed. The caller closes the body.
func (t target) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(t.base, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
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

// chainEnds returns when the first certificate of a connection ends, but for the
// root's; zero: nothing was verified.
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

// read returns the whole body, or an error if it does not end in time or size.
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

// failed puts a network error into an operator's words.
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
		return &clipped{fmt.Sprintf("GET %s: %s", path, clip(err.Error())), err}
	}
}

// clipped is an error with a text that is fit for a report.
type clipped struct {
	text string
	err  error
}

func (e *clipped) Error() string { return e.text }
func (e *clipped) Unwrap() error { return e.err }

// unexpected is an answer with another status than was hoped for.
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

// bodyHas looks for text at the start of an error page. Errors do not
// matter: a full server resets the connection behind its page.
func bodyHas(resp *http.Response, text string) bool {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	return strings.Contains(string(b), text)
}
