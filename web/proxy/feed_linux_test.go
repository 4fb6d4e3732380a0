package proxy

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/web/proxy/audio"
)

// awaitLent waits until loops read all sources that play, n of them.
func (f *front) awaitLent(t testing.TB, n int) {
	t.Helper()
	until(t, "loops read the upstreams", func() bool {
		f.proxy.mu.Lock()
		defer f.proxy.mu.Unlock()
		lent := 0
		for s := range f.proxy.sources {
			if s.lent.Load() {
				lent++
			}
		}
		return lent == n && len(f.proxy.sources) == n
	})
}

// alone is a configuration with an upstream for each listener.
func alone(cfg Config) Config {
	cfg.PerListener = true
	return cfg
}

// upTo reads frames up to that number.
func (h *heard) upTo(t testing.TB, last int) {
	t.Helper()
	for h.frames(t, 1); frameNumber(t, h.got[len(h.got)-417:]) != last; {
		h.frames(t, 1)
	}
}

// TestFeed has loops read upstreams of a single listener each: every byte arrives, nothing
// is kept of what has, and no goroutine is left.
func TestFeed(t *testing.T) {
	t.Parallel()
	for _, l := range []link{plainTCP, wiredTLS} {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			s := startStation(t, 0, okHead)
			f := newFront(t, alone(quick()), Request{Upstreams: upstreams(s.node), Mount: "/m"})
			f.start(l)
			s.tell(100)
			var all []*heard
			for range 5 {
				h := &heard{conn: f.dial(t)}
				conn := over(h.conn, l)
				if _, err := io.WriteString(conn, getRequest); err != nil {
					t.Fatal(err)
				}
				h.br = bufio.NewReader(conn)
				h.head = readAnswer(t, h.br)
				all = append(all, h)
			}
			f.awaitLent(t, len(all))
			for _, n := range []int{1, 50, 38, 200} {
				s.tell(n)
				for _, h := range all {
					if len(h.got) == 0 {
						h.frames(t, 100)
					}
					h.frames(t, n)
				}
			}
			for _, h := range all {
				if jumps := checkFrames(t, h.got); jumps > 0 {
					t.Errorf("%d jumps", jumps)
				}
			}
			st := f.proxy.Streams()[0]
			for _, u := range st.Upstreams {
				if !u.Private || !u.Playing || u.Kbit != 128 || u.Bytes != 389*417 || u.Burst > reservoir*417 || u.Listeners != 1 {
					t.Errorf("state %+v", u)
				}
			}
			if st.Bytes != uint64(len(all))*389*417 {
				t.Errorf("%d bytes to listeners", st.Bytes)
			}
			for i, h := range all {
				_ = h.conn.Close()
				if res := f.result(t); res.End != EndListenerLeft || res.Bytes != 389*417 {
					t.Errorf("result %+v", res)
				}
				until(t, "its upstream ends", func() bool { return s.listeners() == len(all)-1-i })
			}
		})
	}
}

// TestFeedFails has a node fail that a loop reads, in each way.
func TestFeedFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail  func(*front, *station)
		cause End
	}{
		"closed":  {func(_ *front, s *station) { s.end(func(*net.TCPConn) {}) }, EndUpstreamEnded},
		"reset":   {func(_ *front, s *station) { s.end(reset) }, EndUpstreamFailed},
		"silent":  {func(*front, *station) {}, EndUpstreamSilent},
		"vacated": {func(f *front, _ *station) { f.proxy.Vacate("node0") }, EndDrained},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := startStation(t, 0, okHead), startStation(t, 0, okHead)
			cfg := alone(quick())
			if c.cause == EndUpstreamSilent {
				cfg.patience = 3 * pace
			}
			f := startFront(t, cfg, Request{Upstreams: upstreams(a.node, b.node), Mount: "/m"})
			a.tell(120)
			b.tell(140)
			h := f.hear(t, getRequest)
			h.frames(t, 120)
			f.awaitLent(t, 1)
			a.tell(10)
			h.frames(t, 10)
			c.fail(f, a)
			until(t, "the other node takes over", func() bool { return len(f.proxy.Streams()[0].Failovers) > 0 })
			b.tell(20)
			h.upTo(t, 159)
			f.awaitLent(t, 1) // the other
			b.tell(40)
			h.upTo(t, 199)
			if jumps := checkFrames(t, h.got); jumps > 1 {
				t.Errorf("%d jumps", jumps)
			}
			if fo := f.proxy.Streams()[0].Failovers; len(fo) != 1 || fo[0].To != "node1" || fo[0].Cause != c.cause || fo[0].Listeners != 1 {
				t.Errorf("failovers %+v", fo)
			}
			until(t, "the first node has nobody", func() bool { return a.listeners() == 0 })
		})
	}
}

// TestFeedFallsSilent has a node fall silent that a loop reads, and play again. A loop reads
// it again, too.
func TestFeedFallsSilent(t *testing.T) {
	t.Parallel()
	s := startStation(t, 0, okHead)
	cfg := alone(watchful())
	cfg.patience = 2 * pace
	f := startFront(t, cfg, Request{Upstreams: upstreams(s.node)})
	s.tell(100)
	h := f.hear(t, getRequest)
	h.frames(t, 100)
	f.awaitLent(t, 1)
	until(t, "it is silent", func() bool {
		f.proxy.mu.Lock()
		defer f.proxy.mu.Unlock()
		for s := range f.proxy.sources {
			return !s.lent.Load()
		}
		return false
	})
	s.tell(500)
	h.frames(t, 500)
	f.awaitLent(t, 1)
	s.tell(20)
	h.frames(t, 20)
	if jumps := checkFrames(t, h.got); jumps > 0 {
		t.Errorf("%d jumps", jumps)
	}
}

// TestFeedOfSlowListener has a listener pause while a loop reads its upstream. It gets
// everything later, as far as it is not too late.
func TestFeedOfSlowListener(t *testing.T) {
	t.Parallel()
	s := startStation(t, 0, okHead)
	f := startFront(t, alone(quick()), Request{Upstreams: upstreams(s.node)})
	s.tell(100)
	conn := f.dial(t)
	_ = conn.SetReadBuffer(4 << 10)
	if _, err := io.WriteString(conn, getRequest); err != nil {
		t.Fatal(err)
	}
	f.awaitLent(t, 1)
	for range 20 { // more than the network holds
		s.tell(20)
		time.Sleep(feedStep / 2) // the loop has several turns at it
	}
	h := &heard{conn: conn, br: bufio.NewReader(conn)}
	h.head = readAnswer(t, h.br)
	h.frames(t, 500)
	s.tell(50)
	h.frames(t, 50)
	if jumps := checkFrames(t, h.got); jumps > 0 {
		t.Errorf("%d jumps", jumps)
	}
}

// TestFeedIsDrained ends streams whose upstreams loops read.
func TestFeedIsDrained(t *testing.T) {
	t.Parallel()
	s := startStation(t, 0, okHead)
	f := startFront(t, alone(quick()), Request{Upstreams: upstreams(s.node)})
	s.tell(100)
	h := f.hear(t, getRequest)
	f.awaitLent(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = f.proxy.Drain(ctx)
	if _, err := io.Copy(io.Discard, h.br); err != nil {
		t.Error(err)
	}
	if res := f.result(t); res.End != EndDrained {
		t.Errorf("result %+v", res)
	}
	until(t, "the node has nobody", func() bool { return s.listeners() == 0 })
}

// TestLentRoom adds audio in memory that is used anew each time. Listeners who have got
// everything need no more of it than the last frames, and others lose nothing.
func TestLentRoom(t *testing.T) {
	t.Parallel()
	for name, behind := range map[string]bool{"keeps up": false, "falls behind": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := mpegRing(2)
			r.shrink()
			c := newCursor(r.oldest, nil, false)
			var got []byte
			take := func() {
				for p := c.piece(); p != nil; p = c.piece() {
					got = append(got, p...)
					c.took(len(p))
				}
			}
			take()
			room := room{make([]byte, 2*chunkSize), make([]int32, chunkSize)}
			for second := 2; second < 20; second++ {
				lent := c.due() == nil
				if lent {
					r.lend(room)
				}
				fill(r, second, second+1)
				if !behind || second%5 == 0 {
					take()
				}
				if lent {
					r.settle(&c)
				}
				if kept := len(r.tail.data); !behind && kept != 5*417 { // the first that make keptSize
					t.Fatalf("%d bytes are kept", kept)
				}
				if bytes, took, _ := r.measured(); took.Round(time.Millisecond) != (time.Duration(bytes/417) * 1152 * time.Second / 44100).Round(time.Millisecond) {
					t.Fatalf("%d bytes take %v", bytes, took)
				}
				copy(room.data, bytes.Repeat([]byte{0xee}, len(room.data)))
				clear(room.ends)
			}
			take()
			if jumps := checkFrames(t, got); jumps > 0 || len(got) < 20*38*417-len(got)%417-defaultBurst {
				t.Errorf("%d jumps in %d bytes", jumps, len(got))
			}
			if last := r.newest(joinedBy); len(last) != joinedBy || frameNumber(t, last[joinedBy-1]) != 20*38-1 {
				t.Errorf("the last frame is %d", frameNumber(t, last[len(last)-1]))
			}
		})
	}
	// Pages of Ogg are no positions: nothing is kept of them.
	r := newRing(0, 128, 0)
	r.shrink()
	c := newCursor(r.oldest, nil, false)
	r.lend(room{make([]byte, chunkSize), make([]int32, 10)})
	r.add(audio.Unit{Data: make([]byte, 4096), Params: audio.Params{Codec: audio.Ogg}, Duration: time.Second, Start: true}, time.Second)
	r.publish(time.Second)
	c.advance(4096)
	r.settle(&c)
	if n, took, rate := r.measured(); r.tail.data != nil || n != 4096 || took != time.Second || rate != 8*4096 {
		t.Errorf("kept %d bytes; measured %d bytes, %v, %d bit/s", len(r.tail.data), n, took, rate)
	}
}
