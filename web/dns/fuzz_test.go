package dns_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
)

// Whatever comes, an answer is one that another parser can read, to the question that
// was asked, of the size that is allowed; or there is none.
func FuzzAnswer(f *testing.F) {
	for i := range shapes {
		f.Add(shapes[i].query(f), shapes[i].tcp)
	}
	l := newLab(f)
	s := l.ready()
	from, now := netip.MustParseAddr("5.0.0.1"), time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, query []byte, tcp bool) {
		if len(query) > 2000 {
			return
		}
		answer := s.Answer(query, from, tcp, now)
		if len(answer) == 0 {
			if len(query) >= 12 && query[2]&0x80 == 0 {
				t.Fatal("a query was not answered")
			}
			return
		}
		if len(answer) < 12 || answer[2]&0x80 == 0 || binary.BigEndian.Uint16(answer) != binary.BigEndian.Uint16(query) {
			t.Fatalf("no answer to this query: %x", answer)
		}
		if !tcp && len(answer) > 1232 {
			t.Fatalf("%d bytes over UDP", len(answer))
		}
		m := new(miekg.Msg)
		if err := m.Unpack(answer); err != nil {
			// The other parser refuses names and options that are odd but lawful.
			asked := new(miekg.Msg)
			if asked.Unpack(query) == nil {
				t.Fatalf("a query that can be read has an answer that cannot: %v: %x", err, answer)
			}
			return
		}
		if m.Rcode == miekg.RcodeSuccess && !m.Truncated && len(m.Answer)+len(m.Ns) == 0 && len(m.Question) > 0 {
			t.Fatalf("an empty answer: %v", m)
		}
	})
}
