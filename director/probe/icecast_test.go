//go:build unix

package probe_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// patience is how long a test waits for what must happen, on a busy machine.
const patience = 2 * time.Minute

// brisk is a Config for tests that wait for several changes.
var brisk = probe.Config{Interval: 250 * time.Millisecond, Timeout: 1500 * time.Millisecond, Recheck: 100 * time.Millisecond}

// patiently is one for tests in which the server is well, though perhaps slow. A full
// Icecast may not answer a connection at all: then the next question is due.
var patiently = probe.Config{Interval: 250 * time.Millisecond, Timeout: patience / 8, Recheck: 100 * time.Millisecond}

// watcher is a Prober that watches one real server, by /admin/stats or by the
// public page.
type watcher struct {
	*probe.Prober
	t   *testing.T
	cfg probe.Config
}

func watch(t *testing.T, n *probetest.Node, c probe.Config, admin bool) watcher {
	t.Helper()
	if admin {
		user, password := n.Credentials()
		c.Credentials = func(director.NodeID) (string, string, bool) { return user, password, true }
	}
	p := probe.New(c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	p.SetNodes([]director.Node{{ID: "n", URLs: []string{n.URL()}}}, nil)
	<-p.First()
	return watcher{p, t, c}
}

// until polls for ok and returns how long it took to hold.
func (w watcher) until(what string, within time.Duration, ok func(director.Report) bool) time.Duration {
	w.t.Helper()
	begun := time.Now()
	for {
		r := w.Reports()[0]
		took := time.Since(begun)
		if ok(r) {
			return took
		}
		if took > within {
			w.t.Fatalf("not %s within %v: %+v", what, within, r)
		}
		time.Sleep(5 * time.Millisecond) // between polls
	}
}

func (w watcher) goesDown() {
	w.t.Helper()
	took := w.until("down", w.cfg.Detection()+patience, func(r director.Report) bool { return r.Health == director.Failed })
	w.t.Logf("down after %v: %s", took.Round(time.Millisecond), w.Reports()[0].Detail)
}

func (w watcher) comesBack() {
	w.t.Helper()
	before := time.Now()
	w.until("up", patience, func(r director.Report) bool { return r.Health == director.Up })
	if r := w.Reports()[0]; r.Returned.Before(before.Add(-10*time.Second)) || !r.Returned.Equal(r.Since) {
		w.t.Errorf("back: %+v", r)
	}
}

func paths(r director.Report) (out []string) {
	for _, m := range r.Mounts {
		out = append(out, m.Path)
	}
	return out
}

func carries(want ...string) func(director.Report) bool {
	return func(r director.Report) bool { return slices.Equal(paths(r), want) }
}

// causes says whether a path has such a verdict.
func causes(path string, state director.MountState, cause director.Cause) func(director.Report) bool {
	return func(r director.Report) bool {
		return slices.ContainsFunc(r.Verdicts, func(v director.Verdict) bool {
			return v.Path == path && v.State == state && v.Cause == cause
		})
	}
}

// listener is somebody who listens, and counts the bytes.
type listener struct {
	io.Closer
	bytes atomic.Int64
}

func (l *listener) Write(b []byte) (int, error) {
	l.bytes.Add(int64(len(b)))
	return len(b), nil
}

// listen tunes in, or says why it cannot.
func listen(t *testing.T, n *probetest.Node, mount string) (*listener, error) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL(), "http://"))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "GET "+mount+" HTTP/1.0\r\n\r\n")
	in := bufio.NewReader(conn)
	status, err := in.ReadString('\n')
	if err == nil && !strings.Contains(status, " 200 ") {
		err = errors.New(status)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	l := &listener{Closer: conn}
	go func() { _, _ = io.Copy(l, in) }()
	return l, nil
}

func TestMountsOfIcecast(t *testing.T) {
	t.Parallel()
	n := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.5", Mounts: []probetest.Mount{
		{Path: "/live.mp3", Title: "-", Fallback: "/spare.mp3", MaxListeners: 50},
		{Path: "/spare.mp3"},
		{Path: "/secret.mp3", Hidden: true},
	}})
	for _, admin := range []bool{true, false} {
		name := map[bool]string{true: "admin", false: "public"}[admin]
		w := watch(t, n, patiently, admin)
		all := []string{"/live.mp3", "/secret.mp3", "/spare.mp3"}
		if !admin {
			all = []string{"/live.mp3", "/spare.mp3"}
		}
		r := w.Reports()[0]
		if r.Health != director.Up || !r.Returned.IsZero() || r.Server != "Icecast 2.4.4" || !r.IPv4 || r.IPv6 || !carries(all...)(r) {
			t.Fatalf("%s: at first: %+v", name, r)
		}
		live := r.Mounts[0]
		if live.Type != "audio/mpeg" || live.Title != "-" || live.Name != "Signpost test /live.mp3" || live.Listeners != 0 {
			t.Errorf("%s: %+v", name, live)
		}
		if admin && live.Limit != 50 {
			t.Errorf("limit %d, want 50", live.Limit)
		}

		listener, err := listen(t, n, "/live.mp3")
		if err != nil {
			t.Fatal(err)
		}
		took := w.until("one listener", patience, func(r director.Report) bool { return r.Listeners == 1 && r.Mounts[0].Listeners == 1 })
		t.Logf("%s: a listener shows after %v", name, took.Round(time.Millisecond))

		// The listener goes on with the fallback, and so does whoever comes: the mount
		// keeps an entry in the statistics, without a source.
		n.KillSource("/live.mp3")
		took = w.until("playing the fallback", patience, causes("/live.mp3", director.MountPlays, director.PlaysFallback))
		t.Logf("%s: the fallback is known after %v", name, took.Round(time.Millisecond))
		heard := listener.bytes.Load()
		for begun := time.Now(); time.Since(begun) < 1500*time.Millisecond; time.Sleep(50 * time.Millisecond) {
			if r := w.Reports()[0]; !carries(all...)(r) {
				t.Fatalf("%s: a mount whose fallback plays is gone: %+v", name, r)
			}
		}
		w.until("heard over the fallback", patience, func(director.Report) bool { return listener.bytes.Load() > heard })
		listener.Close()
		n.KillSource("/spare.mp3")
		took = w.until("without both", patience, carries(all[1:len(all)-1]...))
		t.Logf("%s: without its fallback it is gone after %v", name, took.Round(time.Millisecond))
		n.StartSource("/spare.mp3")
		n.StartSource("/live.mp3")
		w.until("with all", patience, func(r director.Report) bool { return carries(all...)(r) && r.Listeners == 0 })
	}
}

func TestLifeOfIcecast(t *testing.T) {
	t.Parallel()
	n := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.6", Mounts: []probetest.Mount{{Path: "/live.mp3"}}})
	w := watch(t, n, brisk, true)
	n.Kill()
	w.goesDown()
	if r := w.Reports()[0]; !carries("/live.mp3")(r) || r.Listeners != -1 {
		t.Errorf("dead: %+v", r)
	}
	n.Restart()
	w.comesBack()
	n.Stop()
	w.goesDown()
	n.Cont()
	w.comesBack()
}

func TestDetectionByDefault(t *testing.T) {
	t.Parallel()
	n := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.7"})
	w := watch(t, n, probe.Config{}, false)
	w.until("up", patience, func(r director.Report) bool { return r.Health == director.Up })
	n.Kill()
	w.goesDown()
}

func TestFullIcecast(t *testing.T) {
	t.Parallel()
	n := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.8", MaxClients: 5, Mounts: []probetest.Mount{{Path: "/live.mp3"}}})
	w := watch(t, n, patiently, true)
	var listeners []io.Closer
	// A probe may take the last place just then, so more than one may be refused.
	for deadline := time.Now().Add(patience); !w.Reports()[0].Full; {
		if l, err := listen(t, n, "/live.mp3"); err == nil {
			listeners = append(listeners, l)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d listeners, and not full: %+v", len(listeners), w.Reports()[0])
		}
		time.Sleep(20 * time.Millisecond) // between polls
	}
	for begun := time.Now(); time.Since(begun) < 2*time.Second; time.Sleep(20 * time.Millisecond) {
		if r := w.Reports()[0]; r.Health != director.Up || !r.Full || !carries("/live.mp3")(r) {
			t.Fatalf("while full: %+v", r)
		}
	}
	t.Log(w.Reports()[0].Detail)
	for _, l := range listeners {
		l.Close()
	}
	w.until("with room", patience, func(r director.Report) bool { return !r.Full && r.Listeners == 0 })
	if r := w.Reports()[0]; !r.Returned.IsZero() {
		t.Errorf("being full counts as having been down: %+v", r)
	}
}

// TestSourceHangs: Icecast goes on listing a mount whose source has frozen.
func TestSourceHangs(t *testing.T) {
	t.Parallel()
	if os.Getenv("SIGNPOST_SOAK") == "" {
		t.Skip("SIGNPOST_SOAK=1 runs it: Icecast counts bytes every 5 s")
	}
	n := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.10", Mounts: []probetest.Mount{{Path: "/fed.mp3"}, {Path: "/frozen.mp3"}}})
	w := watch(t, n, probe.Config{}, true)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if r := w.Reports()[0]; len(r.Mounts) != 2 {
			t.Fatalf("both are fed: %s", r.Detail)
		}
	}
	n.StopSource("/frozen.mp3")
	took := w.until("without it", patience, carries("/fed.mp3"))
	t.Logf("gone after %v: %s", took.Round(time.Millisecond), w.Reports()[0].Detail)
	n.ContSource("/frozen.mp3")
	took = w.until("with it", patience, carries("/fed.mp3", "/frozen.mp3"))
	t.Logf("back after %v", took.Round(time.Millisecond))
}
