package redistest

import "syscall"

// dieWithParent ends the process with the test program, even if that is killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
