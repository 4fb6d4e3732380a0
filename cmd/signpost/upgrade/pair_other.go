//go:build !unix

package upgrade

import (
	"errors"
	"net"
	"os"
)

func pair() (net.Conn, *os.File, error) {
	return nil, nil, errors.New("sockets cannot be handed over on this system")
}

func closeOnExec(int) {}
