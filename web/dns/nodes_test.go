package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/web/dns"
)

// Addresses come from what is declared, from literal URLs, or from names that are looked
// up again and again; what was known stands while that fails.
func TestNodeAddresses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.fleet.Nodes[2].Addrs = nil // c.radio.test
	now := time.Unix(1_700_000_000, 0)
	var mu sync.Mutex
	answer, fails, asked := []string{"192.0.2.33", "2001:db8::33", "192.0.2.34"}, false, 0
	l.config = func(c *dns.Config) {
		c.Now = func() time.Time { return now }
		c.Lookup = func(_ context.Context, host string) (list []netip.Addr, err error) {
			mu.Lock()
			defer mu.Unlock()
			if asked++; host != "c.radio.test" {
				return nil, fmt.Errorf("asked for %s", host)
			}
			if fails {
				return nil, errors.New("the resolver is away")
			}
			for _, a := range answer {
				list = append(list, netip.MustParseAddr(a))
			}
			return list, nil
		}
	}
	s := l.ready()
	round := s.Rounds()
	named := func() map[string]bool {
		seen := map[string]bool{}
		for range 64 {
			for _, kind := range []uint16{miekg.TypeA, miekg.TypeAAAA} {
				list, _ := addresses(t, s.Answer(ask(t, "a."+zone, kind, netip.Prefix{}), netip.MustParseAddr("6.0.0.1"), false, now))
				if len(list) > 1 {
					t.Fatalf("one node is named %d times: %v", len(list), list)
				}
				for _, a := range list {
					seen[a.String()] = true
				}
			}
		}
		return seen
	}
	want := func(when string, want ...string) {
		t.Helper()
		got := named()
		for _, a := range want {
			if !got[a] {
				t.Errorf("%s: %s is never named", when, a)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: named are %v, want %v", when, got, want)
		}
	}
	round()
	want("at first", "192.0.2.33", "192.0.2.34", "2001:db8::33")
	answer = []string{"192.0.2.35"}
	asked = 0
	now = now.Add(10 * time.Second)
	if round(); asked > 0 {
		t.Errorf("asked %d times, 10 s after it was known", asked)
	}
	now = now.Add(30 * time.Second)
	round()
	want("40 s later", "192.0.2.35")
	fails = true
	now = now.Add(time.Minute)
	round()
	want("the resolver is away", "192.0.2.35")
	fails, answer = false, []string{"192.0.2.36"}
	now = now.Add(10 * time.Second)
	round()
	want("it is back", "192.0.2.36")
}

// A node whose addresses nobody knows is not named, and does not empty an answer.
func TestNodeWithoutAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.fleet.Nodes[0].Addrs = nil
	s := l.ready()
	for range 50 {
		list, _ := addresses(t, s.Answer(ask(t, "a."+zone, miekg.TypeA, netip.Prefix{}), netip.MustParseAddr("5.0.0.1"), false, time.Now()))
		if len(list) != 1 || list[0].String() != "192.0.2.2" {
			t.Fatalf("the answer is %v", list)
		}
	}
	x, err := s.Explain(dns.Question{Name: "a." + zone, Resolver: netip.MustParseAddr("5.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Unknown) != 1 || x.Unknown[0] != "a" {
		t.Errorf("without an address: %v, want a", x.Unknown)
	}
	if _, err := s.Explain(dns.Question{Name: zone}); err == nil {
		t.Error("a fixed record is explained")
	}
}

// Records show prefixes and never more.
func TestRecords(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var got []dns.Record
	l.config = func(c *dns.Config) {
		c.Record = func(r *dns.Record) {
			r2 := *r
			r2.Nodes = append(r2.Nodes[:0:0], r.Nodes...)
			got = append(got, r2)
		}
	}
	s := l.ready()
	now := time.Unix(1_700_000_000, 0).UTC()
	s.Answer(ask(t, "a."+zone, miekg.TypeA, netip.MustParsePrefix("6.1.2.3/32")), netip.MustParseAddr("5.0.0.9"), true, now)
	s.Answer(ask(t, "x.test", miekg.TypeTXT, netip.Prefix{}), netip.MustParseAddr("2001:db8:1:2::9"), false, now)
	if len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
	for i := range got {
		if got[i].Bytes == 0 {
			t.Error("an answer of no bytes")
		}
		got[i].Bytes = 0
	}
	want := []string{
		"{2023-11-14 22:13:20 +0000 UTC a.live.radio.test A tcp placed [c] world US 5.0.0.0/24 6.1.2.0/24 7 0}",
		"{2023-11-14 22:13:20 +0000 UTC  other udp refused []   2001:db8:1::/48 invalid Prefix 0 0}",
	}
	for i := range want {
		if g := fmt.Sprint(got[i]); g != want[i] {
			t.Errorf("record %d:\n got %s\nwant %s", i, g, want[i])
		}
	}
}
