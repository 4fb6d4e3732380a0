package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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
			s.serves(5)
			if c.lost {
				s.await("lost records to be counted", func() bool { return s.metric("signpost_records_dropped_total") >= "5" })
				s.await("lost log lines to be counted", func() bool { return s.metric("signpost_log_lines_dropped_total") > "0" })
				s.await("the status to say so", func() bool {
					p := s.problems()
					return strings.HasPrefix(p, "true ") && strings.Contains(p, "request records cannot be written") && strings.Contains(p, "log lines cannot be written")
				})
			}
			s.serves(5)
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
		}, "it is no file"},
		"no end": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Symlink("/dev/zero", dir+"/overlay.json"))
		}, "it is no file"},
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
			if code, body := s.get(s.public + "/readyz"); code != 200 || !strings.Contains(body, `"degraded":true`) || strings.Contains(body, dir) {
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

// A director that is replaced refuses nobody where its socket was handed over: who
// connects while one process ends and the next starts waits in the kernel's queue. The
// full size is a rate of 1,000 connections a second over five restarts.
func TestHandOverOfSockets(t *testing.T) {
	t.Parallel()
	rate, restarts := 100, 1
	if os.Getenv("SIGNPOST_SOAK") != "" {
		rate, restarts = 1000, 5
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	addr := l.Addr().String()
	_ = l.Close() // the file keeps it open
	next := func() *side {
		s := beside(t, "", func(cmd *exec.Cmd) {
			config := cmd.Args[len(cmd.Args)-1]
			text, err := os.ReadFile(config)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(text), "shutdown_timeout")
			if err := os.WriteFile(config, []byte(fmt.Sprintf("listen: {http: [%q], max_per_address: 100000, max_per_key: 100000, shutdown_timeout", addr)+rest), 0o600); err != nil {
				t.Fatal(err)
			}
			// LISTEN_PID is the process's own number, which only a shell that becomes it knows before.
			program := cmd.Path
			cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve --records off --config "$1"`, program, config}
			cmd.ExtraFiles = []*os.File{socket}
		})
		s.public = addr
		return s
	}
	s := next()
	s.serves(1)

	var told sync.Map // what went wrong
	var asked, wrong, longest atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	ask := func() {
		defer asking.Done()
		began := time.Now()
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", addr)
		if err == nil {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, err = fmt.Fprintf(conn, "GET /live.mp3 HTTP/1.1\r\nHost: x\r\nUser-Agent: a%d\r\nConnection: close\r\n\r\n", asked.Load())
		}
		answer := make([]byte, len("HTTP/1.1 302"))
		if err == nil {
			_, err = io.ReadFull(conn, answer)
		}
		if code := string(answer); err != nil || !strings.HasSuffix(code, "302") {
			wrong.Add(1)
			told.Store(fmt.Sprint(code, " ", err), true)
		}
		for waited := int64(time.Since(began)); ; {
			if was := longest.Load(); was >= waited || longest.CompareAndSwap(was, waited) {
				break
			}
		}
		asked.Add(1)
	}
	asking.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				asking.Add(1)
				go ask()
			}
		}
	})
	for range restarts {
		was := asked.Load()
		s.await("requests before a restart", func() bool { return asked.Load() > was+int64(rate) })
		s.stops()
		s = next()
		s.serves(1)
	}
	was := asked.Load()
	s.await("requests after a restart", func() bool { return asked.Load() > was+int64(rate) })
	stop()
	asking.Wait()
	told.Range(func(what, _ any) bool { t.Errorf("refused or cut off: %v", what); return true })
	t.Logf("%d connections at %d a second over %d restarts: %d refused or cut off, the longest waited %v",
		asked.Load(), rate, restarts, wrong.Load(), time.Duration(longest.Load()).Round(time.Millisecond))
}
