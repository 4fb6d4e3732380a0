package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/spelling"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/dns"
)

// DNS is what is answered in DNS. Without Listen it is nothing.
type DNS struct {
	Listen     []string // addresses, host:port
	Policy     dns.Policy
	Addrs      []netip.Addr // where listeners reach this director; none: nobody knows
	LogQueries bool
}

// UnmarshalText reads an address.
func (a *addrValue) UnmarshalText(text []byte) error {
	addr, err := netip.ParseAddr(string(text))
	if err != nil {
		return fmt.Errorf("%q is no address; write one such as 192.0.2.1 or 2001:db8::1", text)
	}
	a.Addr = addr
	return nil
}

// UnmarshalText reads a preference and a host.
func (m *mxValue) UnmarshalText(text []byte) error {
	preference, host, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	n, err := strconv.ParseUint(preference, 10, 16)
	if host = strings.TrimSpace(host); !ok || err != nil || host == "" {
		return fmt.Errorf("%q is no mail exchanger; write a preference and a host, such as 10 mail.radio.example", text)
	}
	*m = mxValue{uint16(n), host}
	return nil
}

// UnmarshalText reads flags, a tag and a value in quotes or without.
func (c *caaValue) UnmarshalText(text []byte) error {
	fields := strings.SplitN(strings.Join(strings.Fields(string(text)), " "), " ", 3)
	if len(fields) != 3 || fields[0] != "0" && fields[0] != "128" {
		return fmt.Errorf("%q is no CAA record; write 0 (or 128, critical), a tag and a value, such as 0 issue \"letsencrypt.org\"", text)
	}
	*c = caaValue{fields[0] == "128", fields[1], strings.Trim(fields[2], `"`)}
	return nil
}

func addrs(all []addrValue) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		out = append(out, a.Addr)
	}
	return out
}

// dns converts the section, and checks it.
func (c *converter) dns(fleet director.Config) DNS {
	d := &c.DNS
	given := d.Zone != "" || len(d.NS) > 0 || len(d.Names) > 0 || len(d.Records) > 0
	if len(d.Listen) == 0 && !given {
		return DNS{Addrs: c.ownAddrs()} // others may answer for it
	}
	out := DNS{Listen: d.Listen, Addrs: c.ownAddrs(), LogQueries: d.LogQueries, Policy: dns.Policy{
		PerNetwork: d.PerNetwork, Slip: d.Slip, MaxTCP: d.MaxTCP,
		Zone: dns.Zone{
			Name: d.Zone, TTL: d.TTL, RecordTTL: d.RecordTTL,
			SOA: dns.SOA{
				Primary: d.SOA.Primary, Contact: d.SOA.Contact,
				Refresh: d.SOA.Refresh, Retry: d.SOA.Retry, Expire: d.SOA.Expire, Negative: d.SOA.Negative,
			},
		},
	}}
	if len(d.Listen) == 0 {
		c.fail(`no address to answer at; write one such as ":53"`, "dns", "listen")
	}
	for i, addr := range d.Listen {
		if _, port, err := net.SplitHostPort(addr); err != nil {
			c.fail(fmt.Sprintf("%q is not host:port; write one such as \":53\" or \"192.0.2.53:53\"", addr), "dns", "listen", i)
		} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			c.fail(fmt.Sprintf("%q is no port; resolvers ask at 53", port), "dns", "listen", i)
		}
	}
	z := &out.Policy.Zone
	for _, ns := range d.NS {
		z.NS = append(z.NS, dns.NameServer{Name: ns.Name, Addrs: addrs(ns.Addresses)})
	}
	for _, name := range slices.Sorted(maps.Keys(d.Names)) {
		z.Names = append(z.Names, c.dnsName(name, d.Names[name], fleet))
	}
	for _, name := range slices.Sorted(maps.Keys(d.Records)) {
		z.Records = append(z.Records, c.fixedRecords(name, d.Records[name]))
	}
	err := dns.CheckPolicy(out.Policy)
	if err == nil {
		return out
	}
	for _, err := range flatten(err) {
		var at *director.ConfigError
		if errors.As(err, &at) {
			err = &director.ConfigError{Path: append([]any{"dns"}, at.Path...), Msg: at.Msg}
		}
		c.errs = append(c.errs, err)
	}
	return out
}

func (c *converter) dnsName(name string, n nameEntry, fleet director.Config) dns.Name {
	out := dns.Name{Name: name, Directors: n.directors, Mount: n.Mount, Count: n.Count, Port: uint16(n.Port), TTL: -1, HTTPS: n.HTTPSRecord}
	if n.ownTTL {
		out.TTL = c.ownTTL(n.TTL, "dns", "names", name, "ttl")
	}
	if n.directors {
		if len(c.ownAddrs()) == 0 {
			c.fail("nobody could tell at which address listeners reach this director; give dns.addresses", "dns", "names", name)
		}
		return out
	}
	switch n.Scheme {
	case "http":
		out.Scheme = director.HTTP
	case "https":
		out.Scheme = director.HTTPS
	default:
		c.fail(fmt.Sprintf("%q: use http or https", n.Scheme), "dns", "names", name, "scheme")
		return out
	}
	if n.Port < 0 || n.Port > 65535 {
		c.fail(fmt.Sprintf("%d is no port", n.Port), "dns", "names", name, "port")
	}
	if n.Port == 0 {
		out.Port = c.commonPort(name, n.Scheme, fleet)
	}
	c.dnsMount(name, n.Mount, fleet)
	return out
}

// dnsMount refuses a mount that is not declared where others are.
func (c *converter) dnsMount(name, mount string, fleet director.Config) {
	if mount == "" || len(fleet.Mounts) == 0 {
		return
	}
	var names []string
	for _, m := range fleet.Mounts {
		if m.Name == mount || slices.Contains(m.Aliases, mount) {
			return
		}
		names = append(names, m.Name)
	}
	c.fail(fmt.Sprintf("no mount is named %q%s", mount, spelling.Hint(mount, names)), "dns", "names", name, "mount")
}

// commonPort is the port of all nodes' URLs of a scheme.
func (c *converter) commonPort(name, scheme string, fleet director.Config) uint16 {
	var ports []string
	for _, n := range fleet.Nodes {
		for _, raw := range n.URLs {
			if u, err := url.Parse(raw); err == nil && u.Scheme == scheme && !slices.Contains(ports, director.PortOf(u)) {
				ports = append(ports, director.PortOf(u))
			}
		}
	}
	if len(ports) != 1 {
		what := "no node is declared with an " + scheme + " URL"
		if len(ports) > 1 {
			what = "the nodes' " + scheme + " URLs have the ports " + strings.Join(ports, ", ")
		}
		c.fail(what+", and DNS tells players none; give the port at which they come", "dns", "names", name, "port")
		return 1 // so that it is said once
	}
	port, _ := strconv.ParseUint(ports[0], 10, 16) // package director refuses what is none
	return uint16(port)
}

// ownTTL refuses what to package dns means that there is none.
func (c *converter) ownTTL(ttl time.Duration, path ...any) time.Duration {
	if ttl < 0 {
		c.fail(fmt.Sprintf("%v is below 0; write 0s or more", ttl), path...)
	}
	return max(ttl, 0)
}

func (c *converter) fixedRecords(name string, r recordEntry) dns.Fixed {
	out := dns.Fixed{Name: name, TTL: -1, A: addrs(r.A), AAAA: addrs(r.AAAA), CNAME: r.CNAME, TXT: r.TXT}
	if r.ownTTL {
		out.TTL = c.ownTTL(r.TTL, "dns", "records", name, "ttl")
	}
	for _, m := range r.MX {
		out.MX = append(out.MX, dns.MX{Preference: m.preference, Host: m.host})
	}
	for _, a := range r.CAA {
		out.CAA = append(out.CAA, dns.CAA{Critical: a.critical, Tag: a.tag, Value: a.value})
	}
	return out
}

// ownAddrs is where listeners reach this director: as declared, or what stands in the
// public URLs, or where it listens.
func (c *converter) ownAddrs() []netip.Addr {
	if len(c.DNS.Addresses) > 0 {
		return addrs(c.DNS.Addresses)
	}
	var out []netip.Addr
	add := func(host string) {
		if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for _, raw := range c.Listen.PublicURLs {
		if u, err := url.Parse(raw); err == nil {
			add(u.Hostname())
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, addr := range slices.Concat(c.Listen.HTTP, c.Listen.HTTPS) {
		if host, _, err := net.SplitHostPort(addr); err == nil {
			add(host)
		}
	}
	return out
}

// dnsWarnings says what DNS cannot do of what is configured.
func (s *Settings) dnsWarnings() []string {
	if len(s.DNS.Listen) == 0 {
		return nil
	}
	var all []string
	warn := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	z := &s.DNS.Policy.Zone
	if len(z.NS) == 1 {
		warn("dns.ns has one name server: while that cannot be reached, none of the zone's names can; run a second director, and name it")
	}
	if at := oneAddress(z.NS); len(z.NS) > 1 && at.IsValid() {
		warn("dns.ns: all name servers are at %v: while that cannot be reached, none of the zone's names can; run a second director, and give its address", at)
	}
	for _, ns := range z.NS {
		if len(ns.Addrs) == 0 && inZone(ns.Name, z.Name) && !slices.ContainsFunc(z.Records, func(r dns.Fixed) bool { return sameName(r.Name, ns.Name) }) {
			warn("dns.ns: %s lies in the zone and has no addresses, so that nobody finds it; give them here, and as glue in the zone above", ns.Name)
		}
	}
	// How long a listener may be led to a node that is known to be dead.
	detection := s.Probe.Detection()
	for _, n := range z.Names {
		ttl := n.TTL
		if ttl < 0 {
			ttl = z.TTL
		}
		if longest := max(time.Minute, 10*detection); ttl > longest && !n.Directors {
			warn("dns.names: %s has a TTL of %v, but a node that dies is known to be dead after some %v: resolvers go on with it for up to the TTL; 20s to %v is reasonable", n.Name, ttl, detection, longest)
		}
		if !n.Directors {
			all = append(all, s.dnsNameWarnings(n)...)
		}
	}
	return all
}

// oneAddress is the only address that all name servers have; not valid: there are more, or
// those of one are not known.
func oneAddress(all []dns.NameServer) (at netip.Addr) {
	for _, ns := range all {
		for _, a := range ns.Addrs {
			if at.IsValid() && at != a {
				return netip.Addr{}
			}
			at = a
		}
		if len(ns.Addrs) == 0 {
			return netip.Addr{}
		}
	}
	return at
}

// dnsNameWarnings finds the nodes that no answer for a name can lead to.
func (s *Settings) dnsNameWarnings(n dns.Name) []string {
	var all []string
	scheme := map[director.Scheme]string{director.HTTP: "http", director.HTTPS: "https"}[n.Scheme]
	var otherScheme, elsewhere, with6, without6 []string
	for _, node := range s.Fleet.Nodes {
		at := slices.IndexFunc(node.URLs, func(u string) bool { return strings.HasPrefix(u, scheme+"://") })
		if at < 0 {
			otherScheme = append(otherScheme, string(node.ID))
			continue
		}
		u, err := url.Parse(node.URLs[at])
		if err != nil {
			continue
		}
		path, moved := node.Paths[n.Mount]
		if director.PortOf(u) != strconv.Itoa(int(n.Port)) || strings.Trim(u.Path, "/") != "" || moved && path != n.Mount {
			elsewhere = append(elsewhere, string(node.ID))
			continue
		}
		switch v4, v6 := families(node, u.Hostname()); {
		case v6:
			with6 = append(with6, string(node.ID))
		case v4:
			without6 = append(without6, string(node.ID))
		}
	}
	what := cmp.Or(n.Mount, "the fleet's mounts")
	if len(otherScheme) > 0 {
		all = append(all, fmt.Sprintf("dns.names: %s is for %s, which %s does not speak: no answer leads there, for DNS cannot tell players another scheme", n.Name, scheme, strings.Join(otherScheme, ", ")))
	}
	if len(elsewhere) > 0 {
		all = append(all, fmt.Sprintf("dns.names: %s is for %s at port %d, but %s has another port or path: no answer leads there, for DNS cannot tell players; serve everything at one port and path", n.Name, what, n.Port, strings.Join(elsewhere, ", ")))
	}
	if len(with6) > 0 && len(without6) > 0 {
		all = append(all, fmt.Sprintf("dns.names: of the nodes for %s, %s has an IPv6 address and %s has none: listeners who have IPv6 all come to the former, whatever the weights; give all of them one, or none", n.Name, strings.Join(with6, ", "), strings.Join(without6, ", ")))
	}
	return all
}

// families says of which a node's addresses are, as far as the file tells.
func families(n director.Node, host string) (v4, v6 bool) {
	all := n.Addrs
	if a, err := netip.ParseAddr(host); err == nil && len(all) == 0 {
		all = []netip.Addr{a}
	}
	for _, a := range all {
		v4 = v4 || a.Unmap().Is4()
		v6 = v6 || !a.Unmap().Is4()
	}
	return v4, v6
}

func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

func inZone(name, zone string) bool {
	name, zone = strings.ToLower(strings.TrimSuffix(name, ".")), strings.ToLower(strings.TrimSuffix(zone, "."))
	return name == zone || strings.HasSuffix(name, "."+zone)
}
