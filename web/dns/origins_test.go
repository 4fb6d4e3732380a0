package dns_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/geo/geotest"
	"github.com/signpost-fm/signpost/web/dns"
)

// A worker that remembers where networks are answers like one that has just begun: when
// databases and fleets change, for prefixes longer than a network with a Key of its own,
// and where one node serves a whole region, so that scopes are wide.
func TestRemembers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	places := func(rows ...geotest.Row) *geo.Locator {
		d := geotest.Database{Layout: geotest.Country, Rows: rows}
		g, err := geo.Open(geo.Config{Databases: []string{d.Write(t, filepath.Join(t.TempDir(), "test.mmdb"))}})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	const split = "5.1.0.0/25" // half of a /24
	databases := []*geo.Locator{
		places(geotest.Row{Prefix: "5.0.0.0/16", Country: "DE"}, geotest.Row{Prefix: split, Country: "FR"}, geotest.Row{Prefix: "5.1.0.128/25", Country: "US"}, geotest.Row{Prefix: "2a00::/16", Country: "DE"}),
		places(geotest.Row{Prefix: "5.0.0.0/17", Country: "US"}, geotest.Row{Prefix: split, Country: "US"}, geotest.Row{Prefix: "6.0.0.0/8", Country: "DE"}, geotest.Row{Prefix: "2a00::/20", Country: "US"}),
	}
	at := databases[0]
	l.config = func(c *dns.Config) {
		c.Locate = func(a netip.Addr) director.Place { return at.Locate(a) }
		c.Widest = func(a netip.Addr, atLeast int, alike func(director.Place) bool) int {
			return at.Widest(a, atLeast, alike)
		}
		c.Edition = func() uint64 { return at.Edition() }
	}
	s := l.ready()
	answer := s.Answerer()
	r := rand.New(rand.NewPCG(5, 6))
	now, from := time.Unix(1_700_000_000, 0), netip.MustParseAddr("198.51.100.7")
	b := make([]byte, 2048)
	check := func(when string) {
		t.Helper()
		for range 400 {
			a := netip.AddrFrom4([4]byte{5 + byte(r.IntN(2)), byte(r.IntN(2)), byte(r.IntN(20)), byte(r.Uint32())})
			bits := 20 + r.IntN(13)
			qtype := miekg.TypeA
			if r.IntN(4) == 0 {
				a, bits = netip.AddrFrom16([16]byte{0x2a, byte(r.IntN(2)), 0, byte(r.IntN(2) * 9), 0, byte(r.IntN(9)), 0, 9}), 40+r.IntN(25)
				qtype = miekg.TypeAAAA
			}
			p, _ := a.Prefix(bits)
			q := ask(t, "a."+zone, qtype, p)
			got := b[:answer(b, copy(b, q), from, now)]
			if want := s.Answer(q, from, false, now); !bytes.Equal(got, want) {
				t.Fatalf("%s: %s\nremembered: %s\nanew:       %s", when, p, describe(t, q, got), describe(t, q, want))
			}
		}
	}
	check("at first")
	at = databases[1]
	check("with another database")
	at = databases[0]
	l.fleet.Regions[0].Match = director.Match{Countries: []string{"DE"}}
	l.fleet.Regions[1].Row[0].Node = "b"
	l.build()
	check("with other regions")
	l.fleet.Regions[0].Match.CIDRs = []netip.Prefix{netip.MustParsePrefix("5.1.3.0/26"), netip.MustParsePrefix("6.0.0.0/15")}
	l.build()
	check("with regions of networks")
	fleet, err := director.Compile(l.fleet)
	if err != nil {
		t.Fatal(err)
	}
	report := func(h director.Health) {
		l.set("a", func(r *director.Report) { r.Health = h })
		l.prev = fleet.Build(l.prev, director.Input{Now: now, Reports: l.report})
		l.view.Store(&director.View{Snapshot: l.prev})
	}
	report(director.Up)
	check("as before")
	report(director.Failed) // one node is left in the row: scopes are as wide as they can be
	check("with a node that is down")
	report(director.Up)
	check("with a node that is back")
}
