package dns

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// limiter limits how many answers a second go to one network (/24 of IPv4, /56 of IPv6)
// over UDP, where source addresses can be spoofed. Its memory is fixed by the number of
// slots. It is safe for concurrent use and takes no lock.
//
// Each slot holds the time at which its network will again have its whole allowance (the
// theoretical arrival time of the generic cell rate algorithm, ITU-T I.371), and a tag that
// tells networks apart that fall into the same slot.
type limiter struct {
	seed  uint64
	slots []atomic.Uint64 // upper 16 bits: the network's tag; the others: the time in microseconds
}

const (
	limiterSlots = 1 << 16
	// limiterBurst is the longest silence that a network may make up for with a burst.
	limiterBurst = time.Second
)

func newLimiter(seed uint64) *limiter {
	return &limiter{seed, make([]atomic.Uint64, limiterSlots)}
}

// allow says whether one more answer may go to a network at a rate of perSecond. now counts
// from any fixed beginning.
func (l *limiter) allow(a netip.Addr, now time.Duration, perSecond int) bool {
	h := l.hash(a)
	const timeBits = 48
	tag := h >> timeBits << timeBits
	// The time wraps around after 8.9 years of running.
	at := uint64(now.Microseconds()) & (1<<timeBits - 1)
	each := uint64(time.Second/time.Microsecond) / uint64(perSecond)
	burst := uint64(limiterBurst.Microseconds())
	slot := &l.slots[h%limiterSlots]
	if other := &l.slots[(h^1)%limiterSlots]; slot.Load()&^(1<<timeBits-1) != tag {
		// Its second slot, if that has its tag already or an earlier time.
		if o := other.Load(); o&^(1<<timeBits-1) == tag || o&(1<<timeBits-1) < slot.Load()&(1<<timeBits-1) {
			slot = other
		}
	}
	for {
		was := slot.Load()
		due := at
		if was&^(1<<timeBits-1) == tag {
			due = max(due, was&(1<<timeBits-1))
		}
		if due > at+burst {
			return false
		}
		if slot.CompareAndSwap(was, tag|(due+each)&(1<<timeBits-1)) {
			return true
		}
	}
}

func (l *limiter) hash(a netip.Addr) uint64 {
	var b [8]byte
	if a.Is4() {
		v4 := a.As4()
		copy(b[:], v4[:3])
	} else {
		v6 := a.As16()
		copy(b[:], v6[:7])
		b[7] = 6
	}
	return mix(binary.LittleEndian.Uint64(b[:]) ^ l.seed)
}

// mix is the finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable
// pseudorandom number generators", 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// prefixKey returns the Key of a network for a mount: the same at all directors that share
// a secret.
func prefixKey(seed uint64, p netip.Addr, mount string) uint64 {
	b := p.As16()
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	d.Write(b[:])
	d.WriteString(mount)
	return d.Sum64()
}
