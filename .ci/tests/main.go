// Command tests runs the project's tests as `make test` wants them:
//
//	tests run FLAGS PACKAGES  "go test" with these, and a line for each package as it ends
//	tests race FLAGS PACKAGES the same, with the race detector where it has something to find
//	tests fuzz N              N inputs for each fuzz target, several targets side by side
//	tests breaks LIST NAMES   put each fault of a list into the code, if NAMES, a regular
//	                          expression, matches its name, and see that a test fails
//
// Nothing outlives it, however it ends: whatever it starts is one group of
// processes with one directory for temporary files. It needs a Unix system.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	switch {
	case os.Getenv(inGroup) == "":
		return guard(args)
	case len(args) > 1 && args[0] == "run":
		go endWithGuard()
		return goTests(args[1:])
	case len(args) > 1 && args[0] == "race":
		go endWithGuard()
		return race(args[1:])
	case len(args) == 3 && args[0] == "breaks":
		go endWithGuard()
		return breaks(args[1], args[2])
	case len(args) == 2 && args[0] == "fuzz":
		go endWithGuard()
		if n, err := strconv.Atoi(args[1]); err == nil && n > 0 {
			return fuzz(n)
		}
	}
	fmt.Fprintln(os.Stderr, "usage: tests run|race FLAGS PACKAGES | tests fuzz N | tests breaks LIST NAMES")
	return 2
}

// inGroup is the environment variable that tells the process which works from the
// one that guards it.
const inGroup = "SIGNPOST_TESTS_IN_GROUP"

// guard does the work in a child that begins a group of processes, and ends all of
// that group when the child ends or a signal comes.
func guard(args []string) int {
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	dir, err := os.MkdirTemp("", "signpost-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // servers run as another user
		return fail(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	c := exec.Command(self, args...)
	c.Env = append(os.Environ(), inGroup+"=1", "TMPDIR="+dir)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if _, err := c.StdinPipe(); err != nil { // see endWithGuard
		return fail(err)
	}
	if err := c.Start(); err != nil {
		return fail(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err = <-ended:
	case s := <-signals:
		err = fmt.Errorf("ended by a signal: %v", s)
	}
	_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // there may be none left
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode()
	}
	return fail(err)
}

// endWithGuard ends the group when the guard is gone, even if that was killed:
// nothing is ever written to standard input, which the guard holds open.
func endWithGuard() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = os.RemoveAll(os.TempDir()) // the guard made it
	_ = syscall.Kill(0, syscall.SIGKILL)
}

func fail(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "tests:", err)
	return 1
}
