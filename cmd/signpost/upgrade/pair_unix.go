//go:build unix

package upgrade

import (
	"net"
	"os"
	"syscall"
)

// pair returns the two ends of a line between processes.
func pair() (mine net.Conn, its *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	its = os.NewFile(uintptr(fds[1]), "line")
	own := os.NewFile(uintptr(fds[0]), "line")
	defer own.Close()
	if mine, err = net.FileConn(own); err != nil {
		_ = its.Close()
		return nil, nil, err
	}
	return mine, its, nil
}

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
