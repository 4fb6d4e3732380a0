package probetest

import "syscall"

// dieWithParent ends the process with the test program, even if that is killed.
// The signal is tied to the thread that starts the process, and the Go runtime
// keeps its threads unless a goroutine ends that was locked to one.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
