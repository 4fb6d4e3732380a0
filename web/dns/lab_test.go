package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/geo/geotest"
	"github.com/signpost-fm/signpost/web/dns"
)

// lab is a server with a fleet that tests set by hand.
type lab struct {
	tb     testing.TB
	fleet  director.Config
	report map[director.NodeID]director.Report
	policy dns.Policy
	geo    *geo.Locator
	view   atomic.Pointer[director.View]
	server *dns.Server
	others atomic.Pointer[[]dns.Director]
	prev   *director.Snapshot
	config func(*dns.Config)
}

const zone = "live.radio.test"

// newLab has the nodes a, b and c at 192.0.2.1 to .3 and 2001:db8::1 to ::3, port 8000.
// Addresses in 5.0.0.0/16 and 2a00::/16 are in Germany, those in 6.0.0.0/8 in America.
func newLab(tb testing.TB) *lab {
	l := &lab{tb: tb, report: map[director.NodeID]director.Report{}}
	l.fleet.Mounts = []director.Mount{{Name: "/live.mp3"}, {Name: "/jazz.mp3"}}
	for i := range 3 {
		l.node(director.NodeID(rune('a'+i)), fmt.Sprintf("192.0.2.%d", i+1), fmt.Sprintf("2001:db8::%d", i+1))
	}
	l.row("eu", director.Match{Continents: []string{"EU"}}, "a", 1, "b", 1)
	l.row("world", director.Match{Default: true}, "c", 1)
	l.policy = dns.DefaultPolicy()
	l.policy.PerNetwork = 0
	l.policy.Zone.Name = zone
	addr := netip.MustParseAddr
	l.policy.Zone.NS = []dns.NameServer{
		{Name: "ns1." + zone, Addrs: []netip.Addr{addr("198.51.100.1"), addr("2001:db8:53::1")}},
		{Name: "ns2.radio.test"},
	}
	mount := func(name string) dns.Name {
		return dns.Name{Name: name + "." + zone, Mount: "/live.mp3", Scheme: director.HTTP, Port: 8000, Count: 2, TTL: -1}
	}
	all := mount("all")
	all.Mount, all.TTL = "", 0
	https := mount("tls")
	https.Scheme, https.Port, https.HTTPS = director.HTTPS, 8443, true
	l.policy.Zone.Names = []dns.Name{
		mount("a"), mount("b.eu"), all, https,
		{Name: "go." + zone, Directors: true, TTL: -1},
	}
	l.policy.Zone.Records = []dns.Fixed{
		{Name: zone, TTL: -1, A: []netip.Addr{addr("198.51.100.80")}, MX: []dns.MX{{10, "mail.radio.test"}}, TXT: []string{"v=spf1 -all"}, CAA: []dns.CAA{{Tag: "issue", Value: "ca.test"}}},
		{Name: "www." + zone, TTL: -1, CNAME: "cdn.example.net"},
		{Name: "listen." + zone, TTL: -1, CNAME: "a." + zone},
		{Name: "big." + zone, TTL: -1, TXT: []string{text(250), text(251), text(252), text(253), text(254), text(900)}},
	}
	return l
}

func text(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b)
}

func (l *lab) node(id director.NodeID, addrs ...string) {
	n := director.Node{ID: id, URLs: []string{"http://" + string(id) + ".radio.test:8000"}, Target: 1000, Limit: 1500}
	for _, a := range addrs {
		n.Addrs = append(n.Addrs, netip.MustParseAddr(a))
	}
	l.fleet.Nodes = append(l.fleet.Nodes, n)
	l.report[id] = director.Report{Node: id, Health: director.Up, AnyMount: true, Listeners: 10}
}

func (l *lab) row(id director.RegionID, m director.Match, weights ...any) {
	r := director.Region{ID: id, Match: m}
	for i := 0; i < len(weights); i += 2 {
		r.Row = append(r.Row, director.Weight{Node: director.NodeID(weights[i].(string)), Weight: float64(weights[i+1].(int)), Given: true})
	}
	l.fleet.Regions = append(l.fleet.Regions, r)
}

func (l *lab) set(id director.NodeID, change func(*director.Report)) {
	r := l.report[id]
	change(&r)
	l.report[id] = r
}

// build swaps the snapshot that the server answers from.
func (l *lab) build() *director.Snapshot {
	l.tb.Helper()
	f, err := director.Compile(l.fleet)
	if err != nil {
		l.tb.Fatal(err)
	}
	l.prev = f.Build(l.prev, director.Input{Now: time.Unix(1_700_000_000, 0), Reports: l.report})
	l.view.Store(&director.View{Snapshot: l.prev})
	return l.prev
}

// start makes the server.
func (l *lab) start() *dns.Server {
	l.tb.Helper()
	var err error
	if l.geo == nil {
		d := geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{
			{Prefix: "5.0.0.0/16", Country: "DE"}, {Prefix: "5.1.0.0/25", Country: "FR"}, {Prefix: "5.1.0.128/25", Country: "US"},
			{Prefix: "6.0.0.0/8", Country: "US"}, {Prefix: "2a00::/16", Country: "DE"},
		}}
		if l.geo, err = geo.Open(geo.Config{Databases: []string{d.Write(l.tb, filepath.Join(l.tb.TempDir(), "test.mmdb"))}}); err != nil {
			l.tb.Fatal(err)
		}
	}
	l.others.CompareAndSwap(nil, &[]dns.Director{{Addrs: []netip.Addr{netip.MustParseAddr("198.51.100.10"), netip.MustParseAddr("2001:db8:10::1")}}})
	c := dns.Config{
		View: func() director.View {
			if v := l.view.Load(); v != nil {
				return *v
			}
			return director.View{}
		},
		Unmap: l.geo.Unmap, Locate: l.geo.Locate, Widest: l.geo.Widest, Edition: l.geo.Edition,
		Directors: func() []dns.Director { return *l.others.Load() },
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return nil, errors.New("there are no names in this lab")
		},
		Secret: []byte("a secret of this lab"), Policy: l.policy,
	}
	if l.config != nil {
		l.config(&c)
	}
	if l.server, err = dns.New(c); err != nil {
		l.tb.Fatal(err)
	}
	l.server.LookUp(l.tb.Context())
	return l.server
}

// ready builds and starts.
func (l *lab) ready() *dns.Server {
	l.tb.Helper()
	l.build()
	return l.start()
}

// serve answers at a free port of the loopback address until the test ends.
func (l *lab) serve() netip.AddrPort {
	l.tb.Helper()
	return serveAt(l.tb, l.server, "127.0.0.1:0")
}

func serveAt(tb testing.TB, s *dns.Server, addr string) netip.AddrPort {
	tb.Helper()
	at, err := dns.Listen(tb.Context(), addr)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, at) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return at.Addr()
}
