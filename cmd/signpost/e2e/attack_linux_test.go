package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// soakOnly skips what takes minutes and prints numbers.
func soakOnly(t *testing.T) {
	t.Helper()
	if !soak {
		t.Skip("SIGNPOST_SOAK=1 runs it")
	}
}

// A node behind a path that closes every third connection is well, and is answered: some
// probes fail, and what is known of its mount's rhythm stays.
func TestFlakyPath(t *testing.T) {
	t.Parallel()
	soakOnly(t)
	const asks, over = 1240, 62 * time.Second
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Kbit: 64}}})
	path := flaky(t, strings.TrimPrefix(node.URL(), "http://"), 3)
	_, password := node.Credentials()
	secret := filepath.Join(t.TempDir(), "node")
	if err := os.WriteFile(secret, []byte("admin:"+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := configuration(nil, "") + fmt.Sprintf("  - {id: n1, urls: ['http://%s'], target: 1000, credentials_file: %s}\n", path.addr, secret)
	s := directFile(t, strings.Replace(config, quickProbes, "probe: {interval: 1s, timeout: 2s, recheck: 300ms}\n", 1))
	steady(t, []*signpost{s}, asks, over)
	log := s.log.String()
	t.Logf("a path that closed %d of %d connections: %d requests at 20 a second, none without its node; the log says %d times that the node is down, %d times that the mount does not play",
		path.closed.Load(), path.opened.Load(), asks, strings.Count(log, "node is down"), strings.Count(log, "does not play"))
	if path.closed.Load() < 10 {
		t.Error("the path closed too few connections to show anything")
	}
}

// A way is a path that closes some connections as soon as they are open.
type way struct {
	addr           string
	opened, closed atomic.Int64
}

// flaky leads to a server, and closes every nth connection.
func flaky(t *testing.T, to string, nth int64) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &way{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if w.opened.Add(1)%nth == 0 {
				w.closed.Add(1)
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
				continue
			}
			go func() {
				defer c.Close()
				far, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer far.Close()
				go func() { _, _ = io.Copy(far, c); _ = far.(*net.TCPConn).CloseWrite() }()
				_, _ = io.Copy(c, far)
			}()
		}
	}()
	return w
}

// Redis' clock steps an hour ahead for 13 s while a node restarts, and then an hour back, as
// long: no request fails, and the node soon has its share again.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	soakOnly(t)
	const rate, stepped, share = 400, 13 * time.Second, 0.2
	clock := newClock(t)
	redis := redistest.Start(t, redistest.Options{Env: clock.env})
	fleet := nodes(t)
	all := alike(t, 3, configuration(fleet, everyone+sharing(redis)))
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		clock.set(step)
		restarted := make(chan struct{})
		go func() { defer close(restarted); fleet[0].Restart() }()
		steady(t, all, rate*int(stepped.Seconds()), stepped)
		ahead := strings.Contains(all[0].adminBody("/api/v1/status"), "the store's clock is")
		<-restarted
		clock.set(0)
		begun := time.Now()
		part, salt := 0.0, 0
		all[0].within(patience, "the node that restarted has its share", func() bool {
			salt++
			part = float64(all[0].sentTo(fleet, 150, salt)["n1"]) / 150
			return part > share
		})
		t.Logf("Redis' clock was %v off for %v, and a node restarted meanwhile: %d requests at %d a second to three directors, all answered; that clocks differ was told: %v; the node had %.0f %% of the listeners %v after the clock was right again",
			step, stepped, rate*int(stepped.Seconds()), rate, ahead, 100*part, time.Since(begun).Round(100*time.Millisecond))
		if !ahead {
			t.Errorf("%v: the difference of clocks was not told", step)
		}
	}
}

// A clock is what a process of C takes for the time: this machine's, and an offset.
type clock struct {
	t    *testing.T
	file *os.File
	env  []string
}

// clockSource takes the place of the C library's clocks. It makes system calls itself: a
// memory allocator may ask for the time before the library is loaded.
const clockSource = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long *offset;
__attribute__((constructor)) static void begin(void) {
	int fd = open(getenv("CLOCK_OFFSET"), O_RDONLY);
	if (fd < 0) _exit(99);
	offset = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
}
int clock_gettime(clockid_t c, struct timespec *t) {
	int r = syscall(SYS_clock_gettime, c, t);
	if (r == 0 && offset && (c == CLOCK_REALTIME || c == CLOCK_REALTIME_COARSE)) t->tv_sec += *offset;
	return r;
}
int gettimeofday(struct timeval *restrict v, void *restrict zone) {
	struct timespec t;
	int r = clock_gettime(CLOCK_REALTIME, &t);
	v->tv_sec = t.tv_sec;
	v->tv_usec = t.tv_nsec / 1000;
	return r;
}
time_t time(time_t *to) {
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	if (to) *to = t.tv_sec;
	return t.tv_sec;
}
`

func newClock(t *testing.T) *clock {
	t.Helper()
	proctest.Need(t, "gcc")
	dir := t.TempDir()
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	if err := os.WriteFile(source, []byte(clockSource), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	file, err := os.Create(filepath.Join(dir, "offset"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	c := &clock{t, file, []string{"LD_PRELOAD=" + library, "CLOCK_OFFSET=" + file.Name()}}
	c.set(0)
	return c
}

// set makes the clock differ from this machine's.
func (c *clock) set(by time.Duration) {
	c.t.Helper()
	if _, err := c.file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(by.Seconds()))), 0); err != nil {
		c.t.Fatal(err)
	}
}
