package proxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/proxy/audio"
)

func reset(c *net.TCPConn) { _ = c.SetLinger(0) }

// TestFailover lets listeners go over to another node, in each way in which
// theirs can fail: whole frames, the connection stays, metadata stays in place.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail  func(*front, *station)
		cause End
		known bool // the other node is in use already
	}{
		"closed":          {fail: func(_ *front, s *station) { s.end(func(*net.TCPConn) {}) }, cause: EndUpstreamEnded},
		"reset":           {fail: func(_ *front, s *station) { s.end(reset) }, cause: EndUpstreamFailed},
		"silent":          {fail: func(*front, *station) {}, cause: EndUpstreamSilent},
		"vacated":         {fail: func(f *front, _ *station) { f.proxy.Vacate("node0") }, cause: EndDrained},
		"reset, in use":   {fail: func(_ *front, s *station) { s.end(reset) }, cause: EndUpstreamFailed, known: true},
		"vacated, in use": {fail: func(f *front, _ *station) { f.proxy.Vacate("node0") }, cause: EndDrained, known: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := startStation(t, 0, okHead), startStation(t, 10000, okHead)
			a.tell(60)
			b.tell(60)
			cfg := quick()
			if c.cause == EndUpstreamSilent {
				cfg = watchful()
			}
			cfg.Targets = func(mount string, node director.NodeID, _ netip.Addr) []Upstream {
				if mount != "/m" || node != "node0" {
					t.Errorf("asked for another than %s of %s", mount, node)
				}
				return upstreams(a.node, b.node)
			}
			f := startFront(t, cfg, Request{Upstreams: upstreams(a.node), Mount: "/m"})
			var with, without []*heard
			for range 5 {
				with = append(with, f.hear(t, "GET / HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n"))
				without = append(without, f.hear(t, getRequest))
			}
			if c.known {
				src := f.proxy.claim(Upstream{"node1", b.url()}, Request{Mount: "/m"}, false)
				<-src.ready
				defer f.proxy.release(src)
			}
			without[0].frames(t, 60)
			c.fail(f, a)
			until(t, "a failover", func() bool { return len(f.proxy.Streams()[0].Failovers) > 0 })
			b.tell(100)
			for _, h := range without {
				h.frames(t, 60-len(h.got)/417)
				for frameNumber(t, h.got[len(h.got)-417:]) != 10159 {
					h.frames(t, 1)
				}
				if jumps := checkFrames(t, h.got); jumps != 1 {
					t.Errorf("%d jumps", jumps)
				}
			}
			for _, h := range with {
				b := make([]byte, 60*417+100*417) // without the last few
				if _, err := io.ReadFull(h.br, b); err != nil {
					t.Fatal(err)
				}
				if jumps := checkFrames(t, withoutMetadata(t, b)); jumps != 1 {
					t.Errorf("with metadata: %d jumps", jumps)
				}
			}
			st := f.proxy.Streams()[0]
			if fo := st.Failovers[0]; fo.From != "node0" || fo.To != "node1" || fo.Cause != c.cause || fo.Listeners != 10 || st.TakenOver[c.cause] != 1 {
				t.Errorf("failover %+v", fo)
			}
			until(t, "the old upstream is closed", func() bool { return a.listeners() == 0 })
			if b.listeners() != 1 || len(st.Upstreams) != 1 {
				t.Errorf("%d upstreams at the other, %+v", b.listeners(), st.Upstreams)
			}
			for _, h := range append(with, without...) {
				_ = h.conn.Close()
				if res := f.result(t); res.End != EndListenerLeft || res.Node != "node1" {
					t.Errorf("result %+v", res)
				}
			}
		})
	}
}

// TestNoFailover ends what cannot be joined at once.
func TestNoFailover(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"other rate": okHead + strings.ReplaceAll(sound, "\xff\xfb\x90\x64", "\xff\xfb\x94\x64"),
		"dead":       "HTTP/1.0 404 Not Found\r\n\r\n",
		"a page":     okHead + "<!DOCTYPE html>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startStation(t, 0, okHead)
			b := startNode(t, saysAndWaits(head))
			if name == "other rate" { // 384 bytes a frame at 48 kHz
				b = startNode(t, saysAndWaits(okHead+strings.Repeat("\xff\xfb\x94\x64"+strings.Repeat("\x00", 380), 10)))
			}
			a.tell(10)
			cfg := quick()
			evidence := make(chan Failure, 10)
			cfg.Evidence = func(f Failure) { evidence <- f }
			f := startFront(t, cfg, Request{Upstreams: upstreams(a.node, b), Mount: "/m"})
			h := f.hear(t, getRequest)
			h.frames(t, 10)
			a.end(reset)
			if rest, err := io.ReadAll(h.br); len(rest) > 0 || err != nil {
				t.Errorf("it got %q, %v", rest, err)
			}
			if res := f.result(t); res.End != EndUpstreamFailed || res.Node != "node0" {
				t.Errorf("result %+v", res)
			}
			if e := <-evidence; e.Node != "node0" || e.Why != WhyLost {
				t.Errorf("evidence %+v", e)
			}
			if name != "other rate" {
				if e := <-evidence; e.Node != "node1" {
					t.Errorf("evidence %+v", e)
				}
			}
			if fo := f.proxy.Streams()[0].Failovers; len(fo) != 1 || fo[0].To != "" {
				t.Errorf("failovers %+v", fo)
			}
		})
	}
}

// TestSilenceThatPasses stays with a node that plays again before another is found.
func TestSilenceThatPasses(t *testing.T) {
	t.Parallel()
	a := startStation(t, 0, okHead)
	asked := make(chan struct{})
	b := startNode(t, func(conn net.Conn) {
		close(asked)
		_, _ = io.Copy(io.Discard, conn)
	})
	f := startFront(t, watchful(), Request{Upstreams: upstreams(a.node, b)})
	a.tell(20)
	h := f.hear(t, getRequest)
	<-asked
	a.tell(300)
	h.frames(t, 320)
	if checkFrames(t, h.got) > 0 {
		t.Error("it jumped")
	}
	until(t, "the other is let go", func() bool { return len(f.proxy.Nodes()) == 1 })
}

// TestSilenceThatLasts looks again for a node that was not there at first.
func TestSilenceThatLasts(t *testing.T) {
	t.Parallel()
	a, b := startStation(t, 0, okHead), startStation(t, 10000, okHead)
	cfg := watchful()
	var refused atomic.Int32
	evidence := make(chan Failure, 100)
	cfg.Evidence = func(f Failure) { evidence <- f }
	cfg.Targets = func(string, director.NodeID, netip.Addr) []Upstream {
		if refused.Add(1) == 1 {
			return nil
		}
		return []Upstream{{"node1", b.url()}}
	}
	f := startFront(t, cfg, Request{Upstreams: upstreams(a.node)})
	a.tell(20)
	b.tell(20)
	h := f.hear(t, getRequest)
	h.frames(t, 40)
	if frameNumber(t, h.got[len(h.got)-417:]) != 10019 || checkFrames(t, h.got) != 1 {
		t.Errorf("it ends with frame %d", frameNumber(t, h.got[len(h.got)-417:]))
	}
	if e := <-evidence; e.Node != "node0" || e.Why != WhySilent {
		t.Errorf("evidence %+v", e)
	}
}

// TestFrozen does not take the time for which the director itself stood still for
// a silence of its nodes, and that of a node for nothing else.
func TestFrozen(t *testing.T) {
	t.Parallel()
	for gap, silent := range map[time.Duration]bool{
		pace:             true,
		10 * time.Second: false,
	} {
		p := New(Config{})
		s := &source{p: p}
		s.parser = &parser{s: s}
		s.parser.until.Store(int64(p.now() + pace/2))
		l := lookout{source: s, awake: p.now()}
		p.epoch = p.epoch.Add(-gap)
		l.wake()
		if slack := s.parser.slack(p.now()); (slack <= 0) != silent {
			t.Errorf("after %v without a look at it, it may be silent for %v more", gap, slack)
		}
	}
}

// TestTrickle counts a node as silent that sends far less than its bitrate.
func TestTrickle(t *testing.T) {
	t.Parallel()
	a, b := startStation(t, 0, okHead), startStation(t, 10000, okHead)
	cfg := watchful()
	f := startFront(t, cfg, Request{Upstreams: upstreams(a.node, b.node)})
	a.tell(20)
	b.tell(20)
	h := f.hear(t, getRequest)
	tick := time.NewTicker(200 * time.Millisecond) // 26 ms of audio each
	defer tick.Stop()
	for len(f.proxy.Streams()[0].Failovers) == 0 {
		<-tick.C
		a.tell(1)
	}
	for len(h.got) == 0 || frameNumber(t, h.got[len(h.got)-417:]) < 10019 {
		h.frames(t, 1)
	}
}

// TestJoint leads into a stream about as far back as listeners have been without
// audio, with the reservoir of Layer III filled.
func TestJoint(t *testing.T) {
	t.Parallel()
	for _, gap := range []time.Duration{0, time.Millisecond, 500 * time.Millisecond, 2 * time.Second, time.Hour} {
		r := mpegRing(10)
		from := mpegRing(1)
		from.join(r, gap, time.Hour)
		fill(r, 10, 12)
		c := newCursor(from.oldest, nil, false)
		got := bytes.Join(c.gather(make([][]byte, 0, 100)), nil)
		if checkFrames(t, got) != 1 {
			t.Fatalf("gap %v: %d jumps", gap, checkFrames(t, got))
		}
		last := frameNumber(t, got[len(got)-417:])
		begin := last + 1 - (len(got)/417 - 38)
		behind := time.Duration(380-begin) * 1152 * time.Second / 44100
		_, most, _ := mpegRing(10).measured()
		if want := min(gap, most); last != 12*38-1 || behind < want || behind > want+30*time.Millisecond {
			t.Errorf("gap %v: begins with frame %d, %v behind, and ends with %d", gap, begin, behind, last)
		}
	}
	if joinable(audio.Ogg) || joinable(audio.Opaque) || !joinable(audio.ADTS) {
		t.Error("joinable is wrong")
	}
}

// TestVacateBoth has two nodes whose listeners are to go over to each other.
func TestVacateBoth(t *testing.T) {
	t.Parallel()
	for range 20 {
		a, b := startStation(t, 0, okHead), startStation(t, 10000, okHead)
		a.tell(20)
		b.tell(20)
		f := startFront(t, quick(), Request{})
		f.Config.Handler = f.of(upstreams(a.node, b.node), []Upstream{upstreams(a.node, b.node)[1], upstreams(a.node)[0]})
		one, two := f.hear(t, "GET /0 HTTP/1.0\r\n\r\n"), f.hear(t, "GET /1 HTTP/1.0\r\n\r\n")
		one.frames(t, 20)
		two.frames(t, 20)
		f.proxy.Vacate("node0")
		f.proxy.Vacate("node1")
		until(t, "one node is left", func() bool { return len(f.proxy.Nodes()) == 1 })
		a.tell(20)
		b.tell(20)
		one.frames(t, 20)
		two.frames(t, 20)
	}
}

// of serves other nodes by the request's path, /0 or /1.
func (f *front) of(nodes ...[]Upstream) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.serve(w, r, Request{Upstreams: nodes[r.URL.Path[1]-'0']})
	})
}
