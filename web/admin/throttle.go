package admin

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// triesBurst is how many wrong tokens an address may show at once, and
	// triesEach after how long it may show one more.
	triesBurst = 10
	triesEach  = 3 * time.Second
	// maxAddresses bounds what is remembered; the one that was slow first goes first.
	maxAddresses = 10_000
	// maxGood bounds how many good tokens of one address are remembered.
	maxGood = 64
)

type tokenHash = [sha256.Size]byte

// A throttle slows down who tries tokens. Of each address it knows, as a generic
// cell rate algorithm does, when its tries will be forgotten, and which tokens
// were good from there: they stay good while somebody else at that address, such
// as an agent with a token that was taken away, is slowed down. It is safe for
// concurrent use.
type throttle struct {
	mu    sync.Mutex
	known map[netip.Prefix]*tries
}

type tries struct {
	until time.Time   // when all wrong tries are forgotten
	good  []tokenHash // the newest last
}

// wait returns how long an address must wait until a token may be looked at.
func (t *throttle) wait(from netip.Prefix, token tokenHash, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.known[from]
	if k == nil || !k.until.After(now) || slices.Contains(k.good, token) {
		return 0
	}
	return max(0, k.until.Sub(now)-(triesBurst-1)*triesEach)
}

// wrong counts a try.
func (t *throttle) wrong(from netip.Prefix, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.of(from)
	if k.until.Before(now) {
		k.until = now
	}
	k.until = k.until.Add(triesEach)
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

// of returns what is known of an address. t.mu is held.
func (t *throttle) of(from netip.Prefix) *tries {
	if k := t.known[from]; k != nil {
		return k
	}
	if t.known == nil {
		t.known = map[netip.Prefix]*tries{}
	}
	if len(t.known) >= maxAddresses {
		t.forgetOne()
	}
	k := &tries{}
	t.known[from] = k
	return k
}

// forgetOne makes room. t.mu is held.
func (t *throttle) forgetOne() {
	var first netip.Prefix
	for from, k := range t.known {
		if !first.IsValid() || k.until.Before(t.known[first].until) {
			first = from
		}
	}
	delete(t.known, first)
}

// addressOf is whom a try is counted for: an IPv4 address, or an IPv6 /64, which
// is what one customer has.
func addressOf(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // the bits are right for the address
	return p
}
