package proxy

import "time"

// maxUnseen bounds how much of the time since the last look counts: the process may not
// have run in between.
const maxUnseen = 3 * pace

// intake measures what a listener takes, as far as the kernel can tell: what it has
// acknowledged. A successful write says less, because the kernel's buffer toward a listener
// that has vanished still takes some seconds of audio. TCP_USER_TIMEOUT does too much: it
// also resets listeners that read all the time through a small receive window that is
// always nearly full, as embedded radios do. The kernel restarts that timeout only when
// the head of its send queue fits into the window as a whole (since Linux 5.11).
//
// An intake is used by one goroutine.
type intake struct {
	acked  uint64        // bytes acknowledged; 0: nothing was unacknowledged
	looked time.Duration // time of the last look, by the Proxy's clock
	idle   time.Duration // how long nothing was taken, though there was something to take
}

// pause returns how long a goroutine may wait before the next look. A loop looks whenever
// a source publishes, but not more than twice per pace unless StallTimeout is short.
func (in *intake) pause(stall time.Duration) time.Duration {
	if in.idle > 0 {
		return min(pace, stall/8)
	}
	return min(2*pace, stall/8)
}

// look asks the kernel, and returns for how long the listener has taken nothing.
func (in *intake) look(fd int, now time.Duration) time.Duration {
	since := min(now-in.looked, maxUnseen)
	in.looked = now
	if acked, left := acknowledged(fd); left && acked == in.acked {
		in.idle += since
	} else {
		in.acked, in.idle = acked, 0
	}
	return in.idle
}
