package dns

import (
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Policy is everything that can change while a server runs: its zone and its limits.
type Policy struct {
	Zone Zone

	// PerNetwork is how many answers a second one network (/24 of IPv4, /56 of IPv6) gets
	// over UDP; 0: any number. Queries with a valid cookie of this server do not count.
	PerNetwork int
	// Slip is how often an answer beyond PerNetwork is sent empty and truncated instead of
	// dropped, so that a real client asks again over TCP. 1: each, 2: every second one, 0:
	// none.
	Slip int
	// MaxTCP is how many TCP connections may be open at once.
	MaxTCP int
}

// Zone is what a server is the authority for.
type Zone struct {
	Name string // such as "live.radio.example"
	NS   []NameServer
	SOA  SOA
	// TTL is how long resolvers cache answers that come from a decision, unless a name has
	// its own; RecordTTL is the same for fixed records.
	TTL, RecordTTL time.Duration
	Names          []Name
	Records        []Fixed
}

// NameServer is a name server that the zone is delegated to.
type NameServer struct {
	Name string
	// Addrs are its addresses, which the zone serves as glue. Only for a name in the zone.
	Addrs []netip.Addr
}

// SOA holds the timers and the contact of the zone.
type SOA struct {
	Primary string // the first of NS, if empty
	Contact string // a mail address, "dns@radio.example"; empty: hostmaster at the zone's name
	// Refresh, Retry and Expire are for secondaries that transfer the zone; there are none.
	Refresh, Retry, Expire time.Duration
	// Negative is how long resolvers may cache that there is no such name or type.
	Negative time.Duration
}

// Name is a name whose addresses come from a decision.
type Name struct {
	Name string
	// Directors makes it the name of the live directors; of the fields below, only TTL then
	// counts.
	Directors bool
	Mount     string // whose nodes are answered; empty: those of the whole fleet
	Scheme    director.Scheme
	Port      uint16 // to which players connect
	Count     int    // addresses in an answer, 1 to 8
	// TTL is how long resolvers cache an answer; below 0: the zone's.
	TTL time.Duration
	// HTTPS adds an HTTPS record (RFC 9460): browsers then use TLS at Port, whatever the URL
	// says, and have no fallback.
	HTTPS bool
}

// Fixed is the fixed records of a name.
type Fixed struct {
	Name  string
	TTL   time.Duration // below 0: the zone's
	A     []netip.Addr
	AAAA  []netip.Addr
	CNAME string
	TXT   []string
	MX    []MX
	CAA   []CAA
}

// MX is a mail exchanger.
type MX struct {
	Preference uint16
	Host       string // ".": the name accepts no mail (RFC 7505)
}

// CAA says who may issue certificates for a name (RFC 8659).
type CAA struct {
	Critical   bool
	Tag, Value string // "issue", "letsencrypt.org"
}

// maxCount is how many addresses an answer may have. Each further address makes it likelier
// that a player waits for a node that has just gone down, with no benefit that outweighs it.
const maxCount = 8

// DefaultPolicy returns the defaults of a configuration.
func DefaultPolicy() Policy {
	return Policy{
		PerNetwork: 1000, Slip: 2, MaxTCP: 256,
		Zone: Zone{
			TTL: 20 * time.Second, RecordTTL: time.Hour,
			SOA: SOA{Refresh: time.Hour, Retry: 10 * time.Minute, Expire: 7 * 24 * time.Hour, Negative: time.Minute},
		},
	}
}
