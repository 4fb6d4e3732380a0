package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// sendBuffer is the size of the kernel's buffer toward a listener, in bytes. By default
// Linux lets it grow to about 4 MB, which takes minutes to fill at 128 kbit/s and hides
// a stalled listener all that time. 64 KB are 4 s at 128 kbit/s, and hold the burst at the
// beginning.
const sendBuffer = 64 << 10

// A sink is a listener that a goroutine writes to.
type sink interface {
	write(p []byte) error
	interrupt() // makes a blocked write return; may be called by any goroutine
}

// staging holds buffers in which pieces are joined where each write is costly: TLS makes
// a record of each write, and HTTP/2 a frame.
var staging = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// carry writes the stream to a hijacked connection.
func (s *session) carry(h *hijacked) {
	if tcp := tcpOf(h.conn); tcp != nil {
		_ = tcp.SetWriteBuffer(sendBuffer)
		if canAcknowledge {
			h.raw, _ = tcp.SyscallConn()
		}
	}
	ctx, cancel := context.WithCancelCause(s.p.cutoff)
	defer cancel(nil)
	h.watch(ctx, cancel, s.began+s.p.cfg.halfClose)
	interrupted := context.AfterFunc(ctx, h.interrupt)
	end := s.play(ctx, h)
	interrupted()
	cancel(nil) // nothing else stops watching a listener that has half-closed
	h.close(end == EndListenerStalled || end == EndListenerSlow)
	s.finish(end)
}

// flush writes the stream to a response that net/http keeps.
func (s *session) flush(ctx context.Context, o *written, a answer) End {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		o.interrupt()
	})
	o.start(a)
	end := s.play(ctx, o)
	if !stop() {
		<-interrupted // an HTTP/2 response must not be touched once its handler has returned
	}
	return end
}

// play writes the stream until one side ends.
func (s *session) play(ctx context.Context, out sink) End {
	for {
		_ = s.follow()
		more := s.src.ring.more()
		if err := s.write(out); err != nil {
			return endOf(ctx, listenerEnd(err))
		}
		if end := s.overdue(s.p.now()); end != "" {
			return end
		}
		if s.cur.due() != nil {
			continue
		}
		if end := s.follow(); end != "" {
			return end
		}
		select {
		case <-more:
		case <-ctx.Done():
			return endOf(ctx, EndListenerLeft)
		}
	}
}

// follow moves the session to the source that its listeners have gone to, and returns why
// that source has ended; empty: it has not.
func (s *session) follow() End {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.src = s.src.followed()
	return s.src.end
}

// write writes what is available, up to chunkSize bytes.
func (s *session) write(out sink) error {
	buf := staging.Get().(*[chunkSize]byte)
	defer staging.Put(buf)
	n := s.cur.fill(buf[:])
	if n == 0 {
		return nil
	}
	if err := out.write(buf[:n]); err != nil {
		return err
	}
	s.wrote(n)
	return nil
}

// tcpOf finds the TCP connection under TLS, the PROXY protocol and other
// wrappers that have NetConn or Raw; nil if there is none.
func tcpOf(conn net.Conn) *net.TCPConn {
	for {
		switch c := conn.(type) {
		case *net.TCPConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		case interface{ Raw() net.Conn }:
			conn = c.Raw()
		default:
			return nil
		}
	}
}

// hijacked is a connection taken over from net/http.
type hijacked struct {
	p         *Proxy
	conn      net.Conn
	raw       syscall.RawConn // its socket, to see what the listener takes; nil: only the write deadline is used
	unwatched chan struct{}   // closed when watch's goroutine has ended
}

// watch reads from the connection. A listener sends nothing more, so whatever ends the
// reading ends its stream, except a FIN before halved. Stray bytes are dropped. In between,
// watch checks whether the listener takes anything.
func (l *hijacked) watch(ctx context.Context, cancel context.CancelCauseFunc, halved time.Duration) {
	go func() {
		defer close(l.unwatched)
		cancel(l.leaves(ctx, halved))
	}()
}

// leaves returns why the listener is gone, or must be.
func (l *hijacked) leaves(ctx context.Context, halved time.Duration) End {
	var stray [64]byte
	in := intake{looked: l.p.now()}
	for ctx.Err() == nil {
		if l.raw != nil {
			if l.stalled(&in) {
				return EndListenerStalled
			}
			_ = l.conn.SetReadDeadline(time.Now().Add(in.pause(l.p.cfg.StallTimeout)))
		}
		_, err := l.conn.Read(stray[:])
		if l.raw != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			continue // it is time for the next look
		}
		if errors.Is(err, io.EOF) && l.p.now() < halved {
			return l.listens(ctx, &in)
		}
		if err != nil {
			return listenerEnd(err)
		}
	}
	return EndListenerLeft // has no effect: ctx has its cause already
}

// listens is leaves for a listener that has closed its sending side: there is nothing to read.
func (l *hijacked) listens(ctx context.Context, in *intake) End {
	stalled := time.NewTimer(in.pause(l.p.cfg.StallTimeout))
	defer stalled.Stop()
	for {
		select {
		case <-ctx.Done():
			return EndListenerLeft
		case <-stalled.C:
			if l.raw != nil && l.stalled(in) {
				return EndListenerStalled
			}
			stalled.Reset(in.pause(l.p.cfg.StallTimeout))
		}
	}
}

// stalled reports whether the listener has taken nothing for StallTimeout.
func (l *hijacked) stalled(in *intake) bool {
	var idle time.Duration
	_ = l.raw.Control(func(fd uintptr) { idle = in.look(int(fd), l.p.now()) })
	return idle >= l.p.cfg.StallTimeout
}

func (l *hijacked) write(p []byte) error {
	if l.raw == nil {
		if err := l.conn.SetWriteDeadline(time.Now().Add(l.p.cfg.StallTimeout)); err != nil {
			return err
		}
	}
	_, err := l.conn.Write(p)
	return err
}

func (l *hijacked) interrupt() { _ = l.conn.SetDeadline(time.Unix(1, 0)) }

// close ends the connection and the watching. With abort it also drops what the kernel
// still holds for the listener, which a stalled one would never fetch, and it skips TLS's
// close_notify, which would wait 5 s for the listener.
func (l *hijacked) close(abort bool) {
	if tcp := tcpOf(l.conn); abort && tcp != nil {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
	_ = l.conn.Close()
	<-l.unwatched
}

// written is a response that net/http keeps: HTTP/2, or a ResponseWriter that cannot be
// hijacked. The request's context ends when the listener leaves.
type written struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	major int
	stall time.Duration
}

func (l *written) start(a answer) {
	h := l.w.Header()
	for _, f := range a.fields {
		h[f.name] = append(h[f.name], f.value)
	}
	if l.major < 2 {
		// It makes net/http end the body by closing the connection. The field is not sent.
		h.Set("Transfer-Encoding", "identity")
		h.Set("Connection", "close")
	} else {
		delete(h, "Connection") // not allowed in HTTP/2 (RFC 9113, 8.2.2)
	}
	l.w.WriteHeader(http.StatusOK)
}

func (l *written) write(p []byte) error {
	if err := l.rc.SetWriteDeadline(time.Now().Add(l.stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := l.w.Write(p); err != nil {
		return err
	}
	return l.rc.Flush()
}

func (l *written) interrupt() { _ = l.rc.SetWriteDeadline(time.Unix(1, 0)) }
