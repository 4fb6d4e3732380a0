//go:build unix

package service

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// duplicate returns a descriptor of a socket for another process. It leaves the socket as
// it is, other than net's File, which makes it block.
func duplicate(c syscall.Conn) (*os.File, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var dup error
	err = raw.Control(func(own uintptr) { fd, dup = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, os.NewSyscallError("fcntl", dup)); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}
