package proxy

import (
	"bufio"
	"io"
	"net"
	"testing"
)

// BenchmarkBulk carries as fast as it can: what the copying costs.
func BenchmarkBulk(b *testing.B) {
	f := startFront(b, quick(), Request{Upstreams: upstreams(startNode(b, floods))})
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

// BenchmarkPaced carries pieces of 2 KB, one after the other, as a stream in real
// time comes: what waking up costs.
func BenchmarkPaced(b *testing.B) {
	step := make(chan struct{})
	b.Cleanup(func() { close(step) })
	piece := make([]byte, 2000)
	f := startFront(b, quick(), Request{Upstreams: upstreams(startNode(b, func(conn net.Conn) {
		_, _ = io.WriteString(conn, okHead+sound)
		for range step {
			_, _ = conn.Write(piece)
		}
	}))})
	br := bufio.NewReader(f.listen(b, getRequest))
	readAnswer(b, br)
	_, _ = br.Discard(len(sound))
	b.SetBytes(int64(len(piece)))
	b.ReportAllocs()
	for b.Loop() {
		step <- struct{}{}
		if _, err := io.ReadFull(br, piece); err != nil {
			b.Fatal(err)
		}
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
