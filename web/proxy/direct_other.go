//go:build !linux

package proxy

import (
	"net"
	"time"
)

// direct is only for Linux; elsewhere every listener holds a buffer of its own.
type direct struct{}

func newDirect(*net.TCPConn) *direct { return nil }

func (*direct) next() (*chunk, error) { panic("proxy: direct is only for Linux") }

// setUserTimeout has no counterpart: the write deadline alone cuts a stalled
// listener, some seconds later, when the send buffer is full.
func setUserTimeout(*net.TCPConn, time.Duration) {}
