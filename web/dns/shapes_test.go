package dns_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// A shape is a query, and how its answer is to look.
type shape struct {
	name  string
	qname string
	qtype uint16
	class uint16              // 0: IN
	set   func(*miekg.Msg)    // more of it; nil: EDNS without options
	raw   func([]byte) []byte // changes to the packed message
	tcp   bool
	from  string   // who asks; empty: 5.0.0.1
	dig   []string // how dig is told to ask the same; nil: it cannot
	want  string
}

// The parts of want: response code and flags; answers; authorities; additional records
// without OPT; what OPT says. Empty parts at the end are left out.
var shapes = []shape{
	{name: "a mount, by the resolver's address", qname: "a." + zone, qtype: miekg.TypeA, dig: []string{}, from: "6.0.0.1", want: "NOERROR qr aa | a.live.radio.test. 20 A 192.0.2.3"},
	{name: "IPv6", qname: "a." + zone, qtype: miekg.TypeAAAA, from: "6.0.0.1", dig: []string{}, want: "NOERROR qr aa | a.live.radio.test. 20 AAAA 2001:db8::3"},
	{name: "two nodes", qname: "a." + zone, qtype: miekg.TypeA, want: "NOERROR qr aa | a.live.radio.test. 20 A {192.0.2.1 192.0.2.2}"},
	{name: "recursion is not offered", qname: "a." + zone, qtype: miekg.TypeA, from: "6.0.0.1", set: func(m *miekg.Msg) { m.RecursionDesired = true }, dig: []string{"+rec"}, want: "NOERROR qr aa rd | a.live.radio.test. 20 A 192.0.2.3"},
	{name: "checking disabled is repeated, authentic data is not", qname: "a." + zone, qtype: miekg.TypeA, from: "6.0.0.1", set: func(m *miekg.Msg) { m.CheckingDisabled, m.AuthenticatedData = true, true }, want: "NOERROR qr aa cd | a.live.radio.test. 20 A 192.0.2.3"},
	{name: "the case of the question", qname: "A.LiVe.rAdIo.TeSt", qtype: miekg.TypeA, from: "6.0.0.1", dig: []string{}, want: "NOERROR qr aa | A.LiVe.rAdIo.TeSt. 20 A 192.0.2.3"},
	{name: "a longer name", qname: "b.eu." + zone, qtype: miekg.TypeA, from: "6.0.0.1", dig: []string{}, want: "NOERROR qr aa | b.eu.live.radio.test. 20 A 192.0.2.3"},
	{name: "the whole fleet, TTL 0", qname: "all." + zone, qtype: miekg.TypeA, from: "6.0.0.1", dig: []string{}, want: "NOERROR qr aa | all.live.radio.test. 0 A 192.0.2.3"},
	{name: "directors", qname: "go." + zone, qtype: miekg.TypeA, dig: []string{}, want: "NOERROR qr aa | go.live.radio.test. 20 A 198.51.100.10"},
	{name: "directors, IPv6", qname: "go." + zone, qtype: miekg.TypeAAAA, dig: []string{}, want: "NOERROR qr aa | go.live.radio.test. 20 AAAA 2001:db8:10::1"},
	{name: "directors, another type", qname: "go." + zone, qtype: miekg.TypeTXT, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},

	{name: "SOA of the zone", qname: zone, qtype: miekg.TypeSOA, dig: []string{}, want: "NOERROR qr aa | live.radio.test. 3600 SOA ns1.live.radio.test. hostmaster.live.radio.test."},
	{name: "NS of the zone, with glue", qname: zone, qtype: miekg.TypeNS, dig: []string{}, want: "NOERROR qr aa | live.radio.test. 3600 NS ns1.live.radio.test., live.radio.test. 3600 NS ns2.radio.test. | | ns1.live.radio.test. 3600 A 198.51.100.1, ns1.live.radio.test. 3600 AAAA 2001:db8:53::1"},
	{name: "a name server", qname: "ns1." + zone, qtype: miekg.TypeA, dig: []string{}, want: "NOERROR qr aa | ns1.live.radio.test. 3600 A 198.51.100.1"},
	{name: "A of the zone", qname: zone, qtype: miekg.TypeA, dig: []string{}, want: "NOERROR qr aa | live.radio.test. 3600 A 198.51.100.80"},
	{name: "MX", qname: zone, qtype: miekg.TypeMX, dig: []string{}, want: "NOERROR qr aa | live.radio.test. 3600 MX 10 mail.radio.test."},
	{name: "TXT", qname: zone, qtype: miekg.TypeTXT, dig: []string{}, want: `NOERROR qr aa | live.radio.test. 3600 TXT "v=spf1 -all"`},
	{name: "CAA", qname: zone, qtype: miekg.TypeCAA, dig: []string{}, want: `NOERROR qr aa | live.radio.test. 3600 CAA 0 issue "ca.test"`},
	{name: "AAAA of the zone, which has none", qname: zone, qtype: miekg.TypeAAAA, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},
	{name: "an alias to elsewhere", qname: "www." + zone, qtype: miekg.TypeA, dig: []string{}, want: "NOERROR qr aa | www.live.radio.test. 3600 CNAME cdn.example.net."},
	{name: "an alias itself", qname: "www." + zone, qtype: miekg.TypeCNAME, dig: []string{}, want: "NOERROR qr aa | www.live.radio.test. 3600 CNAME cdn.example.net."},
	{name: "an alias to a mount's name", qname: "listen." + zone, qtype: miekg.TypeA, from: "6.0.0.1", dig: []string{}, want: "NOERROR qr aa | listen.live.radio.test. 3600 CNAME a.live.radio.test., a.live.radio.test. 20 A 192.0.2.3"},
	{name: "an alias, and no such type there", qname: "listen." + zone, qtype: miekg.TypeMX, dig: []string{}, want: "NOERROR qr aa | listen.live.radio.test. 3600 CNAME a.live.radio.test. | SOA 60"},
	{name: "an alias has no MX", qname: "www." + zone, qtype: miekg.TypeMX, dig: []string{}, want: "NOERROR qr aa | www.live.radio.test. 3600 CNAME cdn.example.net."},

	{name: "no such type", qname: "a." + zone, qtype: miekg.TypeTXT, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},
	{name: "no such name", qname: "nothing." + zone, qtype: miekg.TypeA, dig: []string{}, want: "NXDOMAIN qr aa | | SOA 60"},
	{name: "no such name, deep", qname: "x.y.a." + zone, qtype: miekg.TypeA, dig: []string{}, want: "NXDOMAIN qr aa | | SOA 60"},
	{name: "a name between", qname: "eu." + zone, qtype: miekg.TypeA, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},
	{name: "NS of a name between, as BIND asks", qname: "eu." + zone, qtype: miekg.TypeNS, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},
	{name: "NS of a mount's name", qname: "a." + zone, qtype: miekg.TypeNS, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},
	{name: "DS", qname: zone, qtype: miekg.TypeDS, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},
	{name: "DNSKEY", qname: zone, qtype: miekg.TypeDNSKEY, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},
	{name: "HTTPS is not declared", qname: "a." + zone, qtype: miekg.TypeHTTPS, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},
	{name: "SVCB", qname: "a." + zone, qtype: miekg.TypeSVCB, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},
	{name: "HTTPS of another port is not declared", qname: "_8000._https.a." + zone, qtype: miekg.TypeHTTPS, dig: []string{}, want: "NXDOMAIN qr aa | | SOA 60"},
	{name: "HTTPS that is declared", qname: "_8443._https.tls." + zone, qtype: miekg.TypeHTTPS, dig: []string{}, want: "NOERROR qr aa | _8443._https.tls.live.radio.test. 20 HTTPS 1 ."},
	{name: "between", qname: "_https.tls." + zone, qtype: miekg.TypeHTTPS, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},
	{name: "ANY", qname: "a." + zone, qtype: miekg.TypeANY, dig: []string{"+notcp"}, want: `NOERROR qr aa | a.live.radio.test. 3600 HINFO "RFC8482" ""`},
	{name: "ANY of the zone, by TCP", qname: zone, qtype: miekg.TypeANY, tcp: true, dig: []string{"+tcp"}, want: `NOERROR qr aa | live.radio.test. 3600 HINFO "RFC8482" ""`},
	{name: "ANY of no name", qname: "nothing." + zone, qtype: miekg.TypeANY, dig: []string{"+notcp"}, want: "NXDOMAIN qr aa | | SOA 60"},
	{name: "an unknown type", qname: "a." + zone, qtype: 65280, dig: []string{}, want: "NOERROR qr aa | | SOA 60"},

	{name: "outside", qname: "radio.test", qtype: miekg.TypeA, dig: []string{}, want: "REFUSED qr"},
	{name: "outside, and ends alike", qname: "notlive.radio.test", qtype: miekg.TypeA, dig: []string{}, want: "REFUSED qr"},
	{name: "the root", qname: ".", qtype: miekg.TypeNS, dig: []string{}, want: "REFUSED qr"},
	{name: "CHAOS", qname: "version.bind", qtype: miekg.TypeTXT, class: miekg.ClassCHAOS, dig: []string{}, want: "REFUSED qr"},
	{name: "CHAOS in the zone", qname: "a." + zone, qtype: miekg.TypeA, class: miekg.ClassCHAOS, dig: []string{}, want: "REFUSED qr"},
	{name: "a transfer", qname: zone, qtype: miekg.TypeAXFR, tcp: true, want: "REFUSED qr"},
	{name: "a transfer of changes", qname: zone, qtype: miekg.TypeIXFR, want: "REFUSED qr"},
	{name: "a notification", qname: zone, qtype: miekg.TypeSOA, set: func(m *miekg.Msg) { m.Opcode = miekg.OpcodeNotify }, dig: []string{"+opcode=NOTIFY"}, want: "REFUSED qr NOTIFY"},
	{name: "an update", qname: zone, qtype: miekg.TypeSOA, set: func(m *miekg.Msg) {
		m.Opcode = miekg.OpcodeUpdate
		m.Insert([]miekg.RR{rr("x.live.radio.test. 60 A 192.0.2.9")})
	}, want: "REFUSED qr UPDATE"},
	{name: "a status request", qname: zone, qtype: miekg.TypeSOA, set: func(m *miekg.Msg) { m.Opcode = miekg.OpcodeStatus }, dig: []string{"+opcode=STATUS"}, want: "NOTIMP qr STATUS"},

	{name: "EDNS", qname: "a." + zone, qtype: miekg.TypeA, from: "6.0.0.1", set: edns(4096), dig: []string{"+edns", "+bufsize=4096"}, want: "NOERROR qr aa | a.live.radio.test. 20 A 192.0.2.3 | | | EDNS 1232"},
	{name: "EDNS, and DO", qname: "a." + zone, qtype: miekg.TypeA, from: "6.0.0.1", set: func(m *miekg.Msg) { m.SetEdns0(1232, true) }, dig: []string{"+dnssec"}, want: "NOERROR qr aa | a.live.radio.test. 20 A 192.0.2.3 | | | EDNS 1232 do"},
	{name: "EDNS version 1", qname: "a." + zone, qtype: miekg.TypeA, set: func(m *miekg.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }, dig: []string{"+edns=1", "+noednsnegotiation"}, want: "BADVERS qr | | | | EDNS 1232"},
	{name: "an unknown EDNS option", qname: "a." + zone, qtype: miekg.TypeA, from: "6.0.0.1", set: option(&miekg.EDNS0_LOCAL{Code: 65001, Data: []byte("x")}), dig: []string{"+ednsopt=65001:78"}, want: "NOERROR qr aa | a.live.radio.test. 20 A 192.0.2.3 | | | EDNS 1232"},
	{name: "a client subnet", qname: "a." + zone, qtype: miekg.TypeA, from: "5.0.0.1", set: client("6.1.2.0/24"), dig: []string{"+subnet=6.1.2.0/24"}, want: "NOERROR qr aa | a.live.radio.test. 20 A 192.0.2.3 | | | EDNS 1232 subnet 6.1.2.0/24/7"},
	{name: "a client subnet of one address", qname: "a." + zone, qtype: miekg.TypeA, from: "6.0.0.1", set: client("5.0.7.9/32"), dig: []string{"+subnet=5.0.7.9/32"}, want: "NOERROR qr aa | a.live.radio.test. 20 A {192.0.2.1 192.0.2.2} | | | EDNS 1232 subnet 5.0.7.9/32/24"},
	{name: "a client subnet of which half is elsewhere", qname: "a." + zone, qtype: miekg.TypeA, from: "6.0.0.1", set: client("5.1.0.0/24"), dig: []string{"+subnet=5.1.0.0/24"}, want: "NOERROR qr aa | a.live.radio.test. 20 A {192.0.2.1 192.0.2.2} | | | EDNS 1232 subnet 5.1.0.0/24/25"},
	{name: "a client subnet, IPv6", qname: "a." + zone, qtype: miekg.TypeAAAA, from: "6.0.0.1", set: client("2a00:1:2::/56"), dig: []string{"+subnet=2a00:1:2::/56"}, want: "NOERROR qr aa | a.live.radio.test. 20 AAAA {2001:db8::1 2001:db8::2} | | | EDNS 1232 subnet 2a00:1:2::/56/48"},
	{name: "no client subnet, please", qname: "a." + zone, qtype: miekg.TypeA, from: "6.0.0.1", set: client("0.0.0.0/0"), dig: []string{"+subnet=0"}, want: "NOERROR qr aa | a.live.radio.test. 20 A 192.0.2.3 | | | EDNS 1232 subnet 0.0.0.0/0/0"},
	{name: "a client subnet for a fixed record", qname: zone, qtype: miekg.TypeA, set: client("6.1.2.0/24"), dig: []string{"+subnet=6.1.2.0/24"}, want: "NOERROR qr aa | live.radio.test. 3600 A 198.51.100.80 | | | EDNS 1232 subnet 6.1.2.0/24/0"},
	{name: "a client subnet, and no such name", qname: "nothing." + zone, qtype: miekg.TypeA, set: client("6.1.2.0/24"), dig: []string{"+subnet=6.1.2.0/24"}, want: "NXDOMAIN qr aa | | SOA 60 | | EDNS 1232 subnet 6.1.2.0/24/0"},
	{name: "a client subnet with a scope", qname: "a." + zone, qtype: miekg.TypeA, set: option(&miekg.EDNS0_SUBNET{Code: miekg.EDNS0SUBNET, Family: 1, SourceNetmask: 24, SourceScope: 8, Address: net.IP{6, 1, 2, 0}}), want: "FORMERR qr | | | | EDNS 1232"},
	{name: "a client subnet with bits behind its end", qname: "a." + zone, qtype: miekg.TypeA, set: option(&miekg.EDNS0_LOCAL{Code: miekg.EDNS0SUBNET, Data: []byte{0, 1, 20, 0, 6, 1, 0xff}}), want: "FORMERR qr | | | | EDNS 1232"},
	{name: "a client subnet of an unknown family", qname: "a." + zone, qtype: miekg.TypeA, set: option(&miekg.EDNS0_LOCAL{Code: miekg.EDNS0SUBNET, Data: []byte{0, 3, 8, 0, 6}}), want: "FORMERR qr | | | | EDNS 1232"},
	{name: "a client subnet that is too long", qname: "a." + zone, qtype: miekg.TypeA, set: option(&miekg.EDNS0_LOCAL{Code: miekg.EDNS0SUBNET, Data: []byte{0, 1, 40, 0, 6, 1, 2, 3, 4}}), want: "FORMERR qr | | | | EDNS 1232"},
	{name: "a cookie", qname: "a." + zone, qtype: miekg.TypeA, from: "6.0.0.1", set: option(&miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: "0102030405060708"}), dig: []string{"+cookie=0102030405060708"}, want: "NOERROR qr aa | a.live.radio.test. 20 A 192.0.2.3 | | | EDNS 1232 cookie 48"},
	{name: "a cookie of a wrong length", qname: "a." + zone, qtype: miekg.TypeA, set: option(&miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: "01020304050607"}), want: "FORMERR qr | | | | EDNS 1232"},
	{name: "nothing but a cookie", raw: func([]byte) []byte {
		return unhex("123400000000000000000001 00 0029 04d0 00000000 000c 000a 0008 0102030405060708")
	}, want: "NOERROR qr | | | | EDNS 1232 cookie 48"},
	{name: "two OPT records", qname: "a." + zone, qtype: miekg.TypeA, set: edns(1232), raw: func(b []byte) []byte { b[11] = 2; return append(b, unhex("00 0029 04d0 00000000 0000")...) }, want: "FORMERR qr | | | | EDNS 1232"},

	{name: "too large for UDP", qname: "big." + zone, qtype: miekg.TypeTXT, set: edns(4096), want: "NOERROR qr aa tc | | | | EDNS 1232"},
	{name: "too large for who has no EDNS", qname: "big." + zone, qtype: miekg.TypeTXT, want: "NOERROR qr aa tc"},
	{name: "too large for UDP, by TCP", qname: "big." + zone, qtype: miekg.TypeTXT, tcp: true, dig: []string{"+tcp"}, want: "NOERROR qr aa | 6 TXT"},

	{name: "no question", raw: func([]byte) []byte { return unhex("123400000000000000000000") }, want: "FORMERR qr"},
	{name: "two questions", qname: "a." + zone, qtype: miekg.TypeA, set: func(m *miekg.Msg) { m.Question = append(m.Question, m.Question[0]) }, want: "FORMERR qr"},
	{name: "a question that is cut off", qname: "a." + zone, qtype: miekg.TypeA, raw: func(b []byte) []byte { return b[:len(b)-3] }, want: "FORMERR qr"},
	{name: "a name that points to itself", raw: func([]byte) []byte { return unhex("123400000001000000000000 c00c 0001 0001") }, want: "FORMERR qr"},
	{name: "more records than there are", qname: "a." + zone, qtype: miekg.TypeA, raw: func(b []byte) []byte { b[11] = 9; return b }, want: "FORMERR qr"},
	{name: "rubbish at the end", qname: "a." + zone, qtype: miekg.TypeA, raw: func(b []byte) []byte { return append(b, 1, 2, 3) }, want: "FORMERR qr"},
	{name: "a signature, which is not looked at", qname: "a." + zone, qtype: miekg.TypeA, from: "6.0.0.1", set: func(m *miekg.Msg) {
		m.Extra = append(m.Extra, rr("x.test. 0 TXT y"))
	}, want: "NOERROR qr aa | a.live.radio.test. 20 A 192.0.2.3"},
	{name: "an answer", qname: "a." + zone, qtype: miekg.TypeA, set: func(m *miekg.Msg) { m.Response = true }, want: "nothing"},
	{name: "less than a header", raw: func([]byte) []byte { return unhex("1234000000010000") }, want: "nothing"},
	{name: "nothing at all", raw: func([]byte) []byte { return nil }, want: "nothing"},
}

func rr(s string) miekg.RR {
	r, err := miekg.NewRR(s)
	if err != nil {
		panic(err)
	}
	return r
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func edns(size uint16) func(*miekg.Msg) {
	return func(m *miekg.Msg) { m.SetEdns0(size, false) }
}

func option(o miekg.EDNS0) func(*miekg.Msg) {
	return func(m *miekg.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = append(m.IsEdns0().Option, o)
	}
}

func client(prefix string) func(*miekg.Msg) {
	p := netip.MustParsePrefix(prefix)
	e := &miekg.EDNS0_SUBNET{Code: miekg.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(p.Bits()), Address: p.Addr().AsSlice()}
	if p.Addr().Is6() {
		e.Family = 2
	}
	return option(e)
}

// query packs a shape's message.
func (s *shape) query(tb testing.TB) []byte {
	tb.Helper()
	var packed []byte
	if s.qname != "" {
		m := new(miekg.Msg)
		m.Id = 0x1234
		m.Question = []miekg.Question{{Name: miekg.Fqdn(s.qname), Qtype: s.qtype, Qclass: max(s.class, 1)}}
		if s.class == 0 {
			m.Question[0].Qclass = miekg.ClassINET
		}
		if s.set != nil {
			s.set(m)
		}
		var err error
		if packed, err = m.Pack(); err != nil {
			tb.Fatal(err)
		}
	}
	if s.raw != nil {
		packed = s.raw(packed)
	}
	return packed
}

// describe writes an answer down as a shape's want does.
func describe(tb testing.TB, query, answer []byte) string {
	tb.Helper()
	if len(answer) == 0 {
		return "nothing"
	}
	m := new(miekg.Msg)
	if err := m.Unpack(answer); err != nil {
		tb.Fatalf("the answer cannot be read: %v: %x", err, answer)
	}
	if len(query) >= 2 && m.Id != binary.BigEndian.Uint16(query) {
		tb.Errorf("the answer has the id %#x", m.Id)
	}
	if again := new(miekg.Msg); again.Unpack(query) == nil && len(again.Question) == 1 && (len(m.Question) != 1 || m.Question[0] != again.Question[0]) {
		tb.Errorf("the answer is to the question %v, asked was %v", m.Question, again.Question)
	}
	head := []string{strings.Replace(miekg.RcodeToString[m.Rcode], "BADSIG", "BADVERS", 1)} // one number, two names
	for _, f := range []struct {
		name string
		set  bool
	}{{"qr", m.Response}, {"aa", m.Authoritative}, {"tc", m.Truncated}, {"rd", m.RecursionDesired}, {"ra", m.RecursionAvailable}, {"z", m.Zero}, {"ad", m.AuthenticatedData}, {"cd", m.CheckingDisabled}} {
		if f.set {
			head = append(head, f.name)
		}
	}
	if m.Opcode != miekg.OpcodeQuery {
		head = append(head, miekg.OpcodeToString[m.Opcode])
	}
	parts := []string{strings.Join(head, " "), section(m.Answer), "", "", ""}
	for _, r := range m.Ns {
		parts[2] = fmt.Sprintf("SOA %d", r.(*miekg.SOA).Hdr.Ttl)
	}
	opt := m.IsEdns0()
	m.Extra = slices.DeleteFunc(m.Extra, func(r miekg.RR) bool { return r.Header().Rrtype == miekg.TypeOPT })
	parts[3] = section(m.Extra)
	if opt != nil {
		parts[4] = fmt.Sprintf("EDNS %d", opt.UDPSize())
		if opt.Do() {
			parts[4] += " do"
		}
		for _, o := range opt.Option {
			switch o := o.(type) {
			case *miekg.EDNS0_SUBNET:
				parts[4] += fmt.Sprintf(" subnet %s/%d/%d", o.Address, o.SourceNetmask, o.SourceScope)
			case *miekg.EDNS0_COOKIE:
				parts[4] += fmt.Sprintf(" cookie %d", len(o.Cookie))
			}
		}
	}
	return strings.TrimRight(strings.ReplaceAll(strings.Join(parts, " | "), "  ", " "), " |")
}

func section(rrs []miekg.RR) string {
	if len(rrs) > 4 {
		return fmt.Sprintf("%d %s", len(rrs), miekg.TypeToString[rrs[0].Header().Rrtype])
	}
	var list []string
	for _, r := range rrs {
		h := r.Header()
		data := strings.TrimPrefix(r.String(), h.String())
		if soa, ok := r.(*miekg.SOA); ok {
			data = soa.Ns + " " + soa.Mbox
		}
		list = append(list, fmt.Sprintf("%s %d %s %s", h.Name, h.Ttl, miekg.TypeToString[h.Rrtype], data))
	}
	return strings.Join(list, ", ")
}

// matches compares an answer with a want, in which {x y} stands for both addresses in
// either order.
func matches(got, want string) bool {
	before, rest, ok := strings.Cut(want, "{")
	if !ok {
		return got == want
	}
	choices, after, _ := strings.Cut(rest, "}")
	x, y, _ := strings.Cut(choices, " ")
	owner := before[strings.LastIndex(before, "| ")+2:]
	return got == before+x+", "+owner+y+after || got == before+y+", "+owner+x+after
}

func TestQueryShapes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.ready()
	if len(shapes) < 60 {
		t.Fatalf("%d shapes", len(shapes))
	}
	for _, c := range shapes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			from := "5.0.0.1"
			if c.from != "" {
				from = c.from
			}
			q := c.query(t)
			got := describe(t, q, s.Answer(slices.Clone(q), netip.MustParseAddr(from), c.tcp, time.Now()))
			if !matches(got, c.want) {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// A reader is a program that asks for a shape and reads the answer by itself.
type reader struct {
	program string
	base    []string
	other   map[string]string // its words for dig's; empty: it needs none
	cannot  string            // beginning of dig's words for what it cannot ask
	status  string            // how it shows a response code
	objects []string          // how it begins what it objects to
}

var readers = []reader{
	{
		program: "dig", base: []string{"+norec", "+noedns", "+nocookie", "+tries=3", "+time=10", "+qr"},
		cannot: "none", status: "status: %s,", objects: []string{"WARNING", "malformed", "mismatch", "bad packet", "parse error"},
	},
	{
		program: "kdig", base: []string{"+norec", "+noedns", "+retry=2", "+timeout=10", "+qr"},
		other:  map[string]string{"+noednsnegotiation": "", "+subnet=0": "+subnet=0.0.0.0/0"},
		cannot: "+opcode", status: ": %s", objects: []string{";; WARNING", ";; ERROR", "malformed"},
	},
}

// The same shapes, as other programs ask and read them: they must find nothing to object to.
func TestQueryShapesByOthers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	// All clients come from a loopback address, which is in no region but the default.
	l.ready()
	at := l.serve()
	for _, r := range readers {
		t.Run(r.program, func(t *testing.T) {
			t.Parallel()
			path := program(t, r.program)
			slots := make(chan struct{}, 4)
			var all sync.WaitGroup
			for _, c := range shapes {
				if c.dig == nil || slices.ContainsFunc(c.dig, func(a string) bool { return strings.HasPrefix(a, r.cannot) }) {
					continue
				}
				all.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					r.ask(t, path, at, &c)
				})
			}
			all.Wait()
		})
	}
}

// answers are the records of want's answer section as programs print them, unless it leaves
// a choice.
func (s *shape) answers() (records []string) {
	parts := strings.Split(s.want, "|")
	if len(parts) < 2 || strings.Contains(parts[1], "{") {
		return nil
	}
	for record := range strings.SplitSeq(strings.TrimSpace(parts[1]), ", ") {
		if f := strings.SplitN(record, " ", 3); len(f) == 3 {
			records = append(records, fmt.Sprintf("%s %s IN %s", f[0], f[1], f[2]))
		}
	}
	return records
}

func (r *reader) ask(t *testing.T, path string, at netip.AddrPort, c *shape) {
	class := "IN"
	if c.class != 0 {
		class = miekg.ClassToString[c.class]
	}
	kind := miekg.TypeToString[c.qtype]
	if kind == "" {
		kind = fmt.Sprintf("TYPE%d", c.qtype)
	}
	args := append([]string{"@" + at.Addr().String(), "-p", fmt.Sprint(at.Port())}, r.base...)
	for _, a := range c.dig {
		if other, ok := r.other[a]; ok {
			a = other
		}
		if a != "" {
			args = append(args, a)
		}
	}
	out, err := exec.Command(path, append(args, "-q", c.qname, "-c", class, "-t", kind)...).CombinedOutput()
	text := string(out)
	if err != nil {
		t.Errorf("%s: %v: %s", c.name, err, text)
		return
	}
	answer := text
	if at := strings.LastIndex(text, "->>HEADER<<-"); at >= 0 { // the first is the query's
		answer = text[at:]
	}
	status, _, _ := strings.Cut(c.want, " ")
	if status = fmt.Sprintf(r.status, status); !strings.Contains(answer, status) {
		t.Errorf("%s: no %q in: %s", c.name, status, answer)
	}
	flat := strings.ToLower(strings.Join(strings.Fields(answer), " ")) // kdig writes names so
	for _, record := range c.answers() {
		if !strings.Contains(flat, strings.ToLower(record)) {
			t.Errorf("%s: no %s in: %s", c.name, record, answer)
		}
	}
	text = strings.ReplaceAll(text, "WARNING: recursion requested but not available", "") // which is so
	for _, bad := range r.objects {
		if strings.Contains(text, bad) {
			t.Errorf("%s: %s says %s: %s", c.name, r.program, bad, text)
		}
	}
}

// program finds a test's program, or skips the test.
func program(t testing.TB, name string) string {
	t.Helper()
	proctest.Need(t, name)
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
