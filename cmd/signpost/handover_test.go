package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/demonode"
)

// A rush asks at a rate, each request over a connection of its own. On a machine that is not
// as quick it asks more slowly: no more requests wait for their answers at a time than are
// asked in an eighth of a second, and two.
type rush struct {
	t       *testing.T
	rate    int
	stop    context.CancelFunc
	all     sync.WaitGroup
	told    sync.Map // what went wrong
	asked   atomic.Int64
	refused atomic.Int64 // no connection
	cut     atomic.Int64 // a connection, and no answer or another than is right
	longest atomic.Int64
}

// hasten begins to call ask, rate times a second. It returns whether there was a
// connection, and what went wrong.
func hasten(t *testing.T, rate int, ask func(n int64) (connected bool, err error)) *rush {
	ctx, stop := context.WithCancel(t.Context())
	r := &rush{t: t, rate: rate, stop: stop}
	t.Cleanup(stop)
	r.all.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		slots := make(chan struct{}, 2+rate/8)
		for n := int64(1); ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			slots <- struct{}{}
			r.all.Go(func() { r.one(n, ask); <-slots })
		}
	})
	return r
}

func (r *rush) one(n int64, ask func(n int64) (bool, error)) {
	began := time.Now()
	connected, err := ask(n)
	switch {
	case err == nil:
	case !connected:
		r.refused.Add(1)
		r.told.Store(err.Error(), true)
	default:
		r.cut.Add(1)
		r.told.Store(err.Error(), true)
	}
	for waited := int64(time.Since(began)); ; {
		if was := r.longest.Load(); was >= waited || r.longest.CompareAndSwap(was, waited) {
			break
		}
	}
	r.asked.Add(1)
}

// more waits until as many were asked as in a second.
func (r *rush) more() {
	r.t.Helper()
	was := r.asked.Load()
	for deadline := time.Now().Add(patience); r.asked.Load() <= was+int64(r.rate); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %v for %d requests", patience, r.rate)
		}
	}
}

// ends stops asking, and wants that all were answered.
func (r *rush) ends(what string) {
	r.t.Helper()
	r.stop()
	r.all.Wait()
	r.told.Range(func(what, _ any) bool { r.t.Errorf("refused or cut off: %v", what); return true })
	asked, refused, cut := r.asked.Load(), r.refused.Load(), r.cut.Load()
	r.t.Logf("%s: %d asked at %d a second: %d answered, %d refused, %d reset or cut off; the longest waited %v",
		what, asked, r.rate, asked-refused-cut, refused, cut, time.Duration(r.longest.Load()).Round(time.Millisecond))
}

// dialFrom connects as one of many addresses of loopback, which have as many ports each.
func dialFrom(t *testing.T, network, addr string, n int64) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	own := net.IPv4(127, 0, byte(1+n%8), byte(1+n%50))
	if d.LocalAddr = net.Addr(&net.TCPAddr{IP: own}); network == "udp" {
		d.LocalAddr = &net.UDPAddr{IP: own}
	}
	c, err := d.DialContext(t.Context(), network, addr)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// get returns what asks for a path, and wants a status.
func getting(t *testing.T, addr, path, status string) func(int64) (bool, error) {
	return func(n int64) (bool, error) {
		c, err := dialFrom(t, "tcp", addr, n)
		if err != nil {
			return false, err
		}
		defer c.Close()
		if _, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a%d\r\nConnection: close\r\n\r\n", path, n); err != nil {
			return true, fmt.Errorf("%s: %w", path, err)
		}
		answer := make([]byte, len("HTTP/1.1 302"))
		if _, err := io.ReadFull(c, answer); err != nil || !strings.HasSuffix(string(answer), status) {
			return true, fmt.Errorf("%s: %q, %w", path, answer, err)
		}
		return true, nil
	}
}

// resolving returns what asks for a name's address over UDP, once.
func resolving(t *testing.T, addr string) func(int64) (bool, error) {
	question := []byte("\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04live\x05radio\x07example\x00\x00\x01\x00\x01")
	return func(n int64) (bool, error) {
		c, err := dialFrom(t, "udp", addr, n)
		if err != nil {
			return false, err
		}
		defer c.Close()
		query := slices.Clone(question)
		binary.BigEndian.PutUint16(query, uint16(n))
		if _, err := c.Write(query); err != nil {
			return true, fmt.Errorf("DNS: %w", err)
		}
		answer := make([]byte, 512)
		size, err := c.Read(answer)
		if err != nil || size < 12 || binary.BigEndian.Uint16(answer) != uint16(n) || answer[3]&15 != 0 || binary.BigEndian.Uint16(answer[6:]) == 0 {
			return true, fmt.Errorf("DNS: %x, %w", answer[:min(size, 12)], err)
		}
		return true, nil
	}
}

// A manager is what a service manager is to a director: a socket that it tells its state.
type manager struct {
	socket *net.UnixConn
	path   string
}

func manage(t *testing.T) *manager {
	t.Helper()
	m := &manager{path: filepath.Join(t.TempDir(), "notify")}
	var err error
	if m.socket, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.socket.Close() })
	return m
}

// hears returns what follows a word that a director says, and skips others.
func (m *manager) hears(t *testing.T, word string) string {
	t.Helper()
	_ = m.socket.SetReadDeadline(time.Now().Add(patience))
	for b := make([]byte, 512); ; {
		n, err := m.socket.Read(b)
		if err != nil {
			t.Fatalf("waiting for %s: %v", word, err)
		}
		if rest, ok := strings.CutPrefix(string(b[:n]), word+"="); ok {
			return rest
		}
	}
}

// A director that is started anew by SIGUSR2 refuses nobody and leaves no request without
// its answer: of listeners, of operators, of resolvers. Operators' changes are kept, edits
// are taken, and an inline listener is carried on. The full size is 1,000 connections a
// second over five upgrades.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	rate, upgrades := 100, 1
	if os.Getenv("SIGNPOST_SOAK") != "" {
		rate, upgrades = 1000, 5
	}
	m, resolver, state := manage(t), freeAddr(t), t.TempDir()
	node := demonode.New(demonode.Options{Addr: "127.0.0.1:0"})
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	s := beside(t, fmt.Sprintf("state_dir: %s\ndns: {zone: radio.example, listen: [%q], ns: [{name: ns1.radio.example, addresses: [127.0.0.1]}, {name: ns2.radio.example, addresses: [127.0.0.2]}], per_network: 0, records: {live.radio.example: {a: [192.0.2.1]}}}\nrules: {list: [{name: old, user_agent: 'Old*', answer: proxy}]}", state, resolver), func(cmd *exec.Cmd) {
		edit(t, cmd, "shutdown_timeout", "max_per_address: 0, max_per_key: 0, shutdown_timeout")
		edit(t, cmd, "kind: http", fmt.Sprintf("kind: icecast, internal_url: %q", node.URL()))
		cmd.Args = append(cmd.Args, "--records", "off")
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path)
	})
	m.hears(t, "READY")
	s.serves(1)
	inline := carried(t, s.public)

	listeners := hasten(t, rate, getting(t, s.public, "/live.mp3", "302"))
	operators := hasten(t, 20, getting(t, s.oper, "/api/v1/nodes", "200"))
	var noted sync.Map // the notes that were accepted
	editors := hasten(t, 10, func(n int64) (bool, error) {
		id := fmt.Sprintf("note%d", n)
		connected, err := noting(t, s.oper, id)(n)
		if err == nil {
			noted.Store(id, true)
		}
		return connected, err
	})
	names := hasten(t, rate/4, resolving(t, resolver))
	pid := s.cmd.Process.Pid
	for range upgrades {
		listeners.more()
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		next, err := strconv.Atoi(m.hears(t, "MAINPID"))
		if err != nil {
			t.Fatal(err)
		}
		pid = next
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	}
	listeners.more()
	listeners.ends("listeners")
	operators.ends("operators")
	names.ends("DNS")
	editors.ends("edits")
	_, overlay := s.get(s.oper + "/api/v1/overlay")
	noted.Range(func(id, _ any) bool {
		if !strings.Contains(overlay, fmt.Sprintf("%q", id)) {
			t.Errorf("the note %s was accepted, and is lost", id)
		}
		return true
	})
	inline.goesOn()
	select {
	case <-s.ended:
		t.Error("the first process has ended, though it carries a stream")
	default:
	}
	_ = inline.conn.Close()
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Errorf("the first process has not ended, though its last listener has left")
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	for deadline := time.Now().Add(patience); syscall.Kill(pid, 0) == nil && !zombie(pid) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // it has to leave the test's files alone
	}
}

// zombie says whether a process has ended, and nobody has asked how.
func zombie(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Contains(string(stat), ") Z ")
}

// noting returns what makes a note, as operators do: who is told that the store did not
// answer in time, or that others' changes came between too often, which is so on a machine
// that is busy enough, asks again.
func noting(t *testing.T, addr, id string) func(int64) (bool, error) {
	const body = `{"text": "here"}`
	return func(n int64) (bool, error) {
		for deadline := time.Now().Add(patience); ; {
			c, err := dialFrom(t, "tcp", addr, n)
			if err != nil {
				return false, err
			}
			_, err = fmt.Fprintf(c, "PUT /api/v1/notes/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", id, len(body), body)
			var answer []byte
			if err == nil {
				answer, err = io.ReadAll(c)
			}
			c.Close()
			switch {
			case err == nil && strings.HasPrefix(string(answer), "HTTP/1.1 200"):
				return true, nil
			case err == nil && (strings.HasPrefix(string(answer), "HTTP/1.1 409") || strings.Contains(string(answer), "no answer in time")) && time.Now().Before(deadline):
			default:
				return true, fmt.Errorf("an edit: %q, %w", answer, err)
			}
		}
	}
}

// A stream is one that is carried inline.
type stream struct {
	t    *testing.T
	conn net.Conn
	all  atomic.Int64 // bytes; below 0: it has ended
}

// carried begins to listen inline.
func carried(t *testing.T, addr string) *stream {
	t.Helper()
	c, err := dialFrom(t, "tcp", addr, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_, _ = io.WriteString(c, "GET /live.mp3 HTTP/1.0\r\nUser-Agent: Old/1\r\n\r\n")
	s := &stream{t: t, conn: c}
	go func() {
		for b := make([]byte, 4096); ; {
			_ = c.SetReadDeadline(time.Now().Add(patience))
			n, err := c.Read(b)
			if s.all.Add(int64(n)); err != nil {
				s.all.Store(-1 << 32)
				return
			}
		}
	}()
	s.goesOn()
	return s
}

// goesOn waits for some more of the stream.
func (s *stream) goesOn() {
	s.t.Helper()
	was := s.all.Load()
	for deadline := time.Now().Add(patience); s.all.Load() <= was+20_000; time.Sleep(10 * time.Millisecond) {
		if was < 0 || time.Now().After(deadline) {
			s.t.Fatalf("the stream that is carried inline does not go on: %d bytes", s.all.Load())
		}
	}
}

// edit replaces text in the configuration of a director that is not started yet.
func edit(t *testing.T, cmd *exec.Cmd, old, new string) {
	t.Helper()
	config := cmd.Args[slices.Index(cmd.Args, "--config")+1]
	text, err := os.ReadFile(config)
	if err == nil {
		err = os.WriteFile(config, []byte(strings.Replace(string(text), old, new, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A director that is replaced refuses nobody where its socket was handed over by who starts
// it: who connects while one process ends and the next starts waits in the kernel's queue.
// The full size is a rate of 1,000 connections a second over five restarts.
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
	listeners := hasten(t, rate, getting(t, addr, "/live.mp3", "302"))
	for range restarts {
		listeners.more()
		s.stops()
		s = next()
		s.serves(1)
	}
	listeners.more()
	listeners.ends(fmt.Sprintf("%d restarts with sockets of a service manager", restarts))
}

// The service manager is told of a reload, and whether the file is refused: by which
// mistake, and that the one before stays in force.
func TestReloadIsTold(t *testing.T) {
	t.Parallel()
	m := manage(t)
	var file string
	s := beside(t, "", func(cmd *exec.Cmd) {
		file = cmd.Args[len(cmd.Args)-1]
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path)
	})
	m.hears(t, "READY")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{"nodes: []\n", "the configuration file is refused, the one before stays in force: " + file + ":"},
		{string(good) + "# again\n", "the configuration file is in force"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, clock, ok := strings.Cut(m.hears(t, "RELOADING"), "\nMONOTONIC_USEC=")
		if usec, err := strconv.Atoi(clock); !ok || err != nil || usec <= 0 {
			t.Errorf("reloading at %q", clock)
		}
		if _, status, _ := strings.Cut(m.hears(t, "READY"), "\nSTATUS="); !strings.HasPrefix(status, c.want) {
			t.Errorf("status %q, want %q", status, c.want)
		}
	}
	s.stops()
}
