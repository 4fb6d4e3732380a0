//go:build !unix

package service

import (
	"errors"
	"os"
	"syscall"
)

func duplicate(syscall.Conn) (*os.File, error) {
	return nil, errors.New("sockets cannot be handed over on this system")
}
