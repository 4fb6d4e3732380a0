package dns_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/web/dns"
)

// What one network may have of answers over UDP is bounded; others, who come by TCP and
// who shows a cookie get theirs.
func TestAnswersAreLimited(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.policy.PerNetwork, l.policy.Slip = 10, 2
	s := l.ready()
	q := (&shape{qname: zone, qtype: miekg.TypeSOA}).query(t)
	now := time.Unix(1_700_000_000, 0)
	full, slipped, dropped := 0, 0, 0
	ask := s.Answerer()
	count := func(n int, from string) {
		full, slipped, dropped = 0, 0, 0
		for range n {
			b := make([]byte, 2048)
			size := ask(b, copy(b, q), netip.MustParseAddr(from), now)
			m := new(miekg.Msg)
			switch {
			case size == 0:
				dropped++
			case m.Unpack(b[:size]) != nil:
				t.Fatal("the answer cannot be read")
			case m.Truncated:
				if slipped++; size > len(q) || len(m.Answer) > 0 {
					t.Fatalf("a slipped answer of %d bytes to a query of %d", size, len(q))
				}
			default:
				full++
			}
		}
	}
	count(100, "203.0.113.1")
	if full != 11 || slipped != 44 || dropped != 45 { // a second's worth at once, and the one that begins it
		t.Errorf("%d answered, %d slipped, %d dropped of 100 at once", full, slipped, dropped)
	}
	if count(10, "203.0.113.200"); full != 0 {
		t.Errorf("%d answered to another address of that /24", full)
	}
	if count(10, "203.0.114.1"); full != 10 {
		t.Errorf("%d of 10 answered to another network", full)
	}
	if count(5, "2001:db8:0:100::1"); full != 5 {
		t.Errorf("%d of 5 answered to IPv6", full)
	}
	if got := describe(t, q, s.Answer(slices.Clone(q), netip.MustParseAddr("203.0.113.1"), true, now)); got[:10] != "NOERROR qr" || len(got) < 40 {
		t.Errorf("by TCP: %s", got)
	}
	now = now.Add(500 * time.Millisecond)
	if count(10, "203.0.113.1"); full != 5 {
		t.Errorf("%d of 10 answered half a second later, want 5", full)
	}
	p := l.policy
	p.Slip = 0
	if err := s.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	if count(10, "203.0.113.1"); dropped != 10 {
		t.Errorf("%d of 10 dropped without slip", dropped)
	}
}

// A cookie that this server gave lifts the limit, for the address that it was given to
// and as long as it lasts.
func TestCookies(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.policy.PerNetwork, l.policy.Slip = 1, 0
	s := l.ready()
	now := time.Unix(1_700_000_000, 0)
	me, other := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	with := func(cookie string, from netip.Addr, at time.Time) string {
		q := (&shape{qname: zone, qtype: miekg.TypeSOA, set: option(&miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: cookie})}).query(t)
		answer := s.Answer(q, from, false, at)
		if len(answer) == 0 {
			return ""
		}
		m := new(miekg.Msg)
		if err := m.Unpack(answer); err != nil {
			t.Fatal(err)
		}
		return m.IsEdns0().Option[0].(*miekg.EDNS0_COOKIE).Cookie
	}
	const client = "0102030405060708"
	given := with(client, me, now)
	if len(given) != 48 || given[:16] != client {
		t.Fatalf("the cookie is %q", given)
	}
	for range 3 { // the limit is used up
		with(client, me, now)
	}
	for _, c := range []struct {
		what, cookie string
		from         netip.Addr
		at           time.Time
		ok           bool
	}{
		{"the cookie", given, me, now, true},
		{"only the client's half", client, me, now, false},
		{"from another address", given, other, now, false},
		{"another client's half", "ff" + given[2:], me, now, false},
		{"another hash", given[:46] + "00", me, now, false},
		{"another version", given[:16] + "02" + given[18:], me, now, false},
		{"in 59 minutes", given, me, now.Add(59 * time.Minute), true},
	} {
		for range 3 {
			with(client, c.from, c.at)
		}
		if got := with(c.cookie, c.from, c.at) != ""; got != c.ok {
			t.Errorf("%s: answered is %v, want %v", c.what, got, c.ok)
		}
	}
	late := now.Add(2 * time.Hour)
	for range 3 {
		with(client, me, late)
	}
	if with(given, me, late) != "" {
		t.Error("a cookie of two hours ago is still good")
	}
}

// The hash is the one of RFC 9018, appendix A, so that servers of other makes could share
// the secret.
func TestCookieVectors(t *testing.T) {
	t.Parallel()
	secret := unhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
	for _, c := range []struct {
		client, addr, want string
		at                 int64
	}{
		{"2464c4abcf10c957", "198.51.100.100", "010000005cf79f111f8130c3eee29480", 1559731985},
		{"22681ab97d52c298", "2001:db8:220:1:59de:d0f4:8769:82b8", "010000005cf7c57926556bd0934c72f8", 1559741817},
	} {
		secret := secret
		if c.addr[0] == '2' && c.addr[1] == '0' && c.addr[2] == '0' {
			secret = unhex("dd3bdf9344b678b185a6f5cb60fca715")
		}
		if got := fmt.Sprintf("%x", dns.Cookie(secret, [8]byte(unhex(c.client)), netip.MustParseAddr(c.addr), time.Unix(c.at, 0))); got != c.want {
			t.Errorf("%s: %s, want %s", c.addr, got, c.want)
		}
	}
}
