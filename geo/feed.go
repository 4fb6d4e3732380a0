package geo

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/director"
)

// A Correction is the place of a network by the operator's own knowledge, which overrides
// every database.
type Correction struct {
	Network netip.Prefix
	Place   director.Place
}

// An entry is a network of a feed, or a correction.
type entry struct {
	network netip.Prefix
	place   director.Place
	line    int // in the feed, from 1
}

// parseFeed reads a geofeed (RFC 8805): lines of a network, its country, optionally the
// subdivision, and city and postcode, which are not used. Of nested networks the
// smallest counts. An entry without a country, or with an invalid code, has an unknown
// place. An error names the line. A feed with a mistake is refused as a whole, since
// nobody knows what else is wrong in it.
func parseFeed(data []byte) ([]entry, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8 text: a geofeed is CSV, network,country,region,city (RFC 8805)")
	}
	var entries []entry
	line, known := 0, 0
	for text := range strings.Lines(string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))) {
		line++
		text, _, _ = strings.Cut(strings.TrimSpace(text), "#")
		if text == "" {
			continue
		}
		field := func() string {
			var f string
			f, text, _ = strings.Cut(text, ",")
			return strings.Trim(f, " \t\"")
		}
		network, country, region := field(), field(), field()
		p, err := parseNetwork(network)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		e := entry{network: p, line: line}
		if e.place.Country = countryCode(country); e.place.Country != (director.Code{}) {
			known++
			if of, part, ok := strings.Cut(region, "-"); ok && strings.EqualFold(of, country) {
				e.place.Subdivision, _ = director.ParseSubdivision(part) // unknown if it is invalid
			}
			e.place = Complete(e.place)
		}
		entries = append(entries, e)
	}
	if known == 0 {
		return nil, errors.New("no line has a network and a country: a geofeed is CSV, network,country,region,city (RFC 8805)")
	}
	return entries, nil
}

// parseNetwork parses a network, or a single address.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%.60q is not a network; write one such as 192.0.2.0/24", s)
	case p != p.Masked():
		return p, fmt.Errorf("%s begins within its network; write %s", p, p.Masked())
	}
	return p, nil
}

func compileFeed(data []byte) (*index, error) {
	entries, err := parseFeed(data)
	if err != nil {
		return nil, err
	}
	return compileEntries(entries)
}

func compileCorrections(all []Correction) (*index, error) {
	var entries []entry
	for i, c := range all {
		p := c.Network
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if !p.IsValid() || p != p.Masked() {
			return nil, fmt.Errorf("%s is not a network", c.Network)
		}
		entries = append(entries, entry{network: p, place: Complete(c.Place), line: i + 1})
	}
	return compileEntries(entries)
}

// compileEntries builds an index from networks that may be nested. Two places for one
// network are an error.
func compileEntries(entries []entry) (*index, error) {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(a.network.Addr().Compare(b.network.Addr()), a.network.Bits()-b.network.Bits())
	})
	for i := 1; i < len(entries); i++ {
		if a, b := entries[i-1], entries[i]; a.network == b.network && a.place != b.place {
			return nil, fmt.Errorf("line %d has %s in %s, line %d in %s: one of them is wrong", a.line, a.network, a.place, b.line, b.place)
		}
	}
	c := newCompiler()
	var v4 []span[uint32]
	var v6, narrow []span[uint64] // narrow: smaller than a /64, ordered by hi
	var his []uint64
	for _, e := range entries {
		place, bits := c.intern(e.place), e.network.Bits()
		if e.network.Addr().Is4() {
			b := e.network.Addr().As4()
			v4 = append(v4, newSpan(binary.BigEndian.Uint32(b[:]), 32-bits, place))
			continue
		}
		b := e.network.Addr().As16()
		hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
		if bits <= 64 {
			v6 = append(v6, newSpan(hi, 64-bits, place))
			continue
		}
		narrow, his = append(narrow, newSpan(lo, 128-bits, place)), append(his, hi)
	}
	c.v4, c.v6 = flatten(v4, 0), flatten(v6, 0)
	if len(narrow) > 0 {
		for from := 0; from < len(narrow); {
			to := from
			for to < len(narrow) && his[to] == his[from] {
				to++
			}
			around := c.v6.place[last(c.v6.start, his[from])]
			v6 = append(v6, newSpan(his[from], 0, deepBit|uint32(len(c.deep))))
			c.deep = append(c.deep, flatten(narrow[from:to], around))
			from = to
		}
		slices.SortStableFunc(v6, func(a, b span[uint64]) int { // a deep follows its /64
			return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to))
		})
		c.v6 = flatten(v6, 0)
	}
	return c.index(), nil
}

// A span is the address range of an entry, both ends included. Other spans may lie in it.
type span[S uint32 | uint64] struct {
	from, to S
	place    uint32
}

func newSpan[S uint32 | uint64](from S, size int, place uint32) span[S] {
	return span[S]{from, from + (S(1)<<size - 1), place}
}

// flatten converts spans to runs. The spans must be nested or disjoint, and sorted by
// start, the larger first. Addresses in no span get the place around.
func flatten[S uint32 | uint64](spans []span[S], around uint32) runs[S] {
	var r runs[S]
	r.set(0, around)
	var open []span[S]
	leave := func() {
		top := open[len(open)-1]
		open = open[:len(open)-1]
		outer := around
		if len(open) > 0 {
			outer = open[len(open)-1].place
		}
		if top.to != ^S(0) {
			r.set(top.to+1, outer)
		}
	}
	for _, s := range spans {
		for len(open) > 0 && open[len(open)-1].to < s.from {
			leave()
		}
		r.set(s.from, s.place)
		open = append(open, s)
	}
	for len(open) > 0 {
		leave()
	}
	return r
}
