package dns

import (
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Policy is everything that can change while a server runs: its zone, and how many
// answers it gives.
type Policy struct {
	Zone Zone

	// PerNetwork is how many answers a second one network (/24 of IPv4, /56 of IPv6) gets
	// over UDP; 0: any number. Who shows a cookie of this server is not counted.
	PerNetwork int
	// Slip is which of the answers beyond that is not dropped but sent empty and truncated,
	// so that who really asks comes again by TCP: 1: each, 2: every second one; 0: none.
	Slip int
	// MaxTCP is how many connections may be open at once.
	MaxTCP int
}

// Zone is what a server is the authority for.
type Zone struct {
	Name string // such as "live.radio.example"
	NS   []NameServer
	SOA  SOA
	// TTL is how long resolvers keep answers that a decision made, where a name does not
	// say otherwise; RecordTTL is the same for fixed records.
	TTL, RecordTTL time.Duration
	Names          []Name
	Records        []Fixed
}

// NameServer is one of those that the zone is delegated to.
type NameServer struct {
	Name string
	// Addrs are its addresses: the zone's own part of its glue. Only for a name in the zone.
	Addrs []netip.Addr
}

// SOA holds the timers of the zone, and who looks after it.
type SOA struct {
	Primary string // the first of NS, if empty
	Contact string // a mail address, "dns@radio.example"; empty: hostmaster at the zone's name
	// Refresh, Retry and Expire are for secondaries that transfer the zone, which there are none of.
	Refresh, Retry, Expire time.Duration
	// Negative is for how long resolvers may remember that there is no such name or type.
	Negative time.Duration
}

// Name is a name whose addresses come from a decision.
type Name struct {
	Name string
	// Directors makes it the name of the directors that live; nothing below counts then but TTL.
	Directors bool
	Mount     string // whose nodes; empty: those of the whole fleet
	Scheme    director.Scheme
	Port      uint16 // at which players come
	Count     int    // addresses in an answer, 1 to 8
	// TTL is how long resolvers keep an answer; below 0: the zone's.
	TTL time.Duration
	// HTTPS declares that there is an HTTPS record (RFC 9460): browsers then use TLS at
	// Port, whatever the URL says, and have no way back.
	HTTPS bool
}

// Fixed is what stands fixed at a name.
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
	Host       string // ".": the name takes no mail (RFC 7505)
}

// CAA says who may issue certificates for a name (RFC 8659).
type CAA struct {
	Critical   bool
	Tag, Value string // "issue", "letsencrypt.org"
}

// maxCount is how many addresses an answer may have. Each more makes it likelier that a
// player waits for one that has just died, and none makes up for that.
const maxCount = 8

// DefaultPolicy is what a configuration begins with.
func DefaultPolicy() Policy {
	return Policy{
		PerNetwork: 1000, Slip: 2, MaxTCP: 256,
		Zone: Zone{
			TTL: 20 * time.Second, RecordTTL: time.Hour,
			SOA: SOA{Refresh: time.Hour, Retry: 10 * time.Minute, Expire: 7 * 24 * time.Hour, Negative: time.Minute},
		},
	}
}
