package director

import "net/netip"

// Listener is what a decision needs to know of one request for a mount.
type Listener struct {
	Addr   netip.Addr // for CIDR matches and the address family only; may be invalid
	Place  Place
	Key    uint64 // the listener's placement hash: the same Key gets the same node
	Mount  string // decoded path: "/live.mp3"; empty: any, where all nodes play the same mounts
	Scheme Scheme // the schemes that the node's URL may have
	// Avoid lists the nodes that it has just come back from, in any order; empty: none.
	Avoid  [2]NodeID
	Never  []NodeID // nodes that it must never get, even if no other is left: itself, and those it feeds
	Family Family   // the family in which it will reach the node; AddrFamily: that of Addr
	// Port is for a listener who is told only a host name and not a URL, as with DNS. It
	// connects to this port and asks for the mount's public path; nodes that serve the
	// mount elsewhere are passed over. 0: it gets a URL.
	Port uint16
	// Joins lists nodes from which the mount is carried here already. A listener who
	// joins such a connection takes no seat at the node, so it may have none left.
	Joins []NodeID
	// Origin is that of Addr and Place in a snapshot of the same fleet, for callers that know
	// it already and need not give a Place. Explain does not use it.
	Origin Origin
}

// Scheme is a set of URL schemes.
type Scheme uint8

// The schemes of nodes and listeners.
const (
	HTTP Scheme = 1 << iota
	HTTPS
	AnyScheme = HTTP | HTTPS
	noScheme  = Scheme(1 << 7) // a value of another version: it matches no scheme
)

// String returns "http", "https", both with a comma between them, or "".
func (s Scheme) String() string {
	switch s & AnyScheme {
	case HTTP:
		return "http"
	case HTTPS:
		return "https"
	case AnyScheme:
		return "http,https"
	}
	return ""
}

// MarshalText makes a Scheme its String in JSON and logs.
func (s Scheme) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote. Anything else becomes a value that matches
// no scheme, so that what another version says about it applies to no known scheme.
func (s *Scheme) UnmarshalText(b []byte) error {
	*s = noScheme
	for _, known := range [...]Scheme{0, HTTP, HTTPS, AnyScheme} {
		if known.String() == string(b) {
			*s = known
		}
	}
	return nil
}

// Family is an address family.
type Family uint8

// The address families of a Listener.
const (
	AddrFamily Family = iota // that of its Addr; any, if there is none
	IPv4
	IPv6
)
