package proxy

import "time"

// maxUnseen is how much of the time since the last look counts: while this process
// did not run nobody has looked.
const maxUnseen = 3 * pace

// intake is what a listener takes, as far as the kernel can tell: what it has
// acknowledged. That a write succeeds says less, for the kernel's buffer toward one
// who has vanished takes some seconds more. TCP_USER_TIMEOUT says too much: it also
// resets those who read all the time through a small receive window that is always
// nearly full, as embedded radios do. For the kernel begins to count anew only when
// the head of what it has to send fits into the window as a whole (since Linux 5.11).
//
// An intake is used by one goroutine.
type intake struct {
	acked  uint64        // bytes; 0: nothing was left
	looked time.Duration // when that was asked, by the Proxy's clock
	idle   time.Duration // how long nothing was taken, though something was left
}

// pause is how long a goroutine may wait with the next look. A loop looks whenever a
// source publishes, but not more often than twice a pace.
func (in *intake) pause(stall time.Duration) time.Duration {
	if in.idle > 0 {
		return min(pace, stall/8)
	}
	return min(2*pace, stall/8)
}

// look asks the kernel, and returns how long the listener has taken nothing.
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
