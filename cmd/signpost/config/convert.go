package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/web/idn"
)

// fleet converts nodes, mounts and regions.
func (c *converter) fleet() director.Config {
	out := director.Config{
		OverflowURL: c.Regions.OverflowURL,
		Self:        c.Listen.self(),
		MayRegister: c.Store.Registered.IDs,
		Tuning: director.Tuning{
			SpillAt:     c.Regions.SpillAt,
			WarmUp:      noneBelowZero(c.Regions.WarmUp),
			WarmUpFloor: c.Regions.WarmUpFloor,
			NearFactor:  c.Regions.NearFactor,
			NearKm:      c.Regions.NearKm,
		},
	}
	for _, m := range c.Mounts {
		out.Mounts = append(out.Mounts, director.Mount(m))
	}
	for i, n := range c.Nodes {
		out.Nodes = append(out.Nodes, n.node(c.place(n.Place, "nodes", i, "place")))
	}
	for i, r := range c.Regions.List {
		out.Regions = append(out.Regions, r.region())
		c.countries(r.Match, i)
	}
	return out
}

// asciiURLs replaces the host names in URLs by their ASCII form in DNS. One that has none
// stays, and is refused with its URL.
func (c *converter) asciiURLs() {
	ascii := func(raw *string) {
		if out, err := idn.URL(*raw); err == nil {
			*raw = out
		}
	}
	for i := range c.Listen.PublicURLs {
		ascii(&c.Listen.PublicURLs[i])
	}
	for i := range c.Nodes {
		for j := range c.Nodes[i].URLs {
			ascii(&c.Nodes[i].URLs[j])
		}
		ascii(&c.Nodes[i].InternalURL)
	}
	ascii(&c.Regions.OverflowURL)
}

// countries refuses codes that no country has: such a region would match nobody, and
// what it denies would be open to all. Package director refuses what is not a code.
func (c *converter) countries(m matchEntry, region int) {
	check := func(country, key string, j int) {
		code, err := director.ParseCode(country)
		if err == nil && !isCountry(code) {
			c.fail(noCountry(code), "regions", region, "match", key, j)
		}
	}
	for j, s := range m.Countries {
		check(s, "countries", j)
	}
	for j, s := range m.Subdivisions {
		country, _, _ := strings.Cut(s, "-")
		check(country, "subdivisions", j)
	}
}

func isCountry(code director.Code) bool {
	_, _, ok := geo.Centroid(code)
	return ok
}

// reserved are codes that are often mistaken for a country's: ISO 3166-1 only reserves
// them, for the United Kingdom, and for Greece in the European Union.
var reserved = map[director.Code]string{{'U', 'K'}: "GB", {'E', 'L'}: "GR"}

// noCountry is the mistake in a code that no country has.
func noCountry(code director.Code) string {
	if meant, ok := reserved[code]; ok {
		return fmt.Sprintf("no country has the code %q; did you mean %q?", code, meant)
	}
	return fmt.Sprintf("no country has the code %q; write one of ISO 3166-1, such as DE", code)
}

// noneBelowZero writes "none" as package director does, where zero is the default.
func noneBelowZero(t time.Duration) time.Duration {
	if t == 0 {
		return -1
	}
	return t
}

func (n *nodeEntry) node(place director.Place) director.Node {
	return director.Node{
		ID:          director.NodeID(n.ID),
		URLs:        n.URLs,
		InternalURL: n.InternalURL,
		Addrs:       addrs(n.Addresses),
		Site:        n.Site,
		Place:       place,
		Target:      n.Target,
		Limit:       n.Limit,
		Mbit:        director.Mbit(n.Mbit),
		MaxNewPerS:  n.MaxNewPerS,
		Pace:        n.Pace,
		Relays:      n.Relays,
		Drained:     n.Drained,
		Paths:       n.Paths,
	}
}

func (r *regionEntry) region() director.Region {
	out := director.Region{
		ID:   director.RegionID(r.ID),
		Deny: r.Deny,
		Match: director.Match{
			Subdivisions: r.Match.Subdivisions,
			Countries:    r.Match.Countries,
			Continents:   r.Match.Continents,
			Default:      r.Match.Default,
		},
	}
	for _, c := range r.Match.CIDRs {
		out.Match.CIDRs = append(out.Match.CIDRs, c.Prefix)
	}
	for _, a := range r.Match.ASNs {
		out.Match.ASNs = append(out.Match.ASNs, uint32(a))
	}
	for _, w := range r.Weights {
		out.Row = append(out.Row, director.Weight{Node: director.NodeID(w.node), Weight: w.weight, Given: w.given})
	}
	for _, o := range r.Overflow {
		out.Overflow = append(out.Overflow, director.RegionID(o))
	}
	return out
}

// place makes a Place. A country alone is placed at its centroid, and coordinates get the
// country that they are in.
func (p placeValue) place() (director.Place, error) {
	var out director.Place
	if p.Country != "" {
		code, err := director.ParseCode(p.Country)
		if err != nil {
			return out, fmt.Errorf("%w; write a country such as DE, or degrees such as 50.1,8.7", err)
		}
		if !isCountry(code) {
			return out, errors.New(noCountry(code))
		}
		out.Country = code
	}
	if p.point {
		if !(p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180) {
			return out, fmt.Errorf("%g,%g is not on Earth; latitude is within -90..90 and longitude within -180..180", p.Lat, p.Lon)
		}
		out.Lat, out.Lon, out.Point = float32(p.Lat), float32(p.Lon), director.CityPoint
	}
	return geo.Complete(out), nil
}

// self returns the host:port pairs at which directors answer: the public URLs, and the
// listen addresses, with all addresses and names of this machine for a wildcard.
func (s *listenSection) self() []string {
	var out []string
	for _, raw := range s.PublicURLs {
		if u, err := url.Parse(raw); err == nil && u.Host != "" {
			out = append(out, u.Hostname()+":"+director.PortOf(u))
		}
	}
	for _, addr := range slices.Concat(s.HTTP, s.HTTPS) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || port == "0" {
			continue
		}
		hosts := []string{host}
		if host == "" || host == "0.0.0.0" || host == "::" {
			hosts = thisMachine()
		}
		for _, h := range hosts {
			out = append(out, h+":"+port)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// thisMachine returns the names and addresses of this machine.
func thisMachine() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return hosts // fewer loops are recognised then
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			hosts = append(hosts, n.IP.String())
		}
	}
	return hosts
}
