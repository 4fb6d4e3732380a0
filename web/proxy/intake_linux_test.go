package proxy

import (
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A radio reads all the time, through a receive window that is nearly full all the time.
type radio struct {
	buffer int     // of the kernel, in bytes
	second int     // frames that the stream has in a second: 38 are 128 kbit/s
	pace   float64 // of reading; 1: real time
	link   link
}

// TestSmallWindow has radios that read at the stream's rate, or more slowly. They
// take something, and are not cut for having stalled.
func TestSmallWindow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes four times a stall")
	}
	cfg := quick()
	cfg.StallTimeout = 4 * time.Second
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, r := range []radio{
		{4 << 10, 38, 1, plainTCP},
		{8 << 10, 38, 1, plainTCP},
		{32 << 10, 95, 1, plainTCP},
		{4 << 10, 38, 1, wiredTLS},
		{32 << 10, 95, 1, wiredTLS},
		{4 << 10, 38, 1, otherTLS},
		{4 << 10, 38, 0.1, plainTCP},
	} {
		n := startNode(t, func(conn net.Conn) {
			_, err := io.WriteString(conn, okHead+frames(6*r.second)) // more than a burst
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for ; err == nil; <-tick.C {
				_, err = io.WriteString(conn, frames(r.second))
			}
		})
		f := newFront(t, cfg, Request{Upstreams: upstreams(n)})
		f.start(r.link)
		conn := over(r.dial(t, f.Listener.Addr().String()), r.link)
		wg.Go(func() {
			if pause, err := r.listen(conn, 4*cfg.StallTimeout); err != nil && pause < cfg.StallTimeout/4 {
				t.Errorf("%+v, which read at least every %v: %v, result %+v", r, pause, err, f.result(t).Result)
			}
		})
	}
}

// dial connects with packets as they are outside. The loopback still hands over up
// to 64 KB of them at once, which are acknowledged when all of that has been read.
func (r *radio) dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, r.buffer)
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1400)
		})
	}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// listen reads for some time. It returns the longest time in which it did not.
func (r *radio) listen(conn net.Conn, long time.Duration) (pause time.Duration, err error) {
	if _, err := io.WriteString(conn, getRequest); err != nil {
		return 0, err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	last, got, piece := began, 0, make([]byte, 256)
	for now := began; now.Sub(began) < long; now = <-tick.C {
		pause, last = max(pause, now.Sub(last)), now
		for float64(got) < now.Sub(began).Seconds()*r.pace*float64(417*r.second) {
			n, err := conn.Read(piece)
			if err != nil {
				return pause, err
			}
			got += n
		}
	}
	return pause, nil
}
