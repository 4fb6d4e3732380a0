package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"
)

// Serve carries a stream to the listener and returns when it has ended. Before
// its answer begins it may return ErrNoRoom, ErrDraining or ErrNoUpstream; then
// nothing was written and the caller answers otherwise. After that the
// connection is used up, and Result.End says why the stream ended; a listener
// who leaves before the first byte is no error either.
//
// The connection is hijacked where that is possible. Over HTTP/2, and through a
// ResponseWriter that cannot be hijacked, the stream is written and flushed
// piece by piece instead, without a Content-Length; the status line and
// StallTimeout's socket options are then net/http's affair.
//
// A listener that closes only its sending side counts as gone: a FIN looks the
// same whether or not more could be received, and no player was seen that
// half-closes and listens on. r must not be a HEAD.
func (p *Proxy) Serve(w http.ResponseWriter, r *http.Request, req Request) (Result, error) {
	kbit := orKbit(req.Kbit)
	if err := p.budget.take(kbit, func() { p.running.Add(1) }); err != nil {
		return Result{}, err
	}
	defer p.running.Done()
	defer p.budget.release(kbit)

	// Until the connection is hijacked, net/http watches the listener and ends
	// the request's context when it leaves.
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(p.cutoff, func() { cancel(EndDrained) })() //nolint:contextcheck // Drain's, not the request's: either ends the stream

	var res Result
	up := p.open(ctx, newAsk(r, req), &res)
	switch {
	case up != nil:
	case ctx.Err() == nil:
		return res, ErrNoUpstream
	case endOf(ctx, "") == EndDrained:
		return res, ErrDraining
	default:
		res.End = EndListenerLeft
		return res, nil
	}
	defer up.close()
	res.Node = up.node

	l, err := accept(w, r, p.cfg.StallTimeout)
	if err != nil { // the connection broke under the hijack
		res.End = EndListenerLeft
		return res, nil
	}
	began := time.Now()
	l.watch(cancel)
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { // the upstream closes with ctx by itself
		defer close(interrupted)
		l.interrupt()
	})
	res.End = p.carry(ctx, up, l, req, &res.Bytes)
	if !stop() {
		<-interrupted // an HTTP/2 response must not be touched once its handler has returned
	}
	l.close(res.End == EndListenerStalled)
	res.Duration = time.Since(began)
	return res, nil
}

// carry writes the answer and then the stream, until one side ends.
func (p *Proxy) carry(ctx context.Context, up *upstream, l listener, req Request, written *int64) End {
	first := up.first
	up.first = nil
	err := l.start(newAnswer(up.head, req), first.bytes())
	up.idle = p.cfg.IdleTimeout
	for c := first; ; {
		if err != nil {
			c.free()
			return endOf(ctx, listenerEnd(err))
		}
		*written += int64(c.n)
		c.free()
		if c, err = up.next(); err != nil {
			return endOf(ctx, upstreamEnd(err))
		}
		err = l.write(c.bytes())
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

// listenerEnd tells a listener who left from one who takes nothing more: the
// write deadline passed, or the kernel gave up (ETIMEDOUT, by TCP_USER_TIMEOUT
// or for want of an answer to keep-alives).
func listenerEnd(err error) End {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) {
		return EndListenerStalled
	}
	return EndListenerLeft
}
