package geo

import (
	"encoding/binary"
	"net/netip"
)

// address is a netip.Addr as the index wants it: either an IPv4 address in v4,
// or the halves of an IPv6 address.
type address struct {
	is4    bool
	v4     uint32
	hi, lo uint64
}

// split takes a valid address apart. IPv4 addresses that come inside IPv6 ones
// are taken out: mapped (::ffff:0:0/96), as MaxMind's trees have them (::/96),
// 6to4 (RFC 3056) and Teredo (RFC 4380, the client's, which is stored inverted).
func split(addr netip.Addr) address {
	if addr.Is4() {
		b := addr.As4()
		return address{is4: true, v4: binary.BigEndian.Uint32(b[:])}
	}
	b := addr.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	switch {
	case hi == 0 && (lo>>32 == 0xffff || lo>>32 == 0): // :: and ::1 among them, in 0.0.0.0/8
		return address{is4: true, v4: uint32(lo)}
	case hi>>48 == 0x2002:
		return address{is4: true, v4: uint32(hi >> 16)}
	case hi>>32 == 0x20010000:
		return address{is4: true, v4: ^uint32(lo)}
	}
	return address{hi: hi, lo: lo}
}

func (a address) addr() netip.Addr {
	var b [16]byte
	if a.is4 {
		binary.BigEndian.PutUint32(b[:4], a.v4)
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	return netip.AddrFrom16(b)
}

// special4 and special6 are the networks that are not the public Internet, by
// the IANA special-purpose address registries and, for what they leave out,
// multicast (RFC 5771). IPv6 has public addresses in 2000::/3 only (RFC 4291).
var (
	special4 = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")
	public6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes("2001::/23", "2001:db8::/32", "3fff::/20")
)

// isSpecial tells whether an address is private, loopback, link-local, shared
// (carrier NAT), documentation, benchmarking, multicast, reserved or unspecified.
func isSpecial(a address) bool {
	addr, special := a.addr(), special6
	if a.is4 {
		special = special4
	} else if !public6.Contains(addr) {
		return true
	}
	for _, p := range special {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func prefixes(list ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, len(list))
	for i, s := range list {
		parsed[i] = netip.MustParsePrefix(s)
	}
	return parsed
}
