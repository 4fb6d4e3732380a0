package geo_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/geo/geotest"
)

var (
	unknown = director.Place{Country: code("IS")}
	private = director.Place{Country: code("CH"), Point: director.CityPoint, Lat: 47.4, Lon: 8.5, ASN: 64512}
)

func code(s string) director.Code { return director.Code{s[0], s[1]} }

func open(t testing.TB, databases ...geotest.Database) *geo.Locator {
	t.Helper()
	c := geo.Config{Unknown: unknown, Private: private}
	for _, d := range databases {
		c.Databases = append(c.Databases, d.Write(t, filepath.Join(t.TempDir(), "test.mmdb")))
	}
	l, err := geo.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// describe writes a place down: "EU DE-BY AS3320 48.1,11.6 (city)".
func describe(p director.Place) string {
	s := p.Continent.String() + " " + p.Country.String()
	if p.Subdivision != (director.Subdivision{}) {
		s += "-" + p.Subdivision.String()
	}
	if p.ASN != 0 {
		s += fmt.Sprintf(" AS%d", p.ASN)
	}
	if p.Point != director.NoPoint {
		s += fmt.Sprintf(" %.1f,%.1f", p.Lat, p.Lon)
		s += map[director.Point]string{director.CountryCentre: " (centre)", director.CityPoint: " (city)",
			director.ContinentCentre: " (centre of the continent)", director.RegisteredCentre: " (registered)"}[p.Point]
	}
	return s
}

// places compares Locate's answers by address.
func places(t *testing.T, l *geo.Locator, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for address := range want {
		got[address] = describe(l.Locate(netip.MustParseAddr(address)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

var (
	munich = geotest.Row{Continent: "EU", Country: "DE", Subdivision: "BY", City: "Munich", Lat: 48.137, Lon: 11.576}
	lima   = geotest.Row{Continent: "SA", Country: "PE", City: "Lima", Lat: -12.046, Lon: -77.043}
)

func at(prefix string, r geotest.Row) geotest.Row {
	r.Prefix = prefix
	return r
}

func TestLayouts(t *testing.T) {
	t.Parallel()
	const nowhere = "EU IS 65.0,-18.0 (centre)"
	both := []geotest.Row{at("81.2.69.0/24", munich), at("2a02:100::/32", lima)}
	withASN := slices.Clone(both)
	withASN[0].ASN, withASN[1].ASN = 3320, 6147
	for _, c := range []struct {
		name     string
		database geotest.Database
		want     [2]string // of 81.2.69.1 and 2a02:100::1
	}{
		{"City", geotest.Database{Layout: geotest.City, Rows: both},
			[2]string{"EU DE-BY 48.1,11.6 (city)", "SA PE -12.0,-77.0 (city)"}},
		{"Enterprise", geotest.Database{Layout: geotest.City, Type: "GeoIP2-Enterprise", Rows: both},
			[2]string{"EU DE-BY 48.1,11.6 (city)", "SA PE -12.0,-77.0 (city)"}},
		{"a type geoip2 does not know", geotest.Database{Layout: geotest.City, Type: "Radio-City", Rows: both},
			[2]string{"EU DE-BY 48.1,11.6 (city)", "SA PE -12.0,-77.0 (city)"}},
		{"Country", geotest.Database{Layout: geotest.Country, Rows: both},
			[2]string{"EU DE 51.0,9.0 (centre)", "SA PE -10.0,-76.0 (centre)"}},
		{"flat country", geotest.Database{Layout: geotest.FlatCountry, Rows: both},
			[2]string{"EU DE 51.0,9.0 (centre)", "SA PE -10.0,-76.0 (centre)"}},
		{"flat city", geotest.Database{Layout: geotest.FlatCity, Rows: both},
			[2]string{"EU DE 48.1,11.6 (city)", "SA PE -12.0,-77.0 (city)"}},
		{"flat city, IPv4 only", geotest.Database{Layout: geotest.FlatCity, Type: "city ipv4", IPv4: true, Rows: both[:1]},
			[2]string{"EU DE 48.1,11.6 (city)", nowhere}},
		{"flat city, IPv6 only", geotest.Database{Layout: geotest.FlatCity, Type: "city ipv6", Rows: both[1:]},
			[2]string{nowhere, "SA PE -12.0,-77.0 (city)"}},
		{"ASN", geotest.Database{Layout: geotest.ASN, Rows: []geotest.Row{{Prefix: "81.2.0.0/16", ASN: 20712}, {Prefix: "2a02:100::/32", ASN: 0}}},
			[2]string{"EU IS AS20712 65.0,-18.0 (centre)", nowhere}},
		{"ISP", geotest.Database{Layout: geotest.ASN, Type: "GeoIP2-ISP", Rows: []geotest.Row{{Prefix: "81.2.0.0/16", ASN: 20712}}},
			[2]string{"EU IS AS20712 65.0,-18.0 (centre)", nowhere}},
		{"flat ASN", geotest.Database{Layout: geotest.FlatASN, Rows: []geotest.Row{{Prefix: "81.2.0.0/16", ASN: 20712}}},
			[2]string{"EU IS AS20712 65.0,-18.0 (centre)", nowhere}},
		{"names beside codes, and the network", geotest.Database{Layout: geotest.IPinfoLite, Rows: withASN},
			[2]string{"EU DE AS3320 51.0,9.0 (centre)", "SA PE AS6147 -10.0,-76.0 (centre)"}},
		{"codes as texts, and the network", geotest.Database{Layout: geotest.IPinfoCountryASN, Rows: withASN},
			[2]string{"EU DE AS3320 51.0,9.0 (centre)", "SA PE AS6147 -10.0,-76.0 (centre)"}},
		{"coordinates as texts", geotest.Database{Layout: geotest.IPinfoLocation, Rows: both},
			[2]string{"EU DE 48.1,11.6 (city)", "SA PE -12.0,-77.0 (city)"}},
		{"maps of place and network", geotest.Database{Layout: geotest.IPinfoPlus, Rows: withASN},
			[2]string{"EU DE-BY AS3320 48.1,11.6 (city)", "SA PE AS6147 -12.0,-77.0 (city)"}},
		{"country_code beside names", geotest.Database{Layout: geotest.IPLocate, Rows: both},
			[2]string{"EU DE 51.0,9.0 (centre)", "SA PE -10.0,-76.0 (centre)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := open(t, c.database)
			places(t, l, map[string]string{"81.2.69.1": c.want[0], "2a02:100::1": c.want[1]})
			if s := l.Sources(); len(s) != 1 || s[0].Embedded || s[0].Path == "" || s[0].Built.Format("2006-01-02") != "2026-01-02" {
				t.Errorf("sources: %+v", s)
			}
		})
	}
}

// What stands for a country is not mistaken for a city, and what is unknown not for a place.
func TestRecords(t *testing.T) {
	t.Parallel()
	l := open(t, geotest.Database{Layout: geotest.City, Rows: []geotest.Row{
		{Prefix: "5.0.0.0/24", Country: "US", Lat: 37.751, Lon: -97.822, Accuracy: 1000},
		{Prefix: "5.0.1.0/24", Country: "HK", Lat: 22.258, Lon: 114.166, Accuracy: 50},
		{Prefix: "5.0.2.0/24", Country: "US", Subdivision: "CA", Lat: 37, Lon: -120, Accuracy: 500},
		{Prefix: "5.0.3.0/24", Country: "FR", City: "Nowhere", Accuracy: 10},
		{Prefix: "5.0.4.0/24", Registered: "AU"},
		{Prefix: "5.0.5.0/24", Country: "ZZ"},
		{Prefix: "5.0.6.0/24", Country: "T1"},
		{Prefix: "5.0.7.0/24", Continent: "AF"},
		{Prefix: "5.0.8.0/24", Country: "RU", Subdivision: "toolong"},
		{Prefix: "5.0.9.0/24", Country: "de"},
		{Prefix: "5.0.10.0/24", Continent: "EU", Lat: 50.1, Lon: 8.7},
		{Prefix: "5.0.11.0/24", Continent: "EU", Lat: 48, Lon: 9, Accuracy: 1000},
		{Prefix: "5.0.12.0/24", Lat: 34, Lon: -118, Accuracy: 20},
		{Prefix: "5.0.13.0/24", Lat: 20, Lon: -40},
		{Prefix: "5.0.14.0/24", Continent: "EU", Registered: "US"},
		{Prefix: "5.0.15.0/24", Continent: "NA", Registered: "US"},
		{Prefix: "5.0.16.0/24", Registered: "EU"},
		{Prefix: "5.0.17.0/24", Registered: "US", Lat: 34, Lon: -118, Accuracy: 20},
	}})
	const nowhere = "EU IS 65.0,-18.0 (centre)"
	places(t, l, map[string]string{
		"5.0.0.1": "NA US 37.8,-97.8 (centre)",
		"5.0.1.1": "AS HK 22.3,114.2 (city)",
		"5.0.2.1": "NA US-CA 37.0,-120.0 (city)",
		"5.0.3.1": "EU FR 46.0,2.0 (centre)",
		"5.0.4.1": "OC AU -27.0,133.0 (registered)",
		"5.0.5.1": nowhere,
		"5.0.6.1": nowhere,
		"5.0.7.1": "AF  5.0,20.0 (centre of the continent)",
		"5.0.8.1": "EU RU 55.8,37.6 (centre)",
		"5.0.9.1": "EU DE 51.0,9.0 (centre)",
		// Without a country, coordinates count for what they are.
		"5.0.10.1": "EU DE 50.1,8.7 (city)",
		"5.0.11.1": "EU  48.0,9.0 (centre of the continent)",
		"5.0.12.1": "NA US 34.0,-118.0 (city)",
		"5.0.13.1": "  20.0,-40.0 (city)", // at sea
		// Where a network is registered says something, if nothing else contradicts it.
		"5.0.14.1": "EU  50.0,12.0 (centre of the continent)",
		"5.0.15.1": "NA US 38.0,-97.0 (registered)",
		"5.0.16.1": nowhere,
		"5.0.17.1": "NA US 34.0,-118.0 (city)",
	})
}

func TestMerge(t *testing.T) {
	t.Parallel()
	city := geotest.Database{Layout: geotest.City, Rows: []geotest.Row{at("81.2.69.0/24", munich)}}
	country := geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{
		{Prefix: "81.2.69.0/24", Country: "AT"}, {Prefix: "81.2.70.0/24", Country: "AT"}}}
	asn := geotest.Database{Layout: geotest.ASN, Rows: []geotest.Row{{Prefix: "81.2.64.0/20", ASN: 1}}}
	other := geotest.Database{Layout: geotest.FlatASN, Rows: []geotest.Row{{Prefix: "81.0.0.0/8", ASN: 2}}}

	places(t, open(t, city, country, asn, other), map[string]string{
		"81.2.69.9": "EU DE-BY AS1 48.1,11.6 (city)",
		"81.2.70.9": "EU AT AS1 47.3,13.3 (centre)",
		"81.2.71.9": "EU IS AS1 65.0,-18.0 (centre)",
		"81.9.9.9":  "EU IS AS2 65.0,-18.0 (centre)",
		"82.0.0.1":  "EU IS 65.0,-18.0 (centre)",
	})
	places(t, open(t, other, asn, country, city), map[string]string{
		"81.2.69.9": "EU AT AS2 47.3,13.3 (centre)",
	})
	// What a database knows roughly gives way to what another knows.
	rough := geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{
		{Prefix: "81.2.69.0/24", Registered: "GB"}, {Prefix: "81.2.70.0/24", Continent: "EU"}, {Prefix: "81.2.71.0/24", Registered: "GB"}}}
	places(t, open(t, rough, country), map[string]string{
		"81.2.69.9": "EU AT 47.3,13.3 (centre)",
		"81.2.70.9": "EU AT 47.3,13.3 (centre)",
		"81.2.71.9": "EU GB 54.0,-2.0 (registered)",
	})
}

func TestIPv4InIPv6(t *testing.T) {
	t.Parallel()
	l := open(t, geotest.Database{Layout: geotest.City, Rows: []geotest.Row{at("81.2.69.0/24", munich)}})
	want := map[string]string{}
	for _, address := range []string{
		"81.2.69.7", "::ffff:81.2.69.7", "::81.2.69.7",
		"2002:5102:4507::1",                    // 6to4
		"2001:0:4136:e378:8000:63bf:aefd:baf8", // Teredo: the client inverted
	} {
		want[address] = "EU DE-BY 48.1,11.6 (city)"
	}
	places(t, l, want)
}

// Behind a translator, IPv4 addresses stand in an IPv6 prefix; RFC 6052, 2.4 has
// the examples, of 192.0.2.33.
func TestNAT64(t *testing.T) {
	t.Parallel()
	path := geotest.Database{Layout: geotest.City, Rows: []geotest.Row{at("192.0.2.0/24", munich), at("2001:db8:100::/40", lima)}}.
		Write(t, filepath.Join(t.TempDir(), "test.mmdb"))
	const inside = "EU DE-BY 48.1,11.6 (city)"
	for prefix, address := range map[string]string{
		"64:ff9b::/96":          "64:ff9b::192.0.2.33", // well-known: without being configured
		"2001:db8::/32":         "2001:db8:c000:221::",
		"2001:db8:100::/40":     "2001:db8:1c0:2:21::",
		"2001:db8:122::/48":     "2001:db8:122:c000:2:2100::",
		"2001:db8:122:300::/56": "2001:db8:122:3c0:0:221::",
		"2001:db8:122:344::/64": "2001:db8:122:344:c0:2:2100::",
		"2001:db8:122:344::/96": "2001:db8:122:344::192.0.2.33",
	} {
		c := geo.Config{Databases: []string{path}, Unknown: unknown, Private: private}
		if prefix != "64:ff9b::/96" {
			c.NAT64 = []netip.Prefix{netip.MustParsePrefix("2001:db8:fff::/48"), netip.MustParsePrefix(prefix)}
		}
		l, err := geo.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		places(t, l, map[string]string{address: inside})
	}
	for _, bad := range []string{"2001:db8::/33", "2001:db8::/128", "10.0.0.0/8"} {
		_, err := geo.Open(geo.Config{Databases: []string{path}, NAT64: []netip.Prefix{netip.MustParsePrefix(bad)}})
		if err == nil || !strings.Contains(err.Error(), bad+" is not a NAT64 prefix; write a /32") {
			t.Errorf("%s: error %v", bad, err)
		}
	}
}

func TestSpecialAddresses(t *testing.T) {
	t.Parallel()
	const (
		inside  = "EU CH AS64512 47.4,8.5 (city)"
		outside = "EU IS 65.0,-18.0 (centre)"
	)
	want := map[string]string{}
	for _, address := range []string{
		"10.1.2.3", "172.31.255.255", "192.168.0.1", "127.0.0.1", "169.254.1.1", "100.64.0.1", "100.127.255.255", "0.0.0.0",
		"192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
		"::", "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "64:ff9b::a00:1",
		"::ffff:10.1.2.3", "2002:a01:203::1",
	} {
		want[address] = inside
	}
	for _, address := range []string{"9.255.255.255", "11.0.0.0", "172.32.0.0", "100.63.255.255", "100.128.0.0", "223.255.255.255",
		"2a00::1", "2400::1%eth0", "2001:200::1", "::ffff:8.8.8.8"} {
		want[address] = outside
	}
	places(t, open(t, geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{{Prefix: "81.2.69.0/24", Country: "DE"}}}), want)

	internal := open(t, geotest.Database{Layout: geotest.City, Rows: []geotest.Row{at("10.0.0.0/8", munich), at("fd00:1::/32", lima)}},
		geotest.Database{Layout: geotest.ASN, Rows: []geotest.Row{{Prefix: "192.168.0.0/16", ASN: 65000}}})
	places(t, internal, map[string]string{
		"10.1.2.3":    "EU DE-BY 48.1,11.6 (city)",
		"fd00:1::1":   "SA PE -12.0,-77.0 (city)",
		"fd00:2::1":   inside,
		"192.168.1.1": "EU CH AS65000 47.4,8.5 (city)",
	})
	if got := internal.Locate(netip.Addr{}); got.Country != unknown.Country {
		t.Errorf("the invalid address is at %v, want the unknown place", got)
	}
}

func TestLocateAllocatesNothing(t *testing.T) {
	l := open(t, geotest.Database{Layout: geotest.City, Rows: []geotest.Row{at("81.2.69.0/24", munich)}})
	for _, address := range []string{"81.2.69.1", "8.8.8.8", "10.0.0.1", "2a00::1", "fe80::1"} {
		a := netip.MustParseAddr(address)
		if n := testing.AllocsPerRun(100, func() { sink = l.Locate(a) }); n != 0 {
			t.Errorf("Locate(%s) allocates %v times", a, n)
		}
	}
}
