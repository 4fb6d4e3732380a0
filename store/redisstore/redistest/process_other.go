//go:build !linux

package redistest

import "syscall"

// dieWithParent is for Linux only; elsewhere a test program that is killed leaves
// its servers behind.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
