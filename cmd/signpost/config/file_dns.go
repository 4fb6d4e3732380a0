package config

import (
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
)

// An authoritative DNS server for one zone of its own, whose names lead to the nodes that HTTP would redirect to. See [dns.md](dns.md) for how to delegate the zone, and what DNS can do and what not.
type dnsSection struct {
	// Addresses for DNS, `host:port`, UDP and TCP; without a host those of IPv4 and IPv6. Usually `:53`. Without any, DNS is not answered.
	Listen []string `yaml:"listen"`
	// The zone that is delegated to the directors, such as `live.radio.example`.
	Zone string `yaml:"zone"`
	// The name servers that it is delegated to: names, or `{name, addresses}` for those that lie in the zone.
	NS []nameServerEntry `yaml:"ns"`
	// The zone's timers, and who looks after it.
	SOA soaEntry `yaml:"soa"`
	// How long resolvers may keep an answer that was decided. 0: not at all. Below 5 s some keep it for 5 s all the same.
	TTL time.Duration `yaml:"ttl" default:"20s"`
	// How long they may keep fixed records.
	RecordTTL time.Duration `yaml:"record_ttl" default:"1h"`
	// The names whose addresses are decided, written out: name to what it stands for. `directors` are the directors that live now, `fleet` is short for the nodes of the whole fleet.
	Names map[string]nameEntry `yaml:"names"`
	// What else stands in the zone: name to its records.
	Records map[string]recordEntry `yaml:"records"`
	// Where listeners reach this director, for the name of the directors. Without it, the addresses that stand in `listen.public_urls` or `listen.http`.
	Addresses []addrValue `yaml:"addresses"`
	// Answers a second to one network (a /24 of IPv4, a /56 of IPv6) over UDP, so that nobody is flooded with answers to what another asked in their name. Who shows a cookie of this server is not counted. 0: any number.
	PerNetwork int `yaml:"per_network" default:"1000"`
	// Which of the answers beyond that is sent empty, so that who really asks comes again by TCP: 2 is every second one. 0: none.
	Slip int `yaml:"slip" default:"2"`
	// TCP connections open at once.
	MaxTCP int `yaml:"max_tcp" default:"256"`
	// Write a line for each query where those for requests go: with the resolver's and the client's network, and never an address.
	LogQueries bool `yaml:"log_queries" default:"false"`
}

type nameServerEntry struct {
	// Its name.
	Name string `yaml:"name"`
	// Its addresses, if the name lies in the zone: the same as the glue in the zone above.
	Addresses []addrValue `yaml:"addresses"`
}

func (n *nameServerEntry) UnmarshalValue(v yamlfile.Value) {
	if text, ok := v.Scalar(); ok {
		n.Name = text
		return
	}
	v.Decode(n)
}

type soaEntry struct {
	// The first name server; that of `ns`, if absent.
	Primary string `yaml:"primary"`
	// Who looks after the zone, as a mail address; `hostmaster` at the zone's name, if absent.
	Contact string `yaml:"contact"`
	// For servers that copy the zone, which there are none of: how often they ask.
	Refresh time.Duration `yaml:"refresh" default:"1h"`
	// How soon they ask again.
	Retry time.Duration `yaml:"retry" default:"10m"`
	// How long they go on without an answer.
	Expire time.Duration `yaml:"expire" default:"168h"`
	// How long resolvers may remember that a name or type does not exist.
	Negative time.Duration `yaml:"negative" default:"1m"`
}

// A name may be written as the word `directors` or `fleet`.
type nameEntry struct {
	// The mount whose nodes it stands for. Without it, those of the whole fleet.
	Mount string `yaml:"mount"`
	// What players come by: `http` or `https`.
	Scheme string `yaml:"scheme" default:"http"`
	// The port at which they come, for DNS tells none. 0: the one that all nodes have. Nodes that serve the mount at another port or path are not answered.
	Port int `yaml:"port" default:"0"`
	// Addresses in an answer, 1 to 8. A node with more than its part of the shares is alone in some answers, so that they hold.
	Count int `yaml:"count" default:"2"`
	// Instead of `dns.ttl`.
	TTL time.Duration `yaml:"ttl"`
	// There is an HTTPS record, so that browsers come by https whatever the URL says. Only with `scheme: https`, and if every node serves it.
	HTTPSRecord bool `yaml:"https_record" default:"false"`

	directors, ownTTL bool
}

func (n *nameEntry) UnmarshalValue(v yamlfile.Value) {
	text, ok := v.Scalar()
	switch {
	case ok && text == "directors":
		n.directors = true
	case ok && text == "fleet":
	case ok:
		v.Fail("a name is written as keys such as mount: /live.mp3, or as the word directors or fleet, not as %q", text)
	default:
		v.Decode(n)
		n.ownTTL = v.Has("ttl")
	}
}

type recordEntry struct {
	// Instead of `dns.record_ttl`.
	TTL time.Duration `yaml:"ttl"`
	// IPv4 addresses.
	A []addrValue `yaml:"a"`
	// IPv6 addresses.
	AAAA []addrValue `yaml:"aaaa"`
	// The name that this one is an alias of. Nothing else may stand beside it.
	CNAME string `yaml:"cname"`
	// Texts.
	TXT []string `yaml:"txt"`
	// Mail exchangers, such as `10 mail.radio.example`.
	MX []mxValue `yaml:"mx"`
	// Who may issue certificates, such as `0 issue "letsencrypt.org"`.
	CAA []caaValue `yaml:"caa"`

	ownTTL bool
}

func (r *recordEntry) UnmarshalValue(v yamlfile.Value) {
	v.Decode(r)
	r.ownTTL = v.Has("ttl")
}

// An addrValue is an address.
type addrValue struct{ netip.Addr }

func (addrValue) TypeName() string { return "an address such as `192.0.2.1`" }

// An mxValue is a mail exchanger.
type mxValue struct {
	preference uint16
	host       string
}

func (mxValue) TypeName() string { return "a mail exchanger such as `10 mail.radio.example`" }

// A caaValue says who may issue certificates.
type caaValue struct {
	critical   bool
	tag, value string
}

func (caaValue) TypeName() string { return "a rule such as `0 issue \"letsencrypt.org\"`" }
