package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// A side is a director's process whose outputs, files or limits are not as they should be.
type side struct {
	t            *testing.T
	cmd          *exec.Cmd
	public, oper string // addresses
	ended        chan struct{}
}

// beside starts the built program with one node; outputs and limits are set by prepare.
// The addresses are free ports that it is told, for its log may go nowhere.
func beside(t *testing.T, more string, prepare func(*exec.Cmd)) *side {
	t.Helper()
	dir, err := program()
	if err != nil {
		t.Fatal(err)
	}
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "audio") }))
	t.Cleanup(node.Close)
	s := &side{t: t, public: freeAddr(t), oper: freeAddr(t), ended: make(chan struct{})}
	config := filepath.Join(t.TempDir(), "signpost.yaml")
	text := fmt.Sprintf("listen: {http: [%q], shutdown_timeout: 1s}\nadmin: {listen: %q}\nmounts: [/live.mp3]\nnodes: [{id: one, urls: %q, kind: http}]\n%s\n", s.public, s.oper, node.URL, more)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(filepath.Join(dir, "signpost"), "serve", "--config", config)
	s.cmd.SysProcAttr = proctest.DieWithTest()
	prepare(s.cmd)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(s.ended); _ = s.cmd.Wait() }() // cmd.ProcessState tells
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); <-s.ended })
	return s
}

// freeAddr is an address that was free just now.
func freeAddr(t *testing.T) string {
	t.Helper()
	node := httptest.NewServer(nil)
	defer node.Close()
	return node.Listener.Addr().String()
}

// get asks for a page; status 0 says that nobody answered.
func (s *side) get(url string) (status int, body string) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body) // a part tells enough
	return resp.StatusCode, string(text)
}

func (s *side) await(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.ended:
			s.t.Fatalf("waiting for %s: it has ended: %v", what, s.cmd.ProcessState)
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// serves waits until listeners are redirected, and asks n times more.
func (s *side) serves(n int) {
	s.t.Helper()
	s.await("a redirect", func() bool { code, _ := s.get(s.public + "/live.mp3"); return code == http.StatusFound })
	for i := range n {
		if code, body := s.get(s.public + "/live.mp3"); code != http.StatusFound && code != http.StatusTooManyRequests {
			s.t.Fatalf("request %d: %d %s", i, code, body)
		}
	}
}

func (s *side) metric(name string) string {
	_, body := s.get(s.oper + "/metrics")
	_, rest, _ := strings.Cut(body, "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

func (s *side) problems() string {
	_, body := s.get(s.oper + "/api/v1/status")
	var st struct {
		Degraded bool
		Problems []string
	}
	_ = json.Unmarshal([]byte(body), &st) // what is no answer has no problems
	return fmt.Sprint(st.Degraded, " ", strings.Join(st.Problems, "; "))
}

// stops ends it by SIGTERM, and wants that to be its own doing.
func (s *side) stops() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatal("SIGTERM was not obeyed")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("it ended with %v", s.cmd.ProcessState)
	}
}

// Readers of standard output and error that go away, take nothing or have no room end no
// director, and hold up none; what is lost is counted and told.
func TestOutputsInTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		open func(t *testing.T) *os.File
		lost bool
	}{
		"the reader is gone": {func(t *testing.T) *os.File { r, w := pipe(t); r.Close(); return w }, true},
		"nobody reads":       {func(t *testing.T) *os.File { return fullPipe(t) }, false},
		"a full disk":        {func(t *testing.T) *os.File { return openFor(t, "/dev/full") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := beside(t, "", func(cmd *exec.Cmd) { cmd.Stdout, cmd.Stderr = c.open(t), c.open(t) })
			requests := 5
			if os.Getenv("SIGNPOST_SOAK") != "" {
				requests = 5000
			}
			s.serves(requests)
			if c.lost {
				s.await("lost records to be counted", func() bool { return s.metric("signpost_records_dropped_total") >= "5" })
				s.await("lost log lines to be counted", func() bool { return s.metric("signpost_log_lines_dropped_total") > "0" })
				s.await("the status to say so", func() bool {
					p := s.problems()
					return strings.HasPrefix(p, "true ") && strings.Contains(p, "request records cannot be written") && strings.Contains(p, "log lines cannot be written")
				})
			}
			s.serves(requests)
			t.Logf("%s: all of %d requests answered; %s records and %s log lines dropped, and counted", name, 2*requests+2, s.metric("signpost_records_dropped_total"), s.metric("signpost_log_lines_dropped_total"))
			s.stops()
		})
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

func openFor(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// fullPipe is one that takes nothing more, and whose reader stays.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	_, w := pipe(t)
	fd := int(w.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for some := make([]byte, 4096); ; {
		if _, err := syscall.Write(fd, some); err != nil {
			break
		}
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	return w
}

// A state_dir that cannot be used, or holds what is no overlay, costs operators' changes
// and no listener: the director says so, and obeys SIGTERM.
func TestStateInTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(dir string) error
		want    string
	}{
		"a file": {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "not a directory"},
		"a FIFO": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), syscall.Mkfifo(dir+"/overlay.json", 0o600))
		}, "it is not a file"},
		"no end": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Symlink("/dev/zero", dir+"/overlay.json"))
		}, "it is not a file"},
		"spoiled": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(dir+"/overlay.json", []byte("{"), 0o600))
		}, "was set aside as"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "state")
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			s := beside(t, "state_dir: "+dir, func(*exec.Cmd) {})
			s.serves(1)
			s.await("the status to say "+c.want, func() bool { p := s.problems(); return strings.HasPrefix(p, "true ") && strings.Contains(p, c.want) })
			var code int
			var body string
			s.await("it is ready", func() bool { code, body = s.get(s.public + "/readyz"); return code == 200 })
			if !strings.Contains(body, `"degraded":true`) || strings.Contains(body, dir) {
				t.Errorf("readyz: %d %s", code, body)
			}
			s.stops()
		})
	}
}

// SIGTERM ends a director that hangs while it starts: here, at a file that is a FIFO.
func TestSigtermWhileStarting(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "signpost.yaml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	s := beside(t, "", func(cmd *exec.Cmd) { cmd.Args[len(cmd.Args)-1] = fifo })
	var w *os.File
	s.await("it to read the file", func() (ok bool) {
		var err error
		w, err = os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0) // only while there is a reader
		return err == nil
	})
	defer w.Close()
	s.stops()
}
