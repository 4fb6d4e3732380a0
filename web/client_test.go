package web

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// TestOwnURL: a playlist that leads to the director calls it as the listener does, and
// not as the proxy in between.
func TestOwnURL(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		forward ForwardHeader
		header  map[string]string
		from    netip.Addr // zero: a trusted proxy
		want    string
	}{
		"no header":              {want: "http://radio.example"},
		"host":                   {header: map[string]string{"X-Forwarded-Host": "fm.example"}, want: "http://fm.example"},
		"the outermost host":     {header: map[string]string{"X-Forwarded-Host": "fm.example, inner.example"}, want: "http://fm.example"},
		"port":                   {header: map[string]string{"X-Forwarded-Port": "8080"}, want: "http://radio.example:8080"},
		"the usual port":         {header: map[string]string{"X-Forwarded-Port": "443", "X-Forwarded-Proto": "https"}, want: "https://radio.example"},
		"http at https's port":   {header: map[string]string{"X-Forwarded-Port": "443"}, want: "http://radio.example:443"},
		"both":                   {header: map[string]string{"X-Forwarded-Host": "fm.example:8000", "X-Forwarded-Port": "8443", "X-Forwarded-Proto": "https"}, want: "https://fm.example:8443"},
		"IPv6":                   {header: map[string]string{"X-Forwarded-Host": "[2001:db8::1]", "X-Forwarded-Port": "81"}, want: "http://[2001:db8::1]:81"},
		"no port":                {header: map[string]string{"X-Forwarded-Port": "x"}, want: "http://radio.example"},
		"an impossible port":     {header: map[string]string{"X-Forwarded-Port": "99999"}, want: "http://radio.example"},
		"from anybody":           {from: german, header: map[string]string{"X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "666"}, want: "http://radio.example"},
		"forwarded":              {forward: Forwarded, header: map[string]string{"Forwarded": `for=203.0.113.9;host="fm.example:81", for=10.1.1.1;host=inner`}, want: "http://fm.example:81"},
		"forwarded without host": {forward: Forwarded, header: map[string]string{"Forwarded": "for=203.0.113.9", "X-Forwarded-Host": "evil.example"}, want: "http://radio.example"},
	} {
		w := newWorld(t, func(cfg *Config) { cfg.Policy.ForwardHeader, cfg.Policy.Entries = c.forward, EntriesDirector })
		if !c.from.IsValid() {
			c.from = balance
		}
		body := w.do(ask{url: "/plain.mp3.m3u", from: c.from, header: c.header}).Body.String()
		if want := "#EXTM3U\n#EXTINF:-1,/plain.mp3\n" + c.want + "/plain.mp3\n"; body != want {
			t.Errorf("%s: %q, want %q", name, body, want)
		}
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ff::/48"), netip.MustParsePrefix("::ffff:192.168.0.0/112")}
	const peer, stranger = "10.0.0.1:80", "203.0.113.9:80"
	for name, c := range map[string]struct {
		peer      string
		forwarded bool // by Forwarded, else by X-Forwarded-For
		lines     []string
		proto     string
		tls       bool
		want      string
		https     bool
		end       walkEnd
		proxy     bool
	}{
		"direct":                    {peer: stranger, want: "203.0.113.9"},
		"direct, over TLS":          {peer: stranger, tls: true, want: "203.0.113.9", https: true},
		"direct, with a claim":      {peer: stranger, lines: []string{"1.2.3.4"}, proto: "https", want: "203.0.113.9"},
		"mapped":                    {peer: "[::ffff:203.0.113.9]:1", want: "203.0.113.9"},
		"zone":                      {peer: "[fe80::1%eth0]:1", want: "fe80::1"},
		"unix socket":               {peer: "@", want: "invalid IP"},
		"one":                       {peer: peer, lines: []string{"203.0.113.9"}, want: "203.0.113.9", end: endClient},
		"one, https":                {peer: peer, lines: []string{"203.0.113.9"}, proto: "https", want: "203.0.113.9", https: true, end: endClient},
		"TLS inside, http outside":  {peer: peer, lines: []string{"203.0.113.9"}, proto: "http", tls: true, want: "203.0.113.9", end: endClient},
		"the outermost scheme":      {peer: peer, lines: []string{"203.0.113.9"}, proto: "https, http", want: "203.0.113.9", https: true, end: endClient},
		"left-most is a claim":      {peer: peer, lines: []string{"1.2.3.4, 203.0.113.9"}, want: "203.0.113.9", end: endClient},
		"through two proxies":       {peer: peer, lines: []string{"203.0.113.9, 10.9.9.9"}, want: "203.0.113.9", end: endClient},
		"through a mapped network":  {peer: peer, lines: []string{"203.0.113.9, 192.168.0.3"}, want: "203.0.113.9", end: endClient},
		"several lines":             {peer: peer, lines: []string{"1.2.3.4", "203.0.113.9", "10.1.1.1 "}, want: "203.0.113.9", end: endClient},
		"only proxies":              {peer: peer, lines: []string{"10.2.2.2, 10.1.1.1"}, want: "10.2.2.2", end: endTrusted, proxy: true},
		"no header":                 {peer: peer, want: "10.0.0.1", end: endTrusted, proxy: true},
		"garbage":                   {peer: peer, lines: []string{"203.0.113.9, unknown"}, want: "10.0.0.1", end: endGarbage, proxy: true},
		"garbage on the left":       {peer: peer, lines: []string{"<script>, 10.3.3.3"}, want: "10.3.3.3", end: endGarbage, proxy: true},
		"empty entries":             {peer: peer, lines: []string{" , 203.0.113.9, ,, "}, want: "203.0.113.9", end: endClient},
		"with a port":               {peer: peer, lines: []string{"203.0.113.9:4711"}, want: "203.0.113.9", end: endClient},
		"IPv6":                      {peer: peer, lines: []string{"2001:db8::9"}, want: "2001:db8::9", end: endClient},
		"IPv6 with a port":          {peer: peer, lines: []string{"[2001:db8::9]:4711"}, want: "2001:db8::9", end: endClient},
		"IPv6 in brackets, garbage": {peer: peer, lines: []string{"[2001:db8::9]x"}, want: "10.0.0.1", end: endGarbage, proxy: true},
		"unspecified":               {peer: peer, lines: []string{"0.0.0.0"}, want: "10.0.0.1", end: endGarbage, proxy: true},
		"multicast":                 {peer: peer, lines: []string{"224.0.0.1"}, want: "10.0.0.1", end: endGarbage, proxy: true},
		"IPv6 proxy":                {peer: "[2001:db8:ff::1]:80", lines: []string{"203.0.113.9"}, want: "203.0.113.9", end: endClient},
		"absurd chain":              {peer: peer, lines: []string{strings.Repeat("10.1.1.1, ", 2000) + "10.7.7.7"}, want: "10.1.1.1", end: endTooLong, proxy: true},

		"forwarded":                 {peer: peer, forwarded: true, lines: []string{"for=203.0.113.9;proto=https"}, want: "203.0.113.9", https: true, end: endClient},
		"forwarded, quoted":         {peer: peer, forwarded: true, lines: []string{`For="[2001:db8::9]:4711"; Proto=https;by=10.0.0.1`}, want: "2001:db8::9", https: true, end: endClient},
		"forwarded, the own scheme": {peer: peer, forwarded: true, lines: []string{"for=1.2.3.4;proto=http, for=203.0.113.9;proto=https, for=10.1.1.1;proto=http"}, want: "203.0.113.9", https: true, end: endClient},
		"forwarded, hidden":         {peer: peer, forwarded: true, lines: []string{"for=_gazonk"}, want: "10.0.0.1", end: endGarbage, proxy: true},
		"forwarded, nothing in it":  {peer: peer, forwarded: true, lines: []string{"proto=https"}, want: "10.0.0.1", end: endGarbage, proxy: true},
		"forwarded, open quote":     {peer: peer, forwarded: true, lines: []string{`for="1.2.3.4, for=203.0.113.9`}, want: "203.0.113.9", end: endClient},
		"forwarded, comma quoted":   {peer: peer, forwarded: true, lines: []string{`for=1.2.3.4, for=203.0.113.9;by="a,b"`}, want: "203.0.113.9", end: endClient},
	} {
		p, err := compilePolicy(Policy{Trusted: trusted})
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if p.trust.header = XForwardedFor; c.forwarded {
			p.trust.header = Forwarded
		}
		r.Header[string(p.trust.header)] = c.lines
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		if c.tls {
			r.TLS = new(tls.ConnectionState)
		}
		got := p.trust.clientOf(r)
		if got.addr.String() != c.want || got.https != c.https || got.end != c.end || got.proxy != c.proxy {
			t.Errorf("%s: %v https=%v %q proxy=%v; want %s https=%v %q proxy=%v", name, got.addr, got.https, got.end, got.proxy, c.want, c.https, c.end, c.proxy)
		}
	}
}

// TestOtherForwardHeader sends what a client wrote into the header that the proxy
// does not write.
func TestOtherForwardHeader(t *testing.T) {
	t.Parallel()
	tr := trust{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, header: XForwardedFor}
	r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{
		"X-Forwarded-For": {"203.0.113.9"}, "Forwarded": {"for=1.2.3.4"},
	}}
	if got := tr.clientOf(r).addr.String(); got != "203.0.113.9" {
		t.Errorf("client %s", got)
	}
}

// FuzzForwarded checks what must hold for any header: the address is one, plain,
// and what stands right of it was trusted.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"203.0.113.9", "1.2.3.4, 10.0.0.1", `for="[2001:db8::1]:1";proto=https`, `for="a,b`, ",,,", "[::1%eth0]", "::ffff:1.2.3.4", `for=;=;`, `""`, "for=\"1.2.3.4"} {
		f.Add(s, "10.0.0.1")
		f.Add(s, `for=203.0.113.9`)
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, header := range []ForwardHeader{XForwardedFor, Forwarded} {
			tr := trust{proxies: trusted, header: header}
			r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{string(header): {first, second}}}
			c := tr.clientOf(r)
			if !c.addr.IsValid() || c.addr.Is4In6() || c.addr.Zone() != "" || c.hops > maxHops {
				t.Fatalf("client %+v", c)
			}
			if tr.trusts(c.addr) != c.proxy {
				t.Fatalf("%v: proxy %v", c.addr, c.proxy)
			}
			// What a proxy appends wins over whatever a client wrote.
			r.Header[string(header)] = []string{first, second, "198.51.100.1"}
			if header == Forwarded {
				r.Header[string(header)][2] = "for=198.51.100.1"
			}
			if got := tr.clientOf(r).addr.String(); got != "198.51.100.1" {
				t.Fatalf("client %s", got)
			}
			r.Header[string(header)] = []string{first + "," + r.Header[string(header)][2]}
			if got := tr.clientOf(r).addr.String(); got != "198.51.100.1" {
				t.Fatalf("in one line: client %s", got)
			}
		}
	})
}

func BenchmarkClient(b *testing.B) {
	tr := trust{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, header: XForwardedFor}
	for name, lines := range map[string][]string{"direct": nil, "forwarded": {"203.0.113.9"}, "chain": {"203.0.113.9, 10.1.1.1"}} {
		r := &http.Request{RemoteAddr: "10.0.0.1:4711", Header: http.Header{"X-Forwarded-For": lines}}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tr.clientOf(r)
			}
		})
	}
}
