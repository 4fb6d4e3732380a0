package dns

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/signpost-fm/signpost/director"
)

// origins remembers, for one worker, the Origin of networks and the prefixes in which it is
// the same: finding both takes longer than choosing nodes. What was found holds as long as
// the databases of places and the fleet stay the same. It is a table of pairs of slots: a
// network may stand in either slot of its pair, the newer one in the first.
type origins struct {
	edition uint64             // of the databases
	fleet   *director.Snapshot // any of the fleet's snapshots
	round   uint32             // what is from earlier rounds no longer holds
	slots   []remembered
	all     []director.Origin // what slots refer to
	numbers map[director.Origin]uint16
}

// remembered is what holds for all of a network.
type remembered struct {
	network uint64
	round   uint32
	origin  uint16
	bits    uint8 // length of the widest prefix
	atLeast uint8 // the length at which the search for it ended
}

// originSlots takes 512 KB for each worker.
const originSlots = 1 << 15

func newOrigins() *origins {
	return &origins{slots: make([]remembered, originSlots), numbers: map[director.Origin]uint16{}}
}

// begin drops what no longer holds.
func (o *origins) begin(edition uint64, fleet *director.Snapshot) {
	if o.edition == edition && fleet.SameFleet(o.fleet) {
		return
	}
	o.edition, o.fleet = edition, fleet
	o.clear()
}

func (o *origins) clear() {
	if o.round++; o.round == 0 { // it has wrapped around
		clear(o.slots)
		o.round = 1
	}
	o.all = o.all[:0]
	clear(o.numbers)
}

// networkOf returns a number for the network that has a Key of its own.
func networkOf(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return 1<<keyBits6 | uint64(binary.BigEndian.Uint32(b[:])>>(32-keyBits4))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:]) >> (64 - keyBits6)
}

// find returns what is remembered of the network of an address; nil: nothing.
func (o *origins) find(a netip.Addr) *remembered {
	network := networkOf(a)
	first := mix(network) % originSlots &^ 1
	for i := first; i < first+2; i++ {
		if r := &o.slots[i]; r.network == network && r.round == o.round {
			return r
		}
	}
	return nil
}

// add remembers an Origin and in how wide a prefix it is the same, where that holds for all
// of the address' network.
func (o *origins) add(a netip.Addr, origin director.Origin, bits, atLeast int) {
	if bits > keyBits(a) {
		return
	}
	n, known := o.numbers[origin]
	if !known {
		if len(o.all) > math.MaxUint16 {
			o.clear()
		}
		n = uint16(len(o.all))
		o.numbers[origin] = n
		o.all = append(o.all, origin)
	}
	network := networkOf(a)
	first := mix(network) % originSlots &^ 1
	if o.slots[first].network != network {
		o.slots[first+1] = o.slots[first]
	}
	o.slots[first] = remembered{network, o.round, n, uint8(bits), uint8(atLeast)}
}
