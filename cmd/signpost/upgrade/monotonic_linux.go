package upgrade

import "golang.org/x/sys/unix"

// monotonic returns the kernel's monotonic clock in microseconds, which systemd compares
// with its own.
func monotonic() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return t.Nano() / 1000
}
