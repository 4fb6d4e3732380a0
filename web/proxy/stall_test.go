package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TestStall has a listener that reads nothing more. It is cut after StallTimeout,
// and the kernel keeps nothing for it.
func TestStall(t *testing.T) {
	t.Parallel()
	for _, l := range append(links, "not hijacked", "no options") {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			cfg := quick()
			cfg.StallTimeout = 300 * time.Millisecond
			req := Request{Upstreams: upstreams(startNode(t, floods))}
			unseen := l == "not hijacked" || l == "no options"
			if unseen { // what makes the kernel's buffers full
				req.Upstreams = upstreams(startNode(t, floodsUnknown))
			}
			f := newFront(t, cfg, req)
			switch l {
			case "not hijacked":
				f.withoutHijacking(req)
				l = plainTCP
			case "no options": // the write deadline alone must do
				f.Listener = opaqueListener{f.Listener}
				l = plainTCP
			}
			f.start(l)
			began := time.Now()
			conn := f.dial(t)
			_ = conn.SetReadBuffer(4 << 10)
			if _, err := io.WriteString(over(conn, l), getRequest); err != nil {
				t.Fatal(err)
			}
			res := f.result(t)
			took := time.Since(began)
			if res.err != nil || res.End != EndListenerStalled {
				t.Errorf("result %+v", res)
			}
			if took < cfg.StallTimeout {
				t.Errorf("cut after %v, want some more than %v", took, cfg.StallTimeout)
			}
			if unseen {
				return // the kernel keeps what it has
			}
			if res.Bytes > 1<<20 {
				t.Errorf("the network held %d bytes for the listener", res.Bytes)
			}
			if _, err := io.Copy(io.Discard, conn); err == nil {
				t.Error("the connection ended as if the stream were over, want a reset")
			}
		})
	}
}

// opaqueListener hides what its connections are.
type opaqueListener struct{ net.Listener }

func (l opaqueListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return struct{ net.Conn }{conn}, err
}

// TestStallWhileTheNodeIsSilent has a listener that stops reading, and a node that
// stops sending before any write would block. Only the kernel can tell.
func TestStallWhileTheNodeIsSilent(t *testing.T) {
	t.Parallel()
	if !canAcknowledge {
		t.Skip("only Linux tells")
	}
	for _, l := range links {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			cfg := quick()
			cfg.StallTimeout, cfg.IdleTimeout = 300*time.Millisecond, time.Hour
			f := newFront(t, cfg, Request{Upstreams: upstreams(startNode(t, saysAndWaits(okHead+frames(120))))})
			f.start(l)
			conn := f.dial(t)
			_ = conn.SetReadBuffer(4 << 10)
			if _, err := io.WriteString(over(conn, l), getRequest); err != nil {
				t.Fatal(err)
			}
			if res := f.result(t); res.End != EndListenerStalled || res.Bytes != 120*417 {
				t.Errorf("result %+v", res)
			}
		})
	}
}

// TestPause has a listener of a format that the node must wait with. It pauses for
// longer than a node may be silent, and the node is not blamed for that.
func TestPause(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.IdleTimeout, cfg.StallTimeout = 2*time.Second, time.Hour
	cfg.Evidence = func(f Failure) { t.Errorf("evidence %+v", f) }
	f := startFront(t, cfg, Request{Upstreams: upstreams(startNode(t, floodsUnknown))})
	conn := f.listen(t, getRequest)
	_ = conn.SetDeadline(time.Time{})
	select {
	case res := <-f.ended:
		t.Fatalf("result %+v", res)
	case <-time.After(3 * cfg.IdleTimeout):
	}
	if _, err := io.CopyN(io.Discard, conn, 16<<20); err != nil { // more than lay in buffers
		t.Fatal(err)
	}
}

// TestDrainDoesNotWaitForAStall ends a stream whose listener takes nothing, with a
// write to it on the way.
func TestDrainDoesNotWaitForAStall(t *testing.T) {
	t.Parallel()
	blocked := make(chan struct{})
	n := startNode(t, func(conn net.Conn) {
		_, err := io.WriteString(conn, okHead)
		for piece := []byte(frames(20)); err == nil; {
			_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			_, err = conn.Write(piece)
		}
		close(blocked)
		_, _ = io.Copy(io.Discard, conn)
	})
	cfg := quick()
	cfg.StallTimeout = time.Hour
	f := startFront(t, cfg, Request{Upstreams: upstreams(n)})
	f.listen(t, getRequest)
	<-blocked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.proxy.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain: %v", err)
	}
	if res := f.result(t); res.End != EndDrained {
		t.Errorf("result %+v", res)
	}
}
