package geo

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/signpost-fm/signpost/geo/geotest"
)

// A damaged database is refused or answers; it never panics and never ends in an
// endless walk.
func FuzzCompile(f *testing.F) {
	rows := []geotest.Row{
		{Prefix: "81.2.69.0/24", Continent: "EU", Country: "DE", Subdivision: "BY", City: "Munich", Lat: 48.1, Lon: 11.6, ASN: 1},
		{Prefix: "2a02:100::/32", Country: "PE", Lat: -12, Lon: -77, ASN: 2},
		{Prefix: "2a02:200::1/128", Country: "FR", ASN: 3},
	}
	for _, layout := range []geotest.Layout{geotest.City, geotest.Country, geotest.ASN, geotest.FlatCity, geotest.FlatCountry, geotest.AnonymousIP,
		geotest.IPinfoLite, geotest.IPinfoLocation, geotest.IPinfoPlus} {
		f.Add(geotest.Database{Layout: layout, Rows: rows}.Bytes(f))
	}
	f.Add(geotest.Database{Layout: geotest.City, IPv4: true, Rows: rows[:1]}.Bytes(f))
	f.Add([]byte("<html>"))
	f.Fuzz(func(_ *testing.T, data []byte) { tryDamaged(data) })
}

// tryDamaged opens what may be a database, and looks some addresses up if it is one.
func tryDamaged(data []byte) bool {
	r, err := openDatabase(data)
	if err != nil {
		return false
	}
	defer r.Close()
	ix, err := compile(r)
	if err != nil {
		return false
	}
	for _, a := range []string{"0.0.0.0", "81.2.69.1", "255.255.255.255", "::", "2a02:100::1", "2a02:200::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		ix.at(split(netip.MustParseAddr(a)))
	}
	return true
}

// Every run flips bytes of a database in 200 ways, as the fuzz target
// does with more time.
func TestDamagedDatabases(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	good := geotest.Database{Layout: geotest.City, Rows: randomRows(9, "0.0.0.0/0", "2a00::/16", 20)}.Bytes(t)
	if !tryDamaged(good) {
		t.Fatal("the whole database is refused")
	}
	refused := 0
	for range 200 {
		bad := bytes.Clone(good)
		for range 1 + random.IntN(4) {
			bad[random.IntN(len(bad))] = byte(random.Uint32())
		}
		if !tryDamaged(bad) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing damaged was refused")
	}
}
