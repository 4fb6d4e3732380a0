package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

const (
	// holdTime is how long a stream must go on if its source has just gone: Icecast ends
	// the streams of a killed source within 0.4 s.
	holdTime = time.Second
	// burstTime is how long the audio may be a burst from the past: servers begin with
	// what they sent last, 64 KB with Icecast, as fast as the listener takes it.
	burstTime = 2 * time.Second
	// tryTime bounds the wait for the first byte: an on-demand relay has to connect to its
	// master first, which takes Icecast 2.4 more than a second.
	tryTime = 5 * time.Second
	// rateTime is the time over which a rate is measured that the statistics found odd.
	rateTime = 8 * time.Second
	// maxHops is how many redirects within the server are followed.
	maxHops = 3
)

// A request is one GET like a listener's.
type request struct {
	path string
	word word // the statistics' word for it at that time
	// patience is how long the stream may be silent after burstTime. 0: the first byte is
	// enough.
	patience time.Duration
	// hold is how long the stream must go on after its first byte: a server that has just
	// lost a source may still hand out what it had.
	hold time.Duration
	// kbit is the stream's expected rate in kbit/s, if that is in doubt; 0: it is not.
	kbit float64
}

// most returns the longest time for which the body is read.
func (r *request) most() time.Duration {
	switch {
	case r.kbit > 0:
		return burstTime + rateTime + time.Second
	case r.patience > 0:
		return burstTime + r.patience
	}
	return tryTime
}

// tried is the result of a GET like a listener's.
type tried struct {
	state  director.MountState
	cause  director.Cause
	detail string
	after  time.Duration // the silence before the first byte after burstTime, where it was awaited
	own    bool          // the GET failed by a fault of this director
	took   time.Duration
	edge   edge // how far its playlist has come, where it is one
}

// tryIn requests a mount as a listener would. It hangs up after the first byte of audio
// or the refusal, or, if r asks for more, once it knows whether more than the burst comes.
func (t target) tryIn(ctx context.Context, r request) tried {
	t.timeout = remaining(ctx, max(tryTime, r.most()+time.Second))
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	out, _, _ := t.tryOnce(ctx, r) // out describes the error too
	return out
}

// tryOnce is tryIn within ctx's deadline. It also returns the server's name; err is why
// there was no response at all.
func (t target) tryOnce(ctx context.Context, r request) (out tried, server string, err error) {
	t.agent = cmp.Or(t.agent, "signpost-probe (looks whether the stream plays)")
	path := escaped(r.path)
	for hop := 0; ; hop++ {
		resp, err := t.get(ctx, path)
		if err != nil {
			return notReached(ctx, err), "", err
		}
		begun := time.Now()
		next := t.within(resp)
		if next == "" || hop == maxHops {
			defer resp.Body.Close()
			server = clip(resp.Header.Get("Server"))
			out, plays := refusal(r.path, resp)
			switch {
			case plays && t.kind == inParts:
				out = t.readPlaylist(ctx, r, resp, begun)
			case plays:
				out = t.listen(ctx, r.path, resp, r, begun)
			}
			return out, server, nil
		}
		_ = resp.Body.Close() // the next hop's response counts
		path = next
	}
}

// remaining returns most, or the time left of ctx if that is less.
func remaining(ctx context.Context, most time.Duration) time.Duration {
	if until, ok := ctx.Deadline(); ok {
		return min(most, time.Until(until).Round(time.Millisecond))
	}
	return most
}

// within returns the path that a response redirects to, if it is at the same server.
func (t target) within(resp *http.Response) string {
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return ""
	}
	to, err := resp.Location()
	base, baseErr := url.Parse(t.base)
	if err != nil || baseErr != nil || to.Scheme != base.Scheme || server(to) != server(base) {
		return ""
	}
	rest, below := strings.CutPrefix(to.RequestURI(), strings.TrimSuffix(base.EscapedPath(), "/"))
	if !below || !strings.HasPrefix(rest, "/") {
		return ""
	}
	return rest
}

// server is the host and port of a URL, in the form in which those of one server are equal.
func server(u *url.URL) string {
	host, err := httpguts.PunycodeHostPort(strings.ToLower(u.Hostname()))
	if err != nil {
		host = u.Hostname()
	}
	return net.JoinHostPort(host, director.PortOf(u))
}

// notReached returns the result of a GET that got no response.
func notReached(ctx context.Context, err error) tried {
	if outOfFiles(err) {
		return tried{own: true, detail: wording.Text(err)}
	}
	out := tried{state: director.MountSilent, cause: director.Unreachable, detail: wording.Text(err)}
	var verification *tls.CertificateVerificationError
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &verification), errors.As(err, &name), errors.As(err, &authority), errors.As(err, &invalid):
		out.cause = director.BadCertificate
	case !errors.As(err, new(*notConnected)) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		out.cause = director.SourceHangs
	}
	return out
}

// outOfFiles says whether a connection failed here and not at the node, because this
// process or its machine has no file descriptor left.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// fullWords are what servers answer a listener for whom there is no seat, in lower case:
// Icecast 2.4, KH and 2.5 for a full mount, and for a full server; SHOUTcast 2 and 1.
var fullWords = []string{
	"max listeners reached", "maximum listeners reached", "too many clients connected", "connection limit reached",
	"server limits reached", "server is full", "too many listeners", "401 service unavailable",
}

// refusal judges a response by its head; plays is true if a stream may follow.
func refusal(path string, resp *http.Response) (out tried, plays bool) {
	detail := fmt.Sprintf("GET %s: %s", path, clip(resp.Status))
	silent := func(c director.Cause, more string) (tried, bool) {
		return tried{state: director.MountSilent, cause: c, detail: detail + more}, false
	}
	switch code := resp.StatusCode; {
	case code == http.StatusOK, code == http.StatusPartialContent:
		kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if kind == "text/html" || kind == "application/xhtml+xml" {
			return silent(director.NotAudio, ", a page of type "+clip(kind))
		}
		return tried{state: director.MountPlays, detail: detail}, true
	case code >= 300 && code <= 399:
		return tried{state: director.MountPlays, detail: detail + " to " + clip(resp.Header.Get("Location")) + ", which players follow"}, false
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusServiceUnavailable:
		words := strings.ToLower(resp.Status)
		b, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // a full server resets the connection after its page
		words += "\n" + strings.ToLower(string(b))
		for _, w := range fullWords {
			if strings.Contains(words, w) {
				return tried{state: director.MountFull, cause: director.SeatsTaken, detail: detail + ": " + w}, false
			}
		}
		if code == http.StatusUnauthorized {
			return tried{state: director.MountPlays, cause: director.AsksListeners, detail: detail}, false
		}
		return silent(director.Refused, "")
	case code == http.StatusNotFound, code == http.StatusGone:
		return silent(director.NotThere, "")
	}
	return silent(director.Refused, "")
}

// listen reads until the result is known. A server's initial burst is no sign of life.
func (t target) listen(ctx context.Context, path string, resp *http.Response, r request, begun time.Time) tried {
	out := tried{state: director.MountPlays, detail: fmt.Sprintf("GET %s: %s", path, clip(resp.Status))}
	ctx, done := context.WithTimeout(ctx, r.most())
	defer done()
	defer context.AfterFunc(ctx, func() { resp.Body.Close() })()
	heard, counted, audible, held := begun, int64(0), false, false
	buf := make([]byte, 16<<10)
	for {
		n, err := resp.Body.Read(buf)
		now := time.Now()
		audible = audible || n > 0
		switch {
		case n > 0 && r.hold > 0 && !held:
			held = true
			defer time.AfterFunc(r.hold, done).Stop()
		case n > 0 && r.patience == 0 && r.kbit == 0 && r.hold == 0:
			return out
		case n > 0 && r.kbit > 0 && now.Sub(begun) > burstTime+rateTime:
			return t.rated(out, r, float64(counted)*8/1000/rateTime.Seconds())
		case n > 0 && r.kbit == 0 && now.Sub(begun) > burstTime:
			out.after = now.Sub(heard)
			return out
		case n > 0:
			heard = now
			if now.Sub(begun) > burstTime {
				counted += int64(n)
			}
		}
		switch {
		case err == nil:
			continue
		case held && errors.Is(ctx.Err(), context.Canceled):
			return out
		case held:
			out.state, out.cause = director.MountSilent, director.NotThere
			out.detail += ", closed at once"
		case ctx.Err() != nil && r.kbit > 0:
			return t.rated(out, r, float64(counted)*8/1000/rateTime.Seconds())
		case ctx.Err() != nil:
			out.state, out.cause = director.MountSilent, director.SourceHangs
			out.detail += fmt.Sprintf(", and no audio within %v", now.Sub(heard).Round(time.Second))
		case !audible:
			out.state, out.cause = director.MountSilent, director.SourceHangs
			out.detail += ", closed before the first byte"
		default:
			out.state, out.cause = director.MountUnknown, "" // it did play, and ended; the statistics know better
			out.detail += ", closed"
		}
		return out
	}
}

// rated judges a stream by the rate at which it came.
func (t target) rated(out tried, r request, kbit float64) tried {
	if part := kbit / r.kbit; part < rateLow || part > rateHigh {
		out.state, out.cause = director.MountSilent, director.SourceHangs
		out.detail += fmt.Sprintf(", at %.0f kbit/s instead of %.0f", kbit, r.kbit)
	}
	return out
}

// escaped returns a mount's path as it is written in a request.
func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }
