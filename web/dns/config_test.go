package dns_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/dns"
)

// Each mistake in a policy is told with its place, and the whole is refused.
func TestMistakes(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr
	for _, c := range []struct {
		name string
		set  func(p *dns.Policy)
		want string // path: part of the message
	}{
		{"no zone", func(p *dns.Policy) { p.Zone.Name = "" }, "zone: no zone"},
		{"no name", func(p *dns.Policy) { p.Zone.Name = "live radio.test" }, "zone: not a domain name"},
		{"a top-level domain", func(p *dns.Policy) { p.Zone.Name = "radio" }, "zone: top-level"},
		{"letters beyond ASCII", func(p *dns.Policy) { p.Zone.Name = "häuser.test" }, "zone: xn--"},
		{"a long label", func(p *dns.Policy) { p.Zone.Name = strings.Repeat("a", 64) + ".test" }, "zone: longer than 63"},
		{"a long name", func(p *dns.Policy) { p.Zone.Name = strings.Repeat("abcdefgh.", 29) + "test" }, "zone: longer than 253"},
		{"no name server", func(p *dns.Policy) { p.Zone.NS = nil }, "ns: no name server"},
		{"a name server elsewhere with addresses", func(p *dns.Policy) { p.Zone.NS[1].Addrs = []netip.Addr{addr("192.0.2.1")} }, "ns[1].addresses: another zone's"},
		{"a name server twice", func(p *dns.Policy) { p.Zone.NS[1] = p.Zone.NS[0] }, "ns[1].name: twice"},
		{"a name outside", func(p *dns.Policy) { p.Zone.Names[0].Name = "a.radio.test" }, "names.a.radio.test: not in the zone"},
		{"a wildcard", func(p *dns.Policy) { p.Zone.Names[0].Name = "*." + zone }, "names.*.live.radio.test: wildcards"},
		{"a name twice", func(p *dns.Policy) { p.Zone.Names[1].Name = "A." + zone + "." }, "names.A.live.radio.test.: twice"},
		{"no port", func(p *dns.Policy) { p.Zone.Names[0].Port = 0 }, "names.a.live.radio.test.port: tells players no port"},
		{"too many addresses", func(p *dns.Policy) { p.Zone.Names[0].Count = 9 }, "names.a.live.radio.test.count: 1 to 8"},
		{"a TTL below 0", func(p *dns.Policy) { p.Zone.TTL = -time.Second }, "ttl: write 0s or more"},
		{"half a second", func(p *dns.Policy) { p.Zone.Names[0].TTL = 1500 * time.Millisecond }, "names.a.live.radio.test.ttl: whole seconds"},
		{"a mount without its slash", func(p *dns.Policy) { p.Zone.Names[0].Mount = "live.mp3" }, `names.a.live.radio.test.mount: write "/live.mp3"`},
		{"HTTPS for http", func(p *dns.Policy) { p.Zone.Names[0].HTTPS = true }, "names.a.live.radio.test.https_record: not for https"},
		{"the other family", func(p *dns.Policy) { p.Zone.Records[0].A = []netip.Addr{addr("2001:db8::1")} }, "records.live.radio.test.a[0]: other family"},
		{"no address at all", func(p *dns.Policy) { p.Zone.Records[0].A = []netip.Addr{addr("0.0.0.0")} }, "records.live.radio.test.a[0]: anybody"},
		{"CNAME beside others", func(p *dns.Policy) { p.Zone.Records[1].TXT = []string{"x"} }, "records.www.live.radio.test.cname: allows none"},
		{"CNAME at a mount's name", func(p *dns.Policy) { p.Zone.Records[1].Name = "a." + zone }, "records.a.live.radio.test.cname: allows none"},
		{"CNAME at the zone's name", func(p *dns.Policy) { p.Zone.Records[1].Name = zone }, "records.live.radio.test.cname: allows none"},
		{"a CNAME to nothing", func(p *dns.Policy) { p.Zone.Records[2].CNAME = "nothing." + zone }, "records.listen.live.radio.test.cname: does not exist"},
		{"CNAMEs in a circle", func(p *dns.Policy) { p.Zone.Records[1].CNAME, p.Zone.Records[2].CNAME = "listen."+zone, "www."+zone }, "records.www.live.radio.test.cname: circle"},
		{"records at a CNAME", func(p *dns.Policy) {
			p.Zone.Records = append(p.Zone.Records, dns.Fixed{Name: "www." + zone, TXT: []string{"x"}})
		}, "records.www.live.radio.test: CNAME already"},
		{"addresses of two meanings", func(p *dns.Policy) { p.Zone.Records[0].Name = "a." + zone }, "records.a.live.radio.test: one meaning"},
		{"a mount at a name server's name", func(p *dns.Policy) { p.Zone.Names[0].Name = "ns1." + zone }, "names.ns1.live.radio.test: name server"},
		{"no mail address", func(p *dns.Policy) { p.Zone.SOA.Contact = "radio.test" }, "soa.contact: not a mail address"},
		{"a CAA tag", func(p *dns.Policy) { p.Zone.Records[0].CAA[0].Tag = "Issue it" }, "records.live.radio.test.caa[0]: no tag"},
		{"a negative limit", func(p *dns.Policy) { p.PerNetwork = -1 }, "per_network: 0 or more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			s := l.ready()
			p := newLab(t).policy
			c.set(&p)
			err := dns.CheckPolicy(p)
			path, part, _ := strings.Cut(c.want, ": ")
			var first *director.ConfigError
			if !errors.As(err, &first) {
				t.Fatalf("the error is %v", err)
			}
			if got := strings.SplitN(first.Error(), ": ", 2); got[0] != path || !strings.Contains(got[1], part) {
				t.Errorf("%v, want %s with %q", first, path, part)
			}
			if s.SetPolicy(p) == nil {
				t.Error("it was put in force")
			}
			q := (&shape{qname: zone, qtype: 6}).query(t)
			if got := describe(t, q, s.Answer(q, addr("5.0.0.1"), false, time.Now())); !strings.HasPrefix(got, "NOERROR qr aa | live") {
				t.Errorf("the old policy is not in force: %s", got)
			}
		})
	}
	if err := dns.CheckPolicy(newLab(t).policy); err != nil {
		t.Errorf("a good policy is refused: %v", err)
	}
}

// A policy that is put in force goes on counting names that stay.
func TestSetPolicy(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.ready()
	ask := func(name string) string {
		q := (&shape{qname: name, qtype: 1}).query(t)
		return describe(t, q, s.Answer(q, netip.MustParseAddr("6.0.0.1"), false, time.Now()))
	}
	ask("a." + zone)
	p := l.policy
	p.Zone.Names = append([]dns.Name{}, p.Zone.Names...)
	p.Zone.Names[0].TTL, p.Zone.Names[1].Name = 5*time.Second, "new."+zone
	if err := s.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a." + zone:    "NOERROR qr aa | a.live.radio.test. 5 A 192.0.2.3",
		"new." + zone:  "NOERROR qr aa | new.live.radio.test. 20 A 192.0.2.3",
		"b.eu." + zone: "NXDOMAIN qr aa | | SOA 60",
	} {
		if got := ask(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	traffic := s.Traffic()
	if got := fmt.Sprint(traffic.Names["a."+zone], traffic.Names["new."+zone], traffic.Names[""], traffic.Queries); got != "2 1 1 4" {
		t.Errorf("queries by name: %s, want 2 1 1 4 (%v)", got, traffic)
	}
	if got := traffic.Answers["world"]["c"]; got != 3 {
		t.Errorf("%v answers led to c, want 3", got)
	}
}
