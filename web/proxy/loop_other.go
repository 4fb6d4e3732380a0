//go:build !linux

package proxy

import "net"

// Loops exist only on Linux: elsewhere each listener has goroutines of its own.
type (
	loop  struct{ bit uint64 }
	plain struct {
		session
		fd   int
		conn net.Conn
	}
	task struct {
		kind    taskKind
		src, to *source
		who     *plain
	}
	taskKind uint8
)

const (
	taskMore taskKind = iota
	taskJoin
	taskMove
	taskEnd
	taskCut
	taskStop
)

func newLoops(*Proxy) []*loop { return nil }

func (*loop) post(task) {}

func takeOver(net.Conn) int { return -1 }

// canAcknowledge is false: only the write deadline cuts a stalled listener. It applies some
// seconds later, when the send buffer is full.
const canAcknowledge = false

func acknowledged(int) (bytes uint64, left bool) { return 0, false }
