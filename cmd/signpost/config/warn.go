package config

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/acme"
)

// Warnings returns what the configuration allows, but its operator may not have meant.
func (s *Settings) Warnings() ([]string, error) {
	v, err := surveyOf(s.Fleet)
	if err != nil {
		return nil, err
	}
	return s.warnings(v), nil
}

func (s *Settings) warnings(v survey) []string {
	var all []string
	warn := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }

	for _, w := range s.unusedNodes() {
		warn("node %s is in no region's weights, so no listener is sent to it; add it to a row, or remove it", w)
	}
	for _, n := range s.Fleet.Nodes {
		full := max(n.Mbit.Limit, n.Mbit.Target)
		if needs := float64(n.Target*s.mostKbit()) / 1000; full > 0 && needs > full {
			warn("node %s: a target of %d listeners at %d kbit/s is %.0f Mbit/s, and its mbit says %.0f; lower the target, or raise mbit if its line allows", n.ID, n.Target, s.mostKbit(), needs, full)
		}
	}
	hasDefault := false
	for _, r := range v.regions {
		hasDefault = hasDefault || r.Match.Default
		if !r.reached {
			warn("region %s can never be reached: it matches nothing, and no region that is reached overflows into it", r.ID)
		}
	}
	if len(v.regions) > 0 && !hasDefault {
		warn("no region has `match: default`: listeners from elsewhere, and from unknown places, go to the nearest nodes of all")
	}
	if s.Proxy.MaxListeners == 0 {
		warn("proxy.max_listeners is 0: no stream is sent inline, so players that cannot follow a redirect, and listeners whose scheme no node has, are refused, or get a redirect that they cannot follow")
	}
	for _, r := range s.Fleet.Regions {
		needs := []struct {
			is   bool
			what string
		}{{len(r.Match.Subdivisions) > 0, "subdivisions need a city database"}, {len(r.Match.ASNs) > 0, "asns need an ASN database"}}
		for _, n := range needs {
			if n.is && len(s.Geo.Databases) == 0 {
				warn("region %s: %s, and the embedded one knows countries only; name one under geo.databases", r.ID, n.what)
			}
		}
	}
	return slices.Concat(all, s.refusedWarnings(v), s.sameURLWarnings(), s.forgeryWarnings(), s.schemeWarnings(v), s.dnsWarnings(), s.tlsWarnings(), s.acmeWarnings(), s.certificateWarnings(time.Now()), s.tokenWarnings(), s.ruleWarnings(), s.kindWarnings(), s.keepWarnings())
}

// kindWarnings says which nodes are not asked whether new segments of HLS or DASH come.
func (s *Settings) kindWarnings() (all []string) {
	for _, m := range s.Fleet.Mounts {
		if ext := strings.ToLower(path.Ext(m.Name)); ext != ".m3u8" && ext != ".mpd" {
			continue
		}
		var nodes []string
		for _, n := range s.Fleet.Nodes {
			if a := s.asking[n.ID]; a.kind == "http" && a.path == "" && a.expect == nil {
				nodes = append(nodes, string(n.ID))
			}
		}
		if len(nodes) > 0 {
			all = append(all, fmt.Sprintf("mount %s: its segments are not looked at where nodes are of kind: http (%s); with kind: hls they are, and a packager that has stopped is noticed", m.Name, strings.Join(nodes, ", ")))
		}
	}
	return all
}

// keepWarnings says that operators' changes end with the process.
func (s *Settings) keepWarnings() []string {
	if s.StateDir != "" || s.Store.Redis != nil {
		return nil
	}
	return []string{Forgets}
}

// Forgets is the warning that operators' changes are kept nowhere. A director that runs has it
// among what stands until it is mended.
const Forgets = "neither state_dir nor store.redis is set: what operators change while it runs (weights, drains, rules) is forgotten when the director stops; give it a state_dir, or serve --state-dir"

// ruleWarnings finds client rules that no player reaches, and names that stand twice.
func (s *Settings) ruleWarnings() (all []string) {
	names := map[string]int{}
	for i, r := range s.Policy.Rules {
		if first := names[r.Name]; first > 0 && r.Name != "" {
			all = append(all, fmt.Sprintf("rules %d and %d are both called %s; give each its own name, which explain and the log show", first, i+1, r.Name))
		} else {
			names[r.Name] = i + 1
		}
		for j, before := range s.Policy.Rules[:i] {
			if web.Shadows(before, r) {
				all = append(all, fmt.Sprintf("rule %s is never reached: rule %s before it holds for all of its players; put it before, or remove one", ruleName(r, i), ruleName(before, j)))
				break
			}
		}
	}
	return all
}

func ruleName(r web.Rule, i int) string { return cmp.Or(r.Name, fmt.Sprint("number ", i+1)) }

// refusedWarnings finds regions whose listeners are all refused although every node is
// up, except those that deny everything.
func (s *Settings) refusedWarnings(v survey) []string {
	if s.Fleet.OverflowURL != "" {
		return nil // they go there
	}
	if v.byDist != nil && v.byDist.Node == "" && len(s.Fleet.MayRegister) == 0 {
		return []string{"every node is drained, so all listeners get 503; let one take listeners, or give regions.overflow_url"}
	}
	var all []string
	for _, r := range v.regions {
		matched := r.explanation.Region == r.ID
		if !matched || r.explanation.Node != "" || s.awaited(r) || slices.Contains(deniedBy(s.Fleet.Regions, r.ID), "*") {
			continue
		}
		all = append(all, fmt.Sprintf("region %s: every node that may serve it is drained or has weight 0, so all its listeners get 503; let one take listeners, or let the region overflow into another", r.ID))
	}
	return all
}

// awaited reports whether nodes that have not registered yet may serve a region.
func (s *Settings) awaited(r regionSurvey) bool {
	if len(s.Fleet.MayRegister) == 0 {
		return false
	}
	rows := s.rows(r)
	return len(rows) == 0 || slices.ContainsFunc(rows, func(w director.Weight) bool {
		return !slices.ContainsFunc(s.Fleet.Nodes, func(n director.Node) bool { return n.ID == w.Node })
	})
}

// tlsWarnings says what TLS for old radios costs the others, and HSTS those at other ports.
func (s *Settings) tlsWarnings() (all []string) {
	if s.Policy.HSTS > 0 {
		for _, addr := range s.Listen.HTTP {
			if !strings.HasSuffix(addr, ":80") {
				all = append(all, fmt.Sprintf("listen.tls.hsts makes browsers speak https at every port of this host, and %s under listen.http speaks plain http: who has come by https once cannot open it any more; take hsts out, or that address", addr))
			}
		}
	}
	if t := s.Listen.TLS; len(s.Listen.HTTPS) > 0 && (t.Legacy || t.Minimum < tls.VersionTLS12) {
		all = append(all, "listen.tls allows what scanners for security find fault with, for old radios: whoever is on the way can read what these send and hear; take it out when they are gone")
	}
	return all
}

// acmeWarnings finds what may keep the certificate authority from this director, and
// others from its secret.
func (s *Settings) acmeWarnings() []string {
	a := s.Listen.ACME
	if a == nil {
		return nil
	}
	port, at, key := "80", s.Listen.HTTP, "listen.http"
	if a.Challenge == acme.TLSALPN01 {
		port, at, key = "443", s.Listen.HTTPS, "listen.https"
	}
	var all []string
	if a.Challenge != acme.DNS01 && !slices.ContainsFunc(at, func(addr string) bool { return strings.HasSuffix(addr, ":"+port) }) {
		all = append(all, fmt.Sprintf("the certificate authority asks at port %s of each name, and no address under %s has that port; there are no certificates unless something leads from there to one of them", port, key))
	}
	secret := s.document.Listen.ACME.SecretFile
	if secret == "" {
		return all
	}
	if info, err := os.Stat(s.document.path(secret)); err == nil && info.Mode().Perm()&0o006 != 0 {
		all = append(all, fmt.Sprintf("every user of this machine may read %s, which keeps the private keys secret; chmod o= it", s.document.path(secret)))
	}
	return all
}

// sameURLWarnings finds nodes that are the same server.
func (s *Settings) sameURLWarnings() []string {
	var all []string
	first := map[string]director.NodeID{}
	for _, n := range s.Fleet.Nodes {
		for _, u := range n.URLs {
			server := serverOf(u)
			if other, ok := first[server]; ok && other != n.ID {
				all = append(all, fmt.Sprintf("nodes %s and %s have the same URL %s, so this server's capacity counts twice; remove one", other, n.ID, u))
				continue
			}
			first[server] = n.ID
		}
	}
	return all
}

// serverOf returns a node's URL in a form that is equal for equal servers.
func serverOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return strings.ToLower(u.Scheme+"://"+u.Hostname()) + ":" + director.PortOf(u) + strings.TrimSuffix(u.Path, "/")
}

// forgeryWarnings finds trusted networks that contain every address.
func (s *Settings) forgeryWarnings() []string {
	var all []string
	for _, trusted := range []struct {
		key      string
		networks []netip.Prefix
	}{{"trusted_proxies", s.Policy.Trusted}, {"proxy_protocol", s.Listen.ProxyProtocol}} {
		for _, n := range trusted.networks {
			if n.Bits() == 0 {
				all = append(all, fmt.Sprintf("listen.%s has %s, so whoever connects may claim any address, and regions, denials and limits go by that; name the networks of your proxies", trusted.key, n))
			}
		}
	}
	return all
}

// unusedNodes returns the nodes in no row. A region without a row uses all nodes.
func (s *Settings) unusedNodes() []director.NodeID {
	var unused []director.NodeID
	for _, n := range s.Fleet.Nodes {
		used := len(s.Fleet.Regions) == 0
		for _, r := range s.Fleet.Regions {
			used = used || len(r.Row) == 0 ||
				slices.ContainsFunc(r.Row, func(w director.Weight) bool { return w.Node == n.ID })
		}
		if !used {
			unused = append(unused, n.ID)
		}
	}
	return unused
}

// schemeWarnings finds regions whose listeners may come by a scheme that none of their
// nodes has: each would be carried inline.
func (s *Settings) schemeWarnings(v survey) []string {
	var all []string
	if len(s.Fleet.Nodes) == 0 {
		return nil // all nodes register later
	}
	for scheme, why := range s.schemes() {
		if why == "" {
			continue
		}
		name := [...]string{"http", "https"}[scheme]
		if nodes := s.withScheme(name, nil); len(nodes) == 0 {
			all = append(all, fmt.Sprintf("no node has an %s URL, but listeners may come by it (%s): %s",
				name, why, s.mismatch(s.Fleet.Nodes)))
			continue
		}
		for _, r := range v.regions {
			ladder := s.ladder(r)
			if len(ladder) > 0 && len(s.withScheme(name, ladder)) == 0 {
				all = append(all, fmt.Sprintf("region %s: none of its nodes has an %s URL, but listeners may come by it (%s): %s",
					r.ID, name, why, s.mismatch(ladder)))
			}
		}
	}
	return all
}

// schemes returns the key that lets listeners come by http and by https; empty: none does.
func (s *Settings) schemes() [2]string {
	var why [2]string
	if len(s.Listen.HTTP) > 0 {
		why[0] = "listen.http"
	}
	if len(s.Listen.HTTPS) > 0 {
		why[1] = "listen.https"
	}
	for _, u := range s.Listen.PublicURLs {
		if strings.HasPrefix(u, "https:") {
			why[1] = "listen.public_urls"
		}
	}
	// Behind a proxy that terminates https, plain http here is not the listeners' scheme.
	if len(s.Listen.PublicURLs) > 0 && !slices.ContainsFunc(s.Listen.PublicURLs, func(u string) bool { return strings.HasPrefix(u, "http:") }) {
		why[0] = ""
	}
	return why
}

// withScheme returns those of nodes that have a URL of the scheme; nil: of all.
func (s *Settings) withScheme(scheme string, among []director.Node) []director.NodeID {
	if among == nil {
		among = s.Fleet.Nodes
	}
	var ids []director.NodeID
	for _, n := range among {
		if slices.ContainsFunc(n.URLs, func(u string) bool { return strings.HasPrefix(u, scheme+"://") }) {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// rows returns the row of a region, and those of its overflow regions; none: by distance.
func (s *Settings) rows(r regionSurvey) []director.Weight {
	var all []director.Weight
	for _, other := range s.Fleet.Regions {
		if other.ID == r.ID || slices.Contains(r.Overflow, other.ID) {
			all = append(all, other.Row...)
		}
	}
	return all
}

// ladder returns every node that may serve a region; none: by distance.
func (s *Settings) ladder(r regionSurvey) []director.Node {
	ids := map[director.NodeID]bool{}
	for _, w := range s.rows(r) {
		ids[w.Node] = true
	}
	var nodes []director.Node
	for _, n := range s.Fleet.Nodes {
		if ids[n.ID] {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// mismatch describes what happens to listeners whose scheme none of nodes has, and what
// carrying them takes at most: all targets, at the mounts' highest bitrate.
func (s *Settings) mismatch(nodes []director.Node) string {
	switch s.Policy.SchemeMismatch {
	case web.MismatchDeny:
		return "they are refused (rules.scheme_mismatch: deny)"
	case web.MismatchRedirect:
		return "they are redirected to the other scheme, which browsers refuse (rules.scheme_mismatch: redirect)"
	}
	kbit := 0
	for _, m := range s.Fleet.Mounts {
		kbit = max(kbit, m.Kbit)
	}
	if kbit == 0 {
		kbit = 128
	}
	targets := 0
	for _, n := range nodes {
		targets += n.Target
	}
	text := fmt.Sprintf("each gets the stream inline at %d kbit/s", kbit)
	if targets > 0 {
		text += fmt.Sprintf(", up to %.0f Mbit/s if all %d that the nodes should hold come by it", float64(targets)*float64(kbit)/1000, targets)
	}
	return fmt.Sprintf("%s, within proxy (%d listeners, %g Mbit/s); give the nodes such a URL", text, s.Proxy.MaxListeners, s.Proxy.MaxMbit)
}
