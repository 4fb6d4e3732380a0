package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/web/proxy/audio"
)

// freed is how soon the upstream must be closed once the listener is gone, on a machine
// that does nothing else.
const freed = 100 * time.Millisecond

// TestListenerLeaves looks at the node whether it is released, which no time limit
// brings about.
func TestListenerLeaves(t *testing.T) {
	t.Parallel()
	for where, play := range map[string]func(net.Conn){
		"before the head":      saysAndWaits(""),
		"in the head":          saysAndWaits("HTTP/1.0 200 OK\r\nContent-"),
		"before the audio":     saysAndWaits(okHead),
		"while silent":         saysAndWaits(okHead + sound),
		"while silent, chunks": saysAndWaits("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", len(sound)) + sound),
		"while playing":        floods,
	} {
		for how, leave := range map[string]func(*net.TCPConn) error{
			"FIN":        (*net.TCPConn).Close,
			"half-close": (*net.TCPConn).CloseWrite,
			"RST": func(c *net.TCPConn) error {
				_ = c.SetLinger(0)
				return c.Close()
			},
		} {
			t.Run(how+" "+where, func(t *testing.T) {
				t.Parallel()
				if took := timeToLeave(t, play, leave, strings.HasPrefix(where, "while")); took > freed && soaking() {
					t.Errorf("the node was released after %v, want %v", took, freed)
				}
			})
		}
	}
}

// TestHalfClose: a listener that closes its sending side once it has asked gets the
// stream, and whoever was gone is found out by what is written next.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	for _, l := range links {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			s := startStation(t, 0, okHead)
			cfg := quick()
			cfg.halfClose = patience
			f := newFront(t, cfg, Request{Upstreams: upstreams(s.node), Mount: "/m"})
			f.start(l)
			conn := over(f.dial(t), l)
			if _, err := io.WriteString(conn, getRequest); err != nil {
				t.Fatal(err)
			}
			s.tell(40)
			h := &heard{br: bufio.NewReader(conn)}
			h.head = readAnswer(t, h.br)
			h.frames(t, 40)
			if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				s.tell(20)
				h.frames(t, 20)
			}
			_ = conn.Close()
			until(t, "the listener who is gone is found out", func() bool {
				s.tell(40)
				return len(f.ended) > 0
			})
			if res := f.result(t); res.End != EndListenerLeft {
				t.Errorf("result %+v", res)
			}
		})
	}
}

func timeToLeave(t *testing.T, play func(net.Conn), leave func(*net.TCPConn) error, playing bool) time.Duration {
	released := make(chan time.Time, 1)
	n := startNode(t, func(conn net.Conn) {
		play(conn)
		released <- time.Now()
	})
	cfg := quick()
	cfg.HeaderTimeout, cfg.IdleTimeout, cfg.StallTimeout = time.Hour, time.Hour, time.Hour
	f := startFront(t, cfg, Request{Upstreams: upstreams(n)})
	conn := f.listen(t, getRequest)
	<-n.requests
	if playing {
		if _, err := bufio.NewReaderSize(conn, 16).Peek(1); err != nil {
			t.Fatal(err)
		}
	}
	left := time.Now()
	if err := leave(conn); err != nil {
		t.Fatal(err)
	}
	res := f.result(t)
	if res.err != nil || res.End != EndListenerLeft || len(res.Failed) > 0 {
		t.Errorf("result %+v", res)
	}
	select {
	case at := <-released:
		return at.Sub(left)
	case <-time.After(patience):
		t.Fatal("the node was never released")
		return 0
	}
}

// TestNodeStops ends a stream in each way in which a node can.
func TestNodeStops(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reply string
		stop  func(*net.TCPConn)
		want  End
	}{
		"closes":         {okHead, func(*net.TCPConn) {}, EndUpstreamEnded},
		"resets":         {okHead, func(c *net.TCPConn) { _ = c.SetLinger(0) }, EndUpstreamFailed},
		"hangs":          {okHead, hang, EndUpstreamSilent},
		"hangs, chunked": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", hang, EndUpstreamSilent},
		"cuts a chunk":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", func(*net.TCPConn) {}, EndUpstreamFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			heard := make(chan struct{})
			n := startNode(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, c.reply+sound)
				<-heard
				c.stop(conn.(*net.TCPConn))
			})
			cfg := quick()
			if c.want == EndUpstreamSilent {
				cfg.IdleTimeout = 50 * time.Millisecond
			}
			f := startFront(t, cfg, Request{Upstreams: upstreams(n)})
			br := bufio.NewReader(f.listen(t, getRequest))
			readAnswer(t, br)
			if _, err := br.Discard(len(sound)); err != nil {
				t.Fatal(err)
			}
			close(heard)
			if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil {
				t.Errorf("then the listener got %q, %v, want the end", rest, err)
			}
			if res := f.result(t); res.err != nil || res.Node != "node0" || res.End != c.want || res.Bytes != int64(len(sound)) {
				t.Errorf("result %+v, want %s", res, c.want)
			}
		})
	}
}

func hang(conn *net.TCPConn) { _, _ = io.Copy(io.Discard, conn) }

func TestBudget(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"listeners": {MaxListeners: 2},
		"Mbit/s":    {MaxMbit: 0.3}, // two at 128 kbit/s, not three
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := cfg
			cfg = quick()
			cfg.MaxListeners, cfg.MaxMbit = limits.MaxListeners, limits.MaxMbit
			f := startFront(t, cfg, Request{Upstreams: upstreams(startNode(t, saysAndWaits(okHead+sound)))})
			var present []*net.TCPConn
			for i := range 2 {
				if u := f.proxy.Usage(); !f.proxy.Room(0) || u.Listeners != i || u.Kbit != i*128 {
					t.Fatalf("with %d listeners: %+v", i, u)
				}
				conn := f.listen(t, getRequest)
				readAnswer(t, bufio.NewReader(conn))
				present = append(present, conn)
			}
			if f.proxy.Room(0) {
				t.Error("there seems to be room for a third")
			}
			if name == "Mbit/s" && !f.proxy.Room(44) {
				t.Error("there seems to be no room for one of 44 kbit/s")
			}
			if head, body := f.play(t, getRequest); !strings.Contains(head, " 503 ") || !strings.Contains(body, ErrNoRoom.Error()) {
				t.Errorf("the third got %q %q", head, body)
			}
			if res := f.result(t); !errors.Is(res.err, ErrNoRoom) || errors.Is(res.err, ErrDraining) {
				t.Errorf("result %+v", res)
			}
			_ = present[0].Close()
			f.result(t)
			if u := f.proxy.Usage(); u.Listeners != 1 || !f.proxy.Room(128) {
				t.Errorf("after one left: %+v", u)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	f := startFront(t, quick(), Request{Upstreams: upstreams(startNode(t, saysAndWaits(okHead+sound)))})
	stays, leaves := f.listen(t, getRequest), f.listen(t, getRequest)
	br := bufio.NewReader(stays)
	readAnswer(t, br)
	readAnswer(t, bufio.NewReader(leaves))

	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error, 1)
	go func() { drained <- f.proxy.Drain(ctx) }()
	for f.proxy.Room(1) {
		runtime.Gosched()
	}
	f.play(t, getRequest)
	if res := f.result(t); !errors.Is(res.err, ErrDraining) || !errors.Is(res.err, ErrNoRoom) {
		t.Errorf("a new listener: %+v, want ErrDraining", res)
	}
	_ = leaves.Close()
	if res := f.result(t); res.End != EndListenerLeft {
		t.Errorf("the one who left: %+v", res)
	}
	select {
	case err := <-drained:
		t.Fatalf("Drain returned %v while a stream played", err)
	default:
	}
	heard := make([]byte, len(sound))
	if _, err := io.ReadFull(br, heard); string(heard) != sound || err != nil {
		t.Errorf("the one who stayed got %q, %v, want all of it", heard, err)
	}
	cancel()
	if more, err := io.ReadAll(br); len(more) > 0 || err != nil {
		t.Errorf("the one who stayed got %q, %v, want the end", more, err)
	}
	if res := f.result(t); res.err != nil || res.End != EndDrained {
		t.Errorf("the one who stayed: %+v", res)
	}
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Errorf("Drain: %v", err)
	}
}

// TestDrainGivesWhatIsLeft: what has come and was not written yet is written at the
// stop.
func TestDrainGivesWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := startStation(t, 0, okHead)
	f := startFront(t, quick(), Request{Upstreams: upstreams(s.node), Mount: "/m"})
	s.tell(40)
	h := f.hear(t, getRequest)
	h.frames(t, 40)
	f.proxy.mu.Lock()
	for src := range f.proxy.sources { // as if the loops had not been told yet
		split := audio.NewSplitter("audio/mpeg")
		split.Write([]byte(numbered(40, 20)), func(u audio.Unit) { src.ring.add(u, f.proxy.now()) })
		src.ring.publish(f.proxy.now())
	}
	f.proxy.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = f.proxy.Drain(ctx)
	rest, err := io.ReadAll(h.br)
	if string(rest) != numbered(40, len(rest)/417) || len(rest) < 10*417 || err != nil {
		t.Errorf("at the stop the listener got %d bytes, %v, want the frames that had come", len(rest), err)
	}
}

func TestDrainWaitsForTheLast(t *testing.T) {
	t.Parallel()
	f := startFront(t, quick(), Request{Upstreams: upstreams(startNode(t, saysAndWaits(okHead+sound)))})
	conn := f.listen(t, getRequest)
	readAnswer(t, bufio.NewReader(conn))
	_ = conn.Close()
	if err := f.proxy.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if u := f.proxy.Usage(); u.Listeners != 0 || u.Kbit != 0 {
		t.Errorf("after Drain: %+v", u)
	}
}
