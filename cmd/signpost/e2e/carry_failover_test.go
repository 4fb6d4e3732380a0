package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/web/proxy"
	"github.com/signpost-fm/signpost/web/proxy/audio"
)

// burst is what a listener has in reserve, in bytes.
const burst = 64 << 10

// One real server after another is taken away from under many listeners: nobody is
// cut off, titles come to the end, and a decoder finds nothing wrong at the joints.
func TestInlineFailover(t *testing.T) {
	t.Parallel()
	for format, mount := range map[string]probetest.Mount{
		"mp3": {Path: "/live.mp3", Kbit: 128},
		"aac": {Path: "/live.mp3", Kbit: 128, AAC: true},
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			options := make([]probetest.Options, 4)
			for i := range options {
				mount.Title = fmt.Sprintf("Title of n%d", i+1)
				options[i].Mounts = []probetest.Mount{mount}
			}
			nodes := probetest.Fleet(t, options...)
			s := direct(t, nodes, inline)
			a := gatherAudience(t, s, sized(60, 500))
			for _, take := range []func(*probetest.Node){
				(*probetest.Node).Kill,
				func(n *probetest.Node) { n.KillSource("/live.mp3") },
				(*probetest.Node).Stop,
			} {
				a.hearMore(32_000)
				before := a.state()
				from := before.Upstreams[0].Node
				take(nodes[from[1]-'1'])
				s.eventually(patience, "another node takes over", func() bool { return len(a.state().Failovers) > len(before.Failovers) })
			}
			a.hearMore(80_000)
			st := a.state()
			for _, f := range st.Failovers {
				gap := f.GapMs * 128 / 8
				t.Logf("%s -> %s: %s, %d ms or %d bytes without audio, %d listeners", f.From, f.To, f.Cause, f.GapMs, gap, f.Listeners)
				atMost(t, time.Second*burst*8/128_000, "audio again", time.Duration(f.GapMs)*time.Millisecond)
				if f.Listeners != len(a.all) {
					t.Errorf("%d of %d listeners went over", f.Listeners, len(a.all))
				}
			}
			if st.Listeners != len(a.all) {
				t.Errorf("%d of %d listeners are left: %v", st.Listeners, len(a.all), st.Ended)
			}
			a.leave()
			a.check(format, "Title of "+string(st.Upstreams[0].Node))
		})
	}
}

// What plays otherwise cannot take over: the listeners are let go at once, and find
// the other node when they come again.
func TestInlineFailoverBetweenEncodings(t *testing.T) {
	t.Parallel()
	nodes := probetest.Fleet(t,
		probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Kbit: 128}}},
		probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Kbit: 128, Rate: 48000}}})
	s := direct(t, nodes, inline)
	a := gatherAudience(t, s, 20)
	a.hearMore(burst)
	from := a.state().Upstreams[0].Node
	nodes[from[1]-'1'].Kill()
	took := s.eventually(patience, "all are let go", func() bool { return a.present() == 0 })
	t.Logf("let go after %v: %v", took.Round(time.Millisecond), a.state().Ended)
	atMost(t, 2*time.Second, "let go", took)
	again := gatherAudience(t, s, 1)
	again.hearMore(burst)
	if to := again.state().Upstreams[0].Node; to == from {
		t.Errorf("then they get %s again", to)
	}
}

// An audience is listeners who keep what they hear; every second one wants metadata.
type audience struct {
	t   *testing.T
	s   *signpost
	all []*recorder
	wg  sync.WaitGroup
}

// gatherAudience connects n listeners, who all get the same node: they are one Key.
func gatherAudience(t *testing.T, s *signpost, n int) *audience {
	t.Helper()
	a := &audience{t: t, s: s}
	for i := range n {
		r := &recorder{icy: i%2 == 0}
		fields := ""
		if r.icy {
			fields = "Icy-MetaData: 1\r\n"
		}
		r.conn = s.tuneIn(t, fields)
		a.all = append(a.all, r)
		a.wg.Go(r.record)
	}
	t.Cleanup(a.leave)
	return a
}

func (a *audience) state() proxy.StreamState {
	a.t.Helper()
	all := a.s.streams(a.t)
	if len(all) != 1 || len(all[0].Upstreams) == 0 && a.present() > 0 {
		a.t.Fatalf("carried: %+v", all)
	}
	return all[0]
}

// hearMore returns when everybody has heard so many bytes more.
func (a *audience) hearMore(n int) {
	a.t.Helper()
	before := make([]int, len(a.all))
	for i, r := range a.all {
		before[i] = r.len()
	}
	a.s.eventually(2*patience, fmt.Sprintf("everybody hears %d bytes more", n), func() bool {
		for i, r := range a.all {
			if r.len() < before[i]+n {
				return false
			}
		}
		return true
	})
}

// present is how many have not been let go.
func (a *audience) present() (n int) {
	for _, r := range a.all {
		r.mu.Lock()
		if !r.over {
			n++
		}
		r.mu.Unlock()
	}
	return n
}

func (a *audience) leave() {
	for _, r := range a.all {
		r.conn.Close()
	}
	a.wg.Wait()
}

// check looks through what everybody has heard.
func (a *audience) check(format, lastTitle string) {
	a.t.Helper()
	for i, r := range a.all {
		sound, titles := r.stream(a.t)
		frames, junk := framesOf(format, sound)
		if junk > 0 || frames < 400 {
			a.t.Errorf("listener %d: %d frames, %d bytes in none", i, frames, junk)
		}
		if r.icy && (len(titles) == 0 || !strings.Contains(titles[len(titles)-1], lastTitle)) {
			a.t.Errorf("listener %d: titles %q, want %q in the end", i, titles, lastTitle)
		}
		if i < 4 { // they are alike
			if said := decode(a.t, format, sound); said != "" {
				a.t.Errorf("listener %d: ffmpeg says %s", i, said)
			}
		}
	}
}

// framesOf counts frames, and bytes that are in none, but for one that is cut off.
func framesOf(format string, sound []byte) (frames, junk int) {
	in := 0
	audio.NewSplitter("audio/"+format).Write(sound, func(u audio.Unit) {
		frames++
		in += len(u.Data)
	})
	if rest := len(sound) - in; rest > 1500 {
		junk = rest
	}
	return frames, junk
}

// decode returns what ffmpeg has to complain about.
func decode(t *testing.T, format string, sound []byte) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "warning", "-f", format, "-i", "-", "-f", "null", "-")
	frames, _ := framesOf(format, sound)
	cmd.Stdin = bytes.NewReader(wholeFrames(format, sound))
	said, err := cmd.CombinedOutput()
	if err != nil || frames == 0 {
		return fmt.Sprintf("%v: %s", err, said)
	}
	var lines []string
	for line := range strings.SplitSeq(string(said), "\n") {
		if line != "" && !strings.Contains(line, "Estimating duration from bitrate") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// wholeFrames leaves out what the listener got of a last frame.
func wholeFrames(format string, sound []byte) (whole []byte) {
	audio.NewSplitter("audio/"+format).Write(sound, func(u audio.Unit) { whole = append(whole, u.Data...) })
	return whole
}

// recorder is one listener.
type recorder struct {
	conn *net.TCPConn
	icy  bool
	mu   sync.Mutex
	got  []byte
	over bool
}

func (r *recorder) record() {
	_, _ = io.Copy(r, r.conn)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, p...)
	return len(p), nil
}

func (r *recorder) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// stream takes the answer's head and the metadata out.
func (r *recorder) stream(t *testing.T) (sound []byte, titles []string) {
	t.Helper()
	head, got, ok := bytes.Cut(r.got, []byte("\r\n\r\n"))
	if !ok || !bytes.HasPrefix(head, []byte("HTTP/1.0 200 ")) {
		t.Errorf("the answer begins with %q", head)
	}
	if !r.icy {
		return got, nil
	}
	const metaint = 16000
	if !bytes.Contains(head, []byte("\r\nicy-metaint:16000")) {
		t.Errorf("no metaint in %q", head)
	}
	err := audio.NewDeinterleaver(metaint).Write(got, func(b []byte) { sound = append(sound, b...) }, func(b []byte) { titles = append(titles, string(b)) })
	if err != nil {
		t.Errorf("metadata: %v", err)
	}
	return sound, titles
}
