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

// ears are the listeners that a Prober sends, and hear what they are told to: else what
// confirms a doubt.
type ears struct {
	mu    sync.Mutex
	hears map[string]tried // by path
	heard map[string][]time.Time
	takes time.Duration
	now   map[string]int // by node; "" for all
	most  map[string]int
}

func (e *ears) try(ctx context.Context, t target, r request) tried {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[t.base+r.path] = append(e.heard[t.base+r.path], time.Now())
	for _, k := range []string{"", t.base} {
		e.now[k]++
		e.most[k] = max(e.most[k], e.now[k])
	}
	got, told := e.hears[r.path]
	e.mu.Unlock()
	select {
	case <-time.After(e.takes):
	case <-ctx.Done():
	}
	e.mu.Lock()
	e.now[""]--
	e.now[t.base]--
	switch {
	case told:
		return got
	case r.patience > 0:
		return tried{state: director.MountSilent, cause: director.SourceHangs, detail: "it is silent"}
	}
	return tried{state: director.MountSilent, cause: director.NotThere, detail: "it is not there"}
}

// times returns when a mount was asked for.
func (e *ears) triedAt(url string) []time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]time.Time(nil), e.heard[url]...)
}

func (e *ears) hear(path string, what tried) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hears[path] = what
}

var (
	plays  = tried{state: director.MountPlays, detail: "it plays"}
	silent = tried{state: director.MountSilent, cause: director.SourceHangs, detail: "it is silent"}
	nobody = tried{state: director.MountSilent, cause: director.NotThere, detail: "it is not there"}
)

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
// a time, and is gone when it is silent until it is not.
func TestSamples(t *testing.T) {
	inBubble(t, Config{Sample: time.Minute}, func(t *testing.T, f *fleet) {
		f.takes = 2 * time.Second
		f.hear("/a", plays)
		f.hear("/b", plays)
		f.play(urlOf("a"), untold("/a", "/b", "/not-wanted"))
		f.SetNodes([]director.Node{node("a")}, []director.Mount{{Name: "/a"}, {Name: "/b"}})
		<-f.First()
		time.Sleep(time.Hour)
		for path, most := range map[string]int{"/a": 61, "/b": 61, "/not-wanted": 0} {
			if got := len(f.triedAt(urlOf("a") + path)); got > most || got < most*9/10 {
				t.Errorf("%s was listened to %d times in an hour", path, got)
			}
		}
		mounts := func() string { return strings.Join(pathsOf(f.report("a")), " ") }
		f.hear("/a", silent)
		asked := len(f.triedAt(urlOf("a") + "/a"))
		begun := time.Now()
		for mounts() != "/b /not-wanted" && time.Since(begun) < time.Hour {
			time.Sleep(100 * time.Millisecond)
		}
		took := time.Since(begun)
		if got := len(f.triedAt(urlOf("a")+"/a")) - asked; got != 1 || took > time.Minute+5*time.Second {
			t.Errorf("gone after %v and %d samples", took, got)
		}
		f.hear("/a", plays)
		for begun = time.Now(); mounts() != "/a /b /not-wanted"; time.Sleep(100 * time.Millisecond) {
			if time.Since(begun) > tryEvery+5*time.Second {
				t.Fatal("it is not back within a minute")
			}
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
	t.Run("at a node", func(t *testing.T) { fewSamplesAtOnce(t, 40, 100, 10*time.Minute) })
	t.Run("at all", func(t *testing.T) { fewSamplesAtOnce(t, maxTries+20, 10, 3*time.Minute) })
}

// fewSamplesAtOnce lets time go by with so many nodes and mounts.
func fewSamplesAtOnce(t *testing.T, nodeCount, mountCount int, long time.Duration) {
	t.Helper()
	inBubble(t, Config{Sample: time.Minute}, func(t *testing.T, f *fleet) {
		e := f.ears
		e.takes = burstTime + samplePatience // the longest that it can
		var mounts []string
		for i := range mountCount {
			mounts = append(mounts, fmt.Sprint("/", i))
		}
		var nodes []director.Node
		for i := range nodeCount {
			nodes = append(nodes, node(fmt.Sprint(i)))
			f.hear(mounts[i%len(mounts)], plays)
			f.play(urlOf(fmt.Sprint(i)), untold(mounts...))
		}
		f.SetNodes(nodes, nil)
		time.Sleep(long)
		synctest.Wait()
		if e.most[""] > maxTries {
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
				f.Prober.try = func(context.Context, target, request) tried {
					t.Error("it listens")
					return tried{}
				}
				f.play(urlOf("a"), c.play)
				f.SetNodes([]director.Node{node("a")}, nil)
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestTry(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n"
	burst := strings.Repeat("audio", 13_000)
	holds := func(text string) func(net.Conn) {
		return func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, text); _, _ = io.Copy(io.Discard, c) }
	}
	drips := func(kbit int) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(c)
			_, err := io.WriteString(c, head+burst)
			for piece := strings.Repeat("x", kbit*1000/8/4); err == nil; {
				time.Sleep(250 * time.Millisecond)
				_, err = io.WriteString(c, piece)
			}
		}
	}
	listens := request{patience: shortPatience}
	const plays, silent, full, unknown = director.MountPlays, director.MountSilent, director.MountFull, director.MountUnknown
	for name, c := range map[string]struct {
		ask    request
		answer func(net.Conn)
		state  director.MountState
		cause  director.Cause
	}{
		"a burst, and nothing more": {listens, holds(head + burst), silent, director.SourceHangs},
		"a burst, and then more":    {listens, drips(64), plays, ""},
		"nothing at all":            {listens, holds(head), silent, director.SourceHangs},
		"ends":                      {listens, says(head + burst), unknown, ""},
		"ends at once":              {listens, says(head), silent, director.SourceHangs},
		"the first byte":            {request{}, holds(head + "a"), plays, ""},
		"ICY":                       {request{}, holds("ICY 200 OK\r\nicy-name: x\r\n\r\na"), plays, ""},
		"no first byte":             {request{}, holds(head), silent, director.SourceHangs},
		"ends before the first":     {request{}, says(head), silent, director.SourceHangs},
		"is not there":              {request{}, says("HTTP/1.0 404 Not Found\r\n\r\n"), silent, director.NotThere},
		"ICY, and not there":        {request{}, says("ICY 404 Resource Not Found\r\n\r\n"), silent, director.NotThere},
		"no seat, Icecast 2.4":      {request{}, says("HTTP/1.0 403 Forbidden\r\nServer: Icecast 2.4.4\r\n\r\nmax listeners reached"), full, director.SeatsTaken},
		"no seat, Icecast-KH":       {request{}, says("HTTP/1.1 403 max listeners reached\r\nContent-Length: 0\r\n\r\n"), full, director.SeatsTaken},
		"no seat, Icecast 2.5":      {request{}, says("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 51\r\n\r\n<text>Maximum listeners reached for this source</text>"), full, director.SeatsTaken},
		"no seat, SHOUTcast 1":      {request{}, says("ICY 401 Service Unavailable\r\n\r\n"), full, director.SeatsTaken},
		"forbidden":                 {request{}, says("HTTP/1.0 403 Forbidden\r\n\r\nno"), silent, director.Refused},
		"unavailable":               {request{}, says("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), silent, director.Refused},
		"asks who":                  {request{}, says("HTTP/1.0 401 Authentication Required\r\nWWW-Authenticate: Basic\r\n\r\n"), plays, director.AsksListeners},
		"a page":                    {request{}, says("HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html>"), silent, director.NotAudio},
		"elsewhere":                 {request{}, says("HTTP/1.0 302 Found\r\nLocation: http://cdn.example/live.mp3\r\n\r\n"), plays, ""},
		"round and round":           {request{}, says("HTTP/1.0 302 Found\r\nLocation: /x.mp3\r\n\r\n"), plays, ""},
		"goes on":                   {request{hold: holdTime}, holds(head + burst), plays, ""},
		"is at its end":             {request{hold: holdTime}, says(head + burst), silent, director.NotThere},
		"does not answer":           {request{}, holds(""), silent, director.SourceHangs},
		"the right rate":            {request{kbit: 64, patience: shortPatience}, drips(64), plays, ""},
		"far too slow":              {request{kbit: 128, patience: shortPatience}, drips(16), silent, director.SourceHangs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				at := target{client: bubbleClient(t, c.answer), base: "http://node.example", timeout: time.Second}
				c.ask.path = "/gr\u00f6\u00dfe %.mp3"
				got := at.tryIn(t.Context(), c.ask)
				if got.state != c.state || got.cause != c.cause || got.detail == "" {
					t.Errorf("got %+v; want %v, %q", got, c.state, c.cause)
				}
			})
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		got := target{client: &client{}, base: "http://127.0.0.1:1"}.tryIn(t.Context(), request{path: "/a"})
		if want := (tried{state: silent, cause: director.Unreachable, detail: "GET /a: connection refused"}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
