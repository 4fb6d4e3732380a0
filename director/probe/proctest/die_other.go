//go:build unix && !linux

package proctest

import "syscall"

// DieWithTest has an effect only on Linux. Elsewhere a test program that is killed
// leaves its processes behind.
func DieWithTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
