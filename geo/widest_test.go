package geo_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/geo/geotest"
)

// In a small space every address can be asked: the prefix is true, and one bit less
// would not be.
func TestWidestIsTrueAndWidest(t *testing.T) {
	t.Parallel()
	l := open(t,
		geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{
			{Prefix: "5.0.0.0/25", Country: "DE"}, {Prefix: "5.0.0.128/26", Country: "FR"}, {Prefix: "5.0.0.192/27", Country: "DE"},
			{Prefix: "5.0.1.0/24", Country: "DE"}, {Prefix: "5.0.2.0/23", Country: "DE"}, {Prefix: "5.0.5.7/32", Country: "FR"},
			{Prefix: "2a00:1::/48", Country: "DE"}, {Prefix: "2a00:1:1::/48", Country: "DE"}, {Prefix: "2a00:1:2::/64", Country: "DE"},
			{Prefix: "2a00:1:3:0:8000::/65", Country: "FR"},
		}},
		geotest.Database{Layout: geotest.ASN, Rows: []geotest.Row{{Prefix: "5.0.3.0/28", ASN: 64500}, {Prefix: "2a00:1:1:8000::/49", ASN: 64500}}},
	)
	same := map[string]func(a, b director.Place) bool{
		"place":   func(a, b director.Place) bool { return a == b },
		"country": func(a, b director.Place) bool { return a.Country == b.Country },
	}
	for name, same := range same {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := netip.MustParseAddr("5.0.0.0").As4()
			var all [2048]director.Place
			at := func(i int) netip.Addr {
				return netip.AddrFrom4([4]byte{base[0], base[1], byte(i >> 8), byte(i)})
			}
			for i := range all {
				all[i] = l.Locate(at(i))
			}
			for i, own := range all {
				alike := func(p director.Place) bool { return same(own, p) }
				want := 32
				for ; want > 21; want-- {
					size := 1 << (32 - want + 1)
					from := i &^ (size - 1)
					ok := true
					for _, p := range all[from : from+size] {
						ok = ok && alike(p)
					}
					if !ok {
						break
					}
				}
				if got := l.Widest(at(i), 21, alike); got != want {
					t.Fatalf("%s: /%d, want /%d", at(i), got, want)
				}
			}
		})
	}
	for addr, want := range map[string]int{
		"2a00:1::1": 47, "2a00:1:1::1": 47, "2a00:1:2::1": 64, "2a00:1:2:1::": 64,
		"2a00:1:3:0:8000::1": 65, "2a00:1:3::1": 65, "2a00:1:3:1::": 64,
	} {
		a := netip.MustParseAddr(addr)
		own := l.Locate(a)
		if got := l.Widest(a, 40, func(p director.Place) bool { return p.Country == own.Country }); got != want {
			t.Errorf("%s: /%d, want /%d", addr, got, want)
		}
	}
}

// Whatever the address and the database, no address in the prefix has another place.
func TestWidestIsTrue(t *testing.T) {
	t.Parallel()
	l, err := geo.Open(geo.Config{Unknown: unknown, Private: private, NAT64: []netip.Prefix{netip.MustParsePrefix("2a00:64::/32")}})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	wide := 0
	for range 1000 {
		var a netip.Addr
		switch r.IntN(3) {
		case 0, 1:
			a = netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		default:
			b := [16]byte{0x20 + byte(r.IntN(16)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
			a = netip.AddrFrom16(b)
		}
		own := l.Locate(a)
		n := l.Widest(a, 0, func(p director.Place) bool { return p.Country == own.Country })
		if n < 20 {
			wide++
		}
		p, err := a.Prefix(n)
		if err != nil {
			t.Fatalf("%s: /%d", a, n)
		}
		check := func(b netip.Addr) {
			if got := l.Locate(b); got.Country != own.Country {
				t.Fatalf("%s is said to be as all of %s, but %s is in %s and not in %s", a, p, b, got.Country, own.Country)
			}
		}
		check(p.Addr())
		for range 64 {
			b := p.Addr().AsSlice()
			for bit := n; bit < len(b)*8; bit++ {
				if r.IntN(2) == 1 {
					b[bit/8] |= 1 << (7 - bit%8)
				}
			}
			in, _ := netip.AddrFromSlice(b)
			check(in)
		}
		// Special networks and those that stand for IPv4 ones are the likeliest to be missed.
		for _, edge := range []string{"10.0.0.0", "127.0.0.1", "100.64.0.1", "203.0.113.9", "224.0.0.1", "2002:501::1", "2001::1", "2001:db8::1", "::ffff:5.0.0.1", "3fff::1", "64:ff9b::500:1", "2a00:64:500:1::", "fe80::1", "2000::", "4000::"} {
			if e := netip.MustParseAddr(edge); p.Contains(e) {
				check(e)
			}
		}
	}
	if wide == 0 {
		t.Error("no prefix was wide: the test proves little")
	}
}

func TestWidestOfOddAddresses(t *testing.T) {
	t.Parallel()
	l := open(t, geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{{Prefix: "0.0.0.0/0", Country: "DE"}}})
	yes := func(director.Place) bool { return true }
	for addr, want := range map[string]int{"::ffff:5.0.0.1": 128, "2002:501::": 128, "2001::1": 128} {
		if got := l.Widest(netip.MustParseAddr(addr), 0, yes); got != want {
			t.Errorf("%s: /%d, want /%d", addr, got, want)
		}
	}
	if got := l.Widest(netip.Addr{}, 0, yes); got != 0 {
		t.Errorf("no address: /%d", got)
	}
	if got := l.Widest(netip.MustParseAddr("5.0.0.1"), 24, yes); got != 24 {
		t.Errorf("at least 24: /%d", got)
	}
}

func TestWidestAllocatesNothing(t *testing.T) { // and so is not parallel: others' would be counted
	l := open(t, geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{{Prefix: "0.0.0.0/0", Country: "DE"}}})
	yes := func(director.Place) bool { return true }
	a := netip.MustParseAddr("5.0.0.1")
	if n := testing.AllocsPerRun(100, func() { l.Widest(a, 8, yes) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
