package proxy

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/signpost-fm/signpost/director/wording"
)

// defaultKbit is assumed for a stream whose bitrate is not known, in kbit/s.
const defaultKbit = 128

// Usage is how much of the inline budget is in use. A maximum of 0 means no bound.
type Usage struct {
	Listeners    int     `json:"listeners"`
	MaxListeners int     `json:"max_listeners"`
	Kbit         int     `json:"kbit"` // kbit/s, as declared for each stream
	MaxMbit      float64 `json:"max_mbit"`
	Carried      uint64  `json:"carried"` // streams since the Proxy began, those of now included
}

// budget bounds what is carried at once. A stream takes its part of all numbers together
// or of none, hence the lock.
type budget struct {
	maxListeners, maxPerMount, maxPerClient int
	maxMbit                                 float64

	mu        sync.Mutex
	listeners int
	kbit      int
	carried   uint64
	mounts    map[string]int
	clients   map[netip.Prefix]int
	closed    bool
}

func newBudget(c Config) budget {
	return budget{
		maxListeners: c.MaxListeners, maxMbit: c.MaxMbit, maxPerMount: c.MaxPerMount, maxPerClient: c.MaxPerClient,
		mounts: map[string]int{}, clients: map[netip.Prefix]int{},
	}
}

// take claims room for one stream and calls claimed before any close can run. release
// gives the claim back.
func (b *budget) take(kbit int, mount string, client netip.Addr, claimed func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrDraining
	case !b.fits(kbit):
		return ErrNoRoom
	case b.maxPerMount > 0 && b.mounts[mount] >= b.maxPerMount:
		return fmt.Errorf("%w: %s of %s", ErrNoRoom, wording.Count(b.maxPerMount, "listener"), mount)
	case b.maxPerClient > 0 && client.IsValid() && b.clients[network(client)] >= b.maxPerClient:
		return fmt.Errorf("%w: %s to %s", ErrNoRoom, wording.Count(b.maxPerClient, "stream"), network(client))
	}
	b.listeners++
	b.kbit += kbit
	b.carried++
	b.mounts[mount]++
	if b.maxPerClient > 0 && client.IsValid() {
		b.clients[network(client)]++
	}
	claimed()
	return nil
}

func (b *budget) release(kbit int, mount string, client netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listeners--
	b.kbit -= kbit
	if b.mounts[mount]--; b.mounts[mount] == 0 {
		delete(b.mounts, mount)
	}
	if n := network(client); b.clients[n] > 1 {
		b.clients[n]--
	} else {
		delete(b.clients, n)
	}
}

// network returns what counts as one client: an IPv4 address, or an IPv6 /64.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p
	}
	return netip.PrefixFrom(a, a.BitLen())
}

func (b *budget) fits(kbit int) bool {
	return (b.maxListeners == 0 || b.listeners < b.maxListeners) &&
		(b.maxMbit == 0 || float64(b.kbit+kbit) <= b.maxMbit*1000)
}

func (b *budget) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// Room reports whether a stream of kbit kbit/s (0: 128) would be carried now.
// It claims nothing: Serve may still return ErrNoRoom.
func (p *Proxy) Room(kbit int) bool {
	b := &p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.closed && b.fits(orKbit(kbit))
}

// Usage returns what is carried now.
func (p *Proxy) Usage() Usage {
	b := &p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return Usage{Listeners: b.listeners, MaxListeners: b.maxListeners, Kbit: b.kbit, MaxMbit: b.maxMbit, Carried: b.carried}
}

func orKbit(kbit int) int {
	if kbit <= 0 {
		return defaultKbit
	}
	return kbit
}
