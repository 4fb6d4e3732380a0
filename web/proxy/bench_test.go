package proxy

import (
	"bufio"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/web/proxy/audio"
)

// BenchmarkBulk passes on as fast as it can: what the copying costs.
func BenchmarkBulk(b *testing.B) {
	f := startFront(b, quick(), Request{Upstreams: upstreams(startNode(b, floodsUnknown))})
	conn := f.listen(b, getRequest)
	readAnswer(b, bufio.NewReader(conn))
	piece := make([]byte, 64<<10)
	b.SetBytes(int64(len(piece)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.ReadFull(conn, piece); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCursor is what a second of audio costs for each listener, but for the
// system call.
func BenchmarkCursor(b *testing.B) {
	r := mpegRing(3)
	first := newCursor(r.oldest, nil, true)
	c := first
	pieces := make([][]byte, 0, maxMore)
	b.ReportAllocs()
	for b.Loop() {
		got := c.gather(pieces)
		n := 0
		for _, p := range got {
			n += len(p)
		}
		c.advance(n)
		if c.due() == nil {
			c = first
		}
	}
}

// maxMore is how many pieces a second of audio may take.
const maxMore = 4

// BenchmarkRing is what a second of audio costs for all listeners together.
func BenchmarkRing(b *testing.B) {
	second := []byte(frames(38))
	r := newRing(0, 128, 0)
	split := audio.NewSplitter("audio/mpeg")
	now := time.Second
	b.SetBytes(int64(len(second)))
	b.ReportAllocs()
	for b.Loop() {
		for part := range slices.Chunk(second, 2700) { // as Icecast sends it
			split.Write(part, func(u audio.Unit) { r.add(u, now) })
		}
		now += time.Second
		r.publish(now)
	}
}

func BenchmarkAnswerHead(b *testing.B) {
	h := head{fields: []field{{"Server", "Icecast 2.4.4"}, {"Content-Type", "audio/mpeg"}, {"icy-name", "Radio"}, {"icy-genre", "Test"}, {"icy-metaint", "16000"}}}
	b.ReportAllocs()
	for b.Loop() {
		a := newAnswer(h, "", false, true)
		_ = a.wire()
	}
}

// BenchmarkRoom is on the way of every request that might be carried.
func BenchmarkRoom(b *testing.B) {
	p := New(Config{MaxListeners: 10, MaxMbit: 10})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p.Room(128)
		}
	})
}
