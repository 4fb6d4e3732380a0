package geo_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/geo/geotest"
)

var small = geotest.Database{Layout: geotest.City, Rows: []geotest.Row{at("81.2.69.0/24", munich), at("2a02:100::/32", lima)}}

// A file that is no use is an error that names it and the remedy.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := small.Bytes(t)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(good)
	w.Close()
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":         {nil, "is empty: download it again"},
		"truncated":     {good[:len(good)-100], "truncated or no MaxMind DB: download it again"},
		"the tail only": {good[len(good)/2:], "download"},
		"gzip":          {packed.Bytes(), "compressed: unpack it"},
		"zip":           {[]byte("PK\x03\x04 and so on"), "compressed: unpack it"},
		"web page":      {[]byte("\n<!DOCTYPE html><title>Sign in</title>"), "web page or a message, not a database: look into it"},
		"message":       {[]byte(`{"error":"invalid license key"}`), "check the download and its licence key"},
		"anything":      {bytes.Repeat([]byte("signpost"), 1000), "truncated or no MaxMind DB"},
		"anonymous IP":  {geotest.Database{Layout: geotest.AnonymousIP, Rows: small.Rows}.Bytes(t), "GeoIP2-Anonymous-IP database says nothing about places: use a City"},
		"nothing of use": {geotest.Database{Layout: geotest.AnonymousIP, Type: "proxies", Rows: small.Rows}.Bytes(t),
			`(proxies): no record has a country's code (under country.iso_code, country_code or country)`},
		"names of countries": {geotest.Database{Layout: geotest.CountryNames, Rows: small.Rows}.Bytes(t),
			`the first has the keys "country", "country_long": use a City`},
		"no records": {geotest.Database{Layout: geotest.City}.Bytes(t), "there are no records at all: use a City"},
		"impossible place": {geotest.Database{Layout: geotest.City, Rows: []geotest.Row{{Prefix: "8.8.8.0/24", Country: "US", Lat: 91, Lon: 5}}}.Bytes(t),
			"at 8.8.8.0/24: its coordinates are not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "bad.mmdb")
			if err := os.WriteFile(path, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, path, c.want)
		})
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		refused(t, filepath.Join(t.TempDir(), "missing.mmdb"), "no such file or directory: check the path, or download")
	})
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		refused(t, t.TempDir(), "it is not a file: give the path of an .mmdb file")
	})
	t.Run("the second of two", func(t *testing.T) {
		t.Parallel()
		good := small.Write(t, filepath.Join(t.TempDir(), "good.mmdb"))
		missing := filepath.Join(t.TempDir(), "missing.mmdb")
		if _, err := geo.Open(geo.Config{Databases: []string{good, missing}}); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("error %v, want one about %s", err, missing)
		}
	})
}

func refused(t *testing.T, path, want string) {
	t.Helper()
	l, err := geo.Open(geo.Config{Databases: []string{path}})
	if err == nil || l != nil {
		t.Fatalf("opened %s", path)
	}
	if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want the path and %q", err, want)
	}
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	l := open(t)
	s := geo.Embedded()
	if got := l.Sources(); len(got) != 1 || got[0] != s {
		t.Errorf("sources %+v, want the embedded one, %+v", got, s)
	}
	if !s.Embedded || s.Path != "" || s.Built.Year() < 2026 {
		t.Errorf("embedded source: %+v", s)
	}
	for _, want := range []string{geo.Attribution, geo.AttributionLink, "CC BY 4.0", "NRO", "dbip-country-mmdb@"} {
		if !strings.Contains(s.Description, want) {
			t.Errorf("description %q does not name %s", s.Description, want)
		}
	}
	// Networks that have belonged to national institutions for decades.
	places(t, l, map[string]string{
		"193.99.144.80":       "EU DE 51.0,9.0 (centre)",    // Heise, Hannover
		"212.58.244.20":       "EU GB 54.0,-2.0 (centre)",   // BBC
		"133.11.0.1":          "AS JP 36.0,138.0 (centre)",  // University of Tokyo
		"200.160.2.3":         "SA BR -10.0,-55.0 (centre)", // NIC.br
		"2001:200::1":         "AS JP 36.0,138.0 (centre)",  // WIDE
		"2a02:2e0:3fe:1001::": "EU DE 51.0,9.0 (centre)",    // Plus.line
		"192.168.1.1":         "EU CH AS64512 47.4,8.5 (city)",
		"240.1.2.3":           "EU CH AS64512 47.4,8.5 (city)",
		"3ffe::1":             "EU IS 65.0,-18.0 (centre)",
	})
}

func TestCountries(t *testing.T) {
	t.Parallel()
	for country, want := range map[string]string{"DE": "EU", "US": "NA", "BR": "SA", "JP": "AS", "ZA": "AF", "NZ": "OC", "AQ": "AN",
		"RU": "EU", "TR": "AS", "EG": "AF", "XK": "EU", "ZW": "AF", "AD": "EU", "ZZ": "", "aa": "", "\x00\x00": ""} {
		if got := geo.ContinentOf(code(country)); got.String() != want {
			t.Errorf("ContinentOf(%q) = %v, want %v", country, got, want)
		}
		lat, lon, ok := geo.Centroid(code(country))
		if ok != (want != "") || ok && lat == 0 && lon == 0 || lat < -90 || lat > 90 || lon < -180 || lon > 180 {
			t.Errorf("Centroid(%q) = %v, %v, %v", country, lat, lon, ok)
		}
	}
	if lat, lon, _ := geo.Centroid(code("CH")); lat != 47 || lon != 8 {
		t.Errorf("Switzerland is at %v,%v, want 47,8", lat, lon)
	}
}
