package geo

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/signpost-fm/signpost/director"
)

// deepBit marks an index into compiler.deep among the numbers of places.
const deepBit = 1 << 31

// A compiler turns the networks of a database into an index.
type compiler struct {
	v4     runs[uint32]
	v6     runs[uint64]
	deep   []runs[uint64]
	deepHi uint64 // the /64 of the last of deep

	places  []director.Place
	numbers map[director.Place]uint32 // of places
	records map[uintptr]uint32        // numbers by record: many networks share one
	useless shape                     // the keys of the first record that was of no use
}

var (
	errRecord  = errors.New("the record is damaged: download the file again")
	errTangled = errors.New("the search tree is damaged: download the file again")
)

func newCompiler() *compiler {
	return &compiler{
		places:  []director.Place{{}},
		numbers: map[director.Place]uint32{{}: 0},
		records: map[uintptr]uint32{},
	}
}

// intern returns the number of a place.
func (c *compiler) intern(place director.Place) uint32 {
	n, ok := c.numbers[place]
	if !ok {
		n = uint32(len(c.places))
		c.places, c.numbers[place] = append(c.places, place), n
	}
	return n
}

func compile(r *maxminddb.Reader) (*index, error) {
	c := newCompiler()
	c.v4.set(0, 0)
	c.v6.set(0, 0)
	// A tree of n nodes has n+1 leaves. A writer may share some branches. In a damaged
	// file the nodes can refer to each other such that a walk practically never ends.
	left := 4 * (r.Metadata.NodeCount + 1)
	for result := range r.Networks(walkOptions(r)...) {
		n, err := c.number(result)
		if err != nil {
			return nil, fmt.Errorf("at %s: %w", result.Prefix(), err)
		}
		if left--; left == 0 {
			return nil, errTangled
		}
		c.add(result.Prefix(), n)
	}
	if len(c.places) == 1 {
		return nil, c.nothing()
	}
	return c.index(), nil
}

// index packs the collected networks.
func (c *compiler) index() *index {
	c.rank()
	n := len(c.places)
	for i, p := range c.v6.place {
		if p&deepBit != 0 {
			c.v6.place[i] = uint32(n) + p&^deepBit
		}
	}
	return &index{newTable4(c.v4, n), newTable6(c.v6, c.deep, n), c.places}
}

// rank renumbers the places by how many runs they have: the few places that most lookups
// return are then close together, in the processor's cache.
func (c *compiler) rank() {
	each := func(f func(p *uint32)) {
		lists := [][]uint32{c.v4.place, c.v6.place}
		for _, d := range c.deep {
			lists = append(lists, d.place)
		}
		for _, list := range lists {
			for i := range list {
				if list[i]&deepBit == 0 {
					f(&list[i])
				}
			}
		}
	}
	uses, order := make([]int, len(c.places)), make([]uint32, len(c.places))
	for i := range order {
		order[i] = uint32(i)
	}
	each(func(p *uint32) { uses[*p]++ })
	slices.SortFunc(order, func(a, b uint32) int { return cmp.Or(uses[b]-uses[a], cmp.Compare(a, b)) })
	number, places := make([]uint32, len(order)), make([]director.Place, len(order))
	for n, old := range order {
		number[old], places[n] = uint32(n), c.places[old]
	}
	each(func(p *uint32) { *p = number[*p] })
	c.places = places
}

// nothing returns an error that explains why no record was of use.
func (c *compiler) nothing() error {
	has := "there are no records at all"
	if c.useless != nil {
		has = "the first has the keys " + strings.Join(c.useless, ", ")
	}
	return fmt.Errorf("no record has a country's code (under country.iso_code, country_code or country), a continent "+
		"(continent.code, continent_code or continent), coordinates (location.latitude, latitude, lat or loc) or an autonomous "+
		"system's number (autonomous_system_number or asn); %s: use a City, Country or ASN database", has)
}

// walkOptions makes the walk include networks without data, so that every leaf is counted.
func walkOptions(r *maxminddb.Reader) []maxminddb.NetworksOption {
	options := []maxminddb.NetworksOption{maxminddb.IncludeNetworksWithoutData()}
	// The walk recognises aliases of the IPv4 tree by where they point. If all of IPv4
	// is a single record, every network with the same record would pass for an alias.
	if p := r.Lookup(netip.IPv4Unspecified()).Prefix(); p.Addr().Is6() || p.Bits() == 0 {
		options = append(options, maxminddb.IncludeAliasedNetworks())
	}
	return options
}

// number returns the number of the place in a network's record.
func (c *compiler) number(result maxminddb.Result) (uint32, error) {
	if err := result.Err(); err != nil {
		return 0, err
	}
	if !result.Found() {
		return 0, nil
	}
	if n, ok := c.records[result.Offset()]; ok {
		return n, nil
	}
	var rec record
	if err := result.Decode(&rec); err != nil {
		return 0, fmt.Errorf("%w (%w)", errRecord, err)
	}
	place, err := rec.place()
	if err != nil {
		return 0, err
	}
	if place == (director.Place{}) && c.useless == nil {
		if err := result.Decode(&c.useless); err != nil {
			return 0, fmt.Errorf("%w (%w)", errRecord, err)
		}
	}
	n := c.intern(place)
	c.records[result.Offset()] = n
	return n, nil
}

// add adds a network. Networks come in ascending order.
func (c *compiler) add(network netip.Prefix, place uint32) {
	bits := network.Bits()
	if network.Addr().Is4() {
		b := network.Addr().As4()
		insert(&c.v4, binary.BigEndian.Uint32(b[:]), 32-bits, place)
		return
	}
	b := network.Addr().As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	if hi == 0 && lo == 0 && bits <= 96 {
		insert(&c.v4, 0, 32, place) // it contains ::/96, where the tree holds all of IPv4
	}
	if bits <= 64 {
		insert(&c.v6, hi, 64-bits, place)
		return
	}
	if len(c.deep) == 0 || c.deepHi != hi {
		insert(&c.v6, hi, 0, deepBit|uint32(len(c.deep)))
		c.deep, c.deepHi = append(c.deep, runs[uint64]{start: []uint64{0}, place: []uint32{0}}), hi
	}
	insert(&c.deep[len(c.deep)-1], lo, 128-bits, place)
}

// insert adds a network of 1<<size addresses.
func insert[S uint32 | uint64](r *runs[S], start S, size int, place uint32) {
	r.set(start, place)
	if end := start + 1<<size; end > start { // else it reaches to the end of the space
		r.set(end, 0)
	}
}
