package dns

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/dchest/siphash"
)

// serverCookieSize is the size of an interoperable server cookie, in bytes (RFC 9018, 4).
const serverCookieSize = 16

// The greatest age of a server cookie that is accepted, and how far its time may be ahead
// of the local clock (RFC 9018, 4.3).
const (
	cookieLife  = time.Hour
	cookieAhead = 5 * time.Minute
)

// cookieKey is the secret of server cookies. All servers of one zone should share it.
type cookieKey struct{ k0, k1 uint64 }

func newCookieKey(secret []byte) cookieKey {
	return cookieKey{binary.LittleEndian.Uint64(secret), binary.LittleEndian.Uint64(secret[8:])}
}

// append appends the server cookie for a client and a time (RFC 9018, 4).
func (k cookieKey) append(b []byte, client [8]byte, from netip.Addr, now time.Time) []byte {
	stamp := uint32(now.Unix())
	b = append(b, 1, 0, 0, 0) // version, reserved
	b = binary.BigEndian.AppendUint32(b, stamp)
	return binary.LittleEndian.AppendUint64(b, k.hash(client, b[len(b)-8:], from))
}

// valid says whether a client has a recent server cookie of its own: then its source
// address is not spoofed.
func (k cookieKey) valid(c *cookie, from netip.Addr, now time.Time) bool {
	if len(c.server) != serverCookieSize || c.server[0] != 1 {
		return false
	}
	age := int32(uint32(now.Unix()) - binary.BigEndian.Uint32(c.server[4:])) // RFC 1982
	if age > int32(cookieLife/time.Second) || age < -int32(cookieAhead/time.Second) {
		return false
	}
	return binary.LittleEndian.Uint64(c.server[8:]) == k.hash(c.client, c.server[:8], from)
}

func (k cookieKey) hash(client [8]byte, head []byte, from netip.Addr) uint64 {
	var b [8 + 8 + 16]byte
	copy(b[:], client[:])
	copy(b[8:], head)
	n := 16
	if from.Is4() {
		a := from.As4()
		n += copy(b[n:], a[:])
	} else {
		a := from.As16()
		n += copy(b[n:], a[:])
	}
	return siphash.Hash(k.k0, k.k1, b[:n])
}
