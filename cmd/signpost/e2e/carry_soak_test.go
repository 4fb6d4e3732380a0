package e2e

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// Listeners come and go in every way while their nodes lose a source now and then:
// nothing of the director's grows.
func TestInlineListenersComeAndGo(t *testing.T) {
	t.Parallel()
	n, long := sized(60, 1000), time.Duration(sized(4, 600))*time.Second
	mount := probetest.Mount{Path: "/live.mp3", Kbit: 64}
	nodes := probetest.Fleet(t, probetest.Options{Mounts: []probetest.Mount{mount}}, probetest.Options{Mounts: []probetest.Mount{mount}})
	s := direct(t, nodes, inline+"proxy: {max_listeners: 5000, max_mbit: 0}\n")
	s.comeAndGo(t, n, 2*time.Second) // what is made once is made
	before := s.footprint(t, 35)
	ends := time.Now().Add(long)
	for i := 0; time.Now().Before(ends); i++ {
		s.comeAndGo(t, n, min(long/2, time.Minute))
		nodes[i%2].KillSource("/live.mp3")
		nodes[i%2].StartSource("/live.mp3")
	}
	var after footprint
	s.eventually(patience, fmt.Sprintf("no more is held than before, %+v", before), func() bool {
		after = s.footprint(t, 1)
		return after.goroutines <= before.goroutines+10 && after.descriptors <= before.descriptors+10 && after.heap <= before.heap+4<<20
	})
	t.Logf("before %+v, after %+v, streams ended %v", before, after, s.streams(t)[0].Ended)
}

// comeAndGo has n listeners at once for some time, each of whom stays for up to two
// seconds and is followed by another.
func (s *signpost) comeAndGo(t *testing.T, n int, long time.Duration) {
	t.Helper()
	c := newCrowd(t)
	ends := time.Now().Add(long)
	kinds := slices.Collect(maps.Keys(farewells))
	for range n {
		c.wg.Go(func() {
			for time.Now().Before(ends) {
				conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
				if err != nil {
					c.fail(err.Error())
					return
				}
				_ = conn.SetDeadline(time.Now().Add(rand.N(2 * time.Second)))
				_, _ = io.WriteString(conn, askForLive+"\r\n")
				_, _ = io.Copy(io.Discard, conn)
				_ = farewells[kinds[rand.IntN(len(kinds))]](conn.(*net.TCPConn))
				_ = conn.Close()
			}
		})
	}
	c.wg.Wait()
	if len(c.failed) > 0 {
		t.Errorf("%d times nobody answered, such as: %s", len(c.failed), c.failed[0])
	}
}

// footprint is what a director holds when nobody listens.
// Memory is the heap, in bytes: of what is resident the race detector has its part.
type footprint struct{ goroutines, descriptors, heap int }

func (s *signpost) footprint(t *testing.T, looks int) footprint {
	t.Helper()
	best := footprint{1 << 30, 1 << 30, 1 << 30}
	s.eventually(patience, "nobody listens any more", func() bool { return s.streams(t)[0].Listeners == 0 })
	for range looks { // a probe may be on its way, and garbage is collected within 5 s of a crowd
		<-time.After(200 * time.Millisecond)
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
		best.descriptors = min(best.descriptors, len(fds))
		metrics := s.metrics()
		best.goroutines = min(best.goroutines, number(t, "go_goroutines", metrics))
		best.heap = min(best.heap, number(t, "go_memstats_heap_alloc_bytes", metrics))
	}
	return best
}

// number is the value of a metric.
func number(t *testing.T, name, metrics string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(metrics)
	if m == nil {
		t.Fatalf("no metric %s", name)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(v)
}
