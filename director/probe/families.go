package probe

import (
	"context"
	"net/netip"
	"net/url"
	"time"
)

// Hosts rarely gain or lose an address family. A lookup that found nothing is repeated
// sooner, but not with every probe: it may use up a probe's whole time.
const (
	lookupEvery = 10 * time.Minute
	lookupAgain = time.Minute
)

// families are the address families in which a host can be reached. The zero value
// means unknown.
type families struct{ v4, v6 bool }

// lookup finds a host's addresses, as net.Resolver.LookupNetIP does.
type lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// hearFamilies records what a lookup found. If it found nothing, the earlier result
// stays.
func (s *state) hearFamilies(found families, now time.Time) {
	if found == (families{}) {
		s.lookupDue = now.Add(lookupAgain)
		return
	}
	s.lookupDue = now.Add(lookupEvery)
	s.report.IPv4, s.report.IPv6 = found.v4, found.v6
}

// families returns the families that the hosts of all URLs have in common, or zero if
// a host cannot be resolved.
func (l lookup) families(ctx context.Context, urls []string) families {
	var all families
	for i, u := range urls {
		f := l.family(ctx, hostOf(u))
		if i == 0 {
			all = f
		}
		all.v4, all.v6 = all.v4 && f.v4, all.v6 && f.v6
	}
	return all
}

func (l lookup) family(ctx context.Context, host string) (f families) {
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else if addrs, err = l(ctx, "ip", host); err != nil {
		return families{}
	}
	for _, a := range addrs {
		if a.Unmap().Is4() {
			f.v4 = true
		} else {
			f.v6 = true
		}
	}
	return f
}

// hostOf returns the host of a node's URL without port and brackets.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
