package web

import (
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/geo/geotest"
)

// TestUnmap: whoever's IPv4 address stands in an IPv6 address is that address to all:
// regions, placement, limits, families, records, explanations, and the node behind an inline
// stream.
func TestUnmap(t *testing.T) {
	t.Parallel()
	db := geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{{Prefix: "198.51.0.0/16", Country: "DE"}}}
	g, err := geo.Open(geo.Config{
		Databases: []string{db.Write(t, filepath.Join(t.TempDir(), "x.mmdb"))},
		NAT64:     []netip.Prefix{netip.MustParsePrefix("2001:db8:64::/48")},
	})
	if err != nil {
		t.Fatal(err)
	}
	native := netip.MustParseAddr("198.51.100.9")
	same := map[string]string{
		"mapped": "::ffff:198.51.100.9", "NAT64": "64:ff9b::198.51.100.9", "NAT64 of the operator": "2001:db8:64:c633:64:900::",
		"6to4": "2002:c633:6409::1", "Teredo": "2001:0:4136:e378:8000:63bf:39cc:9bf6",
	}
	fresh := func(per int) *world {
		c := &fakeCarrier{}
		w := newWorld(t, func(cfg *Config) {
			cfg.Unmap, cfg.Locate, cfg.Carrier = g.Unmap, g.Locate, c
			cfg.Policy.PerAddress, cfg.Policy.PerKey, cfg.Policy.Escalate = per, -1, EscalateOff
			cfg.Policy.Rules = []Rule{{UserAgent: "inline", Answer: Proxy}}
		})
		w.fleet.Regions[2].Deny = nil
		w.fleet.Regions[2].Row = weights("fra1", "ber1", "ams1")
		w.fleet.Nodes[0].Addrs = []netip.Addr{netip.MustParseAddr("2001:db8::1")} // IPv6 alone
		w.build()
		return w
	}
	w := fresh(-1)
	want := w.do(ask{url: "/live.mp3", from: native})
	record := w.lastRecord()
	if record.Region != "shut" || want.Code != http.StatusFound {
		t.Fatalf("%s itself: %d, region %q", native, want.Code, record.Region)
	}
	for name, form := range same {
		from := netip.MustParseAddr(form)
		got := w.do(ask{url: "/live.mp3", from: from})
		if g, w := got.Header().Get("Location"), want.Header().Get("Location"); g != w || g == "" {
			t.Errorf("%s: to %q, as IPv4 to %q", name, g, w)
		}
		if r := w.lastRecord(); r.Region != "shut" || r.Client != record.Client || r.Listener != record.Listener || r.Country != record.Country {
			t.Errorf("%s: record %+v, as IPv4 %+v", name, r, record)
		}
		x := w.Explain(Question{Addr: from, Path: "/live.mp3", UserAgent: "inline"})
		if x.Client.Addr != native.String() || x.Decision.Region != "shut" || x.Client.Place != g.Locate(native).String() {
			t.Errorf("%s: explained as %+v in %q", name, x.Client, x.Decision.Region)
		}
		if says := strings.Contains(x.Client.Taken, "NAT64"); says != (name != "mapped") {
			t.Errorf("%s: taken: %s", name, x.Client.Taken)
		}
		for _, c := range x.Decision.Candidates {
			if c.Node == "fra1" && c.Reason != director.LacksFamily {
				t.Errorf("%s: a node with IPv6 alone: %v", name, c.Reason)
			}
		}
		forwarded := w.do(ask{url: "/live.mp3", from: balance, header: map[string]string{"X-Forwarded-For": form}})
		if g, w := forwarded.Header().Get("Location"), want.Header().Get("Location"); g != w {
			t.Errorf("%s, forwarded: to %q, as IPv4 to %q", name, g, w)
		}
		// One household has one allowance, and the rest of IPv4 has its own.
		one := fresh(1)
		one.do(ask{url: "/live.mp3", from: native})
		if got := one.do(ask{url: "/live.mp3", from: from}); got.Code != http.StatusTooManyRequests {
			t.Errorf("%s: %d beyond the limit of its IPv4 address", name, got.Code)
		}
	}
	one := fresh(1)
	for _, other := range []string{"64:ff9b::198.51.100.9", "64:ff9b::198.51.100.10", "2001:db8:64:c633:64:900::", "2001:db8:64:c633:64:b00::", "2001:0:4136:e378:8000:63bf:39cc:9bf1"} {
		if got := one.do(ask{url: "/live.mp3", from: netip.MustParseAddr(other)}); got.Code != http.StatusFound && other != "2001:db8:64:c633:64:900::" {
			t.Errorf("%s: %d, for what its neighbours asked", other, got.Code)
		}
	}
	// Who is trusted is decided by the address that a proxy has: 6to4 and Teredo addresses
	// are their senders' claims.
	for _, claim := range []string{"2002:a00:5::1", "64:ff9b::10.0.0.5"} {
		w.do(ask{url: "/live.mp3", from: netip.MustParseAddr(claim), header: map[string]string{"X-Forwarded-For": native.String()}})
		if r := w.lastRecord(); r.Client == record.Client {
			t.Errorf("%s was trusted to forward", claim)
		}
	}
}
