package geo_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/geo/geotest"
)

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What networks say of themselves is believed before databases, and what the operator
// says before that; databases complete it.
func TestFeedsAndCorrections(t *testing.T) {
	t.Parallel()
	feed := write(t, "feed.csv", "\xef\xbb\xbf# a comment\r\n"+
		"81.2.69.0/24,GB,GB-ENG,London,\r\n"+
		"81.2.69.128/25,ie,,,\r\n"+
		"81.2.69.200, FR ,FR-IDF,Paris # one address\n"+
		"81.2.70.0/24,,,,\n"+
		"81.2.71.0/24,DE,DE-BY,,\n"+
		"81.2.72.0/24,DE,DE-BE,Berlin,\n"+
		"2a02:26f7::/40,US,US-CA,Los Angeles,\n"+
		"2a02:26f7:0:1::/64,JP,,,\n"+
		"2a02:26f7:0:1:8000::/65,KR,,,\n"+
		"\"2a02:26f7:0:1:8000::7/128\",\"KP\"\n")
	second := write(t, "second.csv", "81.2.0.0/16,AT,,,\n")
	database := geotest.Database{Layout: geotest.City, Rows: []geotest.Row{at("81.2.64.0/19", munich), at("2a02:26f7::/32", lima)}}.
		Write(t, filepath.Join(t.TempDir(), "test.mmdb"))
	asn := geotest.Database{Layout: geotest.ASN, Rows: []geotest.Row{{Prefix: "81.2.0.0/16", ASN: 7}}}.Write(t, filepath.Join(t.TempDir(), "asn.mmdb"))
	l, err := geo.Open(geo.Config{
		Unknown: unknown, Private: private, Databases: []string{database, asn}, Feeds: []string{feed, second},
		Corrections: []geo.Correction{
			{Network: netip.MustParsePrefix("81.2.69.7/32"), Place: director.Place{Point: director.CityPoint, Lat: 52.4, Lon: 4.9}},
			{Network: netip.MustParsePrefix("10.0.0.0/8"), Place: director.Place{Country: code("NL")}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	places(t, l, map[string]string{
		"81.2.69.1":             "EU GB-ENG AS7 54.0,-2.0 (centre)",
		"81.2.69.7":             "EU NL AS7 52.4,4.9 (city)",
		"81.2.69.127":           "EU GB-ENG AS7 54.0,-2.0 (centre)",
		"81.2.69.128":           "EU IE AS7 53.0,-8.0 (centre)",
		"81.2.69.200":           "EU FR-IDF AS7 46.0,2.0 (centre)",
		"81.2.69.201":           "EU IE AS7 53.0,-8.0 (centre)",
		"81.2.70.1":             "EU AT AS7 47.3,13.3 (centre)",  // the first feed says nothing
		"81.2.71.1":             "EU DE-BY AS7 48.1,11.6 (city)", // the database knows where in Bavaria
		"81.2.72.1":             "EU DE-BE AS7 51.0,9.0 (centre)",
		"81.2.1.1":              "EU AT AS7 47.3,13.3 (centre)",
		"81.3.0.1":              "EU IS 65.0,-18.0 (centre)",
		"10.1.2.3":              "EU NL 52.5,5.8 (centre)",
		"2a02:26f7::1":          "NA US-CA 38.0,-97.0 (centre)",
		"2a02:26f7:0:1::1":      "AS JP 36.0,138.0 (centre)",
		"2a02:26f7:0:1:8000::":  "AS KR 37.0,127.5 (centre)",
		"2a02:26f7:0:1:8000::7": "AS KP 40.0,127.0 (centre)",
		"2a02:26f7:0:2::1":      "NA US-CA 38.0,-97.0 (centre)",
		"2a02:26f7:100::1":      "SA PE -12.0,-77.0 (city)",
	})
	for address, want := range map[string]string{"81.2.69.7": "corrections", "81.2.69.1": feed, "81.2.1.1": second, "2a02:26f7:100::1": database, "81.3.0.1": ""} {
		s, ok := l.Origin(netip.MustParseAddr(address))
		if got := s.Path + map[bool]string{true: s.Type}[s.Path == ""]; got != want || ok != (want != "") {
			t.Errorf("%s was placed by %q, want %q", address, got, want)
		}
	}
}

// Every network of a feed is where the feed says, with the embedded database too.
func TestFeedHolds(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	countries := []string{"DE", "US", "JP", "BR", "ZA"}
	want := map[netip.Addr]string{}
	for i := range 5000 {
		country := countries[i%5]
		for _, p := range []string{fmt.Sprintf("172.%d.%d.%d/31", 224+i/16384, i/64%256, i%64*4), fmt.Sprintf("2a02:26f7:%x:%x::/64", 0xb000+i/256, i)} {
			fmt.Fprintf(&b, "%s,%s,,Somewhere,\n", p, country)
			prefix := netip.MustParsePrefix(p)
			want[prefix.Addr()], want[prefix.Addr().Next()] = country, country
		}
	}
	l, err := geo.Open(geo.Config{Feeds: []string{write(t, "feed.csv", b.String())}})
	if err != nil {
		t.Fatal(err)
	}
	for a, country := range want {
		if got := l.Locate(a).Country.String(); got != country {
			t.Fatalf("%s is in %q, want %q", a, got, country)
		}
	}
	if got := l.Locate(netip.MustParseAddr("193.99.144.80")).Country.String(); got != "DE" {
		t.Errorf("the embedded database says %q", got)
	}
}

// A feed with a mistake is refused whole, with the line.
func TestFeedRefused(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"":                                   "no line has a network and a country",
		"<html>":                             `line 1: "<html>" is not a network; write one such as 192.0.2.0/24`,
		"192.0.2.0/24,DE\n\n192.0.2.0/33,DE": `line 3: "192.0.2.0/33" is not a network`,
		"192.0.2.1/24,DE":                    "line 1: 192.0.2.1/24 begins within its network; write 192.0.2.0/24",
		"192.0.2.0/24,DE\n192.0.2.0/24,FR":   "line 1 has 192.0.2.0/24 in DE",
		"2001:db8::/32,DE\n2001:db8::/32,FR": "one of them is wrong",
		"192.0.2.0/24,\xff":                  "it is not UTF-8 text",
		"192.0.2.0/24,XX":                    "no line has a network and a country",
	} {
		path := write(t, "feed.csv", content)
		_, err := geo.Open(geo.Config{Feeds: []string{path}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error %v, want %q", content, err, want)
		}
	}
}
