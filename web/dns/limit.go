package dns

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// limiter bounds how many answers a second go to one network over UDP, where nobody
// has to tell the truth about where a query comes from: /24 of IPv4, /56 of IPv6, in
// as much memory as there are slots. It is safe for concurrent use and takes no lock.
//
// Each slot holds when its network will have used up nothing (the theoretical arrival
// time of the generic cell rate algorithm, ITU-T I.371), with a few bits to tell
// networks apart that fall to one slot.
type limiter struct {
	seed  uint64
	slots []atomic.Uint64 // the upper 16 bits: of which network; the others: microseconds
}

const (
	limiterSlots = 1 << 16
	// limiterBurst is for how long a network may have been silent to get more at once.
	limiterBurst = time.Second
)

func newLimiter(seed uint64) *limiter {
	return &limiter{seed, make([]atomic.Uint64, limiterSlots)}
}

// allow says whether one more answer may go to a network at a time that is counted
// from any beginning, of perSecond ones.
func (l *limiter) allow(a netip.Addr, now time.Duration, perSecond int) bool {
	h := l.hash(a)
	const timeBits = 48
	tag := h >> timeBits << timeBits
	// Microseconds wrap around after some years of running.
	at := uint64(now.Microseconds()) & (1<<timeBits - 1)
	each := uint64(time.Second/time.Microsecond) / uint64(perSecond)
	burst := uint64(limiterBurst.Microseconds())
	slot := &l.slots[h%limiterSlots]
	if other := &l.slots[(h^1)%limiterSlots]; slot.Load()&^(1<<timeBits-1) != tag {
		// The second place for it, if that is its own or less in use.
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

// keySeed and prefixKey make the Key of a network: the same at all directors that share
// a secret.
func prefixKey(seed uint64, p netip.Addr, mount string) uint64 {
	b := p.As16()
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	d.Write(b[:])
	d.WriteString(mount)
	return d.Sum64()
}
