//go:build unix

package service

import (
	"math"
	"syscall"
)

// openFiles returns how many files the process may open; 0: not known. Package os has
// raised the soft limit to the hard one.
func openFiles() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return int(min(r.Cur, math.MaxInt32))
}
