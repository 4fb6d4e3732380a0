package proctest

import "syscall"

// DieWithTest returns the attributes of a process that is killed when the test
// program ends, however that happens.
//
// The signal is tied to the thread that starts the process, and the Go runtime
// keeps its threads unless a goroutine ends that was locked to one.
func DieWithTest() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
