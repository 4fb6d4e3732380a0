package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/dchest/siphash"

	"github.com/signpost-fm/signpost/web/hls/session"
)

func hashString(s string) uint64 { return xxhash.Sum64String(s) }

// keyer makes the hashes that stand for a listener. It is safe for concurrent use.
type keyer struct {
	seed  uint64   // for placement: the same at all directors
	local uint64   // for tables in this process
	log   [32]byte // for records
	// sessions sign the tokens of players that can be moved.
	sessions session.Keys
	day      atomic.Pointer[daySalt]
}

type daySalt struct {
	day    int64  // since 1970, UTC
	k0, k1 uint64 // a key for SipHash
}

// newKeyer derives the keys from the secret. Without a secret, placement is still the same
// at all directors, but the pseudonyms in records are this process's own: otherwise anybody
// could find the address of a pseudonym by trying all.
func newKeyer(secret []byte) *keyer {
	var own [32]byte
	rand.Read(own[:]) // never fails: see the package's documentation
	k := &keyer{local: binary.LittleEndian.Uint64(own[:]), log: own, sessions: session.NewKeys(own[:])}
	if len(secret) > 0 {
		k.sessions = session.NewKeys(secret)
		placement := sha256.Sum256(append([]byte("signpost placement "), secret...))
		k.seed = binary.LittleEndian.Uint64(placement[:])
		k.log = sha256.Sum256(append([]byte("signpost records "), secret...))
	}
	return k
}

// placement returns the Key by which a listener is placed: a keyed hash of the address's
// network, the user agent's hash and the mount's canonical name.
func (k *keyer) placement(a netip.Addr, agent uint64, mount string) uint64 {
	var b [24]byte
	putNetwork(b[:16], a)
	binary.LittleEndian.PutUint64(b[16:], agent)
	var d xxhash.Digest
	d.ResetWithSeed(k.seed)
	d.Write(b[:])
	d.WriteString(mount)
	return d.Sum64()
}

// network returns the key of an address in the table of rate limits.
func (k *keyer) network(a netip.Addr) uint64 {
	var b [16]byte
	putNetwork(b[:], a)
	var d xxhash.Digest
	d.ResetWithSeed(k.local)
	d.Write(b[:])
	return d.Sum64()
}

// wide returns a hash of the network of an address that records show.
func (k *keyer) wide(a netip.Addr) uint64 {
	b := masked(a).Addr().As16()
	var d xxhash.Digest
	d.ResetWithSeed(k.local)
	d.Write(b[:])
	return d.Sum64()
}

// putNetwork writes the part of an address that stands for one household: a whole IPv4
// address, the /64 of an IPv6 address.
func putNetwork(b []byte, a netip.Addr) {
	full := a.As16()
	copy(b, full[:])
	if !a.Is4() {
		clear(b[8:16])
	}
}

// listener returns the hash by which the records of one listener on one day can be
// connected. The salt changes each day, so that records of different days cannot be.
// Anybody who has the secret can try addresses, so it is a pseudonym and not anonymous. The hash
// is SipHash-2-4 (J.-P. Aumasson, D. Bernstein, 2012): without the key, trying tells nothing.
func (k *keyer) listener(now time.Time, a netip.Addr, agent uint64) uint64 {
	var b [24]byte
	full := a.As16()
	copy(b[:], full[:])
	binary.LittleEndian.PutUint64(b[16:], agent)
	salt := k.saltOf(now)
	return siphash.Hash(salt.k0, salt.k1, b[:])
}

// person returns the hash of an address alone, with the same salt, which stays in memory: by
// it an operator who has the address finds what became of its requests.
func (k *keyer) person(now time.Time, a netip.Addr) uint64 {
	full := a.As16()
	salt := k.saltOf(now)
	return max(1, siphash.Hash(salt.k0, salt.k1, full[:])) // 0 is nobody's
}

func (k *keyer) saltOf(now time.Time) *daySalt {
	day := now.Unix() / (24 * 60 * 60)
	if s := k.day.Load(); s != nil && s.day == day {
		return s
	}
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(k.log[:], uint64(day)))
	s := &daySalt{day, binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
	k.day.Store(s)
	return s
}

// masked returns the network that a record shows: /24 of IPv4, /48 of IPv6.
func masked(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil { // the zero Addr
		return netip.Prefix{}
	}
	return p
}
