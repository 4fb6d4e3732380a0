package probe

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// page is a server's statistics, which a test changes.
type page struct {
	mu                           sync.Mutex
	listed, sourceless, onDemand []string
	listeners, peak              int
}

func (p *page) play(context.Context) (answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := answer{detail: "fine", sourceless: p.sourceless, onDemand: p.onDemand, listeners: p.listeners}
	for _, path := range slices.Sorted(slices.Values(slices.Concat(p.listed, p.sourceless))) {
		a.mounts = append(a.mounts, director.MountReport{Path: path, Listeners: p.listeners, Peak: p.peak, Type: "audio/mpeg"})
	}
	if p.peak > 0 {
		a.untold = p.listed
	}
	return a, nil
}

// tell makes it say something else: whole mounts, those without a source, and relays on
// demand among them.
func (p *page) tell(listed, sourceless, onDemand string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listed, p.sourceless, p.onDemand = strings.Fields(listed), strings.Fields(sourceless), strings.Fields(onDemand)
}

func (p *page) count(listeners, peak int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listeners, p.peak = listeners, peak
}

// inDoubt runs a node "a" with the mount /m over a page that a test changes.
func inDoubt(t *testing.T, c Config, test func(f *fleet, p *page)) {
	inBubble(t, c, func(_ *testing.T, f *fleet) {
		p := &page{listed: []string{"/m"}}
		f.play(urlOf("a"), p.play)
		f.SetNodes([]director.Node{node("a")}, []director.Mount{{Name: "/m"}})
		<-f.First()
		time.Sleep(10 * time.Second)
		test(f, p)
	})
}

// verdict returns what is held of a mount: by a verdict, or because it is listed.
func verdict(r director.Report, path string) string {
	for _, v := range r.Verdicts {
		if v.Path == path && v.Scheme == 0 {
			return strings.TrimSuffix(fmt.Sprintf("%v: %s", v.State, v.Cause), ": ")
		}
	}
	if slices.Contains(pathsOf(r), path) || r.AnyMount {
		return "plays"
	}
	return "not listed"
}

func (f *fleet) becomes(want string, within time.Duration) {
	f.t.Helper()
	begun := time.Now()
	for {
		got := verdict(f.report("a"), "/m")
		if got == want {
			return
		}
		if time.Since(begun) > within {
			f.t.Fatalf("it is %q after %v, want %q\n%s", got, within, want, f.log)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (f *fleet) stays(want string, during time.Duration) {
	f.t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if got := verdict(f.report("a"), "/m"); got != want {
			f.t.Fatalf("it is %q, want %q\n%s", got, want, f.log)
		}
	}
}

// TestListenersDecide: what statistics say is a doubt, and what a listener's own GET gets
// is the verdict.
func TestListenersDecide(t *testing.T) {
	const gone, fallback, waits = "does_not_play: source gone", "plays: plays without a source of its own", "plays: relay on demand"
	t.Run("its source goes", func(t *testing.T) {
		inDoubt(t, Config{}, func(f *fleet, p *page) {
			p.tell("", "", "")
			f.becomes(gone, 2*time.Second+time.Millisecond)
			p.tell("/m", "", "")
			f.becomes("plays", 2*time.Second+time.Millisecond)
		})
	})
	t.Run("its fallback plays, until that goes", func(t *testing.T) {
		inDoubt(t, Config{}, func(f *fleet, p *page) {
			f.hear("/m", plays)
			p.tell("", "/m", "")
			f.becomes(fallback, 2*time.Second+time.Millisecond)
			f.stays(fallback, 5*time.Minute)
			if n := len(f.triedAt(urlOf("a") + "/m")); n < 5 || n > 6 {
				t.Errorf("asked for %d times in five minutes", n)
			}
			f.hear("/m", nobody)
			f.becomes(gone, tryEvery+2*time.Second)
			f.hear("/m", plays)
			f.becomes(fallback, tryEvery+2*time.Second)
			p.tell("", "", "") // and so does its entry: the statistics' word counts until there may be another GET
			f.hear("/m", nobody)
			f.becomes(gone, tryGrace+4*time.Second)
		})
	})
	t.Run("a relay on demand", func(t *testing.T) {
		inDoubt(t, Config{}, func(f *fleet, p *page) {
			f.hear("/m", plays)
			p.tell("", "/m", "/m")
			f.becomes(waits, 2*time.Second+time.Millisecond)
			f.stays(waits, time.Hour)
			if n := len(f.triedAt(urlOf("a") + "/m")); n != 1 {
				t.Errorf("it was started %d times in an hour", n)
			}
			f.Doubt("a", "/m", "listeners came back")
			time.Sleep(3 * time.Second)
			if n := len(f.triedAt(urlOf("a") + "/m")); n != 2 {
				t.Errorf("it was asked for %d times, want once more because of the doubt", n)
			}
			f.hear("/m", nobody)
			time.Sleep(time.Minute)
			f.Doubt("a", "/m", "listeners came back")
			f.becomes(gone, 2*time.Second)
		})
	})
	t.Run("a relay on demand whose master comes late", func(t *testing.T) {
		inBubble(t, Config{}, func(_ *testing.T, f *fleet) {
			p := &page{sourceless: []string{"/m"}, onDemand: []string{"/m"}}
			f.play(urlOf("a"), p.play)
			f.SetNodes([]director.Node{node("a")}, []director.Mount{{Name: "/m"}})
			<-f.First()
			f.becomes("does_not_play: not there", time.Second)
			f.hear("/m", plays)
			f.becomes(waits, tryEvery+3*time.Second)
		})
	})
	t.Run("as often as the operator allows", func(t *testing.T) {
		inDoubt(t, Config{OnDemand: 10 * time.Minute}, func(f *fleet, p *page) {
			f.hear("/m", plays)
			p.tell("", "/m", "/m")
			time.Sleep(time.Hour)
			if n := len(f.triedAt(urlOf("a") + "/m")); n < 6 || n > 7 {
				t.Errorf("it was started %d times in an hour", n)
			}
		})
	})
	t.Run("not listed, and plays", func(t *testing.T) {
		inBubble(t, Config{}, func(_ *testing.T, f *fleet) {
			f.play(urlOf("a"), (&page{}).play)
			f.hear("/m", plays)
			f.SetNodes([]director.Node{node("a")}, []director.Mount{{Name: "/m"}})
			<-f.First()
			f.becomes("plays: plays, though not listed", time.Second)
		})
	})
	t.Run("listed, and refuses listeners", func(t *testing.T) {
		inDoubt(t, Config{}, func(f *fleet, _ *page) {
			f.hear("/m", tried{state: director.MountSilent, cause: director.Refused, detail: "403"})
			f.Doubt("a", "/m", "listeners came back")
			f.becomes("does_not_play: refused", time.Second)
			if v := f.report("a").Verdicts[0]; !v.Listed {
				t.Errorf("verdict %+v", v)
			}
			f.stays("does_not_play: "+string(director.Refused), 50*time.Second)
			f.hear("/m", plays)
			f.becomes("plays", 20*time.Second)
		})
	})
}

// TestTryPace: many mounts in doubt are asked for once a minute each, a few at a time.
func TestTryPace(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		var nodes []director.Node
		var mounts []director.Mount
		var paths []string
		for i := range 10 {
			mounts = append(mounts, director.Mount{Name: fmt.Sprint("/", i)})
			paths = append(paths, fmt.Sprint("/", i))
		}
		p := &page{listed: paths}
		for i := range 25 {
			nodes = append(nodes, node(fmt.Sprint(i)))
			f.play(urlOf(fmt.Sprint(i)), p.play)
		}
		f.takes = time.Second / 20
		f.SetNodes(nodes, mounts)
		<-f.First()
		time.Sleep(10 * time.Second)
		p.tell("", "", "")
		begun := time.Now()
		time.Sleep(tryGrace + 4*time.Second)
		for _, r := range f.Reports() {
			if len(r.Mounts) > 0 {
				t.Fatalf("after %v it still has %v", time.Since(begun), pathsOf(r))
			}
		}
		time.Sleep(4 * time.Minute)
		var all []time.Time
		for _, n := range nodes {
			for _, path := range paths {
				at := f.triedAt(n.URLs[0] + path)
				if len(at) < 4 || len(at) > 5 {
					t.Fatalf("%s%s was asked for %d times in four minutes", n.ID, path, len(at))
				}
				for i := range at[1:] {
					if gap := at[i+1].Sub(at[i]); gap < tryEvery {
						t.Fatalf("asked for again after %v", gap)
					}
				}
				all = append(all, at...)
			}
		}
		slices.SortFunc(all, time.Time.Compare)
		for i := range all[2*tryRate:] {
			if all[i+2*tryRate].Sub(all[i]) < time.Second {
				t.Fatalf("more than %d GETs within a second", 2*tryRate)
			}
		}
		if f.ears.most[""] > maxTries {
			t.Errorf("%d at once", f.ears.most[""])
		}
	})
}

// TestTryBudget: however the statistics change, and however often another mount loses its
// source, a mount is asked for once a minute, and once more.
func TestTryBudget(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, f *fleet) {
		p := &page{listed: []string{"/m", "/other"}}
		f.play(urlOf("a"), p.play)
		f.SetNodes([]director.Node{node("a")}, []director.Mount{{Name: "/m"}, {Name: "/other"}})
		<-f.First()
		f.hear("/m", plays)
		const during = time.Hour
		chance := rand.New(rand.NewPCG(1, 2))
		for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(time.Duration(chance.IntN(15_000)) * time.Millisecond) {
			switch chance.IntN(5) {
			case 0:
				p.tell("/other", "/m", "")
			case 1:
				p.tell("/m", "/other", "")
			case 2:
				p.tell("", "/m", "")
			case 3:
				p.tell("/m /other", "", "")
			default:
				p.tell("/other", "", "")
				f.Doubt("a", "/m", "listeners came back")
			}
		}
		at := f.triedAt(urlOf("a") + "/m")
		if most := int(during/tryEvery) + 2; len(at) > most || len(at) < most/3 {
			t.Errorf("asked for %d times in %v, want %d at most", len(at), during, most)
		}
		for i := range at[2:] {
			if at[i+2].Sub(at[i]) < tryEvery {
				t.Errorf("asked for three times in %v", at[i+2].Sub(at[i]))
			}
		}
	})
}

// TestHears: a mount that this director carries right now plays, whatever the statistics
// say, and nobody asks for it. What it carries says nothing of free seats.
func TestHears(t *testing.T) {
	inDoubt(t, Config{}, func(f *fleet, p *page) {
		f.hear("/m", nobody)
		p.tell("", "", "")
		f.becomes("does_not_play: source gone", 3*time.Second)
		f.Hears("a", "/m")
		if got := verdict(f.report("a"), "/m"); got != "plays: plays without a source of its own" {
			t.Errorf("it is %q", got)
		}
		asked := len(f.triedAt(urlOf("a") + "/m"))
		for range 60 {
			time.Sleep(5 * time.Second)
			f.Hears("a", "/m")
			if got := verdict(f.report("a"), "/m"); got != "plays: plays without a source of its own" {
				t.Fatalf("it is %q", got)
			}
		}
		if n := len(f.triedAt(urlOf("a")+"/m")) - asked; n != 0 {
			t.Errorf("asked for %d times while it is carried", n)
		}
		f.becomes("does_not_play: source gone", tryEvery+5*time.Second) // once it is no longer carried
		p.tell("/m", "", "")
		f.becomes("plays", 3*time.Second)
		f.hear("/m", tried{state: director.MountFull, cause: director.SeatsTaken})
		f.Doubt("a", "/m", "listeners came back")
		f.becomes("full: its seats are taken", 3*time.Second)
		f.Hears("a", "/m")
		f.Hears("a", "/unknown")
		f.Hears("nobody", "/m")
		f.stays("full: its seats are taken", 2*time.Second)
	})
}

// TestShare: the director that goes second asks for nothing that the first one tells.
func TestShare(t *testing.T) {
	inDoubt(t, Config{}, func(f *fleet, p *page) {
		f.Share("a", true, nil)
		p.tell("", "", "")
		time.Sleep(2500 * time.Millisecond)
		f.Share("a", true, []director.Verdict{{Path: "/m", State: director.MountSilent, Cause: director.SourceGone, Since: time.Now(), Taken: time.Now()}})
		if got := verdict(f.report("a"), "/m"); got != "does_not_play: source gone" {
			t.Errorf("it is %q", got)
		}
		f.stays("does_not_play: source gone", 50*time.Second)
		if n := len(f.triedAt(urlOf("a") + "/m")); n != 0 {
			t.Errorf("asked for %d times", n)
		}
		p.tell("/m", "", "")
		f.becomes("plays", 3*time.Second)
		time.Sleep(time.Minute)
		p.tell("", "", "")                                     // and now the first one says nothing
		f.becomes("does_not_play: source gone", 2*time.Second) // as the last time
		time.Sleep(shareWait + 4*time.Second)
		if n := len(f.triedAt(urlOf("a") + "/m")); n != 1 {
			t.Errorf("asked for %d times", n)
		}
		// What contradicts the statistics holds here, too.
		p.tell("/m", "", "")
		f.becomes("plays", 3*time.Second)
		f.Share("a", true, []director.Verdict{{Path: "/m", State: director.MountFull, Cause: director.SeatsTaken, Listed: true, Since: time.Now(), Taken: time.Now()}})
		if got := verdict(f.report("a"), "/m"); got != "full: its seats are taken" {
			t.Errorf("it is %q", got)
		}
	})
}

// TestFullMount: a mount whose limit nobody tells is full when the server says so to a
// listener, and no longer when a seat is free or a listener gets one.
func TestFullMount(t *testing.T) {
	inDoubt(t, Config{}, func(f *fleet, p *page) {
		full := tried{state: director.MountFull, cause: director.SeatsTaken, detail: "GET /m: 403 Forbidden: max listeners reached"}
		f.hear("/m", plays)
		p.count(30, 100)
		time.Sleep(10 * time.Minute)
		if n := len(f.triedAt(urlOf("a") + "/m")); n != 0 {
			t.Fatalf("asked for %d times, while it has had more listeners", n)
		}
		p.count(120, 120)
		time.Sleep(10 * time.Minute)
		if n := len(f.triedAt(urlOf("a") + "/m")); n != 1 {
			t.Fatalf("asked for %d times, while it stands at its peak", n)
		}
		f.hear("/m", full)
		p.count(150, 150)
		f.becomes("full: its seats are taken", 5*time.Second)
		f.stays("full: its seats are taken", 10*time.Minute)
		if n := len(f.triedAt(urlOf("a") + "/m")); n > 13 {
			t.Errorf("asked for %d times in 20 minutes", n)
		}
		p.count(149, 150)
		f.becomes("plays", 2*time.Second+time.Millisecond)
		if m := f.report("a").Mounts[0]; m.Limit != 150 {
			t.Errorf("limit %d, want the 150 that it was full with", m.Limit)
		}
		p.count(150, 150)
		f.becomes("full: its seats are taken", 2*time.Second+time.Millisecond)
		f.hear("/m", plays) // the limit was raised
		f.becomes("plays", tryEvery+3*time.Second)
		if m := f.report("a").Mounts[0]; m.Limit != 0 {
			t.Errorf("limit %d, want none", m.Limit)
		}
	})
}

// quietly is a source that has its say every 5.9 s, as an Ogg page of silence has, at a
// server that counts bytes every 5 s; with a pause of it where the test says so.
type quietly struct {
	began time.Time
	loud  time.Duration // until then, bytes come in all the time
}

func (q *quietly) play(context.Context) (answer, error) {
	if q.began.IsZero() {
		q.began = time.Now()
	}
	at := time.Since(q.began).Truncate(5 * time.Second)
	if at > q.loud {
		at = q.loud + (at - q.loud).Truncate(5900*time.Millisecond)
	}
	return answer{
		detail: "fine", mounts: []director.MountReport{{Path: "/m", Type: "application/ogg"}},
		read: map[string]int64{"/m": 1 + int64(at/time.Millisecond)},
	}, nil
}

// TestQuietStream: a stream that is alive but quiet stays, however suddenly it is.
func TestQuietStream(t *testing.T) {
	for _, loud := range []time.Duration{0, time.Minute} {
		t.Run(loud.String(), func(t *testing.T) {
			inBubble(t, Config{}, func(t *testing.T, f *fleet) {
				q := &quietly{loud: loud}
				f.play(urlOf("a"), q.play)
				f.hear("/m", tried{state: director.MountPlays, after: 5900 * time.Millisecond})
				f.takes = 5900 * time.Millisecond
				f.SetNodes([]director.Node{node("a")}, []director.Mount{{Name: "/m"}})
				<-f.First()
				for end := time.Now().Add(20 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
					if got := pathsOf(f.report("a")); len(got) != 1 {
						t.Fatalf("%v after %v: %s", got, time.Since(q.began), f.log)
					}
				}
				if n := len(f.triedAt(urlOf("a") + "/m")); n > 3 {
					t.Errorf("it was listened to %d times, though that is its rhythm", n)
				}
			})
		})
	}
}

// TestFailedProbesAreNoSilence: probes that fail now and then leave what is known of a
// mount's rhythm unknown, and not zero.
func TestFailedProbesAreNoSilence(t *testing.T) {
	for _, third := range []int{2, 3, 4} {
		t.Run(fmt.Sprint("every ", third), func(t *testing.T) {
			inBubble(t, Config{}, func(t *testing.T, f *fleet) {
				e, n := &encoder{refresh: 5 * time.Second}, 0
				f.play(urlOf("a"), func(ctx context.Context) (answer, error) {
					if n++; n%third == 0 {
						return refuses(ctx)
					}
					return e.play(ctx)
				})
				f.SetNodes([]director.Node{node("a")}, nil)
				<-f.First()
				for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
					if got := pathsOf(f.report("a")); len(got) != 2 {
						t.Fatalf("%v after %v: %s", got, time.Since(e.began), f.report("a").Detail)
					}
				}
				for _, m := range []string{"/a", "/b"} {
					if at := f.triedAt(urlOf("a") + m); len(at) > 0 {
						t.Errorf("%s was listened to %d times", m, len(at))
					}
				}
			})
		})
	}
}

// TestRhythmUnknown: a mount whose rhythm is not known has twelve seconds, counted from
// the last pause.
func TestRhythmUnknown(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var f flow
	for i := range 3 {
		now = now.Add(5 * time.Second)
		f.note(int64(i), now)
		f.pause(int64(i), now)
	}
	if f.note(2, now.Add(unknownGap)) {
		t.Errorf("it stands still after %v", unknownGap)
	}
	if !f.note(2, now.Add(unknownGap+1)) {
		t.Errorf("it does not stand still after more than %v", unknownGap)
	}
}

// TestHangsFromTheStart: a source that hangs when the director has just started, or did
// before, is gone as soon as others; where the numbers alone stand still, a listener's GET
// says so, and once a minute.
func TestHangsFromTheStart(t *testing.T) {
	for name, fed := range map[string]time.Duration{"before": 0, "soon": 7 * time.Second} {
		for _, hears := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", audio: ", hears), func(t *testing.T) {
				inBubble(t, Config{}, func(t *testing.T, f *fleet) {
					begun := time.Now()
					f.play(urlOf("a"), func(context.Context) (answer, error) {
						at := min(time.Since(begun), fed).Truncate(5 * time.Second)
						return answer{
							detail: "fine", mounts: []director.MountReport{{Path: "/m", Type: "audio/mpeg"}},
							read: map[string]int64{"/m": 1 + int64(at)},
						}, nil
					})
					if hears {
						f.hear("/m", plays)
					}
					f.SetNodes([]director.Node{node("a")}, []director.Mount{{Name: "/m"}})
					<-f.First()
					if !hears {
						f.becomes("does_not_play: nothing comes in", fed+18*time.Second)
						return
					}
					f.stays("plays", 10*time.Minute)
					if n := len(f.triedAt(urlOf("a") + "/m")); n < 5 || n > 11 {
						t.Errorf("asked for %d times in ten minutes", n)
					}
				})
			})
		}
	}
}

// TestPlainMounts: of a web server each mount is asked for itself.
func TestPlainMounts(t *testing.T) {
	t.Parallel()
	serve := func(c net.Conn) {
		path := strings.Fields(readRequest(c) + " - -")[1]
		switch path {
		case "/live.mp3", "/base/live.mp3":
			fmt.Fprint(c, "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\nabc")
		case "/page":
			fmt.Fprint(c, "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>")
		case "/token":
			fmt.Fprint(c, "HTTP/1.0 403 Forbidden\r\n\r\n")
		case "/there":
			fmt.Fprint(c, "HTTP/1.0 302 Found\r\nLocation: /live.mp3\r\n\r\n")
		case "/hangs":
			_, _ = c.Read(make([]byte, 1))
		default:
			fmt.Fprint(c, "HTTP/1.0 404 Not Found\r\n\r\n")
		}
	}
	for name, tc := range map[string]struct {
		mounts, path string
		expect       string
		want         string // verdicts, or the error
	}{
		"one":                     {"/live.mp3", "", "", "/live.mp3 plays"},
		"none of them at /":       {"/live.mp3 /gone /page", "", "", "/gone does_not_play, /live.mp3 plays, /page does_not_play"},
		"all are refused":         {"/gone", "", "", "/gone does_not_play"},
		"redirected on the spot":  {"/there", "", "", "/there plays"},
		"where listeners need it": {"/token", "", "403", "/token plays"},
		"and if it is not asked":  {"/live.mp3", "", "403", "/live.mp3 does_not_play"},
		"a page of its own":       {"/gone", "/page", "", ""},
		"that is not there":       {"/live.mp3", "/gone", "", "GET /gone: 404 Not Found"},
		"and expected so":         {"/live.mp3", "/gone", "404", ""},
		"hangs":                   {"/hangs", "", "", "GET /hangs: no whole answer within 500ms"},
		"one hangs":               {"/hangs /live.mp3", "", "", "/hangs does_not_play, /live.mp3 plays"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Config{Kind: func(director.NodeID) string { return "http" }, Path: func(director.NodeID) string { return tc.path }}
			if tc.expect != "" {
				s, err := ParseStatuses(tc.expect)
				if err != nil {
					t.Fatal(err)
				}
				c.Expect = func(director.NodeID) Statuses { return s }
			}
			synctest.Test(t, func(t *testing.T) {
				p := New(c)
				p.client = bubbleClient(t, serve)
				n := newState(director.Node{ID: "n", URLs: []string{"http://192.0.2.1"}})
				n.mounts = strings.Fields(tc.mounts)
				h := p.ask(t.Context(), n, 500*time.Millisecond)
				n.hear(h, &p.cfg, time.Now())
				var got []string
				for _, path := range slices.Sorted(slices.Values(n.mounts)) {
					if m := n.known[path]; m != nil && m.verdict.State != director.MountUnknown {
						got = append(got, fmt.Sprintf("%s %v", path, m.verdict.State))
					}
				}
				if h.err != nil {
					got = []string{h.err.Error()}
				}
				if g := strings.Join(got, ", "); g != tc.want {
					t.Errorf("%s, want %s", g, tc.want)
				}
			})
		})
	}
}

func TestParseStatuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"200": "200 ", "2XX, 401": "200 204 401 ", "": "", "20": "", "6xx": "", "abc": "", "0xx": ""} {
		s, err := ParseStatuses(text)
		got := ""
		for _, code := range []int{200, 204, 302, 401, 404} {
			if s != nil && s.includes(code) {
				got += fmt.Sprint(code, " ")
			}
		}
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}
