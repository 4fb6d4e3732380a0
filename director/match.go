package director

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A matcher finds the region of a listener: the longest CIDR, then the ASN, the
// subdivision, the country, the continent, the default.
type matcher struct {
	cidrs        []span
	asns         map[uint32]int
	subdivisions map[subdivisionKey]int
	countries    [26 * 26]int16 // region + 1
	continents   map[Code]int
	fallback     int // the default region, or noRegion
}

const noRegion = -1

type subdivisionKey struct {
	country Code
	part    Subdivision
}

// A span is the start of a run of addresses with one region; the run ends where the
// next begins. IPv4 comes before IPv6, as netip orders them.
type span struct {
	from   netip.Addr
	region int
}

// find returns the region's number, or noRegion, and what matched, for explanations.
func (m *matcher) find(addr netip.Addr, p Place) (int, matchedBy) {
	if len(m.cidrs) > 0 && addr.IsValid() {
		addr = addr.Unmap().WithZone("")
		i, exact := slices.BinarySearchFunc(m.cidrs, addr, func(s span, a netip.Addr) int { return s.from.Compare(a) })
		if !exact {
			i--
		}
		if i >= 0 && m.cidrs[i].region != noRegion {
			return m.cidrs[i].region, byCIDR
		}
	}
	if p.ASN != 0 && len(m.asns) > 0 {
		if r, ok := m.asns[p.ASN]; ok {
			return r, byASN
		}
	}
	if p.Subdivision != (Subdivision{}) && len(m.subdivisions) > 0 {
		if r, ok := m.subdivisions[subdivisionKey{p.Country, p.Subdivision}]; ok {
			return r, bySubdivision
		}
	}
	if c, ok := p.Country.number(); ok && m.countries[c] != 0 {
		return int(m.countries[c]) - 1, byCountry
	}
	if p.Continent != (Code{}) && len(m.continents) > 0 {
		if r, ok := m.continents[p.Continent]; ok {
			return r, byContinent
		}
	}
	if m.fallback != noRegion {
		return m.fallback, byDefault
	}
	return noRegion, byNothing
}

type matchedBy uint8

const (
	byNothing matchedBy = iota
	byCIDR
	byASN
	bySubdivision
	byCountry
	byContinent
	byDefault
)

func (b matchedBy) String() string {
	return [...]string{"nothing", "cidr", "asn", "subdivision", "country", "continent", "default"}[b]
}

// number maps "AA".."ZZ" to 0..675.
func (c Code) number() (int, bool) {
	if c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z' {
		return 0, false
	}
	return int(c[0]-'A')*26 + int(c[1]-'A'), true
}

type matcherBuilder struct {
	m        matcher
	owner    map[string]RegionID // what is matched already, and by which region
	prefixes []prefixRegion
}

type prefixRegion struct {
	prefix netip.Prefix
	region int
}

func newMatcherBuilder() *matcherBuilder {
	return &matcherBuilder{
		m: matcher{
			asns:         map[uint32]int{},
			subdivisions: map[subdivisionKey]int{},
			continents:   map[Code]int{},
			fallback:     noRegion,
		},
		owner: map[string]RegionID{},
	}
}

// add adds one region's match. The paths of the errors are relative to it.
func (b *matcherBuilder) add(i int, r Region) (errs []*ConfigError) {
	claim := func(what string, key string, j int) bool {
		if other, taken := b.owner[what]; taken {
			errs = append(errs, &ConfigError{Path: []any{key, j}, Msg: fmt.Sprintf("%s already belongs to region %q; a place has one region", what, other)})
			return false
		}
		b.owner[what] = r.ID
		return true
	}
	bad := func(err error, key string, j int) {
		errs = append(errs, &ConfigError{Path: []any{key, j}, Msg: err.Error()})
	}
	for j, p := range r.Match.CIDRs {
		if p.Addr().Is4In6() {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		p = p.Masked()
		if !p.IsValid() {
			bad(fmt.Errorf("not a CIDR; write one such as 192.0.2.0/24"), "cidrs", j)
		} else if claim(p.String(), "cidrs", j) {
			b.prefixes = append(b.prefixes, prefixRegion{p, i})
		}
	}
	for j, asn := range r.Match.ASNs {
		if asn == 0 {
			bad(fmt.Errorf("AS0 means unknown and matches nothing"), "asns", j)
		} else if claim(fmt.Sprintf("AS%d", asn), "asns", j) {
			b.m.asns[asn] = i
		}
	}
	for j, s := range r.Match.Subdivisions {
		key, err := parseSubdivisionKey(s)
		if err != nil {
			bad(err, "subdivisions", j)
		} else if claim(key.country.String()+"-"+key.part.String(), "subdivisions", j) {
			b.m.subdivisions[key] = i
		}
	}
	for j, s := range r.Match.Countries {
		c, err := ParseCode(s)
		if err != nil {
			bad(fmt.Errorf("%w; write an ISO 3166-1 code such as DE", err), "countries", j)
		} else if claim("country "+c.String(), "countries", j) {
			n, _ := c.number()
			b.m.countries[n] = int16(i + 1)
		}
	}
	for j, s := range r.Match.Continents {
		c, err := ParseCode(s)
		if err != nil || !strings.Contains("AF AN AS EU NA OC SA", c.String()) {
			bad(fmt.Errorf("%q is not a continent; use AF AN AS EU NA OC or SA", s), "continents", j)
		} else if claim("continent "+c.String(), "continents", j) {
			b.m.continents[c] = i
		}
	}
	if r.Match.Default {
		if other, taken := b.owner["default"]; taken {
			errs = append(errs, &ConfigError{Path: []any{"default"}, Msg: fmt.Sprintf("region %q is the default already; there can be one", other)})
		}
		b.owner["default"] = r.ID
		b.m.fallback = i
	}
	return errs
}

func parseSubdivisionKey(s string) (subdivisionKey, error) {
	country, part, _ := strings.Cut(s, "-")
	c, err := ParseCode(country)
	if err == nil {
		var p Subdivision
		if p, err = ParseSubdivision(part); err == nil {
			return subdivisionKey{c, p}, nil
		}
	}
	return subdivisionKey{}, fmt.Errorf("%q is not an ISO 3166-2 code; write one such as DE-BY", s)
}

// matcher flattens the prefixes, which may nest, into runs that do not overlap.
func (b *matcherBuilder) matcher() matcher {
	slices.SortFunc(b.prefixes, func(x, y prefixRegion) int {
		return cmp.Or(x.prefix.Addr().Compare(y.prefix.Addr()), cmp.Compare(x.prefix.Bits(), y.prefix.Bits()))
	})
	m := b.m
	// Two prefixes either nest or are disjoint: a stack of the open ones suffices.
	var open []prefixRegion
	closeUntil := func(next netip.Addr) {
		for len(open) > 0 {
			top := open[len(open)-1]
			end := lastAddr(top.prefix).Next() // invalid after the very last address
			if next.IsValid() && end.IsValid() && next.Less(end) || next.IsValid() && !end.IsValid() && next.Is4() == top.prefix.Addr().Is4() {
				return
			}
			open = open[:len(open)-1]
			outer := noRegion
			if len(open) > 0 {
				outer = open[len(open)-1].region
			}
			if !end.IsValid() && top.prefix.Addr().Is4() {
				end = netip.IPv6Unspecified()
			}
			if end.IsValid() {
				m.begin(end, outer)
			}
		}
	}
	for _, p := range b.prefixes {
		closeUntil(p.prefix.Addr())
		m.begin(p.prefix.Addr(), p.region)
		open = append(open, p)
	}
	closeUntil(netip.Addr{})
	return m
}

// begin starts a run. It overwrites an empty run before it.
func (m *matcher) begin(from netip.Addr, region int) {
	if n := len(m.cidrs); n > 0 && m.cidrs[n-1].from == from {
		m.cidrs[n-1].region = region
		return
	}
	m.cidrs = append(m.cidrs, span{from, region})
}

func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(a)*8; bit++ {
		a[bit/8] |= 1 << (7 - bit%8)
	}
	out, _ := netip.AddrFromSlice(a)
	return out
}

// bounds returns the first and the last address of the run that addr lies in. Invalid:
// the run has no end on that side within the address family.
func (m *matcher) bounds(addr netip.Addr) (first, last netip.Addr) {
	if len(m.cidrs) == 0 || !addr.IsValid() {
		return first, last
	}
	addr = addr.Unmap().WithZone("")
	i, exact := slices.BinarySearchFunc(m.cidrs, addr, func(s span, a netip.Addr) int { return s.from.Compare(a) })
	if !exact {
		i--
	}
	if i >= 0 && m.cidrs[i].from.Is4() == addr.Is4() {
		first = m.cidrs[i].from
	}
	if i+1 < len(m.cidrs) && m.cidrs[i+1].from.Is4() == addr.Is4() {
		last = m.cidrs[i+1].from.Prev()
	}
	return first, last
}
