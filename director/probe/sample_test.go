package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// ears listens instead of a Prober, and hears silence from some mounts.
type ears struct {
	mu     sync.Mutex
	silent map[string]bool
	heard  map[string]int
	takes  time.Duration
	now    map[string]int // by node; "" for all
	most   map[string]int
}

func newEars() *ears {
	return &ears{silent: map[string]bool{}, heard: map[string]int{}, takes: sampleTime, now: map[string]int{}, most: map[string]int{}}
}

func (e *ears) listen(ctx context.Context, t target, path string) (hears, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[t.base+path]++
	silent := e.silent[path]
	for _, k := range []string{"", t.base} {
		e.now[k]++
		e.most[k] = max(e.most[k], e.now[k])
	}
	e.mu.Unlock()
	select {
	case <-time.After(e.takes):
	case <-ctx.Done():
	}
	e.mu.Lock()
	e.now[""]--
	e.now[t.base]--
	if silent {
		return silence, nil
	}
	return audio, nil
}

func (e *ears) count(path string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard[path]
}

func (e *ears) make(path string, silent bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.silent[path] = silent
}

func untold(paths ...string) func(context.Context) (answer, error) {
	return func(context.Context) (answer, error) {
		a := answer{detail: "fine", listeners: 1, untold: paths}
		for _, p := range paths {
			a.mounts = append(a.mounts, director.MountReport{Path: p})
		}
		return a, nil
	}
}

// TestSamples: where no numbers tell, each mount is listened to, seldom and one at
// a time, and is gone after two silent samples until one is not.
func TestSamples(t *testing.T) {
	inBubble(t, Config{Sample: time.Minute}, func(t *testing.T, f *fleet) {
		e := newEars()
		f.Prober.listen = e.listen
		f.play(urlOf("a"), untold("/a", "/b", "/not-wanted"))
		f.SetNodes([]director.Node{node("a"), node("b")}, []director.Mount{{Name: "/a"}, {Name: "/b"}, {Name: "/elsewhere"}})
		<-f.First()
		time.Sleep(time.Hour)
		for path, most := range map[string]int{"/a": 61, "/b": 61, "/not-wanted": 0, "/elsewhere": 0} {
			if got := e.count(urlOf("a") + path); got > most || got < most*9/10 {
				t.Errorf("%s was listened to %d times in an hour", path, got)
			}
		}
		mounts := func() string { return strings.Join(pathsOf(f.report("a")), " ") }
		e.make("/a", true)
		asked := e.count(urlOf("a") + "/a")
		begun := time.Now()
		for mounts() != "/b /not-wanted" && time.Since(begun) < time.Hour {
			time.Sleep(100 * time.Millisecond)
		}
		took := time.Since(begun)
		if got := e.count(urlOf("a")+"/a") - asked; got != 2 || took > time.Minute+20*time.Second {
			t.Errorf("gone after %v and %d samples", took, got)
		}
		e.make("/a", false)
		if took := f.until(func(director.Report) bool { return mounts() == "/a /b /not-wanted" }); took > 45*time.Second {
			t.Errorf("back after %v", took)
		}
	})
}

func pathsOf(r director.Report) (paths []string) {
	for _, m := range r.Mounts {
		paths = append(paths, m.Path)
	}
	return paths
}

// TestFewSamplesAtOnce: many nodes with many mounts are listened to ever so seldom.
func TestFewSamplesAtOnce(t *testing.T) {
	inBubble(t, Config{Sample: time.Minute}, func(t *testing.T, f *fleet) {
		e := newEars()
		e.takes *= 2 // the longest that it can
		f.Prober.listen = e.listen
		var mounts []string
		for i := range 100 {
			mounts = append(mounts, fmt.Sprint("/", i))
		}
		var nodes []director.Node
		for i := range 40 {
			nodes = append(nodes, node(fmt.Sprint(i)))
			f.play(urlOf(fmt.Sprint(i)), untold(mounts...))
		}
		f.SetNodes(nodes, nil)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if e.most[""] > maxSamples {
			t.Errorf("%d were listened to at once", e.most[""])
		}
		for base, n := range e.most {
			if base != "" && n > 1 {
				t.Errorf("%d at once at %s", n, base)
			}
		}
		f.SetNodes(nil, nil)
		time.Sleep(e.takes)
	})
}

// TestNoSamplesUnasked: the zero Config takes nobody's seat, nor does one that has
// numbers to go by.
func TestNoSamplesUnasked(t *testing.T) {
	for _, c := range []struct {
		sample time.Duration
		play   func(context.Context) (answer, error)
	}{{0, untold("/a")}, {time.Minute, good}} {
		t.Run(fmt.Sprint(c.sample), func(t *testing.T) {
			inBubble(t, Config{Sample: c.sample}, func(t *testing.T, f *fleet) {
				f.Prober.listen = func(context.Context, target, string) (hears, error) {
					t.Error("it listens")
					return nothing, nil
				}
				f.play(urlOf("a"), c.play)
				f.SetNodes([]director.Node{node("a")}, nil)
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n"
	burst := strings.Repeat("audio", 13_000)
	for name, c := range map[string]struct {
		answer func(net.Conn)
		want   hears
	}{
		"a burst, and nothing more": {func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, head+burst)
			_, _ = io.Copy(io.Discard, c)
		}, silence},
		"a burst, and then more": {func(c net.Conn) {
			readRequest(c)
			_, err := io.WriteString(c, head+burst)
			for err == nil {
				time.Sleep(500 * time.Millisecond)
				_, err = io.WriteString(c, "audio")
			}
		}, audio},
		"nothing at all":    {func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, head); _, _ = io.Copy(io.Discard, c) }, silence},
		"ends":              {says(head + burst), nothing},
		"is not there":      {says("HTTP/1.0 404 Not Found\r\n\r\n"), nothing},
		"has no seat":       {says("HTTP/1.0 403 Forbidden\r\n\r\n"), nothing},
		"does not answer":   {func(c net.Conn) { readRequest(c); _, _ = io.Copy(io.Discard, c) }, nothing},
		"where it is asked": {func(c net.Conn) { fmt.Fprintf(c, "HTTP/1.0 200 OK\r\n\r\n"); readRequest(c) }, nothing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := target{client: &client{}, base: rawServer(t, c.answer), timeout: time.Second}
			if got, err := listen(t.Context(), target, "/gr\u00f6\u00dfe %.mp3"); got != c.want || (err != nil) != (got == nothing) {
				t.Errorf("heard %v, %v; want %v", got, err, c.want)
			}
		})
	}
}
