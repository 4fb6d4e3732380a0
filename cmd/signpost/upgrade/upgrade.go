// Package upgrade replaces a running program by a new one, which goes on with its open
// sockets, so that nobody is refused meanwhile.
//
// The running process starts the program anew and hands it duplicates of its sockets. Both
// have the same sockets in the kernel, so that nothing is lost when one closes its own: who
// waits in the queue of a socket waits there for the other. The two processes say to each
// other, over a pair of sockets:
//
//	new: ready     it answers
//	old: released  it takes no new connections, and has let go what only one may have
//
// If the new process ends or is not ready in time, the old one goes on.
//
// What a service manager hands over when it starts the program (sd_listen_fds(3)) is taken
// in the same way, and a manager that wants to know is told how far the program is
// (sd_notify(3)).
package upgrade

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	// variable tells a new process that it takes the place of a running one, and how many
	// sockets it is given.
	variable = "SIGNPOST_UPGRADE"
	// firstFile is the first descriptor that is handed over (sd_listen_fds(3)). To a process
	// that takes another's place it is the line between them, and the sockets follow.
	firstFile = 3
	// mostFiles bounds what a wrong number in the environment can do.
	mostFiles = 1000
	// readyWithin is how long a new process may take until it answers. Loading a large
	// database takes some seconds.
	readyWithin = time.Minute
	// endWithin is how long a process that has closed its line may take to end.
	endWithin = 5 * time.Second
	// releaseWithin is how long a process that is ready waits for the one before to let go.
	releaseWithin = 30 * time.Second
)

const (
	ready    = "ready"
	released = "released"
)

// Inherited is what a process was given when it was started.
type Inherited struct {
	Sockets []*os.File
	Before  *Before // nil: it takes nobody's place
}

// Inherit returns what this process was given. It may be called once: what was handed over
// is nobody else's, and the processes that this one starts do not see it.
func Inherit() (in Inherited, err error) {
	names := []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", variable}
	env := map[string]string{}
	for _, name := range names {
		env[name] = os.Getenv(name)
		_ = os.Unsetenv(name) // it cannot fail with such a name
	}
	if text := env[variable]; text != "" {
		n, err := number(variable, text)
		if err != nil {
			return in, err
		}
		line := os.NewFile(firstFile, "line")
		conn, err := net.FileConn(line)
		_ = line.Close() // conn has a duplicate
		if err != nil {
			return in, fmt.Errorf("%s is set, and the descriptor %d is no socket: %w; unset it", variable, firstFile, err)
		}
		in.Before = &Before{conn}
		in.Sockets = files(firstFile+1, n)
		return in, nil
	}
	if pid, err := strconv.Atoi(env["LISTEN_PID"]); err != nil || pid != os.Getpid() {
		return in, nil //nolint:nilerr // they are another process's, or there are none
	}
	n, err := number("LISTEN_FDS", env["LISTEN_FDS"])
	in.Sockets = files(firstFile, n)
	return in, err
}

func number(name, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > mostFiles {
		return 0, fmt.Errorf("%s=%.20q is no number of sockets", name, text)
	}
	return n, nil
}

func files(first, n int) []*os.File {
	all := make([]*os.File, n)
	for i := range all {
		closeOnExec(first + i)
		all[i] = os.NewFile(uintptr(first+i), "socket "+strconv.Itoa(first+i))
	}
	return all
}

// Before is the process whose place this one takes.
type Before struct{ line net.Conn }

// Ready says that this process answers. It returns when the one before has released what
// only one may have, or is gone, or ctx is done, or after releaseWithin, with an error if
// it did not say so.
func (b *Before) Ready(ctx context.Context) error {
	defer b.line.Close()
	_ = b.line.SetDeadline(time.Now().Add(releaseWithin))
	defer context.AfterFunc(ctx, func() { _ = b.line.Close() })()
	if _, err := fmt.Fprintln(b.line, ready); err != nil {
		return fmt.Errorf("tell the process before that this one is ready: %w", err)
	}
	word, err := bufio.NewReader(b.line).ReadString('\n')
	if err == nil && strings.TrimSpace(word) != released {
		err = fmt.Errorf("it said %.20q", word)
	}
	if err != nil {
		return fmt.Errorf("wait for the process before to let go: %w", err)
	}
	return nil
}

// Program is how to start this program anew.
type Program struct {
	path string
	args []string
	dir  string
}

// Self returns the program as it was called. It must be asked before the working directory
// changes. A link in its path is followed anew with each start, so that it may meanwhile
// lead to another version.
func Self() (Program, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Program{}, err
	}
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return Program{}, err
	}
	return Program{path, os.Args[1:], dir}, nil
}

// Next is a new process that is to take this one's place.
type Next struct {
	cmd   *exec.Cmd
	line  net.Conn
	ended chan struct{}
	ready chan error
}

// Start starts p with duplicates of sockets, which the caller may close afterwards.
func (p Program) Start(sockets []*os.File) (*Next, error) {
	if err := refusal(); err != nil {
		return nil, err
	}
	mine, its, err := pair()
	if err != nil {
		return nil, fmt.Errorf("make a line to the new process: %w", err)
	}
	defer its.Close()
	n := &Next{cmd: exec.Command(p.path, p.args...), line: mine, ended: make(chan struct{}), ready: make(chan error, 1)} //nolint:gosec,noctx // this program, as it was called; it outlives us
	n.cmd.Dir = p.dir
	n.cmd.Stdin, n.cmd.Stdout, n.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	n.cmd.Env = append(os.Environ(), variable+"="+strconv.Itoa(len(sockets)))
	n.cmd.ExtraFiles = append([]*os.File{its}, sockets...)
	if err := n.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.path, err), mine.Close())
	}
	go func() { _ = n.cmd.Wait(); close(n.ended) }() // ProcessState says how
	go func() { n.ready <- n.wait() }()
	return n, nil
}

// refusal says why a new process could not live where this one does; nil: it can.
func refusal() error {
	switch {
	case os.Getpid() == 1:
		return errors.New("this is process 1 of a container, which ends with it: replace the container instead, one director after another")
	case os.Getenv("INVOCATION_ID") != "" && os.Getenv("NOTIFY_SOCKET") == "" && os.Getppid() == 1:
		return errors.New("systemd would end the new process with this one: the unit needs Type=notify, as in deploy/systemd/signpost.service")
	}
	return nil
}

// wait returns nil when the new process is ready. After an error it has ended.
func (n *Next) wait() error {
	_ = n.line.SetReadDeadline(time.Now().Add(readyWithin))
	word, err := bufio.NewReader(n.line).ReadString('\n')
	if err == nil && strings.TrimSpace(word) == ready {
		return nil
	}
	var late interface{ Timeout() bool }
	if errors.As(err, &late) && late.Timeout() {
		n.End()
		return fmt.Errorf("it was not ready within %v", readyWithin)
	}
	select {
	case <-n.ended: // by itself
	case <-time.After(endWithin):
	}
	n.End()
	return fmt.Errorf("it ended: %v", n.cmd.ProcessState)
}

// Ready receives nil when the new process answers, or the reason why it never will.
func (n *Next) Ready() <-chan error { return n.ready }

// PID is the new process's number.
func (n *Next) PID() int { return n.cmd.Process.Pid }

// Released says to the new process that it may have what only one may have.
func (n *Next) Released() error {
	_, err := fmt.Fprintln(n.line, released)
	return errors.Join(err, n.line.Close())
}

// End ends the new process.
func (n *Next) End() {
	_ = n.line.Close()
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// Reloading tells the service manager that the program reads its configuration again.
// "READY=1" says that it is done.
func Reloading() error { return Notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic())) }

// Notify tells the service manager the program's state, such as "READY=1" (sd_notify(3)).
// Without a manager that wants to know it does nothing.
func Notify(state string) error {
	to := os.Getenv("NOTIFY_SOCKET")
	if to == "" {
		return nil
	}
	// Package net knows abstract addresses by their "@", as the manager writes them.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: to, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	_, err = c.Write([]byte(state))
	return errors.Join(err, c.Close())
}
