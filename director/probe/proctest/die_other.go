//go:build unix && !linux

package proctest

import "syscall"

// DieWithTest is for Linux only. Elsewhere a test program that is killed leaves its
// processes behind.
func DieWithTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
