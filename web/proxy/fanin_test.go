package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/proxy/audio"
)

// A station is a fake node that plays numbered frames to all who ask, as many as
// it is told to, when it is told to.
type station struct {
	*node
	head  string
	begin int // number of the first frame

	mu      sync.Mutex
	more    *sync.Cond
	told    int // frames
	how     func(*net.TCPConn)
	present int
}

func startStation(t testing.TB, begin int, head string) *station {
	s := &station{head: head, begin: begin}
	s.more = sync.NewCond(&s.mu)
	s.node = startNode(t, s.play)
	t.Cleanup(func() { s.end(func(*net.TCPConn) {}) })
	return s
}

// tell plays n more frames.
func (s *station) tell(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told += n
	s.more.Broadcast()
}

// end plays no more, and does how with every connection before closing it.
func (s *station) end(how func(*net.TCPConn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.how = how
	s.more.Broadcast()
}

func (s *station) listeners() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.present
}

func (s *station) play(conn net.Conn) {
	s.count(1)
	defer s.count(-1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.more.Broadcast()
	}()
	_, err := io.WriteString(conn, s.head)
	for done := 0; err == nil; {
		s.mu.Lock()
		for s.told == done && s.how == nil {
			select {
			case <-gone:
				s.mu.Unlock()
				return
			default:
			}
			s.more.Wait()
		}
		told, how := s.told, s.how
		s.mu.Unlock()
		if how != nil {
			how(conn.(*net.TCPConn))
			return
		}
		_, err = io.WriteString(conn, numbered(s.begin+done, told-done))
		done = told
	}
}

func (s *station) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.present += n
}

// heard is a listener that remembers what it gets.
type heard struct {
	conn *net.TCPConn
	br   *bufio.Reader
	head string
	got  []byte
}

func (f *front) hear(t testing.TB, request string) *heard {
	h := &heard{conn: f.listen(t, request)}
	h.br = bufio.NewReader(h.conn)
	h.head = readAnswer(t, h.br)
	return h
}

// frames reads n more frames.
func (h *heard) frames(t testing.TB, n int) {
	t.Helper()
	b := make([]byte, n*417)
	if k, err := io.ReadFull(h.br, b); err != nil {
		t.Fatalf("after %d of %d bytes: %v", k, len(b), err)
	}
	h.got = append(h.got, b...)
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

// TestFanIn gives fifty listeners one upstream, and each of them every frame.
func TestFanIn(t *testing.T) {
	t.Parallel()
	s := startStation(t, 0, okHead)
	f := startFront(t, quick(), Request{Upstreams: upstreams(s.node), Mount: "/live.mp3"})
	s.tell(40)
	var all []*heard
	for i := range 50 {
		h := f.hear(t, getRequest)
		all = append(all, h)
		if i%10 == 9 {
			s.tell(5)
		}
	}
	if got := f.proxy.Playing("/live.mp3"); !slices.Equal(got, []director.NodeID{"node0"}) {
		t.Errorf("it comes from %v", got)
	}
	s.tell(35)
	for i, h := range all {
		h.frames(t, 100) // from the first on: the burst is longer
		if jumps := checkFrames(t, h.got); jumps > 0 || frameNumber(t, h.got[:417]) != 0 {
			t.Errorf("listener %d begins with frame %d, and has %d jumps", i, frameNumber(t, h.got[:417]), jumps)
		}
	}
	if s.listeners() != 1 || len(s.requests) != 1 {
		t.Errorf("%d upstreams now, %d opened", s.listeners(), len(s.requests))
	}
	st := f.proxy.Streams()
	if len(st) != 1 || st[0].Mount != "/live.mp3" || st[0].Listeners != 50 || len(st[0].Upstreams) != 1 {
		t.Errorf("state %+v", st)
	} else if u := st[0].Upstreams[0]; u.Node != "node0" || !u.Playing || u.Kbit != 128 || u.Bytes != 100*417 || u.Format == "" {
		t.Errorf("upstream %+v", u)
	}
	for i, h := range all {
		if s.listeners() != 1 {
			t.Fatalf("the upstream ended with %d listeners left", 50-i)
		}
		_ = h.conn.Close()
		if res := f.result(t); res.End != EndListenerLeft || res.Bytes != 100*417 {
			t.Errorf("result %+v", res)
		}
	}
	until(t, "the upstream ends with the last", func() bool { return s.listeners() == 0 })
	if got := f.proxy.Playing("/live.mp3"); len(got) > 0 {
		t.Errorf("with nobody it comes from %v", got)
	}
	if st := f.proxy.Streams(); st[0].Listeners != 0 || st[0].Ended[EndListenerLeft] != 50 || st[0].Bytes != 50*100*417 {
		t.Errorf("state %+v", st)
	}
}

// TestLateJoiner begins on a frame, a burst behind, and loses nothing after it.
func TestLateJoiner(t *testing.T) {
	t.Parallel()
	s := startStation(t, 0, okHead)
	f := startFront(t, quick(), Request{Upstreams: upstreams(s.node)})
	s.tell(40)
	first := f.hear(t, getRequest)
	s.tell(960)
	first.frames(t, 1000)
	late := f.hear(t, getRequest)
	s.tell(100)
	late.frames(t, 1)
	begin := frameNumber(t, late.got)
	if burst := (1000 - begin) * 417; burst < defaultBurst || burst > defaultBurst+chunkSize {
		t.Errorf("the burst is %d bytes", burst)
	}
	late.frames(t, 1099-begin)
	if jumps := checkFrames(t, late.got); jumps > 0 || frameNumber(t, late.got[len(late.got)-417:]) != 1099 {
		t.Errorf("%d jumps", jumps)
	}
}

// TestMetadata puts titles where each listener expects them, and nowhere else.
func TestMetadata(t *testing.T) {
	t.Parallel()
	const interval = 1000
	sound := []byte(frames(1500))
	var stream bytes.Buffer
	for i := 0; i < len(sound); i += interval {
		if i+interval > len(sound) {
			stream.Write(sound[i:])
			break
		}
		stream.Write(sound[i : i+interval])
		if i/interval%100 == 0 {
			stream.Write(audio.NewBlock(fmt.Appendf(nil, "StreamTitle='Caf\xe9 %d';", i/interval)))
		} else {
			stream.WriteByte(0)
		}
	}
	n := startNode(t, saysAndWaits("ICY 200 OK\r\ncontent-type:audio/mpeg\r\nicy-name:Radio\r\nicy-metaint:"+fmt.Sprint(interval)+"\r\n\r\n"+stream.String()))
	f := startFront(t, quick(), Request{Upstreams: upstreams(n)})
	plain := f.hear(t, getRequest)
	for plain.frames(t, 1); frameNumber(t, plain.got[len(plain.got)-417:]) < 1499; {
		plain.frames(t, 1)
	}
	if strings.Contains(plain.head, "metaint") || checkFrames(t, plain.got) > 0 {
		t.Errorf("without metadata: head %q, %d jumps", plain.head, checkFrames(t, plain.got))
	}
	icy := f.hear(t, "GET / HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n")
	if !strings.Contains(icy.head, "\r\nicy-name:Radio\r\n") || !strings.Contains(icy.head, "\r\nicy-metaint:16000\r\n") {
		t.Errorf("head %q", icy.head)
	}
	var got []byte
	var titles []string
	out := audio.NewDeinterleaver(metaint)
	buf := make([]byte, 4096)
	for len(got) < defaultBurst {
		k, err := icy.br.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Write(buf[:k], func(b []byte) { got = append(got, b...) }, func(b []byte) { titles = append(titles, string(b)) }); err != nil {
			t.Fatal(err)
		}
	}
	if checkFrames(t, got) > 0 {
		t.Errorf("%d jumps", checkFrames(t, got))
	}
	if len(titles) == 0 || titles[0] != "StreamTitle='Caf\xe9 500';" && titles[0] != "StreamTitle='Caf\xe9 600';" {
		t.Errorf("titles %q", titles)
	}
	if st := f.proxy.Streams(); st[0].Upstreams[0].Title != "Caf\xe9 600" {
		t.Errorf("state %+v", st[0])
	}
}

// TestPerListener opens an upstream for each, also for what cannot be shared.
func TestPerListener(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{"as configured": okHead, "unknown format": "HTTP/1.0 200 OK\r\nContent-Type: audio/x-unknown\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startStation(t, 0, head)
			cfg := quick()
			cfg.PerListener = name == "as configured"
			f := startFront(t, cfg, Request{Upstreams: upstreams(s.node), Client: netip.MustParseAddr("192.0.2.1"), Query: "t=1"})
			s.tell(100)
			for range 3 {
				f.hear(t, getRequest).frames(t, 100)
			}
			if s.listeners() != 3 {
				t.Errorf("%d upstreams", s.listeners())
			}
			var told string
			for len(s.requests) > 0 {
				told = <-s.requests
			}
			if strings.Contains(told, "&t=1 ") != cfg.PerListener || strings.Contains(told, "X-Forwarded-For: 192.0.2.1\r\n") != cfg.PerListener {
				t.Errorf("the last asked %q", told)
			}
		})
	}
}

// TestLinger keeps an upstream for a while.
func TestLinger(t *testing.T) {
	t.Parallel()
	s := startStation(t, 0, okHead)
	cfg := quick()
	cfg.Linger = 50 * time.Millisecond
	f := startFront(t, cfg, Request{Upstreams: upstreams(s.node)})
	s.tell(10)
	h := f.hear(t, getRequest)
	left := time.Now()
	_ = h.conn.Close()
	f.result(t)
	until(t, "the upstream ends", func() bool { return s.listeners() == 0 })
	if d := time.Since(left); d < cfg.Linger {
		t.Errorf("it ended after %v", d)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*Config){
		"mount":  func(c *Config) { c.MaxPerMount = 1 },
		"client": func(c *Config) { c.MaxPerClient = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quick()
			limit(&cfg)
			s := startStation(t, 0, okHead)
			f := startFront(t, cfg, Request{Upstreams: upstreams(s.node), Mount: "/a", Client: netip.MustParseAddr("2001:db8::1")})
			s.tell(10)
			first := f.hear(t, getRequest)
			if head, _ := f.play(t, getRequest); !strings.Contains(head, " 503 ") {
				t.Errorf("the second got %q", head)
			}
			f.result(t)
			_ = first.conn.Close()
			f.result(t)
			f.hear(t, getRequest)
			b := &f.proxy.budget
			if err := b.take(1, "/b", netip.MustParseAddr("2001:db8:0:1::1"), func() { f.proxy.running.Add(1) }); err != nil {
				t.Errorf("another mount and network: %v", err)
			}
			b.release(1, "/b", netip.MustParseAddr("2001:db8:0:1::1"))
			f.proxy.running.Done()
		})
	}
}
