//go:build unix

package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// patience bounds every wait. It is long for a machine that is busy, and for Sentinels,
// which do nothing for 30 s when they notice that they stood still for 2.
const patience = 5 * time.Minute

// Options of a Server.
type Options struct {
	Password string        // of the default user; empty: none
	TLS      *Certificates // nil: plain
	Args     []string      // further ones of redis-server: "--maxmemory", "3mb"
	Env      []string      // of the process, further than the test's
}

// A Server is one redis-server process. Its methods end the test if they fail.
type Server struct {
	// Addr is where it listens, 127.0.0.1 and a port, also after a restart.
	Addr string
	// Socket is the path of its unix socket, where there is never TLS.
	Socket string

	t     testing.TB
	dir   string
	args  []string
	env   []string
	admin *redis.Client

	mu   sync.Mutex // guards what follows
	cmd  *exec.Cmd
	log  *proctest.Output
	done chan struct{} // closed when cmd has ended
}

// Start starts a server and returns when it answers.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	port := "--port"
	var args []string
	if o.TLS != nil {
		port = "--tls-port"
		args = append(args, "--port", "0", "--tls-cert-file", o.TLS.Cert, "--tls-key-file", o.TLS.Key,
			"--tls-ca-cert-file", o.TLS.CA, "--tls-auth-clients", "no")
	}
	if o.Password != "" {
		args = append(args, "--requirepass", o.Password)
	}
	// Nothing is saved unless a test asks for it, and DEBUG may be used.
	args = append(args, "--save", "", "--enable-debug-command", "yes", "--unixsocketperm", "700")
	return start(t, o.Password, o.Env, func(n int, _ string) []string {
		return append(append([]string{port, strconv.Itoa(n)}, args...), o.Args...)
	})
}

// start starts redis-server with the arguments for a port and a directory of its
// own, trying other ports if that one is taken.
func start(t testing.TB, password string, env []string, args func(port int, dir string) []string) *Server {
	t.Helper()
	proctest.Need(t, "redis-server")
	dir, err := os.MkdirTemp("", "redistest") // that of the test may be too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	logging.Disable() // go-redis would report each try to reach a server that only starts
	s := &Server{t: t, dir: dir, env: env, Socket: filepath.Join(dir, "socket")}
	s.admin = redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket, Password: password, Protocol: 2,
		MaxRetries: -1, DialerRetries: 1, ReadTimeout: patience, PoolSize: 1000})
	t.Cleanup(func() { _ = s.admin.Close() })
	t.Cleanup(s.Kill)
	for try := 0; ; try++ {
		port := freePort(t)
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		s.args = args(port, dir)
		s.launch()
		err := s.awaitAnswer()
		if err == nil {
			return s
		}
		if try == 5 || !strings.Contains(s.Log(), "in use") {
			t.Fatalf("redis-server %s: %v\n%s", strings.Join(s.args, " "), err, s.Log())
		}
	}
}

// freePort returns a port that was free just now, outside the range from which
// connections get theirs: it must be free again after a restart.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 12000 + rand.N(18000)
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port found")
	return 0
}

func (s *Server) launch() {
	args := append([]string{}, s.args...)
	cmd := exec.CommandContext(context.Background(), "redis-server", append(args, "--bind", "127.0.0.1", "--dir", s.dir, "--unixsocket", s.Socket)...) //nolint:gosec // the test says which arguments
	log, done := &proctest.Output{}, make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), s.env...)
	cmd.SysProcAttr = proctest.DieWithTest()
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start redis-server: %v", err)
	}
	go func() {
		_ = cmd.Wait() // how it ended does not matter, its log does
		close(done)
	}()
	s.mu.Lock()
	s.cmd, s.log, s.done = cmd, log, done
	s.mu.Unlock()
}

// awaitAnswer returns when the server answers, be it with LOADING.
func (s *Server) awaitAnswer() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := s.admin.Ping(ctx).Err()
		var refused redis.Error
		if err == nil || errors.As(err, &refused) {
			return nil
		}
		select {
		case <-s.done:
			return errors.New("it has ended")
		case <-ctx.Done():
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// URL returns redis://Addr.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Kill ends the server as kill -9 does, and returns when it is gone.
func (s *Server) Kill() {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // it may have ended by itself
	<-done
}

// Restart starts the server again where it was, with what it has saved, and
// returns when it answers. It must have been killed. More arguments are added to
// those it had, from now on.
func (s *Server) Restart(more ...string) {
	s.t.Helper()
	s.args = append(s.args, more...)
	s.launch()
	if err := s.awaitAnswer(); err != nil {
		s.t.Fatalf("restart redis-server: %v\n%s", err, s.Log())
	}
}

// Stop suspends the process: connections stay, and nothing answers.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Continue ends a Stop.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("signal redis-server: %v", err)
	}
}

// Flush deletes everything.
func (s *Server) Flush() { s.Do("FLUSHALL") }

// Do sends a command and returns the answer: a string, an int64, nil or a []any
// of them.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	v, err := s.Try(args...)
	if err != nil {
		s.t.Fatalf("redis: %v: %v", args, err)
	}
	return v
}

// Try is a Do that may fail.
func (s *Server) Try(args ...any) (any, error) {
	v, err := s.admin.Do(context.Background(), args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return v, err
}

// Info returns a field of INFO; empty if there is none.
func (s *Server) Info(field string) string {
	s.t.Helper()
	for line := range strings.Lines(fmt.Sprint(s.Do("INFO", "everything"))) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return value
		}
	}
	return ""
}

// Log returns what the server has written since it was started last.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Await polls until ok, and ends the test if that takes too long.
func Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
