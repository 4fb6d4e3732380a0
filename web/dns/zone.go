package dns

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A zone is a checked and compiled Zone. It is immutable.
type zone struct {
	apex     *domain
	names    map[string]*entry // by the name in wire format, in lower case
	soa      soa
	negative uint32 // seconds
}

type soa struct {
	primary, contact *domain
	ttl              uint32
	numbers          [20]byte // serial, refresh, retry, expire, minimum
}

// An entry is a name that exists, perhaps only because there are names below it.
type entry struct {
	domain  *domain
	sets    []rrset  // fixed records
	cname   *domain  // excludes all else
	choice  *choice  // nil: no decision answers the name
	counted *counted // set by the server
}

// rrset is the fixed records of one type.
type rrset struct {
	kind uint16
	ttl  uint32
	data []rdata
}

// rdata is a fixed record's data: bytes that are sent as they are, then a name that may be
// compressed.
type rdata struct {
	fixed []byte
	name  *domain // nil: none
}

// choice is what a decision needs to know of a name.
type choice struct {
	directors bool
	mount     string
	scheme    director.Scheme
	port      uint16
	count     int
	ttl       uint32
}

// CheckPolicy returns the mistakes in a policy, joined, each a *director.ConfigError. Paths
// begin at the Policy's fields, in lower case.
func CheckPolicy(p Policy) error {
	_, err := compilePolicy(p)
	return err
}

// policy is a Policy in force.
type policy struct {
	Policy
	zone *zone
}

func compilePolicy(p Policy) (*policy, error) {
	c := compiler{zone: &zone{names: map[string]*entry{}}, p: &p.Zone}
	for _, n := range []struct {
		value int
		key   string
	}{{p.PerNetwork, "per_network"}, {p.Slip, "slip"}, {p.MaxTCP, "max_tcp"}} {
		if n.value < 0 {
			c.fail("must be 0 or more", n.key)
		}
	}
	if p.PerNetwork > int(time.Second/time.Microsecond) {
		c.fail("must be at most 1,000,000 answers a second; 0 is any number", "per_network")
	}
	c.compile()
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	return &policy{p, c.zone}, nil
}

type compiler struct {
	zone *zone
	p    *Zone
	errs []error

	ttl, recordTTL uint32 // the zone's, in seconds
}

func (c *compiler) fail(msg string, path ...any) {
	c.errs = append(c.errs, &director.ConfigError{Path: path, Msg: msg})
}

func (c *compiler) compile() {
	apex, err := parseName(c.p.Name)
	switch {
	case c.p.Name == "":
		c.fail("no zone; name the one that is delegated to this server, such as live.radio.example", "zone")
	case err != nil:
		c.fail(err.Error(), "zone")
	case apex.text == "." || !strings.Contains(apex.text, "."):
		c.fail(fmt.Sprintf("%q is a top-level domain; name the zone that is delegated to this server, such as live.radio.example", c.p.Name), "zone")
	}
	if len(c.errs) > 0 {
		return // nothing else can be judged
	}
	apex.under(apex)
	c.zone.apex = apex
	c.entry(apex)
	c.ttl, c.recordTTL = c.seconds(c.p.TTL, "ttl"), c.seconds(c.p.RecordTTL, "record_ttl")
	c.nameServers()
	c.timers()
	for i := range c.p.Names {
		c.choice(&c.p.Names[i])
	}
	for i := range c.p.Records {
		c.record(&c.p.Records[i])
	}
	c.aliases()
}

// inside reads a name that must be in the zone. Names are written in full, with or without
// a final dot: the zone is never appended.
func (c *compiler) inside(s string, path ...any) *domain {
	d, err := parseName(s)
	if err != nil {
		c.fail(err.Error(), path...)
		return nil
	}
	if !d.under(c.zone.apex) {
		c.fail(fmt.Sprintf("%q is not in the zone %s; write a name that ends in .%s", s, c.zone.apex.text, c.zone.apex.text), path...)
		return nil
	}
	return d
}

// target reads a name to which records point, in the zone or elsewhere.
func (c *compiler) target(s string, path ...any) *domain {
	d, err := parseName(s)
	if err != nil {
		c.fail(err.Error(), path...)
		return nil
	}
	d.under(c.zone.apex)
	return d
}

// entry returns the entry of a name in the zone. It creates it and all names between it and
// the apex if they do not exist (RFC 8020).
func (c *compiler) entry(d *domain) *entry {
	if e := c.zone.names[string(d.wire)]; e != nil {
		return e
	}
	e := &entry{domain: d}
	c.zone.names[string(d.wire)] = e
	if len(d.wire) > len(c.zone.apex.wire) {
		_, parent, _ := strings.Cut(d.text, ".")
		up := &domain{text: parent, wire: d.wire[1+d.wire[0]:]}
		up.under(c.zone.apex)
		c.entry(up)
	}
	return e
}

func (e *entry) set(kind uint16) *rrset {
	for i := range e.sets {
		if e.sets[i].kind == kind {
			return &e.sets[i]
		}
	}
	return nil
}

func (e *entry) add(kind uint16, ttl uint32, data ...rdata) {
	if len(data) == 0 {
		return
	}
	if s := e.set(kind); s != nil {
		s.data = append(s.data, data...)
		s.ttl = min(s.ttl, ttl) // all records of a set have the same TTL (RFC 2181, 5.2)
		return
	}
	e.sets = append(e.sets, rrset{kind, ttl, data})
}

func (c *compiler) nameServers() {
	if len(c.p.NS) == 0 {
		c.fail("no name server; list those that the zone is delegated to, such as ns1."+c.zone.apex.text, "ns")
	}
	seen := map[string]bool{}
	for i, ns := range c.p.NS {
		d := c.target(ns.Name, "ns", i, "name")
		if d == nil {
			continue
		}
		if seen[d.text] {
			c.fail(fmt.Sprintf("%q is listed twice", ns.Name), "ns", i, "name")
		}
		seen[d.text] = true
		if !d.inZone && len(ns.Addrs) > 0 {
			c.fail(fmt.Sprintf("%q is not in the zone %s, so that its addresses are another zone's to tell; take them out", ns.Name, c.zone.apex.text), "ns", i, "addresses")
			continue
		}
		c.entry(c.zone.apex).add(typeNS, c.recordTTL, rdata{name: d})
		for j, a := range ns.Addrs {
			if msg := badAddr(a); msg != "" {
				c.fail(msg, "ns", i, "addresses", j)
				continue
			}
			kind, data := addrData(a)
			c.entry(d).add(kind, c.recordTTL, data)
		}
	}
}

func badAddr(a netip.Addr) string {
	switch {
	case !a.IsValid() || a.Zone() != "":
		return "is not an address"
	case a.IsUnspecified() || a.IsMulticast():
		return fmt.Sprintf("%s is no address that anybody can come to", a)
	}
	return ""
}

func addrData(a netip.Addr) (uint16, rdata) {
	if a.Unmap().Is4() {
		b := a.Unmap().As4()
		return typeA, rdata{fixed: b[:]}
	}
	b := a.As16()
	return typeAAAA, rdata{fixed: b[:]}
}

// seconds checks a duration and returns it in seconds, as on the wire.
func (c *compiler) seconds(d time.Duration, path ...any) uint32 {
	switch {
	case d < 0:
		c.fail(fmt.Sprintf("%v is below 0; write 0s or more", d), path...)
		return 0
	case d/time.Second > math.MaxInt32:
		c.fail("must be at most 68 years", path...)
		return 0
	case d%time.Second != 0:
		c.fail(fmt.Sprintf("DNS counts whole seconds, and %v is none", d), path...)
		return 0
	}
	return uint32(d / time.Second)
}

func (c *compiler) timers() {
	s := &c.zone.soa
	if c.p.SOA.Primary != "" {
		s.primary = c.target(c.p.SOA.Primary, "soa", "primary")
	} else if sets := c.entry(c.zone.apex).set(typeNS); sets != nil {
		s.primary = sets.data[0].name
	}
	s.contact = c.contact()
	s.ttl = c.recordTTL
	c.zone.negative = c.seconds(c.p.SOA.Negative, "soa", "negative")
	numbers := []uint32{
		c.serial(), c.seconds(c.p.SOA.Refresh, "soa", "refresh"), c.seconds(c.p.SOA.Retry, "soa", "retry"),
		c.seconds(c.p.SOA.Expire, "soa", "expire"), c.zone.negative,
	}
	for i, n := range numbers {
		binary.BigEndian.PutUint32(s.numbers[4*i:], n)
	}
}

// serial is a hash of the zone's configuration, so that servers with the same zone have the
// same number. It need not rise, because nobody transfers the zone.
func (c *compiler) serial() uint32 {
	b, err := json.Marshal(c.p)
	if err != nil {
		return 1 // cannot happen: the zone is plain data
	}
	h := fnv.New32a()
	h.Write(b)
	return max(h.Sum32(), 1)
}

// contact turns a mail address into a name (RFC 1035, 8). The first label is the local part,
// dots included.
func (c *compiler) contact() *domain {
	text := c.p.SOA.Contact
	if text == "" {
		text = "hostmaster@" + c.zone.apex.text
	}
	a, err := mail.ParseAddress(text)
	local, host, ok := "", "", false
	if err == nil {
		at := strings.LastIndexByte(a.Address, '@')
		local, host, ok = a.Address[:at], a.Address[at+1:], a.Address == text && at <= 63
	}
	if !ok {
		c.fail(fmt.Sprintf("%q is not a mail address; write one such as dns@radio.example", text), "soa", "contact")
		return nil
	}
	d := c.target(host, "soa", "contact")
	if d == nil {
		return nil
	}
	label := append([]byte{byte(len(local))}, local...)
	return &domain{text: local + "." + d.text, wire: append(label, d.wire...), labels: append(slices.Clone(label), d.labels...), inZone: d.inZone}
}

func (c *compiler) choice(n *Name) {
	path := []any{"names", n.Name}
	d := c.inside(n.Name, path...)
	if d == nil {
		return
	}
	e := c.entry(d)
	if e.choice != nil {
		c.fail(fmt.Sprintf("%s stands here twice; a name has one meaning: take one out", d.text), path...)
		return
	}
	if e.set(typeA) != nil || e.set(typeAAAA) != nil {
		c.fail(fmt.Sprintf("%s is a name server with addresses of its own; use another name", d.text), path...)
	}
	e.choice = &choice{directors: n.Directors, mount: n.Mount, scheme: n.Scheme, port: n.Port, count: n.Count}
	if e.choice.ttl = c.ttl; n.TTL >= 0 {
		e.choice.ttl = c.seconds(n.TTL, append(path, "ttl")...)
	}
	if n.Directors {
		e.choice.count = maxCount
		return
	}
	switch {
	case n.Count < 1 || n.Count > maxCount:
		c.fail(fmt.Sprintf("must be 1 to %d addresses", maxCount), append(path, "count")...)
	case n.Port == 0:
		c.fail("DNS tells players no port, so that one must be agreed on; give the port at which they come, such as 8000", append(path, "port")...)
	}
	if n.Mount != "" && !strings.HasPrefix(n.Mount, "/") {
		c.fail(fmt.Sprintf("%q does not begin with a slash; write %q", n.Mount, "/"+n.Mount), append(path, "mount")...)
	}
	if n.HTTPS {
		c.https(n, d, path)
	}
}

// https adds the HTTPS record of a name. The port determines where a browser looks for it
// (RFC 9460, 2.3 and 9.1).
func (c *compiler) https(n *Name, d *domain, path []any) {
	if n.Scheme != director.HTTPS {
		c.fail("an HTTPS record makes browsers use TLS, and this name is not for https; take it out, or set scheme: https", append(path, "https_record")...)
		return
	}
	owner := d
	if n.Port != 443 {
		var err error
		if owner, err = parseName(fmt.Sprintf("_%d._https.%s", n.Port, d.text)); err != nil {
			c.fail(err.Error(), append(path, "https_record")...)
			return
		}
		owner.under(c.zone.apex)
	}
	e := c.entry(d)
	c.entry(owner).add(typeHTTPS, e.choice.ttl, rdata{fixed: []byte{0, 1, 0}}) // "1 .": this name, no parameters
}

func (c *compiler) record(r *Fixed) {
	path := []any{"records", r.Name}
	d := c.inside(r.Name, path...)
	if d == nil {
		return
	}
	at := func(key ...any) []any { return append(slices.Clone(path), key...) }
	e := c.entry(d)
	seconds := c.recordTTL
	if r.TTL >= 0 {
		seconds = c.seconds(r.TTL, at("ttl")...)
	}
	if r.CNAME != "" {
		c.cname(r, e, seconds, at)
		return
	}
	if (e.choice != nil || e.set(typeA) != nil || e.set(typeAAAA) != nil) && len(r.A)+len(r.AAAA) > 0 {
		c.fail(fmt.Sprintf("%s has addresses elsewhere (under names or ns); a name has one meaning: take one out", d.text), path...)
		return
	}
	if e.cname != nil {
		c.fail(fmt.Sprintf("%s is a CNAME already, which allows nothing beside it (RFC 1034, 3.6.2); take one out", d.text), path...)
		return
	}
	c.addrs(r.A, typeA, e, seconds, at, "a")
	c.addrs(r.AAAA, typeAAAA, e, seconds, at, "aaaa")
	for i, t := range r.TXT {
		data, err := txt(t)
		if err != nil {
			c.fail(err.Error(), at("txt", i)...)
		}
		e.add(typeTXT, seconds, rdata{fixed: data})
	}
	for i, m := range r.MX {
		if host := c.target(m.Host, at("mx", i)...); host != nil {
			e.add(typeMX, seconds, rdata{fixed: binary.BigEndian.AppendUint16(nil, m.Preference), name: host})
		}
	}
	for i, a := range r.CAA {
		if a.Tag == "" || len(a.Tag) > 255 || strings.ContainsFunc(a.Tag, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
			c.fail(fmt.Sprintf("%q is no tag of a CAA record; write issue, issuewild or iodef", a.Tag), at("caa", i)...)
			continue
		}
		flags := byte(0)
		if a.Critical {
			flags = 128
		}
		e.add(typeCAA, seconds, rdata{fixed: append(append([]byte{flags, byte(len(a.Tag))}, a.Tag...), a.Value...)})
	}
}

func (c *compiler) cname(r *Fixed, e *entry, seconds uint32, at func(...any) []any) {
	switch {
	case len(r.A)+len(r.AAAA)+len(r.TXT)+len(r.MX)+len(r.CAA) > 0 || len(e.sets) > 0 || e.choice != nil:
		c.fail(fmt.Sprintf("%s has other records or a meaning beside the CNAME, which allows none (RFC 1034, 3.6.2); take one out", e.domain.text), at("cname")...)
		return
	case e.cname != nil:
		c.fail(fmt.Sprintf("%s stands here twice; take one out", e.domain.text), at("cname")...)
		return
	}
	if e.cname = c.target(r.CNAME, at("cname")...); e.cname != nil {
		e.add(typeCNAME, seconds, rdata{name: e.cname})
	}
}

func (c *compiler) addrs(list []netip.Addr, kind uint16, e *entry, seconds uint32, at func(...any) []any, key string) {
	for i, a := range list {
		is, data := addrData(a)
		switch msg := badAddr(a); {
		case msg != "":
			c.fail(msg, at(key, i)...)
		case is != kind:
			c.fail(fmt.Sprintf("%s is an address of the other family; A records hold IPv4 and AAAA records IPv6", a), at(key, i)...)
		case slices.Contains(list[:i], a):
			c.fail(fmt.Sprintf("%s stands here twice", a), at(key, i)...)
		default:
			e.add(kind, seconds, data)
		}
	}
}

// txt splits a text into strings of at most 255 bytes, as TXT records hold them.
func txt(s string) ([]byte, error) {
	if len(s) > 8192 {
		return nil, errors.New("is longer than 8,192 bytes")
	}
	var b []byte
	for {
		part := s[:min(len(s), 255)]
		b = append(append(b, byte(len(part))), part...)
		if s = s[len(part):]; s == "" {
			return b, nil
		}
	}
}

// maxChain is how many CNAMEs may be chained.
const maxChain = 8

// aliases checks that every CNAME that points into the zone leads to an existing name.
func (c *compiler) aliases() {
	for i := range c.p.Records {
		r := &c.p.Records[i]
		d, err := parseName(r.Name)
		if err != nil || r.CNAME == "" {
			continue
		}
		e := c.zone.names[string(d.wire)]
		for n := 0; e != nil && e.cname != nil && e.cname.inZone; n++ {
			if n == maxChain {
				c.fail("leads round in a circle, or through too many names; give the last name", "records", r.Name, "cname")
				break
			}
			to := c.zone.names[string(e.cname.wire)]
			if to == nil {
				c.fail(fmt.Sprintf("leads to %s, which is in the zone but does not exist; declare it", e.cname.text), "records", r.Name, "cname")
			}
			e = to
		}
	}
}
