//go:build !linux

package upgrade

// monotonic returns 0: there is no systemd that would ask.
func monotonic() int64 { return 0 }
