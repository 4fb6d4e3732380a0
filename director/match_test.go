package director

import (
	"net/netip"
	"testing"
)

func TestTheMostSpecificMatchWins(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	prefixes := func(s ...string) (out []netip.Prefix) {
		for _, p := range s {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	l.row("default", Match{Default: true}, "a", 1)
	l.row("europe", Match{Continents: []string{"eu"}}, "a", 1)
	l.row("germany", Match{Countries: []string{"de"}}, "a", 1)
	l.row("bavaria", Match{Subdivisions: []string{"DE-BY"}}, "a", 1)
	l.row("telekom", Match{ASNs: []uint32{3320}}, "a", 1)
	l.row("office", Match{CIDRs: prefixes("10.0.0.0/8", "2001:db8::/32", "255.255.255.0/24")}, "a", 1)
	l.row("lab", Match{CIDRs: prefixes("10.1.0.0/16", "10.1.2.0/24", "::ffff:10.2.0.0/112")}, "a", 1)
	s := l.snapshot()

	germany := Place{Country: Code{'D', 'E'}, Continent: Code{'E', 'U'}}
	bavaria := germany
	bavaria.Subdivision = Subdivision{'B', 'Y'}
	telekom := bavaria
	telekom.ASN = 3320
	tests := []struct {
		addr  string
		place Place
		want  RegionID
	}{
		{"", Place{}, "default"},
		{"198.51.100.1", Place{Continent: Code{'E', 'U'}}, "europe"},
		{"198.51.100.1", germany, "germany"},
		{"198.51.100.1", bavaria, "bavaria"},
		{"198.51.100.1", telekom, "telekom"},
		{"10.0.0.0", telekom, "office"},
		{"10.255.255.255", telekom, "office"},
		{"11.0.0.0", telekom, "telekom"},
		{"9.255.255.255", germany, "germany"},
		{"10.1.255.255", germany, "lab"},
		{"10.1.2.3", germany, "lab"},
		{"10.2.0.1", germany, "lab"},
		{"10.3.0.0", germany, "office"},
		{"::ffff:10.1.0.1", germany, "lab"},
		{"255.255.255.255", germany, "office"},
		{"::", germany, "germany"},
		{"2001:db8::1%eth0", germany, "office"},
		{"2001:db9::", germany, "germany"},
	}
	for _, tt := range tests {
		q := Listener{Mount: "/live.mp3", Scheme: HTTP, Place: tt.place}
		if tt.addr != "" {
			q.Addr = addr(tt.addr)
		}
		var d Decision
		if s.Decide(&d, q, nil); d.Region != tt.want {
			t.Errorf("%s in %v: region %q, want %q", tt.addr, tt.place, d.Region, tt.want)
		}
	}
}

// The flattened spans answer as a plain search for the longest prefix would.
func FuzzLongestPrefix(f *testing.F) {
	f.Add([]byte{10, 8, 10, 16, 11, 4, 0, 0, 255, 3}, []byte{10, 0, 0, 1})
	f.Add([]byte{255, 1, 255, 8, 254, 7}, []byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, spec, at []byte) {
		if len(at) < 4 {
			return
		}
		b := newMatcherBuilder()
		var prefixes []netip.Prefix
		for i := 0; i+1 < len(spec) && i < 40; i += 2 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{spec[i], spec[i] ^ 0x5a, 0, 0}), int(spec[i+1])%33).Masked()
			if len(b.add(len(prefixes), Region{ID: "r", Match: Match{CIDRs: []netip.Prefix{p}}})) == 0 {
				prefixes = append(prefixes, p)
			}
		}
		m := b.matcher()
		a := netip.AddrFrom4([4]byte(at[:4]))
		want, bits := noRegion, -1
		for i, p := range prefixes {
			if p.Contains(a) && p.Bits() > bits {
				want, bits = i, p.Bits()
			}
		}
		if got, _ := m.find(a, Place{}); got != want {
			t.Errorf("%v among %v: region %d, want %d", a, prefixes, got, want)
		}
		if got, _ := m.find(netip.IPv6Unspecified(), Place{}); got != noRegion {
			t.Errorf("an IPv6 address matched the IPv4 prefix %v", prefixes[got])
		}
	})
}
