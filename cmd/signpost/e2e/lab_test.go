package e2e

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	// go test keeps the result of a package that has not changed. Of the program, which is
	// built aside, it knows by these, and by the commands' files that program looks at.
	_ "github.com/signpost-fm/signpost/cmd/signpost/agent"
	_ "github.com/signpost-fm/signpost/cmd/signpost/service"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/geo/geotest"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

var built = struct {
	once sync.Once
	path string
	err  error
}{}

// builtBefore is the environment variable that names the program, where it is not to be
// built: for another build, and for a test that runs this package's tests in a process of
// its own.
const builtBefore = "SIGNPOST_BUILT"

// sideBySide is how many tests run at once, unless -parallel says otherwise: most of
// the time they wait for servers, players and probes.
const sideBySide = "5"

// TestMain removes the program that the tests built.
func TestMain(m *testing.M) {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", sideBySide)
	}
	code := browsertest.Run(m)
	if built.path != "" {
		os.RemoveAll(filepath.Dir(built.path))
	}
	os.Exit(code)
}

// program builds signpost once for all tests, without the race detector, of which
// the packages' own tests make use: it is three times as slow. With
// SIGNPOST_E2E_RACE it has it, and `make soak` runs these tests so, too.
func program(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the built program: run it without -short")
	}
	if path := os.Getenv(builtBefore); path != "" {
		return path
	}
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "signpost-e2e-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "signpost")
		sources, _ := filepath.Glob("../*.go")
		for _, name := range sources {
			_, _ = os.Stat(name) // see the imports
		}
		args := []string{"build", "-o", built.path, "github.com/signpost-fm/signpost/cmd/signpost"}
		if os.Getenv("SIGNPOST_E2E_RACE") != "" {
			args = slices.Insert(args, 1, "-race")
		}
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// tones tell the nodes of a fleet apart by ear.
var tones = []int{440, 660, 990}

// nodes starts three real Icecast servers that play a tone each on /live.mp3.
func nodes(t *testing.T) []*probetest.Node {
	t.Helper()
	return fleetOf(t, len(tones))
}

// fleetOf is nodes for so many, three at most.
func fleetOf(t *testing.T, n int) []*probetest.Node {
	t.Helper()
	options := make([]probetest.Options, n)
	for i, hz := range tones[:n] {
		options[i] = probetest.Options{
			Addr: fmt.Sprintf("127.0.0.%d", 11+i), MaxClients: 5000,
			Mounts: []probetest.Mount{{Path: "/live.mp3", Hz: hz, Kbit: 64, Title: fmt.Sprintf("Tone of %d Hz", hz)}},
		}
	}
	return probetest.Fleet(t, options...)
}

// A signpost is one running director.
type signpost struct {
	t      *testing.T
	url    string // of the public listener
	secure string // host:port of the one for https; empty: there is none
	admin  string
	dns    string // host:port; empty: it answers no DNS
	config string // the file
	cmd    *exec.Cmd
	log    *proctest.Output
	exited chan error // nil once it has been stopped
}

// direct starts a director with the nodes n1, n2, n3 and the rest of a
// configuration, and returns when it is ready.
func direct(t *testing.T, fleet []*probetest.Node, rest string) *signpost {
	t.Helper()
	return directFile(t, configuration(fleet, rest))
}

// directFile starts a director with a whole configuration.
func directFile(t *testing.T, config string) *signpost {
	t.Helper()
	return directLimited(t, 0, config)
}

// directLimited starts a director that may open so many files; 0: as many as the tests.
// env is added to its environment.
func directLimited(t *testing.T, files int, config string, env ...string) *signpost {
	t.Helper()
	s := &signpost{t: t, config: filepath.Join(t.TempDir(), "signpost.yaml"), log: &proctest.Output{}}
	s.write(config)
	s.cmd = exec.Command(program(t), "serve", "--config", s.config)
	if files > 0 {
		s.cmd = exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, files), "sh"}, s.cmd.Args...)...)
	}
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.SysProcAttr = proctest.DieWithTest()
	out, in := io.Pipe()
	s.cmd.Stdout, s.cmd.Stderr = in, in
	listening := make(chan [2]string, 8)
	go s.readLog(out, listening)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.exited = make(chan error, 1)
	go func() { s.exited <- s.cmd.Wait(); in.Close() }()
	t.Cleanup(func() {
		s.stop()
		if strings.Contains(s.log.String(), "DATA RACE") {
			t.Errorf("the race detector spoke:\n%s", s.log)
		}
		if t.Failed() {
			t.Logf("log:\n%s", s.log)
		}
	})
	for s.url == "" || s.admin == "" {
		select {
		case l := <-listening:
			switch l[0] {
			case "operators":
				s.admin = "http://" + l[1]
			case "dns":
				s.dns = l[1]
			case "https":
				s.secure = l[1]
			default:
				s.url = "http://" + l[1]
			}
		case <-time.After(patience):
			t.Fatalf("signpost does not say where it listens:\n%s", s.log)
		}
	}
	s.eventually(10*time.Second, "it is ready", func() bool { return s.status("/readyz") == http.StatusOK })
	return s
}

// stop ends the director as an operator would.
func (s *signpost) stop() {
	s.t.Helper()
	if s.exited == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.exited:
		if err != nil {
			s.t.Errorf("signpost: %v\n%s", err, s.log)
		}
	case <-time.After(patience):
		s.cmd.Process.Kill()
		s.t.Errorf("signpost did not end within %v of SIGTERM\n%s", patience, s.log)
	}
	s.exited = nil
}

// quickProbes ask often, and wait long: on a busy machine a server that is well may
// take seconds. hastyProbes are for one that is frozen.
const (
	quickProbes = "probe: {interval: 300ms, timeout: 10s, recheck: 100ms}\n"
	hastyProbes = "probe: {interval: 300ms, timeout: 1s, recheck: 100ms}\n"
)

// seldomProbes leave it to others to tell of a change, which they must do
// unprobed, in less time. A report lives no longer than a minute.
const seldomProbes, unprobed = "probe: {interval: 55s}\n", 50 * time.Second

func configuration(fleet []*probetest.Node, rest string) string {
	var b strings.Builder
	b.WriteString("listen: {http: ['127.0.0.1:0'], trusted_proxies: [127.0.0.0/8], max_per_key: 0, max_per_address: 0}\n" +
		"admin: {listen: '127.0.0.1:0'}\n" + quickProbes + "mounts: [{name: /live.mp3, title: Live}]\nnodes:\n")
	for i, n := range fleet {
		fmt.Fprintf(&b, "  - {id: n%d, urls: ['%s'], target: 1000}\n", i+1, n.URL())
	}
	return b.String() + rest
}

func (s *signpost) write(config string) {
	s.t.Helper()
	if !strings.Contains(config, "\ngeo:") {
		// The embedded database takes seconds to open under the race detector.
		small := geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{{Prefix: "91.0.0.0/10", Country: "DE", Continent: "EU"}}}
		config += "geo: {databases: [" + small.Write(s.t, filepath.Join(filepath.Dir(s.config), "small.mmdb")) + "]}\n"
	}
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

var listeningAt = regexp.MustCompile(`msg=listening for=(\w+) addr=(\S+)`)

func (s *signpost) readLog(r io.Reader, listening chan<- [2]string) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fmt.Fprintln(s.log, lines.Text())
		if m := listeningAt.FindStringSubmatch(lines.Text()); m != nil {
			listening <- [2]string{m[1], m[2]}
		}
	}
}

// reload sends SIGHUP.
func (s *signpost) reload() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
}

// atMost fails if what took too long, on a machine that does nothing else.
func atMost(t *testing.T, most time.Duration, what string, took time.Duration) {
	t.Helper()
	if took > most && soak {
		t.Errorf("%s after %v, want %v at most", what, took, most)
	}
}

// eventually polls until what is true, or fails. How soon that must be counts on a
// machine that does nothing else; beside other tests there is time.
func (s *signpost) eventually(within time.Duration, what string, holds func() bool) time.Duration {
	s.t.Helper()
	if !soak {
		within = max(within, patience)
	}
	return s.within(within, what, holds)
}

// within polls until what is true, or fails.
func (s *signpost) within(within time.Duration, what string, holds func() bool) time.Duration {
	s.t.Helper()
	begin := time.Now()
	tick := time.NewTicker(100 * time.Millisecond) // some polls ask as dozens of listeners
	defer tick.Stop()
	for !holds() {
		if time.Since(begin) > within {
			s.t.Fatalf("not within %v: %s\n%s", within, what, s.log)
		}
		<-tick.C
	}
	return time.Since(begin)
}

// client does not follow redirects and keeps nothing.
var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableKeepAlives: true},
	Timeout:       patience,
}

// get asks as the listener at an address.
func (s *signpost) get(path, address, agent string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if address != "" {
		r.Header.Set("X-Forwarded-For", address)
	}
	r.Header.Set("User-Agent", agent)
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatalf("GET %s: %v\n%s", path, err, s.log)
	}
	return resp
}

func (s *signpost) status(path string) int {
	s.t.Helper()
	resp := s.get(path, "", "test")
	resp.Body.Close()
	return resp.StatusCode
}

// sentTo asks for /live.mp3 as n listeners and counts the nodes they are sent to.
// What is not a redirect counts by its status.
func (s *signpost) sentTo(fleet []*probetest.Node, n, salt int) map[string]int {
	s.t.Helper()
	to := map[string]int{}
	for i := range n {
		resp := s.get("/live.mp3", fmt.Sprintf("203.0.%d.%d", salt%256, i%256), fmt.Sprintf("player %d", i))
		resp.Body.Close()
		name := resp.Status
		for j, node := range fleet {
			if resp.Header.Get("Location") == node.URL()+"/live.mp3" {
				name = fmt.Sprintf("n%d", j+1)
			}
		}
		to[name]++
	}
	return to
}

func (s *signpost) body(path string) string {
	s.t.Helper()
	resp := s.get(path, "203.0.113.9", "test")
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// explain asks the admin listener about a listener of /live.mp3 whose place is not
// known, and returns the JSON without white space.
func (s *signpost) explain() string {
	s.t.Helper()
	return s.explainAt("203.0.113.9")
}

func (s *signpost) explainAt(address string) string {
	s.t.Helper()
	return s.explainMount("/live.mp3", address)
}

func (s *signpost) explainMount(mount, address string) string {
	s.t.Helper()
	return strings.Join(strings.Fields(s.adminBody("/api/v1/explain?mount="+mount+"&addr="+address)), "")
}
