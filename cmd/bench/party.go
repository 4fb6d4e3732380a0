package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A party is one server that takes part, in a process of its own.
type party struct {
	name string
	addr string
	cmd  *exec.Cmd
	rest float64 // milliseconds of CPU per second at rest, where measured
}

// start runs a program on one core and takes its address from the first line of its
// output that find recognises. Further output, such as a record of each request, is
// read and discarded.
func start(name string, core int, find func(line string) string, program string, args ...string) (*party, error) {
	p := &party{name: name, cmd: exec.Command(program, args...)}
	p.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = in, in
	err = startOn(core, p.cmd)
	in.Close()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(&said, lines.Text())
		if p.addr = find(lines.Text()); p.addr != "" {
			go io.Copy(io.Discard, out) //nolint:errcheck // what it logs further is not of interest
			return p, nil
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s ended before it said where it listens:\n%s", name, said.String())
}

// startOn starts a process on one core, or on any if that core is not available.
// The child inherits the affinity of the thread that forks it.
func startOn(core int, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	one.Set(core)
	if before.Count() > 1 && before.IsSet(core) {
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return err
		}
		defer unix.SchedSetaffinity(0, &before) //nolint:errcheck // this thread keeps one core then, which only slows the bench
	}
	return cmd.Start()
}

func (p *party) stop() {
	p.cmd.Process.Kill() //nolint:errcheck // it may be gone already
	p.cmd.Wait()         //nolint:errcheck // killed
}

// cpu returns the CPU time of the party's threads, as the scheduler counts it in
// nanoseconds (/proc/PID/task/TID/schedstat, first field).
func (p *party) cpu() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		return 0, errors.Join(errors.New("no scheduler statistics in /proc: this needs Linux with CONFIG_SCHED_INFO"), err)
	}
	var sum int64
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		sum += ns
	}
	return time.Duration(sum), nil
}

// resident returns the party's resident memory in bytes.
func (p *party) resident() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
