package service

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/signpost-fm/signpost/geo/geotest"
)

// TestReloadOpensOtherDatabases: what the file names now says where listeners are.
func TestReloadOpensOtherDatabases(t *testing.T) {
	t.Parallel()
	const format = "listen: {http: '127.0.0.1:0'}\nadmin: {listen: ''}\nnodes: [{id: one, urls: '%s', kind: http}]\n"
	d := startService(t, t.TempDir(), format, Options{})
	country := func() string { return d.geo.locate(netip.MustParseAddr("8.8.8.8")).Country.String() }
	if got := country(); got != "US" {
		t.Fatalf("at the start: %q, want US", got)
	}
	other := geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{{Prefix: "8.8.8.0/24", Country: "DE", Continent: "EU"}}}
	text := fmt.Sprintf(format, "http://one.example") + "geo: {databases: '" + other.Write(t, filepath.Join(t.TempDir(), "other.mmdb")) + "'}\n"
	s, err := readConfig(t, "radio.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.apply(s); err != nil {
		t.Fatal(err)
	}
	if got := country(); got != "DE" {
		t.Errorf("after the reload: %q, want DE", got)
	}
}
