package admin

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// An address may show tryBurst wrong tokens at once, and one more each tryInterval.
	tryBurst    = 10
	tryInterval = 3 * time.Second
	// maxAddresses bounds the addresses; the one whose tries end first is dropped first.
	maxAddresses = 10_000
	// maxGood bounds the good tokens of one address.
	maxGood = 64
)

type tokenHash = [sha256.Size]byte

// A throttle limits wrong tokens by address, with a generic cell rate algorithm. Tokens
// that were good from an address stay good while somebody else there, such as an agent
// with a revoked token, must wait. It is safe for concurrent use.
type throttle struct {
	mu    sync.Mutex
	known map[netip.Prefix]*tries
}

type tries struct {
	until time.Time   // when all wrong tries are forgiven
	good  []tokenHash // the newest last
}

// wait returns how long an address must wait before it may show this token.
func (t *throttle) wait(from netip.Prefix, token tokenHash, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.known[from]
	if k == nil || !k.until.After(now) || slices.Contains(k.good, token) {
		return 0
	}
	return max(0, k.until.Sub(now)-(tryBurst-1)*tryInterval)
}

// wrong counts a wrong token.
func (t *throttle) wrong(from netip.Prefix, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.of(from)
	if k.until.Before(now) {
		k.until = now
	}
	k.until = k.until.Add(tryInterval)
}

// right notes a good token.
func (t *throttle) right(from netip.Prefix, token tokenHash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.of(from)
	if slices.Contains(k.good, token) {
		return
	}
	k.good = append(k.good, token)
	if len(k.good) > maxGood {
		k.good = slices.Delete(k.good, 0, 1)
	}
}

// of returns the tries of an address. t.mu is held.
func (t *throttle) of(from netip.Prefix) *tries {
	if k := t.known[from]; k != nil {
		return k
	}
	if t.known == nil {
		t.known = map[netip.Prefix]*tries{}
	}
	if len(t.known) >= maxAddresses {
		t.evictOldest()
	}
	k := &tries{}
	t.known[from] = k
	return k
}

// evictOldest drops the address whose tries end first. t.mu is held.
func (t *throttle) evictOldest() {
	var first netip.Prefix
	for from, k := range t.known {
		if !first.IsValid() || k.until.Before(t.known[first].until) {
			first = from
		}
	}
	delete(t.known, first)
}

// addressOf is what tries are counted by: an IPv4 address, or an IPv6 /64, which one
// customer has. Behind a translator every IPv4 address is its own.
func (a *API) addressOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if a.cfg.Unmap != nil {
		addr, _ = a.cfg.Unmap(addr)
	}
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // the bits are right for the address
	return p
}
