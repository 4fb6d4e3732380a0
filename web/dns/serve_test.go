package dns_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/signpost-fm/signpost/web/dns"
)

// exchange asks over UDP until there is an answer.
func exchange(t *testing.T, to netip.AddrPort, q []byte) []byte {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 65535)
	for range 30 {
		if _, err := c.Write(q); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := c.Read(b); err == nil {
			return b[:n]
		}
	}
	t.Fatalf("no answer from %s in 30 tries", to)
	return nil
}

// dial opens a TCP connection for queries.
func dial(t *testing.T, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func framed(q []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...) }

func receive(c net.Conn) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}

// An answer comes from the address that was asked, of which a socket for all has several.
func TestAnswersFromTheAddressAsked(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.ready()
	at, err := dns.Listen(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.server.Serve(ctx, at) }()
	q := (&shape{qname: zone, qtype: miekg.TypeSOA}).query(t)
	for _, host := range []string{"127.0.0.1", "127.0.0.77", "::1"} {
		if host == "::1" && !hasIPv6() {
			continue
		}
		to := netip.AddrPortFrom(netip.MustParseAddr(host), at.Addr().Port())
		// A connected socket takes nothing from any other address.
		if got := describe(t, q, exchange(t, to, q)); !strings.HasPrefix(got, "NOERROR qr aa | live") {
			t.Errorf("%s: %s", host, got)
		}
		c := dial(t, to)
		if _, err := c.Write(framed(q)); err != nil {
			t.Fatal(err)
		}
		if b, err := receive(c); err != nil || !strings.HasPrefix(describe(t, q, b), "NOERROR qr aa | live") {
			t.Errorf("%s by TCP: %v", host, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Many queries at once, answers in any order: each gets its own.
func TestBatches(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.ready()
	to := l.serve()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	kinds := []shape{
		{qname: zone, qtype: miekg.TypeSOA}, {qname: "a." + zone, qtype: miekg.TypeA}, {qname: "nothing." + zone, qtype: miekg.TypeA},
		{raw: func([]byte) []byte { return unhex("1234") }}, {qname: "elsewhere.test", qtype: miekg.TypeA, set: client("6.1.2.0/24")},
	}
	want := []int{miekg.RcodeSuccess, miekg.RcodeSuccess, miekg.RcodeNameError, -1, miekg.RcodeRefused}
	missing := map[uint16]int{}
	for i := range 500 {
		if k := i % len(kinds); want[k] >= 0 {
			missing[uint16(i)] = k
		}
	}
	b := make([]byte, 2048)
	for tries := 0; len(missing) > 0; tries++ {
		if tries == 60 {
			t.Fatalf("%d queries were not answered in 60 tries", len(missing))
		}
		for i := range 500 {
			k := i % len(kinds)
			if _, asked := missing[uint16(i)]; !asked && want[k] >= 0 {
				continue
			}
			q := kinds[k].query(t)
			binary.BigEndian.PutUint16(q, uint16(i))
			_, _ = c.Write(q)
		}
		for {
			_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := c.Read(b)
			if err != nil {
				break
			}
			m := new(miekg.Msg)
			if err := m.Unpack(b[:n]); err != nil {
				t.Fatal(err)
			}
			k := int(m.Id) % len(kinds)
			if m.Rcode != want[k] || m.Question[0].Name != miekg.Fqdn(kinds[k].qname) {
				t.Fatalf("query %d, of kind %d, was answered %v", m.Id, k, m)
			}
			delete(missing, m.Id)
		}
	}
}

// Several questions on one connection, sent at once or byte by byte; and an answer of
// more than UDP carries.
func TestTCP(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.ready()
	c := dial(t, l.serve())
	big := (&shape{qname: "big." + zone, qtype: miekg.TypeTXT}).query(t)
	soa := (&shape{qname: zone, qtype: miekg.TypeSOA}).query(t)
	all := slices.Concat(framed(big), framed(soa), framed(big))
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{6, 1, 6} {
		b, err := receive(c)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		m := new(miekg.Msg)
		if err := m.Unpack(b); err != nil || len(m.Answer) != want {
			t.Errorf("answer %d has %d records, want %d: %v", i, len(m.Answer), want, err)
		}
	}
	for _, one := range framed(soa) {
		if _, err := c.Write([]byte{one}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := receive(c); err != nil {
		t.Errorf("byte by byte: %v", err)
	}
}

// Who sends rubbish, or says that it will send much, is cut off; the others are not.
func TestHostileTCP(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.policy.MaxTCP = 20
	l.ready()
	to := l.serve()
	for name, sent := range map[string][]byte{
		"65,535 bytes":      {0xff, 0xff, 1, 2, 3},
		"nothing":           {0, 0},
		"less than a query": framed([]byte{1, 2, 3}),
		"an answer":         framed(unhex("1234 8000 0000 0000 0000 0000")),
	} {
		c := dial(t, to)
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		if _, err := receive(c); !errors.Is(err, io.EOF) && !isReset(err) {
			t.Errorf("%s: %v, want that the connection is closed", name, err)
		}
	}
	// One network cannot take all connections.
	var held []net.Conn
	soa := framed((&shape{qname: zone, qtype: miekg.TypeSOA}).query(t))
	closed := 0
	for range 18 {
		c := dial(t, to)
		if _, err := c.Write(soa); err == nil {
			if _, err := receive(c); err == nil {
				held = append(held, c)
				continue
			}
		}
		closed++
	}
	if len(held) != 16 || closed != 2 {
		t.Errorf("one network holds %d connections, and %d were refused", len(held), closed)
	}
	for _, c := range held {
		c.Close()
	}
}

func isReset(err error) bool {
	var at *net.OpError
	return errors.As(err, &at) && !at.Timeout()
}

// What cannot be listened at says why, and what to do.
func TestListenErrors(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.ready()
	at := l.serve()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for addr, want := range map[string]string{
		busy.Addr().String(): "another DNS server there",
		"127.0.0.1":          "not host:port",
		"192.0.2.1:0":        "choose another address under dns.listen",
	} {
		s, err := dns.Listen(t.Context(), addr)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", addr)
			continue
		}
		if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("%s: %v, want %q in it", addr, err, want)
		}
	}
	_ = at
}
