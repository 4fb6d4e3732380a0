package director

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ConfigError is one mistake in a [Config].
type ConfigError struct {
	Path []any  // where, as keys and indices: "regions", 2, "weights", "fra1"
	Msg  string // what is wrong, and the remedy
}

// Error returns the position and the mistake: "regions[2].weights.fra1: no such node".
func (e *ConfigError) Error() string { return formatPath(e.Path) + ": " + e.Msg }

func formatPath(path []any) string {
	var b strings.Builder
	for _, p := range path {
		switch p := p.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", p)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, p)
		}
	}
	return b.String()
}

// A Fleet is a checked [Config], ready to build snapshots from. It is immutable
// and safe for concurrent use.
type Fleet struct {
	tuning      Tuning
	overflowURL string
	nodes       []fleetNode
	index       map[NodeID]int
	mounts      []Mount        // declared ones
	names       map[string]int // name or alias -> mount
	regions     []region
	match       matcher
	near        *nearness
	at          map[netip.Addr]NodeID // nodes by address; empty: several have it
}

type fleetNode struct {
	Node
	hash       uint64
	http       string // base URLs without a trailing slash; empty: none
	https      string
	httpPort   uint16 // of its URLs; 0: it has none, or one with a path before the mount's
	httpsPort  uint16
	upstream   string // the base URL for directors, without a trailing slash
	ipv4, ipv6 bool   // from the declared addresses, or literal ones in its URLs; both false: not known
}

// A region's ladder begins with its own row, if it has one.
type region struct {
	id      RegionID
	matches bool    // it has listeners of its own
	ladder  []*rung // nil: by distance
	deny    map[string]bool
	denyAll bool
}

// A rung is a set of nodes that share the listeners who reach it.
type rung struct {
	name    string
	entries []entry
	given   bool // weights are given; else the share is by load
}

type entry struct {
	node   int
	weight float64 // 1 where none is given
}

// Compile checks a whole Config and converts it to a Fleet. The
// error joins one *[ConfigError] for each mistake found.
func Compile(c Config) (*Fleet, error) {
	k := compiler{
		cfg: c,
		fleet: &Fleet{
			tuning:      c.Tuning.withDefaults(),
			overflowURL: c.OverflowURL,
			index:       make(map[NodeID]int, len(c.Nodes)),
			names:       map[string]int{},
		},
	}
	k.tuning()
	k.mounts()
	k.nodes()
	k.regions()
	if err := errors.Join(k.errs...); err != nil {
		return nil, err
	}
	k.fleet.near = newNearness(k.fleet)
	return k.fleet, nil
}

type compiler struct {
	cfg   Config
	fleet *Fleet
	errs  []error
}

func (k *compiler) fail(msg string, path ...any) {
	k.errs = append(k.errs, &ConfigError{Path: path, Msg: msg})
}

func (t Tuning) withDefaults() Tuning {
	orDefault(&t.SpillAt, 0.85)
	orDefault(&t.WarmUp, time.Minute)
	orDefault(&t.WarmUpFloor, 0.1)
	orDefault(&t.NearFactor, 1.3)
	orDefault(&t.NearKm, 300)
	return t
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (k *compiler) tuning() {
	t := k.fleet.tuning
	if !(t.SpillAt > 0 && t.SpillAt < 1) {
		k.fail("must be above 0 and below 1", "tuning", "spill_at")
	}
	if !(t.WarmUpFloor > 0 && t.WarmUpFloor <= 1) {
		k.fail("must be above 0 and at most 1", "tuning", "warm_up_floor")
	}
	if !(t.NearFactor >= 1) || math.IsInf(t.NearFactor, 0) {
		k.fail("must be 1 or more", "tuning", "near_factor")
	}
	if !(t.NearKm >= 0) || math.IsInf(t.NearKm, 0) {
		k.fail("must be 0 or more kilometres", "tuning", "near_km")
	}
	if u := k.cfg.OverflowURL; u != "" {
		if _, err := ParseBase(strings.ReplaceAll(u, "{mount}", "/x")); err != nil {
			k.fail(err.Error(), "overflow_url")
		}
	}
}

func (k *compiler) mounts() {
	owner := map[string]string{}
	for i, m := range k.cfg.Mounts {
		for j, name := range append([]string{m.Name}, m.Aliases...) {
			path := []any{"mounts", i, "name"}
			if j > 0 {
				path = []any{"mounts", i, "aliases", j - 1}
			}
			if msg := checkMountName(name); msg != "" {
				k.fail(msg, path...)
				continue
			}
			if other, taken := owner[name]; taken {
				k.fail(fmt.Sprintf("%q already names the mount %s; names and aliases must differ", name, other), path...)
				continue
			}
			owner[name] = m.Name
			k.fleet.names[name] = i
		}
		if m.Kbit < 0 {
			k.fail("must be 0 or more kbit/s", "mounts", i, "kbit")
		}
		k.fleet.mounts = append(k.fleet.mounts, m)
	}
}

// checkMountName says what is wrong with a decoded mount path, or nothing.
func checkMountName(name string) string {
	switch {
	case !strings.HasPrefix(name, "/"):
		return fmt.Sprintf("%q does not begin with a slash; write %q", name, "/"+name)
	case len(name) < 2:
		return "\"/\" is not a mount"
	case len(name) > 1024:
		return "is longer than 1,024 bytes"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Sprintf("%q has a control character in it", name)
	}
	return ""
}

func (k *compiler) nodes() {
	for i, id := range k.cfg.MayRegister {
		if start := strings.TrimSuffix(id, "*"); id != "*" {
			if msg := checkID(start); msg != "" {
				k.fail(msg+`; write an id, or the beginning of ids with a star behind it, such as "edge-*"`, "may_register", i)
			}
		}
	}
	if len(k.cfg.Nodes) == 0 && len(k.cfg.MayRegister) == 0 {
		k.fail("no nodes; declare at least one, or there is nowhere to send listeners", "nodes")
	}
	for i, n := range k.cfg.Nodes {
		if msg := checkID(string(n.ID)); msg != "" {
			k.fail(msg, "nodes", i, "id")
		} else if first, dup := k.fleet.index[n.ID]; dup {
			k.fail(fmt.Sprintf("%q is already the id of node %d; ids must differ", n.ID, first+1), "nodes", i, "id")
		} else {
			k.fleet.index[n.ID] = i
		}
		fn := fleetNode{Node: n, hash: hashString(string(n.ID))}
		k.nodeURLs(&fn, i)
		k.nodeAddrs(&fn, i)
		k.upstream(&fn, i)
		k.nodeCapacity(n, i)
		for mount, path := range n.Paths {
			if msg := checkMountName(path); msg != "" {
				k.fail(msg, "nodes", i, "paths", mount)
			}
			if m, ok := k.fleet.names[mount]; len(k.fleet.mounts) > 0 && (!ok || k.fleet.mounts[m].Name != mount) {
				k.fail(fmt.Sprintf("no mount is named %q; declare it under mounts, or correct the name", mount), "nodes", i, "paths", mount)
			}
		}
		k.fleet.nodes = append(k.fleet.nodes, fn)
	}
	k.fleet.at = nodesAt(k.fleet.nodes)
}

// nodesAt maps the addresses that are declared, or literal in URLs, to nodes. An
// address that several nodes share maps to no node. Loopback addresses are left out, as
// they mean another machine on each host.
func nodesAt(nodes []fleetNode) map[netip.Addr]NodeID {
	at := map[netip.Addr]NodeID{}
	for i := range nodes {
		n := &nodes[i]
		addrs := slices.Clone(n.Addrs)
		for _, raw := range append([]string{n.InternalURL}, n.URLs...) {
			if u, err := url.Parse(raw); err == nil {
				if a, err := netip.ParseAddr(u.Hostname()); err == nil {
					addrs = append(addrs, a)
				}
			}
		}
		for _, a := range addrs {
			a = a.Unmap()
			switch other, taken := at[a]; {
			case a.IsLoopback():
			case taken && other != n.ID:
				at[a] = ""
			default:
				at[a] = n.ID
			}
		}
	}
	return at
}

// NodeAt returns the only node with this address; empty: several have it, or none is
// known to.
func (s *Snapshot) NodeAt(a netip.Addr) NodeID { return s.fleet.at[a.Unmap()] }

func (k *compiler) nodeURLs(n *fleetNode, i int) {
	if len(n.URLs) == 0 {
		k.fail("no URL; give one such as \"http://"+string(n.ID)+".example:8000\"", "nodes", i, "urls")
	}
	for j, raw := range n.URLs {
		u := k.base(raw, "nodes", i, "urls", j)
		if u == nil {
			continue
		}
		if mount := k.mountIn(u.Path); mount != "" {
			k.fail(fmt.Sprintf("%q ends in the stream's own path %s, which is added to it: listeners would be sent to %s%s; give %q, and where the stream has another path there, name that under paths",
				raw, mount, raw, mount, strings.TrimSuffix(raw, mount)), "nodes", i, "urls", j)
		}
		slot, port := &n.http, &n.httpPort
		if u.Scheme == "https" {
			slot, port = &n.https, &n.httpsPort
		}
		if *slot != "" {
			k.fail(fmt.Sprintf("a second %s URL; a node has one a scheme, declare another node for %q", u.Scheme, raw), "nodes", i, "urls", j)
		}
		*slot = strings.TrimRight(u.String(), "/")
		if strings.Trim(u.Path, "/") == "" {
			p, _ := strconv.ParseUint(PortOf(u), 10, 16) // 0 is no port either
			*port = uint16(p)
		}
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
			n.ipv4 = n.ipv4 || ip.Unmap().Is4()
			n.ipv6 = n.ipv6 || !ip.Unmap().Is4()
		}
	}
}

// nodeAddrs checks the declared addresses and takes the address families from them:
// they override those of the URLs.
func (k *compiler) nodeAddrs(n *fleetNode, i int) {
	if len(n.Addrs) == 0 {
		return
	}
	n.ipv4, n.ipv6 = false, false
	for j, a := range n.Addrs {
		switch {
		case !a.IsValid() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast():
			k.fail(fmt.Sprintf("%q is no address that listeners can come to", a), "nodes", i, "addresses", j)
		case slices.Contains(n.Addrs[:j], a):
			k.fail(fmt.Sprintf("%s stands here twice", a), "nodes", i, "addresses", j)
		}
		n.ipv4 = n.ipv4 || a.Unmap().Is4()
		n.ipv6 = n.ipv6 || !a.Unmap().Is4()
	}
}

// streamEndings are file name extensions that streams have, and base URLs do not.
var streamEndings = []string{".mp3", ".aac", ".aacp", ".ogg", ".oga", ".opus", ".flac", ".m3u", ".m3u8", ".pls", ".xspf"}

// mountIn returns the mount that the path of a node's URL ends in; empty: none. A path
// without one of streamEndings is not taken for a mount: it may be a folder.
func (k *compiler) mountIn(path string) string {
	last := path[strings.LastIndexByte(path, '/')+1:]
	if dot := strings.LastIndexByte(last, '.'); dot <= 0 || !slices.Contains(streamEndings, strings.ToLower(last[dot:])) {
		return ""
	}
	for _, m := range k.cfg.Mounts {
		if strings.HasPrefix(m.Name, "/") && strings.HasSuffix(path, m.Name) {
			return m.Name
		}
	}
	return "/" + last
}

// upstream sets the base URL at which directors reach the node.
func (k *compiler) upstream(n *fleetNode, i int) {
	n.upstream = cmp.Or(n.http, n.https) // http is less work
	if n.InternalURL == "" {
		return
	}
	if u := k.base(n.InternalURL, "nodes", i, "internal_url"); u != nil {
		if mount := k.mountIn(u.Path); mount != "" {
			k.fail(fmt.Sprintf("%q ends in the stream's own path %s, which is added to it; give %q", n.InternalURL, mount, strings.TrimSuffix(n.InternalURL, mount)), "nodes", i, "internal_url")
		}
		n.upstream = strings.TrimRight(u.String(), "/")
	}
}

// base parses a base URL of a node and reports its mistakes; nil: it cannot be parsed.
func (k *compiler) base(raw string, place ...any) *url.URL {
	u, err := ParseBase(raw)
	if err != nil {
		k.fail(err.Error(), place...)
		return nil
	}
	if slices.ContainsFunc(k.cfg.Self, func(self string) bool { return strings.EqualFold(hostPort(u), self) }) {
		k.fail(fmt.Sprintf("%q points back at a director: listeners would be sent round in circles; give the streaming server's own address", raw), place...)
	}
	return u
}

func (k *compiler) nodeCapacity(n Node, i int) {
	notBelowZero := func(v float64, key ...any) {
		if !(v >= 0) || math.IsInf(v, 0) {
			k.fail("must be 0 or more", append([]any{"nodes", i}, key...)...)
		}
	}
	notBelowZero(float64(n.Target), "target")
	notBelowZero(float64(n.Limit), "limit")
	notBelowZero(float64(n.MaxNewPerS), "max_new_per_s")
	if n.Pace != "" && n.Pace != PacePrefer && n.Pace != PaceHold {
		k.fail(fmt.Sprintf("%q: use prefer or hold", n.Pace), "nodes", i, "pace")
	}
	notBelowZero(float64(n.Relays), "relays")
	notBelowZero(n.Mbit.Target, "mbit", "target")
	notBelowZero(n.Mbit.Limit, "mbit", "limit")
	if n.Limit > 0 && n.Limit < n.Target {
		k.fail(fmt.Sprintf("the limit %d is below the target %d; a node should hold fewer than it may", n.Limit, n.Target), "nodes", i, "limit")
	}
	if n.Mbit.Limit > 0 && n.Mbit.Limit < n.Mbit.Target {
		k.fail(fmt.Sprintf("the limit %g is below the target %g; a node should send less than it may", n.Mbit.Limit, n.Mbit.Target), "nodes", i, "mbit", "limit")
	}
	if p := n.Place; p.Point != NoPoint && (!(p.Lat >= -90 && p.Lat <= 90) || !(p.Lon >= -180 && p.Lon <= 180)) {
		k.fail("latitude must be within -90..90 and longitude within -180..180 degrees", "nodes", i, "place")
	}
}

func checkID(id string) string {
	switch {
	case id == "":
		return "is missing"
	case len(id) > 64:
		return "is longer than 64 characters"
	}
	for _, r := range id {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)) {
			return fmt.Sprintf("%q has %q in it; use letters, digits, '-', '_' and '.'", id, r)
		}
	}
	return ""
}
