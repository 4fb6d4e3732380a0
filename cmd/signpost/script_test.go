package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// pages is where README.md stands; scripts run in directories of their own.
var pages, _ = filepath.Abs(root)

// builtBefore is the environment variable that names the program, a file called signpost,
// where it is not to be built: for another build.
const builtBefore = "SIGNPOST_BUILT"

// built is the program, without the race detector, of which the packages' own tests
// make use: it is three times as slow.
var built = struct {
	once sync.Once
	dir  string // of the file signpost
	ours bool   // dir is the tests' own
	err  error
}{}

// program builds signpost once for all tests, and returns the directory it is in.
func program() (dir string, err error) {
	built.once.Do(func() {
		if path := os.Getenv(builtBefore); path != "" {
			built.dir = filepath.Dir(path)
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "signpost-script-"); built.err != nil {
			return
		}
		built.ours = true
		out, err := exec.Command("go", "build", "-buildvcs=false", "-o", built.dir, ".").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	return built.dir, built.err
}

// TestMain removes the program that the tests built.
func TestMain(m *testing.M) {
	code := m.Run()
	if built.ours {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// TestScripts runs the real program, in a process of its own where it serves.
// Besides testscript's own commands there are:
//
//	start NAME ARGS...       run signpost in the background, its output in NAME.out and NAME.log
//	type NAME TEXT           give it a line on its standard input
//	await FILE REGEXP [VAR]  wait until a line matches; VAR becomes the first group
//	signal NAME TERM|HUP|INT
//	ended NAME CODE          wait for its end
//	get URL [HEADER...]      request it without following a redirect; the head and body are stdout
//	get -until REGEXP URL    the same, again and again until the answer matches
//	expand FROM TO TEXT...   copy a file with TEXT for each @@ in it, or the next for each in turn
//	link NEW LINK            point a symbolic link somewhere else, atomically
//	shown PAGE HEADING FILE  write the shell commands below a heading of a page of ours into a file
//
// NODE1 and NODE2 are the addresses of servers that pass for nodes of kind http.
// ICECAST1 to ICECAST3 pass for Icecast with /live.mp3, where nobody listens, and
// AZURACAST for an AzuraCast with one station, whose key is "id:verifier".
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			dir, err := program()
			if err != nil {
				return err
			}
			e.Setenv("PATH", dir+string(filepath.ListSeparator)+e.Getenv("PATH"))
			for _, name := range []string{"NODE1", "NODE2"} {
				node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "audio") }))
				e.Defer(node.Close)
				e.Setenv(name, node.URL)
			}
			for _, name := range []string{"ICECAST1", "ICECAST2", "ICECAST3"} {
				node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, _, admin := r.BasicAuth(); admin && r.URL.Path == "/admin/stats" {
						_, _ = io.WriteString(w, `<icestats><server_id>Icecast 2.4.4</server_id><source mount="/live.mp3"><listeners>0</listeners><server_type>audio/mpeg</server_type></source></icestats>`)
						return
					}
					_, _ = fmt.Fprintf(w, `{"icestats":{"server_id":"Icecast 2.4.4","source":{"listenurl":"http://%s/live.mp3","listeners":0,"server_type":"audio/mpeg"}}}`, r.Host)
				}))
				e.Defer(node.Close)
				e.Setenv(name, node.URL)
			}
			azura := httptest.NewServer(http.HandlerFunc(passForAzuraCast))
			e.Defer(azura.Close)
			e.Setenv("AZURACAST", azura.URL)
			e.Values["running"] = &running{all: map[string]*process{}}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": cmdStart, "type": cmdType, "await": cmdAwait, "signal": cmdSignal, "ended": cmdEnded, "get": cmdGet,
			"expand": cmdExpand, "link": cmdLink, "shown": cmdShown,
		},
	})
}

func passForAzuraCast(w http.ResponseWriter, r *http.Request) {
	mounts := fmt.Sprintf(`[{"path":"/radio.mp3","is_default":true,"id":1,"name":"128kbps MP3","url":"http://%s/listen/studio/radio.mp3","bitrate":128,"format":"mp3"}]`, r.Host)
	switch {
	case r.URL.Path == "/api/nowplaying":
		_, _ = fmt.Fprintf(w, `[{"station":{"id":1,"name":"Studio","shortcode":"studio","mounts":%s,"remotes":[]}}]`, mounts)
	case r.Header.Get("Authorization") != "Bearer id:verifier":
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code":403,"message":"You must be logged in to access this page."}`)
	case r.Method == http.MethodPost:
		_, _ = io.WriteString(w, `{"success":true,"message":"Changes saved successfully."}`)
	default:
		_, _ = fmt.Fprintf(w, `[{"id":1,"name":"Studio","shortcode":"studio","type":"icecast","port":8000,"relay_pw":"r","admin_pw":"a","mounts":%s}]`, mounts)
	}
}

// patience is how long a script waits for anything; it says more of the machine
// than of the program.
const patience = 5 * time.Minute

type running struct {
	mu  sync.Mutex
	all map[string]*process
}

type process struct {
	cmd   *exec.Cmd
	in    io.Writer
	ended chan struct{}
}

func processOf(ts *testscript.TestScript, name string) *process {
	r := ts.Value("running").(*running)
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.all[name]
	if !ok {
		ts.Fatalf("nothing called %q was started", name)
	}
	return p
}

func cmdStart(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	cmd := exec.Command(filepath.Join(built.dir, "signpost"), args[1:]...)
	cmd.SysProcAttr = proctest.DieWithTest()
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.MkAbs(".tmp")}
	for _, e := range []string{"SIGNPOST_CONFIG", "SIGNPOST_LISTEN", "SIGNPOST_ADMIN"} {
		if v := ts.Getenv(e); v != "" {
			cmd.Env = append(cmd.Env, e+"="+v)
		}
	}
	for _, f := range []struct {
		to   *io.Writer
		name string
	}{{&cmd.Stdout, name + ".out"}, {&cmd.Stderr, name + ".log"}} {
		file, err := os.Create(ts.MkAbs(f.name))
		ts.Check(err)
		defer file.Close() // the process has its own
		*f.to = file
	}
	in, err := cmd.StdinPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p := &process{cmd, in, make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // cmd.ProcessState tells
	}()
	ts.Defer(func() {
		_ = cmd.Process.Kill() // it has usually ended
		<-p.ended
	})
	r := ts.Value("running").(*running)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[name] = p
}

func cmdType(ts *testscript.TestScript, _ bool, args []string) {
	_, err := io.WriteString(processOf(ts, args[0]).in, args[1]+"\n")
	ts.Check(err)
}

// poll tries until it works or patience is at its end.
func poll(try func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if try() {
			return true
		}
	}
	return false
}

func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	var text []byte
	found := poll(func() bool {
		text, _ = os.ReadFile(ts.MkAbs(args[0]))
		m := re.FindSubmatch(text)
		if m != nil && len(args) > 2 {
			ts.Setenv(args[2], string(m[1]))
		}
		return m != nil
	})
	if !found {
		ts.Fatalf("%s has no line like %q:\n%s", args[0], args[1], text)
	}
}

func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT}
	ts.Check(processOf(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

func cmdEnded(ts *testscript.TestScript, _ bool, args []string) {
	p := processOf(ts, args[0])
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s still runs after %v", args[0], patience)
	}
	if code := strconv.Itoa(p.cmd.ProcessState.ExitCode()); code != args[1] {
		ts.Fatalf("%s ended with %s, want %s", args[0], code, args[1])
	}
}

func cmdGet(ts *testscript.TestScript, _ bool, args []string) {
	until := regexp.MustCompile("")
	if args[0] == "-until" {
		until, args = regexp.MustCompile(args[1]), args[2:]
	}
	client := http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var answer string
	ok := poll(func() bool {
		r, err := http.NewRequest(http.MethodGet, args[0], nil)
		ts.Check(err)
		for _, h := range args[1:] {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		resp, err := client.Do(r)
		if err != nil {
			answer = err.Error()
			return false
		}
		defer resp.Body.Close()
		var b strings.Builder
		b.WriteString(resp.Proto + " " + resp.Status + "\n")
		_ = resp.Header.Write(&b) // a Builder takes everything
		_, err = io.Copy(&b, resp.Body)
		answer = b.String()
		return err == nil && until.MatchString(answer)
	})
	if !ok {
		ts.Fatalf("%s: the last answer is %s", args[0], answer)
	}
	_, err := ts.Stdout().Write([]byte(answer))
	ts.Check(err)
}

func cmdLink(ts *testscript.TestScript, _ bool, args []string) {
	next := ts.MkAbs(args[1]) + ".next"
	ts.Check(os.Symlink(args[0], next))
	ts.Check(os.Rename(next, ts.MkAbs(args[1])))
}

func cmdExpand(ts *testscript.TestScript, _ bool, args []string) {
	text, with := ts.ReadFile(args[0]), args[2:]
	for ; len(with) > 1; with = with[1:] {
		text = strings.Replace(text, "@@", with[0], 1)
	}
	text = strings.ReplaceAll(text, "@@", with[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

func cmdShown(ts *testscript.TestScript, _ bool, args []string) {
	page, err := os.ReadFile(filepath.Join(pages, args[0]))
	ts.Check(err)
	_, section, ok := strings.Cut("\n"+string(page), "\n"+args[1]+"\n")
	if !ok {
		ts.Fatalf("%s has no heading %q", args[0], args[1])
	}
	level, _, _ := strings.Cut(args[1], " ")
	if end := regexp.MustCompile(fmt.Sprintf(`\n#{1,%d} `, len(level))).FindStringIndex(section); end != nil {
		section = section[:end[0]]
	}
	var commands strings.Builder
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		commands.WriteString(block[1])
	}
	if commands.Len() == 0 {
		ts.Fatalf("%s shows no commands below %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(commands.String()), 0o600))
}
