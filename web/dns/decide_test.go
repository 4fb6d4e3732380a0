package dns_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/web/dns"
)

// embedded is the database that is in the program, opened once.
var embedded = sync.OnceValues(func() (*geo.Locator, error) { return geo.Open(geo.Config{}) })

// ask packs a query for an address, with a client subnet where one is given.
func ask(tb testing.TB, name string, qtype uint16, subnet netip.Prefix) []byte {
	tb.Helper()
	s := shape{qname: name, qtype: qtype, set: edns(1232)}
	if subnet.IsValid() {
		s.set = client(subnet.String())
	}
	return s.query(tb)
}

// addresses returns those of an answer, and the scope of its client subnet.
func addresses(tb testing.TB, answer []byte) (list []netip.Addr, scope int) {
	tb.Helper()
	m := new(miekg.Msg)
	if err := m.Unpack(answer); err != nil {
		tb.Fatal(err)
	}
	for _, r := range m.Answer {
		switch r := r.(type) {
		case *miekg.A:
			a, _ := netip.AddrFromSlice(r.A.To4())
			list = append(list, a)
		case *miekg.AAAA:
			a, _ := netip.AddrFromSlice(r.AAAA)
			list = append(list, a)
		}
	}
	if o := m.IsEdns0(); o != nil {
		for _, o := range o.Option {
			if e, ok := o.(*miekg.EDNS0_SUBNET); ok {
				scope = int(e.SourceScope)
			}
		}
	}
	return list, scope
}

// quick is a client that asks with as little work as can be: its answers hold addresses
// behind compressed names, and a client subnet of a /24 at the end.
type quick struct {
	answer func(msg []byte, n int, from netip.Addr, now time.Time) int
	b      [2048]byte
	list   []netip.Addr
}

func (q *quick) ask(query []byte, from netip.Addr, subnet bool) (list []netip.Addr, scope int) {
	n := q.answer(q.b[:], copy(q.b[:], query), from, time.Unix(1_700_000_000, 0))
	q.list = q.list[:0]
	at := 12
	for q.b[at] != 0 {
		at += 1 + int(q.b[at])
	}
	at += 5
	for range int(q.b[7]) {
		size := int(q.b[at+11])
		a, _ := netip.AddrFromSlice(q.b[at+12 : at+12+size])
		q.list = append(q.list, a)
		at += 12 + size
	}
	if subnet {
		scope = int(q.b[n-4])
	}
	return q.list, scope
}

// Shares hold over answers, for resolvers that tell a subnet and for those that do not,
// whether listeners take the first address or any.
func TestSharesOverAnswers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.fleet.Regions = nil
	l.node("d", "192.0.2.4")
	l.row("world", director.Match{Default: true}, "a", 4, "b", 3, "c", 2, "d", 1)
	s := l.ready()
	want := map[string]float64{"192.0.2.1": .4, "192.0.2.2": .3, "192.0.2.3": .2, "192.0.2.4": .1}
	r := rand.New(rand.NewPCG(3, 4))
	var queries [][]byte
	for range 2000 {
		p, _ := netip.AddrFrom4([4]byte{byte(5 + r.IntN(180)), byte(r.Uint32()), byte(r.Uint32())}).Prefix(24)
		queries = append(queries, ask(t, "a."+zone, miekg.TypeA, p))
	}
	plain := ask(t, "a."+zone, miekg.TypeA, netip.Prefix{})
	const total = 40_000
	first, any := map[netip.Addr]float64{}, map[netip.Addr]float64{}
	client := quick{answer: s.Answerer()}
	kept := map[int]netip.Addr{}
	count := func(total int) {
		clear(first)
		clear(any)
		for i := range total {
			q, from := plain, netip.AddrFrom4([4]byte{8, 8, 8, byte(i % 5)})
			if i%2 == 0 {
				q = queries[i/2%len(queries)]
			}
			list, scope := client.ask(q, from, i%2 == 0)
			if len(list) == 0 {
				t.Fatal("an answer is empty")
			}
			first[list[0]] += 1 / float64(total)
			for _, a := range list {
				any[a] += 1 / float64(total) / float64(len(list))
			}
			if i%2 == 0 {
				if scope < 24 {
					t.Fatalf("scope /%d, but the node depends on the /24", scope)
				}
				if was, asked := kept[i/2%len(queries)]; asked && was != list[0] {
					t.Fatalf("a prefix was moved from %s to %s while shares are equal", was, list[0])
				}
				kept[i/2%len(queries)] = list[0]
			}
		}
	}
	count(total)
	for addr, want := range want {
		a := netip.MustParseAddr(addr)
		for taken, got := range map[string]float64{"the first": first[a], "any": any[a]} {
			if math.Abs(got-want) > 0.01 {
				t.Errorf("%s: if %s is taken it gets %.4f, want %.2f", addr, taken, got, want)
			}
		}
	}
	// Drained: nothing with the next snapshot, and who was elsewhere stays there.
	before := map[int]netip.Addr{}
	for i, a := range kept {
		before[i] = a
	}
	l.fleet.Nodes[1].Drained = true
	l.build()
	clear(kept)
	count(total / 10)
	drained := netip.MustParseAddr("192.0.2.2")
	if any[drained] > 0 {
		t.Errorf("the drained node gets %.4f", any[drained])
	}
	for i, a := range before {
		if a != drained && kept[i] != a {
			t.Fatalf("prefix %d was at %s and is at %s, though another node was drained", i, a, kept[i])
		}
	}
}

// By HTTP and by DNS with a client subnet the region, the nodes that are fit and every
// reason are the same.
func TestAgreesWithHTTP(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var err error
	if l.geo, err = embedded(); err != nil {
		t.Fatal(err)
	}
	l.fleet.Regions = nil
	for i, id := range []director.NodeID{"d", "e", "f", "g"} {
		l.node(id, fmt.Sprintf("192.0.2.%d", 10+i))
	}
	cidr := netip.MustParsePrefix
	l.row("office", director.Match{CIDRs: []netip.Prefix{cidr("62.0.0.0/10"), cidr("2a02::/20")}}, "e", 1, "f", 1)
	l.row("eu", director.Match{Continents: []string{"EU"}}, "a", 3, "b", 1, "d", 1)
	l.fleet.Regions[1].Overflow = []director.RegionID{"us"}
	l.row("us", director.Match{Countries: []string{"US"}}, "c", 1, "d", 1, "f", 1)
	l.row("cn", director.Match{Countries: []string{"CN"}}, "g", 1)
	l.fleet.Regions[3].Deny = []string{"/live.mp3"}
	l.fleet.Nodes[1].Drained = true
	l.set("f", func(r *director.Report) { r.Health = director.Failed })
	l.set("c", func(r *director.Report) { r.Listeners = 1500 })
	for i := range l.fleet.Nodes { // where no row is, distance
		l.fleet.Nodes[i].Place = director.Place{Point: director.CityPoint, Lat: float32(10 * i), Lon: float32(40*i - 100)}
	}
	s := l.ready()
	r := rand.New(rand.NewPCG(5, 6))
	regions := map[director.RegionID]int{}
	for range 2500 {
		qtype, bits := miekg.TypeA, 24
		a := netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		if r.IntN(4) == 0 {
			qtype, bits = miekg.TypeAAAA, 56
			a = netip.AddrFrom16([16]byte{0x2a, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		}
		p, _ := a.Prefix(bits)
		byDNS, err := s.Explain(dns.Question{Name: "a." + zone, Type: miekg.TypeToString[qtype], Subnet: p, Resolver: netip.MustParseAddr("192.0.2.53")})
		if err != nil {
			t.Fatal(err)
		}
		byHTTP := l.prev.Explain(director.Listener{Addr: p.Addr(), Place: l.geo.Locate(p.Addr()), Key: 1, Mount: "/live.mp3", Scheme: director.HTTP}, nil)
		regions[byHTTP.Region]++
		if byDNS.Decision.Region != byHTTP.Region {
			t.Fatalf("%s: region %q by DNS, %q by HTTP", p, byDNS.Decision.Region, byHTTP.Region)
		}
		type verdict struct {
			rung   string
			reason director.Reason
			share  float64
		}
		verdicts := func(x director.Explanation) map[director.NodeID]verdict {
			m := map[director.NodeID]verdict{}
			for _, c := range x.Candidates {
				m[c.Node+director.NodeID("/"+c.Rung)] = verdict{c.Rung, c.Reason, c.Share}
			}
			return m
		}
		d, h := verdicts(*byDNS.Decision), verdicts(byHTTP)
		if len(d) != len(h) {
			t.Fatalf("%s: %v by DNS, %v by HTTP", p, d, h)
		}
		for id, v := range d {
			if h[id] != v {
				t.Fatalf("%s: %s is %v by DNS, %v by HTTP", p, id, v, h[id])
			}
		}
	}
	for _, want := range []director.RegionID{"office", "eu", "us", "cn", ""} {
		if regions[want] == 0 {
			t.Errorf("no address was in region %q", want)
		}
	}
}

// What holds for a prefix holds for every part of it: the region, and the very answer
// where the prefix is at most as long as the one that nodes are drawn by.
func TestScopeIsTrue(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var err error
	if l.geo, err = embedded(); err != nil {
		t.Fatal(err)
	}
	l.fleet.Regions = nil
	l.row("office", director.Match{CIDRs: []netip.Prefix{netip.MustParsePrefix("62.10.0.64/26")}}, "a", 1)
	l.row("eu", director.Match{Continents: []string{"EU"}}, "a", 1, "b", 1)
	l.row("us", director.Match{Countries: []string{"US"}}, "c", 1)
	l.row("world", director.Match{Default: true}, "a", 1, "b", 1, "c", 1)
	s := l.ready()
	r := rand.New(rand.NewPCG(7, 8))
	resolver := netip.MustParseAddr("192.0.2.53")
	wider := 0
	client := quick{answer: s.Answerer()}
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		if i%50 == 0 {
			a = netip.AddrFrom4([4]byte{62, 10, 0, byte(r.Uint32())})
		}
		p, _ := a.Prefix(24)
		list, scope := client.ask(ask(t, "a."+zone, miekg.TypeA, p), resolver, true)
		list = slices.Clone(list)
		if scope < 24 {
			wider++
		}
		whole, err := p.Addr().Prefix(scope)
		if err != nil {
			t.Fatalf("%s: scope /%d", p, scope)
		}
		for range 8 {
			b := whole.Addr().As4()
			for bit := scope; bit < 32; bit++ {
				b[bit/8] |= byte(r.IntN(2)) << (7 - bit%8)
			}
			in := netip.PrefixFrom(netip.AddrFrom4(b), 32)
			other, _ := client.ask(ask(t, "a."+zone, miekg.TypeA, in), resolver, false)
			if !slices.Equal(list, other) {
				t.Fatalf("%s was answered %v for all of %s, but %s is answered %v", p, list, whole, in, other)
			}
		}
	}
	if wider == 0 {
		t.Error("no answer was for more than a /24: the test proves little")
	}
}

// Everything that can happen to a fleet, as names tell it.
func TestFailures(t *testing.T) {
	t.Parallel()
	down := func(r *director.Report) { r.Health = director.Failed }
	for _, c := range []struct {
		name  string
		set   func(l *lab)
		qtype uint16
		want  string
	}{
		{name: "a node is down", set: func(l *lab) { l.set("a", down) }, want: "NOERROR qr aa | a.live.radio.test. 20 A 192.0.2.2"},
		{name: "everything is down", set: func(l *lab) { l.set("a", down); l.set("b", down); l.set("c", down) }, want: "NOERROR qr aa | a.live.radio.test. 20 A {192.0.2.1 192.0.2.2}"},
		{name: "the region may not listen", set: func(l *lab) { l.fleet.Regions[0].Deny = []string{"*"} }, want: "NOERROR qr aa | | SOA 20"},
		{name: "all are drained", set: func(l *lab) {
			for i := range l.fleet.Nodes {
				l.fleet.Nodes[i].Drained = true
			}
		}, want: "NOERROR qr aa | | SOA 20"},
		{name: "nobody carries the mount", set: func(l *lab) {
			for id := range l.report {
				l.set(id, func(r *director.Report) {
					r.AnyMount, r.Mounts = false, []director.MountReport{{Path: "/jazz.mp3"}}
				})
			}
		}, want: "NOERROR qr aa | | SOA 20"},
		{name: "the mount is not known yet", set: func(l *lab) {
			l.fleet.Mounts = nil
		}, want: "SERVFAIL qr"},
		{name: "no IPv6 anywhere", qtype: miekg.TypeAAAA, set: func(l *lab) {
			for i := range l.fleet.Nodes {
				l.fleet.Nodes[i].Addrs = l.fleet.Nodes[i].Addrs[:1]
			}
		}, want: "NOERROR qr aa | | SOA 20"},
		{name: "IPv6 at one node", qtype: miekg.TypeAAAA, set: func(l *lab) {
			l.fleet.Nodes[0].Addrs = l.fleet.Nodes[0].Addrs[:1]
		}, want: "NOERROR qr aa | a.live.radio.test. 20 AAAA 2001:db8::2"},
		{name: "another port", set: func(l *lab) {
			l.fleet.Nodes[0].URLs = []string{"http://a.radio.test:8080"}
		}, want: "NOERROR qr aa | a.live.radio.test. 20 A 192.0.2.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			c.set(l)
			s := l.ready()
			sh := shape{qname: "a." + zone, qtype: max(c.qtype, 1)}
			q := sh.query(t)
			if got := describe(t, q, s.Answer(q, netip.MustParseAddr("5.0.0.1"), false, time.Now())); !matches(got, c.want) {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
	t.Run("no snapshot yet", func(t *testing.T) {
		t.Parallel()
		s := newLab(t).start()
		for name, want := range map[string]string{"a." + zone: "SERVFAIL qr", zone: "NOERROR qr aa | live.radio.test. 3600 A 198.51.100.80"} {
			q := (&shape{qname: name, qtype: miekg.TypeA}).query(t)
			if got := describe(t, q, s.Answer(slices.Clone(q), netip.MustParseAddr("5.0.0.1"), false, time.Now())); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	})
}

// The directors' name has those that live, the nearest first.
func TestDirectorsByDistance(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.ready()
	at := func(addr string, lat, lon float32) dns.Director {
		d := dns.Director{Addrs: []netip.Addr{netip.MustParseAddr(addr)}}
		if lat != 0 {
			d.Place = director.Place{Point: director.CityPoint, Lat: lat, Lon: lon}
		}
		return d
	}
	l.others.Store(&[]dns.Director{at("198.51.100.1", 0, 0), at("198.51.100.2", 40.7, -74), at("198.51.100.3", 50.1, 8.7)})
	for from, want := range map[string]string{
		"5.0.0.1": "[198.51.100.3 198.51.100.2 198.51.100.1]", // Germany
		"6.0.0.1": "[198.51.100.2 198.51.100.3 198.51.100.1]", // America
	} {
		list, _ := addresses(t, s.Answer(ask(t, "go."+zone, miekg.TypeA, netip.Prefix{}), netip.MustParseAddr(from), false, time.Now()))
		if got := fmt.Sprint(list); got != want {
			t.Errorf("from %s: %s, want %s", from, got, want)
		}
	}
	l.others.Store(&[]dns.Director{})
	q := ask(t, "go."+zone, miekg.TypeA, netip.Prefix{})
	if got := describe(t, q, s.Answer(slices.Clone(q), netip.MustParseAddr("5.0.0.1"), false, time.Now())); got != "SERVFAIL qr | | | | EDNS 1232" {
		t.Errorf("no director is known: %s", got)
	}
}
