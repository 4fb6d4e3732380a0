package proxy

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// soaking says whether tests run at their full size.
func soaking() bool { return os.Getenv("SIGNPOST_SOAK") != "" }

// TestSoak has many listeners come and go, with every kind of farewell, while
// nodes fail: nothing grows.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	listeners, long := 300, 5*time.Second
	if soaking() {
		listeners, long = 1000, 10*time.Minute
	}
	stations := []*station{startStation(t, 0, okHead), startStation(t, 0, okHead)}
	f := startFront(t, quick(), Request{Upstreams: upstreams(stations[0].node, stations[1].node), Mount: "/m"})
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { // in real time
		tick := time.NewTicker(26 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			for _, s := range stations {
				s.tell(1)
			}
		}
	})
	wg.Go(func() {
		tick := time.NewTicker(long / 20)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			<-tick.C
			f.proxy.Vacate(nodeName(i % 2))
			for len(f.ended) > 0 {
				<-f.ended
			}
			for _, s := range stations {
				for len(s.requests) > 0 {
					<-s.requests
				}
			}
		}
	})
	come := func(ctx context.Context, stay time.Duration) {
		conn, err := net.Dial("tcp", f.Listener.Addr().String())
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(stay))
		defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
		_, _ = io.WriteString(conn, getRequest)
		_, _ = io.Copy(io.Discard, conn)
		switch rand.IntN(3) {
		case 0:
			_ = conn.(*net.TCPConn).SetLinger(0)
		case 1:
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}
	half := func(n int) {
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() { come(ctx, time.Duration(rand.Int64N(int64(time.Second)))) })
		}
		wg.Wait()
	}
	half(listeners)
	before := footprint(f)
	for range listeners {
		wg.Go(func() {
			for ctx.Err() == nil {
				come(ctx, time.Duration(rand.Int64N(int64(2*time.Second))))
			}
		})
	}
	wg.Wait()
	after := footprint(f)
	t.Logf("before %+v, after %+v, streams ended %v", before, after, f.proxy.Streams()[0].Ended)
	if after.goroutines > before.goroutines+10 || after.descriptors > before.descriptors+10 || after.heap > before.heap+8<<20 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

type footprintOf struct {
	goroutines, descriptors int
	heap                    uint64
}

// footprint is what is held when nobody listens.
func footprint(f *front) footprintOf {
	for deadline := time.Now().Add(patience); f.proxy.Usage().Listeners > 0 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, _ := os.ReadDir("/proc/self/fd")
	return footprintOf{runtime.NumGoroutine(), len(fds), m.HeapAlloc}
}
