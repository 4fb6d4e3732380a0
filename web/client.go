package web

import (
	"cmp"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// ForwardHeader is the header in which trusted proxies tell the client's address. Only one
// header is read: a proxy that writes one of the two passes on what the client put into the
// other.
type ForwardHeader string

// The headers in which proxies tell the client's address.
const (
	XForwardedFor ForwardHeader = "X-Forwarded-For" // and X-Forwarded-Proto, -Host and -Port
	Forwarded     ForwardHeader = "Forwarded"       // RFC 7239
)

// maxHops bounds the walk through a chain of proxies.
const maxHops = 32

// trust says which proxies are trusted to tell the client's address, and in which header.
type trust struct {
	proxies []netip.Prefix
	header  ForwardHeader
}

// client is who sent a request.
type client struct {
	addr  netip.Addr // of the listener; invalid: unknown
	peer  netip.Addr // of the connection
	https bool       // the listener uses HTTPS, to this server or to a trusted proxy
	proxy bool       // addr is a trusted proxy's own address: it asks for itself
	hops  int        // entries of the header that were read
	end   walkEnd
	// unmapped says that addr stood in an IPv6 address. Whether a proxy is trusted is
	// decided before that, by the address that it has.
	unmapped bool
}

// unmap makes the address that a client is known by from the one that was found.
func (s *Server) unmap(c *client) {
	if s.cfg.Unmap == nil || !c.addr.Is6() {
		return
	}
	addr, before := s.cfg.Unmap(c.addr)
	c.addr, c.unmapped = addr, before >= 0
}

// walkEnd says why the walk through the header ended at addr.
type walkEnd uint8

const (
	endDirect  walkEnd = iota // the peer is no trusted proxy
	endClient                 // the right-most entry that is not a trusted proxy's
	endTrusted                // every entry was a trusted proxy's
	endGarbage                // the next entry to the left is no address
	endTooLong                // the chain has more than maxHops entries
)

var walkEndNames = [...]string{
	endDirect:  "the connection's own address: it is not from a trusted proxy",
	endClient:  "the right-most forwarded address that is not a trusted proxy's",
	endTrusted: "a trusted proxy's own: none of them forwarded anybody else's address",
	endGarbage: "the last good forwarded address: what stands left of it is not an address",
	endTooLong: "the last of 32 forwarded addresses: the chain is longer than that",
}

func (e walkEnd) String() string { return walkEndNames[e] }

// clientOf finds out who sent a request. For good input, it allocates nothing.
func (t *trust) clientOf(r *http.Request) client {
	c := client{https: r.TLS != nil || tlsByProxy(r.Context())}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.peer = plain(ap.Addr())
	}
	c.addr = c.peer
	if !t.trusts(c.peer) {
		return c
	}
	c.end, c.proxy = endTrusted, true
	lines := r.Header[string(t.header)]
	var proto string
	if t.header == Forwarded {
		proto = t.walk(&c, lines, forwardedHop)
	} else {
		t.walk(&c, lines, plainHop)
		proto = firstValue(r.Header["X-Forwarded-Proto"])
	}
	switch {
	case strings.EqualFold(proto, "https"):
		c.https = true
	case strings.EqualFold(proto, "http"):
		c.https = false
	}
	return c
}

// host is the director's host as the listener knows it: from the Host header, or from what
// a trusted proxy tells instead. It is the listener's own claim, and must only be used in
// what this listener gets.
func (q *request) host() string {
	if q.client.end == endDirect {
		return q.r.Host
	}
	h := q.r.Header
	if q.policy.trust.header == Forwarded {
		return cmp.Or(forwardedHost(h["Forwarded"]), q.r.Host)
	}
	host := cmp.Or(firstValue(h["X-Forwarded-Host"]), q.r.Host)
	told := firstValue(h["X-Forwarded-Port"])
	if told == "" {
		return host
	}
	port, err := strconv.ParseUint(told, 10, 16)
	if err != nil || port == 0 {
		return host
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	if q.client.https && port == 443 || !q.client.https && port == 80 {
		return host
	}
	return host + ":" + strconv.FormatUint(port, 10)
}

// forwardedHost returns the host by which the listener addressed the outermost proxy.
func forwardedHost(lines []string) (host string) {
	if len(lines) == 0 {
		return ""
	}
	for rest, more := lines[0], true; more; { // elements come from the right: the first one last
		var element string
		rest, element, more = cutLast(rest)
		host = ""
		for element != "" {
			var pair string
			pair, element, _ = strings.Cut(element, ";")
			if name, value, _ := strings.Cut(trimSpace(pair), "="); strings.EqualFold(name, "host") {
				host = unquote(value)
			}
		}
	}
	return host
}

// firstValue returns the first entry of a list, which the outermost proxy wrote: the one to
// which the listener is connected. It affects only the listener's own answer, so a forged
// entry does no harm.
func firstValue(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	first, _, _ := strings.Cut(lines[0], ",")
	return strings.TrimSpace(first)
}

// walk reads the entries from the right, past those of trusted proxies, and returns the
// scheme of the entry at which it ended.
func (t *trust) walk(c *client, lines []string, parse func(string) (netip.Addr, string, bool)) (proto string) {
	for i := len(lines) - 1; i >= 0; i-- {
		rest, more := lines[i], true
		for more {
			var entry string
			rest, entry, more = cutLast(rest)
			if entry == "" {
				continue // empty entries of a list are ignored (RFC 9110, 5.6.1)
			}
			if c.hops == maxHops {
				c.end = endTooLong
				return proto
			}
			c.hops++
			addr, scheme, ok := parse(entry)
			if !ok {
				c.end = endGarbage
				return proto
			}
			c.addr, proto = addr, scheme
			if !t.trusts(addr) {
				c.end, c.proxy = endClient, false
				return proto
			}
		}
	}
	return proto
}

// cutLast splits off the last entry of a comma-separated list. Commas in quoted strings do
// not separate. Quotes are matched from the right, so that a client's own entries on the
// left cannot swallow those that a proxy appended.
func cutLast(s string) (rest, entry string, more bool) {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return s[:i], trimSpace(s[i+1:]), true
		}
	}
	return "", trimSpace(s), false
}

func trimSpace(s string) string { return strings.Trim(s, " \t") }

func (t *trust) trusts(a netip.Addr) bool {
	for _, p := range t.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// plainHop reads an entry of X-Forwarded-For.
func plainHop(s string) (netip.Addr, string, bool) {
	a, ok := hopAddr(s)
	return a, "", ok
}

// forwardedHop reads an element of Forwarded: for="[2001:db8::1]:4711";proto=https.
func forwardedHop(s string) (addr netip.Addr, proto string, ok bool) {
	for s != "" {
		var pair string
		pair, s, _ = strings.Cut(s, ";")
		name, value, _ := strings.Cut(trimSpace(pair), "=")
		value = unquote(value)
		switch {
		case strings.EqualFold(name, "for"):
			addr, ok = hopAddr(value)
		case strings.EqualFold(name, "proto"):
			proto = value
		}
	}
	return addr, proto, ok
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// hopAddr reads an address with or without a port. Proxies write 192.0.2.1, 192.0.2.1:4711,
// 2001:db8::1 and [2001:db8::1]:4711.
func hopAddr(s string) (netip.Addr, bool) {
	if strings.HasPrefix(s, "[") {
		var tail string
		var found bool
		s, tail, found = strings.Cut(s[1:], "]")
		if !found || tail != "" && tail[0] != ':' {
			return netip.Addr{}, false
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i+1:], ':') < 0 {
		s = s[:i]
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}, false
	}
	return plain(a), true
}

// plain normalises an address: IPv4-mapped IPv6 becomes IPv4, and the zone is dropped.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
