package probe

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// encoder is a server whose mounts /a and /b are fed evenly, and which tells how
// many bytes have come in as of its last refresh.
type encoder struct {
	refresh time.Duration
	chunk   time.Duration // what is fed comes in such pieces; 0: evenly
	began   time.Time
	stopped atomic.Int64 // when /a was no longer fed, in ns since it began; 0: it is
}

func (s *encoder) play(context.Context) (answer, error) {
	if s.began.IsZero() {
		s.began = time.Now()
	}
	fed := func(stopped time.Duration) int64 {
		at := time.Since(s.began)
		if stopped > 0 {
			at = min(at, stopped)
		}
		at = at.Truncate(s.refresh)
		if s.chunk > 0 {
			at = at.Truncate(s.chunk)
		}
		return 16_000 * int64(at/time.Millisecond) / 1000
	}
	return answer{
		detail: "fine", listeners: 3,
		mounts: []director.MountReport{{Path: "/a", Listeners: 1}, {Path: "/b", Listeners: 2}},
		read:   map[string]int64{"/a": fed(time.Duration(s.stopped.Load())), "/b": fed(0)},
	}, nil
}

// TestSourceStandsStill: a mount whose source hangs is soon gone, whatever the pace at which the server tells; one that is fed never is.
func TestSourceStandsStill(t *testing.T) {
	for name, c := range map[string]struct {
		cfg    Config
		source *encoder
		in     time.Duration
	}{
		"every 5 s":         {Config{}, &encoder{refresh: 5 * time.Second}, 13 * time.Second},
		"at once":           {Config{}, &encoder{refresh: time.Millisecond}, 6 * time.Second},
		"in pieces of 10 s": {Config{}, &encoder{refresh: time.Second, chunk: 10 * time.Second}, 20 * time.Second},
		"seldom asked":      {Config{Interval: 20 * time.Second}, &encoder{refresh: 5 * time.Second}, 61 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.cfg, func(t *testing.T, f *fleet) {
				f.play(urlOf("a"), c.source.play)
				f.SetNodes([]director.Node{node("a")}, nil)
				<-f.First()
				mounts := func() (paths string) {
					for _, m := range f.report("a").Mounts {
						paths += m.Path
					}
					return paths
				}
				for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
					if got := mounts(); got != "/a/b" {
						t.Fatalf("mounts %s, while both are fed", got)
					}
				}
				stopped := time.Since(c.source.began)
				c.source.stopped.Store(int64(stopped))
				took := f.until(func(director.Report) bool { return mounts() == "/b" })
				t.Logf("gone after %v", took)
				if took > c.in {
					t.Errorf("gone after %v, want %v", took, c.in)
				}
				r := f.report("a")
				if !isUp(r) || r.Listeners != 3 || r.Detail != "fine; nothing comes in for /a, so it is taken as gone" {
					t.Errorf("report %+v", r)
				}
				time.Sleep(time.Minute)
				if got := mounts(); got != "/b" {
					t.Errorf("mounts %s a minute later", got)
				}
				c.source.stopped.Store(0)
				if took := f.until(func(director.Report) bool { return mounts() == "/a/b" }); took > c.source.refresh+c.source.chunk+f.cfg.Interval {
					t.Errorf("it is back after %v", took)
				}
				if got := strings.Count(f.log.String(), `msg="mount does not play" node=a mount=/a why="nothing comes in (`); got != 1 {
					t.Errorf("logged %d times:\n%s", got, f.log)
				}
			})
		})
	}
}

// TestUsualPace: a server that tells ever more seldom is no source that hangs.
func TestUsualPace(t *testing.T) {
	t.Parallel()
	for _, first := range []time.Duration{time.Millisecond, time.Second, 2 * time.Second} { // until the first change
		f, now, bytes, gap := new(flow), time.Unix(0, 0), int64(1), first
		for i := range 60 {
			for end := now.Add(gap); now.Before(end); now = now.Add(10 * time.Millisecond) {
				if f.note(bytes, now) {
					t.Fatalf("first change after %v: still in round %d, within %v", first, i, gap)
				}
			}
			bytes++
			gap = max(gap, 2*time.Second) * 105 / 100
		}
		if !f.note(bytes-1, now.Add(gap*2)) {
			t.Error("it does not stand still after twice the time")
		}
	}
}

// TestFrozenServer: the numbers of a server that has just come back are old.
func TestFrozenServer(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		e := &encoder{refresh: 5 * time.Second}
		f.play(urlOf("a"), e.play)
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		time.Sleep(63 * time.Second)
		frozen := time.Since(e.began)
		f.play(urlOf("a"), hangs)
		f.until(isDown)
		time.Sleep(10 * time.Second)
		e.stopped.Store(int64(frozen))
		f.play(urlOf("a"), e.play)
		f.until(isUp)
		e.stopped.Store(0)
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			if got := len(f.report("a").Mounts); got != 2 {
				t.Fatalf("%d mounts: %s", got, f.report("a").Detail)
			}
		}
	})
}

// TestSourceAfterFull: while a server is full it tells nothing, however long, and
// that says nothing about its usual pace.
func TestSourceAfterFull(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		e := &encoder{refresh: 5 * time.Second}
		f.play(urlOf("a"), e.play)
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		time.Sleep(time.Minute)
		f.play(urlOf("a"), isFull)
		time.Sleep(3 * time.Hour)
		f.play(urlOf("a"), e.play)
		time.Sleep(30 * time.Second)
		if r := f.report("a"); r.Full || len(r.Mounts) != 2 {
			t.Fatalf("it has room again: %+v", r)
		}
		e.stopped.Store(int64(time.Since(e.began)))
		took := f.until(func(r director.Report) bool { return len(r.Mounts) == 1 })
		if took > 13*time.Second {
			t.Errorf("gone after %v", took)
		}
	})
}

func TestBytesRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "465233": 465233, "": 0, "-1": 0, "1e9": 0, "unlimited": 0,
		"1844674407370955161": 0, "18446744073709551615": 0, fmt.Sprint(int64(maxBytes)): maxBytes, fmt.Sprint(int64(maxBytes) + 1): 0,
	} {
		if got := bytesRead(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
