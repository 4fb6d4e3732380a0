//go:build !linux

package proxy

import "net"

// Loops exist only on Linux: elsewhere each listener has goroutines of its own.
type (
	loop   struct{ bit uint64 }
	looped struct{ session }
	task   struct {
		kind    taskKind
		src, to *source
		who     *looped
	}
	taskKind uint8
)

const (
	taskMore taskKind = iota
	taskJoin
	taskMove
	taskEnd
	taskCut
	taskRecall
	taskStop
)

func newLoops(*Proxy) []*loop { return nil }

func (*loop) post(task) {}

func takeOver(net.Conn) *looped { return nil }

func (*lookout) lendable() bool { return false }

func (*source) lend(*upstream) bool { return false }

// Wired returns l: only a loop needs to know what is below TLS.
func Wired(l net.Listener) net.Listener { return l }

// canAcknowledge is false: only the write deadline cuts a stalled listener. It applies some
// seconds later, when the send buffer is full.
const canAcknowledge = false

func acknowledged(int) (bytes uint64, left bool) { return 0, false }
