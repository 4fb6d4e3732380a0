package geo

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo/geotest"
)

// The index answers as the database itself does, at every boundary of a network,
// next to it, and anywhere.
func TestIndexAgreesWithDatabase(t *testing.T) {
	t.Parallel()
	whole := []geotest.Row{
		{Prefix: "0.0.0.0/0", Country: "DE"}, {Prefix: "2a00::/16", Country: "DE"},
		{Prefix: "2400::/16", Country: "FR"}, {Prefix: "2a00:1::/64", Country: "DE"},
	}
	for name, d := range map[string]geotest.Database{
		"IPv4 and IPv6":     {Rows: randomRows(1, "0.0.0.0/0", "::/0", 500)},
		"IPv4 only":         {Rows: randomRows(2, "0.0.0.0/0", "", 500), IPv4: true},
		"IPv6 only":         {Rows: randomRows(3, "", "2000::/3", 500)},
		"crowded":           {Rows: randomRows(4, "81.2.0.0/15", "2a02:100::/46", 700)},
		"within one /64":    {Rows: randomRows(5, "81.2.69.0/28", "2a02:100::/60", 500)},
		"IPv4 in one piece": {Rows: whole, NoAliases: true},
		"without aliases":   {Rows: randomRows(6, "0.0.0.0/0", "::/0", 300), NoAliases: true},
		"IPv6 in one piece": {Rows: []geotest.Row{{Prefix: "::/1", Country: "DE"}, {Prefix: "9000::/4", Country: "FR"}, {Prefix: "a000::/4", Country: "DE"}}, NoAliases: true},
		"all in one piece":  {Rows: []geotest.Row{{Prefix: "::/1", Country: "DE"}, {Prefix: "8000::/1", Country: "DE"}}},
		"halves":            {Rows: []geotest.Row{{Prefix: "0.0.0.0/1", Country: "DE"}, {Prefix: "128.0.0.0/1", Country: "DE"}}, IPv4: true},
		"the last address":  {Rows: []geotest.Row{{Prefix: "255.255.255.255/32", Country: "DE"}, {Prefix: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", Country: "FR"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.Layout = geotest.City
			r, err := maxminddb.OpenBytes(d.Bytes(t))
			if err != nil {
				t.Fatal(err)
			}
			ix, err := compile(r)
			if err != nil {
				t.Fatal(err)
			}
			for a := range probes(d.Rows, 1500) {
				if want, got := direct(t, r, a), *ix.at(split(a)); got != want {
					t.Fatalf("%s: the index says %v, the database %v", a, got, want)
				}
			}
		})
	}
}

// The same for the file that SIGNPOST_BENCH_MMDB names, at the first and last
// address of every network that it has.
func TestIndexAgreesWithFile(t *testing.T) {
	path := os.Getenv("SIGNPOST_BENCH_MMDB")
	if path == "" {
		t.Skip("SIGNPOST_BENCH_MMDB names no database")
	}
	r, err := maxminddb.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ix, err := compile(r)
	if err != nil {
		t.Fatal(err)
	}
	networks, places := 0, map[uintptr]director.Place{}
	for result := range r.Networks() {
		p := result.Prefix()
		if p.Addr().Is6() && split(p.Addr()).is4 {
			continue // 6to4 and Teredo are looked up as IPv4
		}
		want, ok := places[result.Offset()]
		if !ok {
			want = direct(t, r, p.Addr())
			places[result.Offset()] = want
		}
		for _, a := range []netip.Addr{p.Addr(), lastOf(p)} {
			if got := *ix.at(split(a)); got != want {
				t.Fatalf("%s: the index says %v, the database %v", a, got, want)
			}
		}
		networks++
	}
	t.Logf("%d networks, %d records, %d places", networks, len(places), len(ix.places))
}

// direct asks the database.
func direct(t *testing.T, r *maxminddb.Reader, a netip.Addr) director.Place {
	t.Helper()
	if a.Is6() && r.Metadata.IPVersion == 4 {
		return director.Place{}
	}
	var rec record
	if err := r.Lookup(a).Decode(&rec); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	place, err := rec.place()
	if err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	return place
}

// probes are the first and last addresses of all networks, their neighbours, and
// n random addresses of each family, without those of which the database and we
// have another notion: Teredo, and what the test database keeps for aliases.
func probes(rows []geotest.Row, n int) map[netip.Addr]bool {
	random := rand.New(rand.NewPCG(7, 7))
	all := map[netip.Addr]bool{}
	add := func(a netip.Addr) {
		if a.IsValid() && !netip.MustParsePrefix("2001::/32").Contains(a) && a != netip.IPv6Loopback() {
			all[a.Unmap()] = true
		}
	}
	for _, row := range rows {
		p := netip.MustParsePrefix(row.Prefix).Masked()
		first, last := p.Addr(), lastOf(p)
		for _, a := range []netip.Addr{first, first.Prev(), first.Next(), last, last.Prev(), last.Next(), within(random, p)} {
			add(a)
		}
	}
	for range n {
		add(within(random, netip.MustParsePrefix("0.0.0.0/0")))
		add(within(random, netip.MustParsePrefix("::/0")))
		add(within(random, netip.MustParsePrefix("2000::/3")))
	}
	return all
}

// within returns a random address of p.
func within(random *rand.Rand, p netip.Prefix) netip.Addr {
	return fill(p, func() byte { return byte(random.Uint32()) })
}

func lastOf(p netip.Prefix) netip.Addr {
	return fill(p, func() byte { return 0xff })
}

// fill puts bits of b behind the prefix.
func fill(p netip.Prefix, b func() byte) netip.Addr {
	bytes := p.Addr().AsSlice()
	for i := range bytes {
		host := byte(0xff >> min(8, max(0, p.Bits()-8*i)))
		bytes[i] |= b() & host
	}
	a, _ := netip.AddrFromSlice(bytes)
	return a
}

// randomRows makes n rows of each family within the prefixes; empty: none. The
// networks that a writer keeps for aliases of IPv4 are left out.
func randomRows(seed uint64, in4, in6 string, n int) []geotest.Row {
	random := rand.New(rand.NewPCG(seed, 0))
	countries := []string{"DE", "FR", "US", "PE", "ZA"}
	var rows []geotest.Row
	for _, in := range []string{in4, in6} {
		if in == "" {
			continue
		}
		outer := netip.MustParsePrefix(in)
		for range n {
			bits := outer.Bits() + random.IntN(outer.Addr().BitLen()-outer.Bits()+1)
			p := netip.PrefixFrom(within(random, outer), bits).Masked()
			if overlapsAlias(p) {
				continue
			}
			row := geotest.Row{Prefix: p.String(), Country: countries[random.IntN(len(countries))]}
			if random.IntN(2) == 0 {
				row.City, row.Lat, row.Lon = "X", float64(random.IntN(100))/10, float64(random.IntN(100))/10
			}
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b geotest.Row) int { // lest a large network replaces all small ones
		return netip.MustParsePrefix(a.Prefix).Bits() - netip.MustParsePrefix(b.Prefix).Bits()
	})
	return rows
}

func overlapsAlias(p netip.Prefix) bool {
	for _, alias := range []string{"::/64", "2001::/32", "2002::/16"} {
		if p.Overlaps(netip.MustParsePrefix(alias)) {
			return true
		}
	}
	return false
}

func TestIndexIsSmall(t *testing.T) {
	t.Parallel()
	var rows []geotest.Row
	for i := range 256 { // 256 networks that are the same place to a tenth of a degree
		rows = append(rows, geotest.Row{Prefix: fmt.Sprintf("81.2.%d.0/24", i), Country: "DE", City: "X", Lat: 48.11 + float64(i)/1e4, Lon: 11.5})
	}
	r, err := maxminddb.OpenBytes(geotest.Database{Layout: geotest.City, Rows: rows}.Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	ix, err := compile(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(ix.places) != 2 || len(ix.v4.heads) != 2 {
		t.Errorf("%d places in %d blocks, want 2 in 1", len(ix.places), len(ix.v4.heads)-1)
	}
}
