package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/signpost-fm/signpost/web/proxy/audio"
)

// Serve carries a stream to the listener. If it returns an error (ErrNoRoom, ErrDraining,
// a RefusedError or a NoUpstreamError), nothing was written, done is never called, and
// the caller must answer. Otherwise the connection is used up, and done is called once
// when the stream has ended: by any goroutine, before Serve returns or long after. done
// must not block. A listener who leaves before the first byte is no error.
//
// The connection is hijacked where possible; Serve then returns as soon as the stream has
// begun. Over HTTP/2, and with a ResponseWriter that cannot be hijacked, Serve writes and
// flushes the stream piece by piece and returns at its end; net/http then handles the
// status line and the socket. Serve panics with http.ErrAbortHandler if the node failed
// or fell silent in an HTTP/2 listener's stream.
//
// r must not be a HEAD request.
func (p *Proxy) Serve(w http.ResponseWriter, r *http.Request, req Request, done func(Result)) error {
	req.Kbit = orKbit(req.Kbit)
	if err := p.budget.take(req.Kbit, req.Mount, req.Client, func() { p.running.Add(1) }); err != nil {
		return err
	}
	// Until the connection is hijacked, net/http watches the listener and cancels the
	// request's context when the listener leaves.
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(p.cutoff, func() { cancel(EndDrained) })() //nolint:contextcheck // Drain's, not the request's: either ends the stream

	var failed []Failure
	src, refused := p.choose(ctx, req, &failed)
	if src == nil {
		p.budget.release(req.Kbit, req.Mount, req.Client)
		p.running.Done()
		switch {
		case ctx.Err() == nil && refused != nil:
			return refused
		case ctx.Err() == nil:
			return &NoUpstreamError{failed}
		case endOf(ctx, "") == EndDrained:
			return ErrDraining
		}
		done(Result{End: EndListenerLeft, Failed: failed})
		return nil
	}
	s, at := src.join()
	s.done, s.kbit, s.client, s.failed = done, req.Kbit, req.Client, failed
	p.give(ctx, w, r, s, at, req)
	return nil
}

// give answers, and hands the connection to the loop or goroutine that writes the stream.
func (p *Proxy) give(ctx context.Context, w http.ResponseWriter, r *http.Request, s session, at *chunk, req Request) {
	metadata := req.Metadata && s.src.codec != audio.Ogg
	rc := http.NewResponseController(w)
	conn, _, err := rc.Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		s.cur = newCursor(at, nil, metadata)
		end := s.flush(ctx, &written{w: w, rc: rc, major: r.ProtoMajor, stall: p.cfg.StallTimeout}, newAnswer(s.src.head, req.Type, false, metadata))
		s.finish(end)
		if r.ProtoMajor >= 2 && (end == EndUpstreamFailed || end == EndUpstreamSilent) {
			panic(http.ErrAbortHandler) // HTTP/2 can tell a broken stream from an ended one
		}
		return
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{}) // the server's own deadline may still be set
	}
	if err != nil { // the connection failed during the hijack
		if conn != nil {
			_ = conn.Close()
		}
		s.finish(EndListenerLeft)
		return
	}
	head := s.src.answer(req.ICYLine, metadata)
	s.cur = newCursor(at, head, metadata)
	s.bytes = -int64(len(head))
	if p.start.Do(func() { p.loops = newLoops(p) }); len(p.loops) > 0 {
		if who := takeOver(conn); who != nil {
			who.session = s
			l := p.loops[int(p.turn.Add(1))%len(p.loops)]
			l.post(task{kind: taskJoin, who: who})
			return
		}
	}
	go s.carry(&hijacked{p: p, conn: conn, unwatched: make(chan struct{})}) //nolint:contextcheck // the request is over, the stream is not
}

// choose claims and returns the first source that plays; nil: there is none, or ctx has
// ended. refused is set if a node refused this very listener.
func (p *Proxy) choose(ctx context.Context, req Request, failed *[]Failure) (src *source, refused *RefusedError) {
	for _, u := range p.ordered(req) {
		src, err := p.tune(ctx, u, req)
		if err == nil {
			return src, nil
		}
		if ctx.Err() != nil {
			return nil, nil //nolint:nilerr // the listener has left
		}
		if r, ok := err.(*RefusedError); ok { //nolint:errorlint // never wrapped
			*failed = append(*failed, r.Failure)
			if r.Status == http.StatusUnauthorized {
				return nil, r // the other nodes would answer the same
			}
			if req.shows() {
				refused = r
			}
		} else if f, ok := err.(Failure); ok { //nolint:errorlint // never wrapped
			*failed = append(*failed, f)
		}
	}
	return nil, refused
}

// tune claims a source at one node: a shared one if the node lets everybody in, otherwise
// the listener's own, over which the node gets the listener's password or token.
func (p *Proxy) tune(ctx context.Context, u Upstream, req Request) (*source, error) {
	at := place{req.Mount, u.Node}
	if !p.cfg.PerListener {
		refused := p.membersAt(at)
		if refused == nil {
			src, err := p.await(ctx, u, req, false)
			if err == nil && src.paced() && !src.keep() {
				// It is another listener's, and cannot be joined.
				p.release(src)
				return p.await(ctx, u, req, true)
			}
			var ok bool
			if refused, ok = err.(*RefusedError); !ok { //nolint:errorlint // never wrapped
				return src, err
			}
			if refused.Status == http.StatusUnauthorized {
				p.noteMembers(at, refused)
			}
		}
		if !req.shows() {
			return nil, refused
		}
	}
	req.personal = true
	return p.await(ctx, u, req, true)
}

// shows reports whether the listener has a token or a password.
func (r *Request) shows() bool { return r.Query != "" || r.Authorization != "" }

// await claims a source and waits until it plays. If it returns an error, there is no
// claim.
func (p *Proxy) await(ctx context.Context, u Upstream, req Request, private bool) (*source, error) {
	src := p.claim(u, req, private) //nolint:contextcheck // a source outlives the listener it was opened for
	select {
	case <-src.ready:
		if src.fail == nil {
			return src, nil
		}
		p.release(src)
		return nil, src.fail
	case <-ctx.Done():
		p.release(src)
		return nil, ctx.Err()
	}
}

// endOf returns why a stream ended. The context's cause counts first: once the context is
// cancelled, errors of either connection are only consequences. But net/http also cancels
// its own context when a write fails; then the failure of the write says more.
func endOf(ctx context.Context, otherwise End) End {
	var end End
	switch {
	case errors.As(context.Cause(ctx), &end):
		return end
	case ctx.Err() != nil && otherwise != EndListenerStalled:
		return EndListenerLeft
	}
	return otherwise
}

func upstreamEnd(err error) End {
	switch {
	case errors.Is(err, io.EOF):
		return EndUpstreamEnded
	case errors.Is(err, os.ErrDeadlineExceeded):
		return EndUpstreamSilent
	default:
		return EndUpstreamFailed
	}
}

// encrypted is a TLS connection: its socket must not be written to directly.
type encrypted interface {
	net.Conn
	HandshakeContext(context.Context) error
}
