package dns_test

import (
	"net/netip"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/web/dns"
)

// An answer over UDP allocates nothing. It is not parallel: others would be counted.
func TestAnswersAllocateNothing(t *testing.T) {
	l := newLab(t)
	l.policy.PerNetwork = 1_000_000
	l.config = func(c *dns.Config) { c.Record = func(*dns.Record) {} }
	s := l.ready()
	answer := s.Answerer()
	b := make([]byte, 2048)
	now := time.Now()
	for _, c := range []shape{
		{name: "subnet", qname: "a." + zone, qtype: miekg.TypeA, set: client("5.0.7.0/24")},
		{name: "subnet, one node", qname: "a." + zone, qtype: miekg.TypeA, set: client("6.0.7.0/24")},
		{name: "no subnet", qname: "a." + zone, qtype: miekg.TypeAAAA, set: edns(1232)},
		{name: "directors", qname: "go." + zone, qtype: miekg.TypeA, set: client("5.0.7.0/24")},
		{name: "cookie", qname: "a." + zone, qtype: miekg.TypeA, set: option(&miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: "0102030405060708"})},
		{name: "fixed", qname: zone, qtype: miekg.TypeNS},
		{name: "no such name", qname: "x." + zone, qtype: miekg.TypeA},
		{name: "refused", qname: "x.test", qtype: miekg.TypeA},
	} {
		q := c.query(t)
		from := netip.MustParseAddr("203.0.113.5")
		answer(b, copy(b, q), from, now) // the first one makes its counters
		if n := testing.AllocsPerRun(200, func() { answer(b, copy(b, q), from, now) }); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}
