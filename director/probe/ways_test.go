package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// secureServer answers at https as answer does.
func secureServer(t *testing.T, cert tls.Certificate, answer func(net.Conn)) string {
	t.Helper()
	base := rawServer(t, func(c net.Conn) {
		secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		if secure.Handshake() == nil {
			answer(secure)
			_ = secure.CloseWrite()
		}
	})
	return "https" + strings.TrimPrefix(base, "http")
}

const audioPage = "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\nabc"

// TestPlayersCertificates: an https URL is judged as players do.
func TestPlayersCertificates(t *testing.T) {
	t.Parallel()
	a, other := probetest.NewAuthority(t), probetest.NewAuthority(t)
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	for name, tc := range map[string]struct {
		url   string
		cause director.Cause
		in    string // the detail
	}{
		"good":          {secureServer(t, a.Issue("127.0.0.1", soon), says(audioPage)), "", ""},
		"expired":       {secureServer(t, a.Issue("127.0.0.1", time.Now().Add(-time.Hour)), says(audioPage)), director.BadCertificate, "certificate has expired"},
		"another name":  {secureServer(t, a.Issue("other.example", soon), says(audioPage)), director.BadCertificate, "127.0.0.1"},
		"self-signed":   {secureServer(t, other.Issue("127.0.0.1", soon), says(audioPage)), director.BadCertificate, "unknown authority"},
		"not there":     {secureServer(t, a.Issue("127.0.0.1", soon), says("HTTP/1.0 404 Not Found\r\n\r\n")), director.NotThere, "404"},
		"no TLS":        {"https" + strings.TrimPrefix(rawServer(t, says(audioPage)), "http"), director.Unreachable, ""},
		"nobody":        {"https://127.0.0.1:1", director.Unreachable, "connection refused"},
		"hangs up":      {"https" + strings.TrimPrefix(rawServer(t, func(net.Conn) {}), "http"), director.Unreachable, ""},
		"never answers": {"https" + strings.TrimPrefix(rawServer(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); <-t.Context().Done() }), "http"), director.Unreachable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within := time.Minute
			if name == "no TLS" || name == "never answers" {
				within = 100 * time.Millisecond // nothing comes later either
			}
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			at := target{client: &client{tls: &tls.Config{RootCAs: a.Pool}}, base: tc.url}
			got, ends := at.tryWayIn(ctx, "/live.mp3")
			if name == "never answers" && got.cause == director.SourceHangs {
				got.cause = director.Unreachable
			}
			if got.cause != tc.cause || !strings.Contains(got.detail, tc.in) || (got.state == director.MountPlays) != (tc.cause == "") {
				t.Errorf("%+v, want %q with %q", got, tc.cause, tc.in)
			}
			if tc.cause == "" && !ends.Equal(soon) {
				t.Errorf("ends at %v, want %v", ends, soon)
			}
		})
	}
}

// TestChainEnds: a player refuses a chain as soon as one of its certificates has expired;
// of the root it has its own copy.
func TestChainEnds(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2026, 5, n, 0, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct{ chain, want []int }{
		"the leaf first":          {[]int{1, 2, 3}, []int{1}},
		"the intermediate first":  {[]int{2, 1, 3}, []int{1}},
		"the root first":          {[]int{3, 2, 1}, []int{2}},
		"a leaf and its root":     {[]int{2, 1}, []int{2}},
		"it is trusted by itself": {[]int{1}, []int{1}},
		"none was verified":       {nil, nil},
	} {
		var state tls.ConnectionState
		var chain []*x509.Certificate
		for _, n := range c.chain {
			chain = append(chain, &x509.Certificate{NotAfter: day(n)})
		}
		if chain != nil {
			state.VerifiedChains = [][]*x509.Certificate{chain}
		}
		var want time.Time
		for _, n := range c.want {
			want = day(n)
		}
		if got := chainEnds(&state); !got.Equal(want) {
			t.Errorf("%s: it ends at %v, want %v", name, got, want)
		}
	}
}

// twoWays is a prober within a bubble over a node with an http and an https URL, of
// which each does what a test says.
type twoWays struct {
	*fleet
	mu     sync.Mutex
	secure tried
	ends   time.Time
}

// secures makes the https URL answer so.
func (f *twoWays) secures(what tried) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secure = what
}

const twoHTTP, twoHTTPS = "http://127.0.0.1/a", "https://127.0.0.1/a"

func overTwoWays(t *testing.T, internal string, test func(f *twoWays)) {
	inBubble(t, Config{}, func(_ *testing.T, f *fleet) {
		w := &twoWays{fleet: f, secure: plays}
		p := &page{listed: []string{"/m"}}
		f.play(twoHTTP, p.play)
		f.play(twoHTTPS, p.play)
		f.play(internal, p.play)
		f.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return nil, errors.New("no") }
		f.Prober.tryWay = func(ctx context.Context, t target, _ string) (tried, time.Time) {
			if t.base == twoHTTPS {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.secure, w.ends
			}
			if _, err := f.fakeKind.ask(ctx, t); err != nil {
				return tried{state: director.MountSilent, cause: director.Unreachable, detail: err.Error()}, time.Time{}
			}
			return plays, time.Time{}
		}
		f.SetNodes([]director.Node{{ID: "a", URLs: []string{twoHTTP, twoHTTPS}, InternalURL: internal}}, []director.Mount{{Name: "/m"}})
		<-f.First()
		test(w)
	})
}

// scheme returns what is held of one of the schemes.
func (f *twoWays) scheme(s director.Scheme) string {
	synctest.Wait()
	r := f.report("a")
	for _, v := range r.Verdicts {
		if v.Scheme == s {
			return strings.TrimSpace(fmt.Sprint(v.Path, " ", v.State))
		}
	}
	return "nothing"
}

func (f *twoWays) schemeBecomes(s director.Scheme, want string, within time.Duration) {
	f.t.Helper()
	for begun := time.Now(); f.scheme(s) != want; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > within {
			f.t.Fatalf("%v is %q after %v, want %q\n%s", s, f.scheme(s), within, want, f.log)
		}
	}
	if r := f.report("a"); r.Health != director.Up || !slices.Equal(pathsOf(r), []string{"/m"}) {
		f.t.Errorf("the node: %+v", r)
	}
}

// TestSchemeFails: a scheme that fails takes only that scheme away, and comes back.
func TestSchemeFails(t *testing.T) {
	bad := tried{state: director.MountSilent, cause: director.BadCertificate, detail: "GET /m: x509: certificate has expired"}
	away := tried{state: director.MountSilent, cause: director.Unreachable, detail: "GET /m: connection refused"}
	t.Run("https", func(t *testing.T) {
		overTwoWays(t, "", func(f *twoWays) {
			f.schemeBecomes(director.HTTPS, "plays", 3*time.Second)
			for _, what := range []tried{bad, away} {
				f.secures(what)
				f.schemeBecomes(director.HTTPS, "does_not_play", wayEvery+3*time.Second)
				f.secures(plays)
				f.schemeBecomes(director.HTTPS, "plays", wayAgain+3*time.Second)
			}
			f.secures(nobody)
			f.schemeBecomes(director.HTTPS, "plays", time.Second)
			f.t.Log(f.report("a").Verdicts)
			for begun := time.Now(); !slices.ContainsFunc(f.report("a").Verdicts, func(v director.Verdict) bool {
				return v.Path == "/m" && v.Scheme == director.HTTPS && v.State == director.MountSilent
			}); time.Sleep(10 * time.Millisecond) {
				if time.Since(begun) > wayEvery+3*time.Second {
					f.t.Fatal("the mount is not missed by https")
				}
			}
		})
	})
	t.Run("http", func(t *testing.T) {
		overTwoWays(t, "", func(f *twoWays) {
			time.Sleep(10 * time.Second)
			f.play(twoHTTP, refuses)
			f.schemeBecomes(director.HTTP, "does_not_play", 8*time.Second)
			if got := f.scheme(director.HTTPS); got != "plays" {
				t.Errorf("https is %q", got)
			}
			f.play(twoHTTP, (&page{listed: []string{"/m"}}).play)
			f.schemeBecomes(director.HTTP, "plays", wayAgain+3*time.Second)
		})
	})
	t.Run("both", func(t *testing.T) {
		overTwoWays(t, "", func(f *twoWays) {
			time.Sleep(10 * time.Second)
			f.play(twoHTTP, refuses)
			f.play(twoHTTPS, refuses)
			if took := f.until(isDown); took > f.cfg.Detection() {
				t.Errorf("down after %v", took)
			}
			f.play(twoHTTPS, (&page{listed: []string{"/m"}}).play)
			if took := f.until(isUp); took > 6*f.cfg.Interval {
				t.Errorf("up after %v", took)
			}
		})
	})
	t.Run("by an internal address", func(t *testing.T) {
		overTwoWays(t, "http://10.0.0.1", func(f *twoWays) {
			f.secures(away) // perhaps because it cannot be reached from the inside
			f.schemeBecomes(director.HTTPS, "nothing", wayEvery+3*time.Second)
			f.secures(bad)
			f.schemeBecomes(director.HTTPS, "does_not_play", wayEvery+3*time.Second)
		})
	})
	t.Run("when the certificate ends", func(t *testing.T) {
		overTwoWays(t, "", func(f *twoWays) {
			f.mu.Lock()
			f.ends = time.Now().Add(95 * time.Second)
			f.mu.Unlock()
			time.Sleep(90 * time.Second)
			if r := f.report("a"); !r.CertificateEnds.Equal(f.ends) {
				t.Errorf("it ends at %v, want %v", r.CertificateEnds, f.ends)
			}
			f.secures(bad)
			f.schemeBecomes(director.HTTPS, "does_not_play", 5*time.Second+3*time.Second)
		})
	})
}

// TestNodeBelowAPath: mounts are named as listeners see them below the node's URL.
func TestNodeBelowAPath(t *testing.T) {
	t.Parallel()
	const status = `{"icestats":{"source":[{"listenurl":"http://h/listen/studio/live.mp3","server_type":"audio/mpeg"},{"listenurl":"http://h/other.mp3","server_type":"audio/mpeg"}]}}`
	server := rawServer(t, says(page244+"\r\n"+status))
	for mounts, want := range map[string]string{
		"":                         "/live.mp3 /other.mp3",
		"/listen/studio/live.mp3":  "/listen/studio/live.mp3 /other.mp3", // it really has it there
		"/listen/studio/other.mp3": "/live.mp3 /other.mp3",
	} {
		at := target{client: &client{}, base: server + "/listen/studio", mounts: strings.Fields(mounts), timeout: time.Minute}
		a, err := icecast{}.ask(t.Context(), at)
		var got []string
		for _, m := range a.mounts {
			got = append(got, m.Path)
		}
		slices.Sort(got)
		if g := strings.Join(got, " "); err != nil || g != want {
			t.Errorf("mounts %q: %s, %v; want %s", mounts, g, err, want)
		}
	}
}

// TestWithoutStatistics: a server that has no statistics for us still plays.
func TestWithoutStatistics(t *testing.T) {
	t.Parallel()
	harbor := func(c net.Conn) { // liquidsoap: 404 at / and at everything but its mounts
		if strings.HasPrefix(readRequest(c), "GET /live.mp3 ") {
			fmt.Fprint(c, audioPage)
			return
		}
		fmt.Fprint(c, "HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html>")
	}
	for mounts, up := range map[string]bool{"/live.mp3": true, "/gone.mp3 /live.mp3": true, "/gone.mp3": false, "": false} {
		p := New(Config{Fall: 1})
		n := newState(director.Node{ID: "n", URLs: []string{rawServer(t, harbor)}})
		n.mounts = strings.Fields(mounts)
		for range 3 {
			n.hear(p.ask(t.Context(), n, 5*time.Second), &p.cfg, time.Now())
		}
		if (n.report.Health == director.Up) != up {
			t.Errorf("%q: %+v", mounts, n.report)
		}
		if up && (verdict(n.report, "/live.mp3") != "plays" || mounts != "/live.mp3" && verdict(n.report, "/gone.mp3") != "does_not_play: not there") {
			t.Errorf("%q: %+v", mounts, n.report.Verdicts)
		}
	}
}
