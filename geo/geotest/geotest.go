// Package geotest makes small geography databases for tests.
package geotest

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// Layout is the layout of a database's records, and its type.
type Layout string

// The layouts.
const (
	City        Layout = "GeoLite2-City"
	Country     Layout = "GeoLite2-Country"
	ASN         Layout = "GeoLite2-ASN"
	FlatCity    Layout = "city ipvAll"    // of ip-location-db, coordinates as 32-bit floats
	FlatCountry Layout = "country ipvAll" // of ip-location-db
	FlatASN     Layout = "asn ipvAll"     // of ip-location-db
	AnonymousIP Layout = "GeoIP2-Anonymous-IP"

	IPinfoLite       Layout = "ipinfo generic_lite_free_country_asn.mmdb" // names beside codes, "AS3320"
	IPinfoCountryASN Layout = "ipinfo generic_country_asn_mmdb_v4.mmdb"   // codes under the plain names
	IPinfoLocation   Layout = "ipinfo standard_location_mmdb_v4.mmdb"     // coordinates as texts
	IPinfoPlus       Layout = "ipinfo plus"                               // maps "geo" and "as"
	IPLocate         Layout = "IPLocate-IP-to-Country"                    // country_code and continent_code
	CountryNames     Layout = "names only"                                // "Germany", and no code
)

// Row is what a database says about a network. Fields that the layout lacks are ignored,
// and most layouts leave empty ones out of the record.
type Row struct {
	Prefix      string // "81.2.69.0/24", "2001:200::/32"; a later row replaces earlier ones
	Continent   string // "EU"
	Country     string // "DE"
	Registered  string // country of the network's owner, MaxMind's layout only
	Subdivision string // "BY", GeoLite2-City and IPinfo's location and plus only
	City        string // "Munich"
	Lat, Lon    float64
	Accuracy    int // of Lat and Lon, in km, GeoLite2-City only
	ASN         int
}

// Database describes a database to build.
type Database struct {
	Layout Layout
	Type   string    // overrides the layout's; empty: the layout's
	Built  time.Time // zero: 2026-01-02
	IPv4   bool      // the database holds IPv4 addresses only
	// NoAliases leaves out the aliases of IPv4 (::ffff:0:0/96, 2001::/32 and
	// 2002::/16), which MaxMind's databases have and ip-location-db's do not.
	NoAliases bool
	Rows      []Row
}

// Bytes returns the database's content.
func (d Database) Bytes(tb testing.TB) []byte {
	tb.Helper()
	options := mmdbwriter.Options{
		DatabaseType:            string(d.Layout),
		BuildEpoch:              time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC).Unix(),
		Description:             map[string]string{"en": "made by a test"},
		IncludeReservedNetworks: true,
		DisableIPv4Aliasing:     d.NoAliases,
		RecordSize:              24,
	}
	if d.Type != "" {
		options.DatabaseType = d.Type
	}
	if !d.Built.IsZero() {
		options.BuildEpoch = d.Built.Unix()
	}
	if d.IPv4 {
		options.IPVersion = 4
	}
	tree, err := mmdbwriter.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	for _, row := range d.Rows {
		p, err := netip.ParsePrefix(row.Prefix)
		if err != nil {
			tb.Fatal(err)
		}
		network := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
		if err := tree.Insert(network, d.record(row)); err != nil {
			tb.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// Write writes the database to path, by renaming a complete file over what is there, and
// returns path.
func (d Database) Write(tb testing.TB, path string) string {
	tb.Helper()
	whole := filepath.Join(tb.TempDir(), filepath.Base(path))
	if err := os.WriteFile(whole, d.Bytes(tb), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(whole, path); err != nil {
		tb.Fatal(err)
	}
	return path
}

func (d Database) record(r Row) mmdbtype.Map {
	m := mmdbtype.Map{}
	switch d.Layout {
	case FlatCity:
		text(m, "city", r.City)
		text(m, "country_code", r.Country)
		if r.Lat != 0 || r.Lon != 0 {
			m["latitude"], m["longitude"] = mmdbtype.Float32(r.Lat), mmdbtype.Float32(r.Lon)
		}
	case FlatCountry:
		text(m, "country_code", r.Country)
	case ASN, FlatASN:
		m["autonomous_system_number"] = mmdbtype.Uint32(r.ASN)
		m["autonomous_system_organization"] = mmdbtype.String("made by a test")
	case IPinfoLite:
		text(m, "continent", name(r.Continent))
		text(m, "continent_code", r.Continent)
		text(m, "country", name(r.Country))
		text(m, "country_code", r.Country)
		text(m, "asn", asn(r.ASN))
		text(m, "as_name", "made by a test")
	case IPinfoCountryASN:
		text(m, "continent", r.Continent)
		text(m, "continent_name", name(r.Continent))
		text(m, "country", r.Country)
		text(m, "country_name", name(r.Country))
		text(m, "asn", asn(r.ASN))
	case IPinfoLocation:
		text(m, "city", r.City)
		text(m, "country", r.Country)
		text(m, "region", r.Subdivision)
		if r.Lat != 0 || r.Lon != 0 {
			text(m, "lat", fmt.Sprint(r.Lat))
			text(m, "lng", fmt.Sprint(r.Lon))
		}
	case IPinfoPlus:
		inner := mmdbtype.Map{"latitude": mmdbtype.Float64(r.Lat), "longitude": mmdbtype.Float64(r.Lon), "radius": mmdbtype.Uint32(10)}
		text(inner, "continent_code", r.Continent)
		text(inner, "country", name(r.Country))
		text(inner, "country_code", r.Country)
		text(inner, "city", r.City)
		text(inner, "region_code", r.Subdivision)
		m["geo"], m["as"] = inner, mmdbtype.Map{"asn": mmdbtype.String(asn(r.ASN))}
	case IPLocate:
		text(m, "country_code", r.Country)
		text(m, "country_name", name(r.Country))
		text(m, "continent_code", r.Continent)
	case CountryNames:
		text(m, "country", name(r.Country))
		text(m, "country_long", name(r.Country))
	case AnonymousIP:
		m["is_anonymous"] = mmdbtype.Bool(true)
	default:
		nested(m, d.Layout, r)
	}
	return m
}

func nested(m mmdbtype.Map, layout Layout, r Row) {
	inside(m, "continent", "code", r.Continent)
	inside(m, "country", "iso_code", r.Country)
	inside(m, "registered_country", "iso_code", r.Registered)
	if layout != City {
		return
	}
	if r.City != "" {
		m["city"] = mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(r.City)}}
	}
	if r.Subdivision != "" {
		m["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(r.Subdivision)}}
	}
	if r.Lat != 0 || r.Lon != 0 || r.Accuracy != 0 {
		m["location"] = mmdbtype.Map{"latitude": mmdbtype.Float64(r.Lat), "longitude": mmdbtype.Float64(r.Lon),
			"accuracy_radius": mmdbtype.Uint16(r.Accuracy)}
	}
}

// name returns some name for a code, or "" if there is no code.
func name(code string) string {
	names := map[string]string{"": "", "EU": "Europe", "SA": "South America", "DE": "Germany", "PE": "Peru"}
	if n, ok := names[code]; ok {
		return n
	}
	return "The Country of " + code
}

func asn(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("AS%d", n)
}

func text(m mmdbtype.Map, key mmdbtype.String, value string) {
	if value != "" {
		m[key] = mmdbtype.String(value)
	}
}

func inside(m mmdbtype.Map, outer, inner mmdbtype.String, value string) {
	if value != "" {
		m[outer] = mmdbtype.Map{inner: mmdbtype.String(value)}
	}
}
