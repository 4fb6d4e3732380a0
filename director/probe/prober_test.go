package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

// fakeKind plays all servers of a test: each answers, fails or hangs as it is
// told to, by its URL.
type fakeKind struct {
	mu    sync.Mutex
	plays map[string]func(context.Context) (answer, error)
	asked map[string][]time.Time
	now   int // probes under way
	most  int
}

func (k *fakeKind) ask(ctx context.Context, t target) (answer, error) {
	k.mu.Lock()
	k.now++
	k.most = max(k.most, k.now)
	k.asked[t.base] = append(k.asked[t.base], time.Now())
	play := k.plays[t.base]
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.now--
		k.mu.Unlock()
	}()
	if play == nil {
		play = good
	}
	return play(ctx)
}

func (k *fakeKind) play(url string, play func(context.Context) (answer, error)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.plays[url] = play
}

func (k *fakeKind) times(url string) []time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]time.Time(nil), k.asked[url]...)
}

// peak is how many probes were under way at once, at most.
func (k *fakeKind) peak() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.most
}

func good(context.Context) (answer, error) {
	return answer{detail: "fine", listeners: 10, mounts: []director.MountReport{{Path: "/a", Listeners: 10}}}, nil
}

func refuses(context.Context) (answer, error) { return answer{}, errors.New("refused") }

func hangs(ctx context.Context) (answer, error) {
	<-ctx.Done()
	return answer{}, errors.New("no answer")
}

func isFull(context.Context) (answer, error) { return answer{full: true, detail: "no room"}, nil }

// after lets an answer take its time.
func after(d time.Duration, play func(context.Context) (answer, error)) func(context.Context) (answer, error) {
	return func(ctx context.Context) (answer, error) {
		select {
		case <-time.After(d):
			return play(ctx)
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
	}
}

func node(id string) director.Node {
	return director.Node{ID: director.NodeID(id), URLs: []string{"http://127.0.0.1/" + id}}
}

func urlOf(id string) string { return node(id).URLs[0] }

// fleet is a running Prober within a bubble, over a fakeKind.
type fleet struct {
	*Prober
	*fakeKind
	*ears
	t   *testing.T
	log *bytes.Buffer
}

func inBubble(t *testing.T, c Config, test func(t *testing.T, f *fleet)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{
			fakeKind: &fakeKind{plays: map[string]func(context.Context) (answer, error){}, asked: map[string][]time.Time{}},
			ears:     &ears{hears: map[string]tried{}, heard: map[string][]time.Time{}, now: map[string]int{}, most: map[string]int{}},
			t:        t,
			log:      &bytes.Buffer{},
		}
		c.Log = slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		f.Prober = New(c)
		f.kinds = map[string]kind{"": f.fakeKind}
		f.Prober.try = f.ears.try
		f.Prober.tryWay = func(context.Context, target, string) (tried, time.Time) { return plays, time.Time{} }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		test(t, f)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// report returns the report of a node that has one.
func (f *fleet) report(id string) director.Report {
	f.t.Helper()
	synctest.Wait()
	for _, r := range f.Reports() {
		if r.Node == director.NodeID(id) {
			return r
		}
	}
	f.t.Fatalf("no report of %s", id)
	return director.Report{}
}

// until returns how long it takes for ok to hold, to 10 ms.
func (f *fleet) until(ok func(director.Report) bool) time.Duration {
	f.t.Helper()
	begun := time.Now()
	for !ok(f.report("a")) {
		if time.Since(begun) > time.Minute {
			f.t.Fatalf("never: %+v", f.report("a"))
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begun)
}

func isUp(r director.Report) bool   { return r.Health == director.Up }
func isDown(r director.Report) bool { return r.Health == director.Failed }

func TestFirstAnswerIsUp(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		begun := time.Now()
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		want := director.Report{
			Node: "a", Taken: begun, Since: begun, Health: director.Up, Detail: "fine", IPv4: true,
			Listeners: 10, Mounts: []director.MountReport{{Path: "/a", Listeners: 10}},
		}
		if d := cmp.Diff(want, f.report("a")); d != "" {
			t.Error(d)
		}
		time.Sleep(time.Hour)
		if got := f.report("a"); !got.Since.Equal(begun) || !got.Returned.IsZero() || time.Since(got.Taken) > 2*time.Second {
			t.Errorf("after an hour: %+v", got)
		}
		if got, want := f.log.String(), "level=INFO msg=\"node is up\" node=a detail=fine was=unknown\n"; got != want {
			t.Errorf("log:\n%s", got)
		}
	})
}

func TestFirstFailureIsNotDown(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.play(urlOf("a"), refuses)
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		if r := f.report("a"); r.Health != director.HealthUnknown || r.Detail != "refused (1 in a row)" || r.Listeners != -1 {
			t.Errorf("after one failure: %+v", r)
		}
		if took := f.until(isDown); took > 600*time.Millisecond {
			t.Errorf("down after %v", took)
		}
		f.play(urlOf("a"), good)
		f.until(isUp)
		if r := f.report("a"); r.Returned.IsZero() {
			t.Error("a node that was down has come back, and Returned is not set")
		}
	})
}

func TestDetection(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		dies func(context.Context) (answer, error)
		in   time.Duration
	}{
		"refuses":          {Config{}, refuses, 2510 * time.Millisecond},
		"hangs":            {Config{}, hangs, 5010 * time.Millisecond},
		"three to go":      {Config{Fall: 3}, hangs, 6010 * time.Millisecond},
		"at the first":     {Config{Fall: 1}, hangs, 4010 * time.Millisecond},
		"other intervals":  {Config{Interval: time.Second, Timeout: 500 * time.Millisecond, Recheck: 100 * time.Millisecond}, hangs, 1760 * time.Millisecond},
		"answers too late": {Config{}, after(3*time.Second, good), 5010 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.cfg, func(t *testing.T, f *fleet) {
				f.SetNodes([]director.Node{node("a")}, nil)
				<-f.First()
				for range 20 { // at the worst moment, which is just after an answer
					asked := len(f.times(urlOf("a")))
					for len(f.times(urlOf("a"))) == asked {
						time.Sleep(10 * time.Millisecond)
					}
					synctest.Wait()
					f.play(urlOf("a"), c.dies)
					took := f.until(isDown)
					if took > c.in || took > f.cfg.Detection()+10*time.Millisecond {
						t.Errorf("down after %v, want %v at most, Detection %v", took, c.in, f.cfg.Detection())
					}
					f.play(urlOf("a"), good)
					f.until(isUp)
				}
			})
		})
	}
}

func TestOneFailureChangesNothing(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		before := f.report("a")
		f.play(urlOf("a"), refuses)
		f.until(func(r director.Report) bool { return strings.Contains(r.Detail, "in a row") })
		during := f.report("a")
		f.play(urlOf("a"), good)
		if d := cmp.Diff(before.Mounts, during.Mounts); d != "" || !during.Taken.Equal(before.Taken) || during.Listeners != 10 || !isUp(during) {
			t.Errorf("one failure changed what was measured: %+v", during)
		}
		f.until(func(r director.Report) bool { return r.Detail == "fine" })
		if r := f.report("a"); !r.Since.Equal(before.Since) || !r.Returned.IsZero() {
			t.Errorf("after one failure: %+v", r)
		}
		if got := strings.Count(f.log.String(), "\n"); got != 1 {
			t.Errorf("log:\n%s", f.log)
		}
	})
}

func TestDownAndUpAgain(t *testing.T) {
	inBubble(t, Config{Rise: 3}, func(t *testing.T, f *fleet) {
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		f.play(urlOf("a"), refuses)
		f.until(isDown)
		time.Sleep(time.Minute)
		down := f.report("a")
		if down.Listeners != -1 || len(down.Mounts) != 1 || time.Since(down.Taken) > 3*time.Second {
			t.Errorf("a node that is down: %+v", down)
		}
		if !strings.HasPrefix(down.Detail, "refused (3") || !strings.HasSuffix(down.Detail, " in a row)") {
			t.Errorf("detail %q", down.Detail)
		}

		f.play(urlOf("a"), good)
		f.until(func(r director.Report) bool { return strings.Contains(r.Detail, "up again") })
		if r := f.report("a"); !isDown(r) || r.Detail != "fine (1 in a row, up again with 3)" {
			t.Errorf("after one good answer of three: %+v", r)
		}
		if took := f.until(isUp); took > 1100*time.Millisecond {
			t.Errorf("the other two took %v", took)
		}
		up := f.report("a")
		if !up.Returned.Equal(up.Since) || !up.Since.After(down.Since) || up.Listeners != 10 {
			t.Errorf("back: %+v", up)
		}
		lines := strings.Split(strings.TrimSpace(f.log.String()), "\n")
		if len(lines) != 3 ||
			!strings.HasPrefix(lines[1], `level=WARN msg="node is down" node=a detail="refused (2 in a row)" was=up for=2`) ||
			!strings.HasPrefix(lines[2], `level=INFO msg="node is up" node=a detail=fine was=down for=1m`) {
			t.Errorf("log:\n%s", f.log)
		}
	})
}

func TestAlternatingIsNeitherDownNorUp(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		n := 0
		alternate := func(ctx context.Context) (answer, error) {
			if n++; n%2 == 0 {
				return refuses(ctx)
			}
			return good(ctx)
		}
		f.play(urlOf("a"), alternate)
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		since := f.report("a").Since
		time.Sleep(time.Minute)
		if r := f.report("a"); !isUp(r) || !r.Since.Equal(since) {
			t.Errorf("every second probe fails, and it was up: %+v", r)
		}
		f.play(urlOf("a"), refuses)
		f.until(isDown)
		since = f.report("a").Since
		f.play(urlOf("a"), alternate)
		time.Sleep(time.Minute)
		if r := f.report("a"); !isDown(r) || !r.Since.Equal(since) {
			t.Errorf("every second probe fails, and it was down: %+v", r)
		}
	})
}

func TestFullIsUp(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		f.play(urlOf("a"), isFull)
		f.until(func(r director.Report) bool { return r.Full })
		time.Sleep(time.Minute)
		if r := f.report("a"); !isUp(r) || len(r.Mounts) != 1 || r.Listeners != 10 || r.Detail != "no room" || time.Since(r.Taken) > 2*time.Second {
			t.Errorf("full: %+v", r)
		}
		f.play(urlOf("a"), good)
		f.until(func(r director.Report) bool { return !r.Full })
		if got := f.log.String(); !strings.Contains(got, "node is full") || !strings.Contains(got, "has room again") || strings.Count(got, "\n") != 3 {
			t.Errorf("log:\n%s", got)
		}
		f.play(urlOf("a"), isFull)
		f.until(func(r director.Report) bool { return r.Full })
		f.play(urlOf("a"), refuses)
		f.until(isDown)
		if r := f.report("a"); r.Full {
			t.Errorf("down and full: %+v", r)
		}
	})
}

func TestWarningIsLoggedOnce(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.play(urlOf("a"), func(context.Context) (answer, error) {
			return answer{detail: "fine", warning: complaint{"half of it", "give it all"}}, nil
		})
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := f.log.String(); strings.Count(got, "half of it") != 1 {
			t.Errorf("log:\n%s", got)
		}
	})
}

func TestSetNodes(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.SetNodes([]director.Node{node("a"), node("b")}, nil)
		<-f.First()
		before := f.report("a")
		time.Sleep(10 * time.Second)

		moved := node("b")
		moved.URLs = []string{"http://127.0.0.2/b"}
		f.play(moved.URLs[0], refuses)
		stays := node("a")
		stays.Drained = true
		f.play(urlOf("c"), after(time.Second, good))
		f.SetNodes([]director.Node{node("c"), moved, stays}, nil)
		if r := f.report("a"); !r.Since.Equal(before.Since) {
			t.Errorf("a node that stays has lost its state: %+v", r)
		}
		if r := f.report("b"); r.Health != director.HealthUnknown {
			t.Errorf("a node with another URL has kept its state: %+v", r)
		}
		if got := f.Reports(); len(got) != 2 {
			t.Errorf("a node that was not probed yet has a report: %+v", got)
		}
		time.Sleep(time.Second)
		if r := f.report("c"); !isUp(r) || f.Reports()[0].Node != "c" {
			t.Errorf("a new node is not asked at once, or reports are out of order: %+v", r)
		}

		asked := len(f.times(urlOf("b")))
		f.SetNodes(nil, nil)
		time.Sleep(time.Minute)
		if got := f.Reports(); len(got) != 0 || len(f.times(urlOf("b"))) != asked {
			t.Errorf("nodes that were removed are still known or asked: %+v", got)
		}
	})
}

func TestRemovedWhileAsked(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		f.play(urlOf("a"), after(time.Second, refuses))
		f.SetNodes([]director.Node{node("a")}, nil)
		synctest.Wait()
		f.SetNodes([]director.Node{node("b")}, nil)
		f.play(urlOf("a"), good)
		f.SetNodes([]director.Node{node("a"), node("b")}, nil)
		time.Sleep(5 * time.Second)
		if r := f.report("a"); !isUp(r) || r.Detail != "fine" || len(f.times(urlOf("a"))) > 5 {
			t.Errorf("asked %d times, %+v", len(f.times(urlOf("a"))), r)
		}
	})
}

func TestFirst(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		closed := func() bool {
			synctest.Wait()
			select {
			case <-f.First():
				return true
			default:
				return false
			}
		}
		if closed() {
			t.Error("closed before SetNodes")
		}
		f.play(urlOf("b"), hangs)
		f.SetNodes([]director.Node{node("a"), node("b")}, nil)
		time.Sleep(1900 * time.Millisecond)
		if closed() {
			t.Error("closed before the second node was probed")
		}
		time.Sleep(200 * time.Millisecond)
		if !closed() {
			t.Error("not closed, though each node was probed")
		}
		f.SetNodes([]director.Node{node("c")}, nil)
	})
}

// TestManyNodes has more of them than may be asked at once, some of which hang: each is
// asked at its pace all the same.
func TestManyNodes(t *testing.T) {
	inBubble(t, Config{InFlight: 32}, func(t *testing.T, f *fleet) {
		var nodes []director.Node
		for i := range 300 {
			n := node(fmt.Sprint(i))
			nodes = append(nodes, n)
			if i%15 == 0 { // 20 nodes hang
				f.play(n.URLs[0], hangs)
			} else {
				f.play(n.URLs[0], after(20*time.Millisecond, good))
			}
		}
		f.SetNodes(nodes, nil)
		<-f.First()
		const span = 20 * time.Second
		begun := time.Now()
		time.Sleep(span)
		synctest.Wait()
		if got := f.peak(); got > 32 {
			t.Errorf("%d probes at once", got)
		}
		for i, n := range nodes {
			var last time.Time
			count := 0
			for _, at := range f.times(n.URLs[0]) {
				if at.Before(begun) {
					continue
				}
				if gap := at.Sub(last); count > 0 && i%15 != 0 && (gap < 1800*time.Millisecond || gap > 2100*time.Millisecond) {
					t.Fatalf("node %d was asked %v after the last time", i, gap)
				}
				last = at
				count++
			}
			if i%15 != 0 && (count < 9 || count > 12) {
				t.Fatalf("node %d was asked %d times in %v", i, count, span)
			}
		}
		up := 0
		for _, r := range f.Reports() {
			if isUp(r) {
				up++
			}
		}
		if up != 280 {
			t.Errorf("%d nodes are up, want 280", up)
		}
	})
}

func TestOneProbeAtATime(t *testing.T) {
	inBubble(t, Config{Interval: 100 * time.Millisecond, Timeout: 10 * time.Second}, func(t *testing.T, f *fleet) {
		f.play(urlOf("a"), after(3*time.Second, good))
		f.SetNodes([]director.Node{node("a")}, nil)
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			f.SetNodes([]director.Node{node("a")}, nil)
		}
		if got := f.peak(); got != 1 {
			t.Errorf("%d probes of one node at once", got)
		}
	})
}

func TestStoreClock(t *testing.T) {
	ahead := 10 * time.Minute
	inBubble(t, Config{Now: func() time.Time { return time.Now().Add(ahead) }}, func(t *testing.T, f *fleet) {
		f.play(urlOf("a"), after(time.Second, good))
		begun := time.Now()
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		// The numbers are at least as new as the question.
		if r := f.report("a"); !r.Taken.Equal(begun.Add(ahead)) {
			t.Errorf("taken %v after the question", r.Taken.Sub(begun.Add(ahead)))
		}
	})
}

func TestFamilies(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		var mu sync.Mutex
		hosts := map[string][]netip.Addr{
			"both.example": {netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
			"six.example":  {netip.MustParseAddr("2001:db8::1")},
			"four.example": {netip.MustParseAddr("::ffff:192.0.2.1")},
		}
		lookups := 0
		f.lookup = func(ctx context.Context, _, host string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			lookups++
			if a, ok := hosts[host]; ok {
				return a, nil
			}
			mu.Unlock()
			<-ctx.Done() // a resolver that hangs
			mu.Lock()
			return nil, ctx.Err()
		}
		cases := []struct {
			urls   []string
			v4, v6 bool
		}{
			{[]string{"http://both.example:8000"}, true, true},
			{[]string{"http://six.example:8000"}, false, true},
			{[]string{"http://four.example:8000"}, true, false},
			{[]string{"http://both.example", "https://four.example"}, true, false},
			{[]string{"http://192.0.2.1:8000"}, true, false},
			{[]string{"http://[2001:db8::1]:8000"}, false, true},
			{[]string{"http://none.example"}, false, false},
		}
		var nodes []director.Node
		for i, c := range cases {
			nodes = append(nodes, director.Node{ID: director.NodeID(fmt.Sprint(i)), URLs: c.urls})
		}
		f.SetNodes(nodes, nil)
		<-f.First()
		check := func() {
			t.Helper()
			for i, c := range cases {
				if r := f.report(fmt.Sprint(i)); r.IPv4 != c.v4 || r.IPv6 != c.v6 || !isUp(r) {
					t.Errorf("%q: IPv4 %t, IPv6 %t, %s", c.urls, r.IPv4, r.IPv6, r.Health)
				}
			}
		}
		check()

		f.SetNodes(nodes[:6], nil) // without the host that is not found
		cases = cases[:6]
		mu.Lock()
		lookups = 0
		mu.Unlock()
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		mu.Lock()
		if lookups != 0 {
			t.Errorf("%d lookups in 9 minutes", lookups)
		}
		hosts["six.example"] = hosts["both.example"]
		delete(hosts, "four.example")
		mu.Unlock()
		cases[1].v4 = true
		time.Sleep(2 * time.Minute)
		check() // and what cannot be found any more stays
	})
}

// TestOutOfDescriptors: a probe that could not even open a socket says nothing about
// the node.
func TestOutOfDescriptors(t *testing.T) {
	inBubble(t, Config{Interval: time.Second}, func(t *testing.T, f *fleet) {
		f.SetNodes([]director.Node{node("a")}, nil)
		<-f.First()
		before := f.report("a")
		f.play(urlOf("a"), func(context.Context) (answer, error) {
			return answer{}, fmt.Errorf("GET /: %w", os.NewSyscallError("socket", syscall.EMFILE))
		})
		time.Sleep(time.Minute)
		if d := cmp.Diff(before, f.report("a")); d != "" {
			t.Errorf("the report changed:\n%s", d)
		}
		if !strings.Contains(f.log.String(), "no file descriptor left") {
			t.Errorf("the log does not tell:\n%s", f.log)
		}
		f.play(urlOf("a"), refuses)
		f.until(isDown)
	})
}
