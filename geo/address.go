package geo

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// address is a netip.Addr in the form that the index uses: an IPv4 address in v4,
// or the halves of an IPv6 address.
type address struct {
	is4    bool
	v4     uint32
	hi, lo uint64
}

// split converts a valid address. It extracts IPv4 addresses that are embedded in
// IPv6 addresses: mapped (::ffff:0:0/96), as in MaxMind's trees (::/96), 6to4
// (RFC 3056), Teredo (RFC 4380, the client's, which is stored inverted) and NAT64
// with the well-known prefix 64:ff9b::/96 (RFC 6052).
func split(addr netip.Addr) address {
	if addr.Is4() {
		b := addr.As4()
		return address{is4: true, v4: binary.BigEndian.Uint32(b[:])}
	}
	b := addr.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	switch {
	case hi == 0 && (lo>>32 == 0xffff || lo>>32 == 0): // including :: and ::1, which fall in 0.0.0.0/8
		return address{is4: true, v4: uint32(lo)}
	case hi>>48 == 0x2002:
		return address{is4: true, v4: uint32(hi >> 16)}
	case hi>>32 == 0x20010000:
		return address{is4: true, v4: ^uint32(lo)}
	case hi == 0x0064ff9b00000000 && lo>>32 == 0:
		return address{is4: true, v4: uint32(lo)}
	}
	return address{hi: hi, lo: lo}
}

// nat64Shift gives, by the length of a NAT64 prefix, how many bits of the IPv4 address
// are in the upper half, and how far the others are from the lower end of the lower
// half. Bits 64 to 71 are not used (RFC 6052, 2.2).
var nat64Shift = map[int]struct{ upper, shift int }{
	32: {32, 56}, 40: {24, 48}, 48: {16, 40}, 56: {8, 32}, 64: {0, 24}, 96: {0, 0},
}

// unmapNAT64 extracts the IPv4 address from an IPv6 address with one of the operator's
// prefixes, which must have passed CheckNAT64. before is the prefix's length; -1: none has
// the address.
func unmapNAT64(prefixes []netip.Prefix, addr netip.Addr) (a address, before int) {
	for _, p := range prefixes {
		if p.Contains(addr) {
			b := addr.As16()
			hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
			at := nat64Shift[p.Bits()]
			lower := uint32(lo>>at.shift) & (1<<(32-at.upper) - 1)
			return address{is4: true, v4: uint32(hi<<(32-at.upper)) | lower}, p.Bits()
		}
	}
	return address{}, -1
}

// CheckNAT64 returns an error if p cannot be one of Config.NAT64.
func CheckNAT64(p netip.Prefix) error {
	if _, ok := nat64Shift[p.Bits()]; !ok || !p.Addr().Is6() {
		return fmt.Errorf("%s is not a NAT64 prefix; write a /32, /40, /48, /56, /64 or /96 of IPv6 (RFC 6052)", p)
	}
	return nil
}

// Unmap returns the address that a listener has whose packets come from addr: of an IPv6
// address that stands for an IPv4 address (mapped, NAT64, 6to4, Teredo), the IPv4 address,
// and the number of bits before it; of any other, addr without its zone, and -1. With a
// translator's addresses taken as they are, all of IPv4 would be one IPv6 network: one
// household to limits, and one listener to placement. Behind a translator the listener
// speaks IPv4 alone; who comes through 6to4 or Teredo has IPv4 too, and it is the better of
// the two (RFC 6724, 2.1). It allocates nothing, and is safe for concurrent use.
func (l *Locator) Unmap(addr netip.Addr) (unmapped netip.Addr, before int) {
	if !addr.Is6() {
		return addr, -1
	}
	addr = addr.WithZone("")
	if a, before := unmapNAT64(l.nat64, addr); before >= 0 {
		return a.addr(), before
	}
	a := split(addr)
	switch b := addr.As16(); {
	case !a.is4 || binary.BigEndian.Uint64(b[:8]) == 0 && !addr.Is4In6(): // of ::/96 only databases make IPv4
		return addr, -1
	case b[0] == 0x20 && b[1] == 0x02:
		return a.addr(), 16
	}
	return a.addr(), 96
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

// special4 and special6 are the networks that are not part of the public Internet: those
// of the IANA special-purpose address registries, and multicast (RFC 5771), which these
// leave out. IPv6 has public addresses in 2000::/3 only (RFC 4291).
var (
	special4 = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")
	public6  = netip.MustParsePrefix("2000::/3")
	special6 = prefixes("2001::/23", "2001:db8::/32", "3fff::/20")
	// embedding6 are the networks from whose addresses split extracts IPv4 addresses.
	embedding6 = prefixes("::/96", "::ffff:0:0/96", "2002::/16", "2001::/32", "64:ff9b::/96")
)

// SpecialNetworks returns the networks that are not part of the public Internet. No
// database can know where they are.
func SpecialNetworks() []netip.Prefix { return slices.Concat(special4, special6) }

// isSpecial reports whether an address is private, loopback, link-local, shared
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
