//go:build unix

package probetest

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// process is a running program.
type process struct {
	cmd  *exec.Cmd
	log  tail
	done chan struct{} // closed when the program has ended
	end  string        // how it ended, for failures; valid after done is closed
}

// startProcess runs a program as an unprivileged user: icecast2 refuses to run
// as root.
func startProcess(t testing.TB, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.Dir = "/"
	p.cmd.WaitDelay = time.Second // a surviving child of it may keep its outputs open
	p.cmd.SysProcAttr = proctest.DieWithTest()
	p.cmd.SysProcAttr.Credential = unprivileged(t)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // the state tells more than the error
		p.end = p.cmd.ProcessState.String()
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// String returns the process's state and the end of its output, for failures.
func (p *process) String() string {
	switch {
	case p == nil:
		return "killed"
	case p.ended():
		return p.end + ": " + p.log.String()
	default:
		return "running: " + p.log.String()
	}
}

// unprivileged returns the credential of user "nobody" for root, and nil for any other user.
func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatalf("icecast2 does not run as root, and there is no user to run it as: %v", err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// ownDir makes a directory that the unprivileged user can read, unlike those of
// t.TempDir.
func ownDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "probetest")
	if err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatalf("directory for icecast2: %v", err)
	}
	return dir
}

// tail keeps the last bytes that were written to it.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

const tailSize = 16 << 10

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(b)
	if over := l.b.Len() - tailSize; over > 0 {
		l.b.Next(over)
	}
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
