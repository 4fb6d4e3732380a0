package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"
)

const (
	maxBody      = 4 << 20  // bytes of a statistics page; 2,000 mounts take about 2 MB
	maxErrorBody = 4 << 10  // bytes of an error page that are looked at
	maxHeader    = 64 << 10 // bytes of an answer's header
	maxText      = 256      // bytes of a server's text that are kept or shown
)

type client struct{ transport *http.Transport }

// newClient makes connections of its own for every question: Icecast closes
// them anyway, and an old connection says nothing about new ones. The
// environment's proxies are not for nodes.
func newClient(c *tls.Config) *client {
	return &client{&http.Transport{
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		TLSClientConfig:        c,
	}}
}

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
	req.Header.Set("User-Agent", "signpost-probe")
	if t.admin && strings.HasPrefix(path, "/admin/") {
		req.SetBasicAuth(t.user, t.password)
	}
	resp, err := t.client.transport.RoundTrip(req)
	if err != nil {
		return nil, t.failed(path, err)
	}
	return resp, nil
}

// read returns the whole body, or an error if it does not end in time or size.
func (t target) read(path string, resp *http.Response) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, t.failed(path, fmt.Errorf("after %d bytes: %w", len(b), err))
	}
	if len(b) > maxBody {
		return nil, fmt.Errorf("GET %s: more than %d MiB: not a statistics page", path, maxBody>>20)
	}
	return b, nil
}

// failed puts a network error into an operator's words.
func (t target) failed(path string, err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("GET %s: no whole answer within %v", path, t.timeout)
	case errors.As(err, &op) && op.Op == "dial":
		var call *os.SyscallError
		if errors.As(err, &call) {
			return fmt.Errorf("GET %s: %w", path, call.Err)
		}
		return fmt.Errorf("GET %s: %w", path, op.Err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("GET %s: closed without an answer", path)
	default:
		return fmt.Errorf("GET %s: %s", path, clip(err.Error()))
	}
}

// unexpected is an answer with another status than was hoped for.
type unexpected struct {
	path, status, location string
	code                   int
}

func statusError(path string, resp *http.Response) *unexpected {
	return &unexpected{path, clip(resp.Status), clip(resp.Header.Get("Location")), resp.StatusCode}
}

func (e *unexpected) Error() string {
	if e.location != "" {
		return fmt.Sprintf("GET %s: %s to %s: not followed, set the node's own url", e.path, e.status, e.location)
	}
	if e.code == http.StatusUnauthorized {
		return fmt.Sprintf("GET %s: %s: check the node's admin user and password", e.path, e.status)
	}
	return fmt.Sprintf("GET %s: %s", e.path, e.status)
}

// clip makes a server's text fit for a report: valid UTF-8 on one line, and short.
func clip(s string) string {
	if len(s) > maxText {
		n := maxText
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// bodyHas looks for text at the start of an error page. Errors do not
// matter: a full server resets the connection behind its page.
func bodyHas(resp *http.Response, text string) bool {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	return strings.Contains(string(b), text)
}
