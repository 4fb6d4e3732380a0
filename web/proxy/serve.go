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

// Serve carries a stream to the listener. With an error (ErrNoRoom, ErrDraining,
// or a NoUpstreamError) nothing was written, the caller answers otherwise, and
// done is never called. Otherwise the connection is used up, and done is called
// once when the stream has ended, by any goroutine, before Serve returns or long
// after; it must not block. A listener who leaves before the first byte is no error.
//
// The connection is hijacked where that is possible, and Serve returns as soon as
// the stream has begun. Over HTTP/2, and through a ResponseWriter that cannot be
// hijacked, Serve writes and flushes it piece by piece, and returns at its end;
// the status line and the socket are then net/http's affair. It panics with
// http.ErrAbortHandler if the node broke off an HTTP/2 listener's stream.
//
// r must not be a HEAD.
func (p *Proxy) Serve(w http.ResponseWriter, r *http.Request, req Request, done func(Result)) error {
	req.Kbit = orKbit(req.Kbit)
	if err := p.budget.take(req.Kbit, req.Mount, req.Client, func() { p.running.Add(1) }); err != nil {
		return err
	}
	// Until the connection is hijacked, net/http watches the listener and ends
	// the request's context when it leaves.
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

// give answers, and hands the connection to whom writes the stream.
func (p *Proxy) give(ctx context.Context, w http.ResponseWriter, r *http.Request, s session, at *chunk, req Request) {
	metadata := req.Metadata && s.src.codec != audio.Ogg
	rc := http.NewResponseController(w)
	conn, _, err := rc.Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		s.cur = newCursor(at, nil, metadata)
		end := s.flush(ctx, &written{w: w, rc: rc, major: r.ProtoMajor, stall: p.cfg.StallTimeout}, newAnswer(s.src.head, req.Type, false, metadata))
		s.finish(end)
		if r.ProtoMajor >= 2 && (end == EndUpstreamFailed || end == EndUpstreamSilent) {
			panic(http.ErrAbortHandler) // HTTP/2 can tell that from the end of a stream
		}
		return
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{}) // the server's own may still stand
	}
	if err != nil { // the connection broke under the hijack
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
		if fd := takeOver(conn); fd >= 0 {
			l := p.loops[int(p.turn.Add(1))%len(p.loops)]
			l.post(task{kind: taskJoin, who: &plain{session: s, fd: fd, conn: conn}})
			return
		}
	}
	go s.carry(&hijacked{p: p, conn: conn, unwatched: make(chan struct{})}) //nolint:contextcheck // the request is over, the stream is not
}

// choose returns the first source that plays, claimed; nil when there is none, or
// when ctx ended. refused says that nodes have something against this very listener.
func (p *Proxy) choose(ctx context.Context, req Request, failed *[]Failure) (src *source, refused *RefusedError) {
	for _, u := range p.ordered(req) {
		src, err := p.tune(ctx, u, req)
		if err == nil {
			return src, nil
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		if r, ok := err.(*RefusedError); ok { //nolint:errorlint // never wrapped
			*failed = append(*failed, r.Failure)
			if r.Status == http.StatusUnauthorized {
				return nil, r // others would say the same
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

// tune claims a source at one node: one that is shared where the node lets everybody in,
// else the listener's own, over which it shows what it has.
func (p *Proxy) tune(ctx context.Context, u Upstream, req Request) (*source, error) {
	at := place{req.Mount, u.Node}
	if !p.cfg.PerListener {
		refused := p.membersAt(at)
		if refused == nil {
			src, err := p.await(ctx, u, req, false)
			if err == nil && src.paced() && !src.keep() {
				// It is somebody else's, and cannot be joined.
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

// shows says whether the listener has a token or a password.
func (r *Request) shows() bool { return r.Query != "" || r.Authorization != "" }

// await claims a source and waits until it plays. With an error there is no claim.
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

// endOf prefers the cause that was given first: once the context is cancelled,
// errors of either connection are only its echo. net/http cancels its own context
// when a write fails, and then the failure itself tells more.
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

// encrypted is a connection under which nobody else may write.
type encrypted interface {
	net.Conn
	HandshakeContext(context.Context) error
}
