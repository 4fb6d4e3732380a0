package proctest

import "syscall"

// DieWithTest returns the attributes of a process that is killed when the test
// program ends, however that happens.
//
// The kernel sends the signal when the thread that started the process ends. The Go
// runtime ends a thread only if a goroutine exits while it is locked to it.
func DieWithTest() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
