package dns_test

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/geo/geotest"
	"github.com/signpost-fm/signpost/web/dns"
)

// TestUnmap: a client subnet and a resolver whose IPv4 address stands in an IPv6 address
// get what the IPv4 address gets, and the scope is in the bits that were sent.
func TestUnmap(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	db := geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{{Prefix: "5.1.0.0/25", Country: "FR"}, {Prefix: "5.1.0.128/25", Country: "US"}}}
	var err error
	if l.geo, err = geo.Open(geo.Config{
		Databases: []string{db.Write(t, filepath.Join(t.TempDir(), "x.mmdb"))},
		NAT64:     []netip.Prefix{netip.MustParsePrefix("2001:db8:64::/48")},
	}); err != nil {
		t.Fatal(err)
	}
	l.row("office", director.Match{CIDRs: []netip.Prefix{netip.MustParsePrefix("5.1.0.0/26")}}, "a", 1)
	l.policy.PerNetwork, l.policy.Slip = 3, 0
	var records []dns.Record
	l.config = func(c *dns.Config) { c.Record = func(r *dns.Record) { records = append(records, *r) } }
	s := l.ready()
	now := time.Unix(1_700_000_000, 0)
	get := func(subnet string) ([]netip.Addr, int, dns.Record) {
		now = now.Add(time.Minute)
		list, scope := addresses(t, s.Answer(ask(t, "a."+zone, miekg.TypeA, netip.MustParsePrefix(subnet)), netip.MustParseAddr("5.1.0.200"), false, now))
		return list, scope, records[len(records)-1]
	}
	for _, v4 := range []struct {
		subnet string
		forms  map[string]int // and what is added to the scope
	}{
		{"5.1.0.0/24", map[string]int{"::ffff:5.1.0.0/120": 96, "64:ff9b::5.1.0.0/120": 96, "2002:501::/40": 16, "2002:501::/56": 16, "2001:0:1:2:3:4:fafe:ff00/120": 96, "2001:db8:64:501::/80": 56}},
		{"5.1.0.128/25", map[string]int{"64:ff9b::5.1.0.128/121": 96, "2002:501:80::/41": 16, "2001:0:1:2:3:4:fafe:ff00/121": 96, "2001:db8:64:501:0:8000::/81": 56}},
		{"5.1.0.1/32", map[string]int{"64:ff9b::5.1.0.1/128": 96, "2002:501:1::/48": 16, "2002:501:1:8000::/128": 16, "2001:db8:64:501:0:100::/96": 56}},
	} {
		list, scope, record := get(v4.subnet)
		for form, more := range v4.forms {
			gotList, gotScope, got := get(form)
			if !slices.Equal(list, gotList) || gotScope != scope+more {
				t.Errorf("%s gets %v for /%d; %s gets %v for /%d", v4.subnet, list, scope, form, gotList, gotScope)
			}
			if got.Subnet != record.Subnet || got.Region != record.Region || got.Country != record.Country {
				t.Errorf("%s: record %+v; %s: %+v", v4.subnet, record, form, got)
			}
			by, err := s.Explain(dns.Question{Name: "a." + zone, Subnet: netip.MustParsePrefix(form)})
			if err != nil || by.By != "subnet" || by.Scope != gotScope || by.Decision.Region != record.Region {
				t.Errorf("%s: explained as %+v, %v", form, by, err)
			}
		}
	}
	// A subnet that ends before the IPv4 address tells nothing: the resolver counts.
	for _, short := range []string{"64:ff9b::/56", "64:ff9b::/96", "2002::/16", "2001:db8:64::/48"} {
		if list, scope, got := get(short); len(list) == 0 || scope != 0 || got.Region != "world" || got.Country != (director.Code{'U', 'S'}) || got.Subnet.IsValid() {
			t.Errorf("%s: %v for /%d: %+v", short, list, scope, got)
		}
	}
	// Resolvers behind a translator are not one network.
	now = now.Add(time.Minute)
	for _, resolver := range []string{"5.2.0.1", "5.2.1.1", "5.2.2.1", "5.2.3.1", "5.2.4.1", "5.2.5.1", "5.2.6.1"} {
		from := netip.MustParseAddr("64:ff9b::" + resolver)
		list, _ := addresses(t, s.Answer(ask(t, "a."+zone, miekg.TypeA, netip.Prefix{}), from, false, now))
		if want := netip.MustParsePrefix(resolver + "/24").Masked(); len(list) == 0 || records[len(records)-1].Resolver != want {
			t.Errorf("%s: %v, record %+v", from, list, records[len(records)-1])
		}
	}
}
