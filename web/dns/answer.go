package dns

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// The length of the prefixes that have a Key of their own. By custom, an IPv4 or IPv6
// network of this length is one household or small office. Records show no more of an
// address.
const (
	keyBits4 = 24
	keyBits6 = 48
)

// A worker answers queries one after another, in memory of its own.
type worker struct {
	s   *Server
	req request
	res response
	rec Record

	// The current query.
	p        *policy
	view     director.View
	from     netip.Addr   // without what a translator puts before it
	subnet   netip.Prefix // the client subnet of the same kind; not valid: none that tells anything
	before   int          // bits before the address in the client subnet as it was sent; -1: none
	now      time.Time
	tcp      bool
	cookie   bool // it has a valid server cookie
	entry    *entry
	choice   *choice // of the name that was answered, after CNAMEs
	result   result
	decided  bool
	d        director.Decision
	listener director.Listener
	place    director.Place // once located
	located  bool
	known    *remembered // of the listener's network; nil: nothing
	scope    int
	chosen   int // how many nodes of d.Ranked are in the answer

	origins *origins // nil: nothing is remembered

	dice  uint64
	slips int
	alike func(director.Place) bool // whether a place gets the same decision as the client's
	same  func(director.Place) bool // whether a place is the client's
	near  []Director                // for sorting
}

func (s *Server) newWorker() *worker {
	w := &worker{s: s, dice: s.limiter.seed ^ uint64(s.stats.workers.Add(1))<<32}
	w.d = director.Decision{Ranked: make([]director.Candidate, 0, maxCount), Spread: true}
	w.alike = func(p director.Place) bool {
		return p == w.place || w.view.Origin(w.listener.Addr, p) == w.listener.Origin
	}
	w.same = func(p director.Place) bool { return p == w.place }
	return w
}

// newPacketWorker returns a worker for a socket to which many clients send.
func (s *Server) newPacketWorker() *worker {
	w := s.newWorker()
	if s.cfg.Edition != nil {
		w.origins = newOrigins()
	}
	return w
}

// roll returns a pseudorandom number, unpredictable without the seed.
func (w *worker) roll() uint64 {
	w.dice += 0x9e3779b97f4a7c15
	return mix(w.dice)
}

// answer overwrites the query msg[:n] with its answer and returns the answer's length; 0:
// there is none. An answer is at most len(msg) long, and over UDP also at most maxUDP and
// the size that the client accepts.
func (w *worker) answer(msg []byte, n int, from netip.Addr, tcp bool, now time.Time) int {
	from, _ = w.s.cfg.Unmap(from)
	w.from, w.tcp, w.now = from, tcp, now
	w.p = w.s.policy.Load()
	w.entry, w.choice, w.decided, w.cookie, w.scope, w.chosen = nil, nil, false, false, 0, 0
	w.listener, w.place, w.located = director.Listener{}, director.Place{}, false
	v := w.req.read(msg[:n])
	w.unmapSubnet()
	if v == junk {
		w.s.stats.junk.Add(1)
		return 0
	}
	limit := len(msg)
	if !tcp {
		limit = min(w.req.size, maxUDP, limit)
	}
	w.res = response{b: msg[:headerSize+len(w.req.question)], limit: limit, reserve: w.optSize()}
	w.cookie = w.req.cookie.there && w.s.keys.cookie.valid(&w.req.cookie, from, now)
	size := 0
	if !tcp && !w.cookie && w.p.PerNetwork > 0 && !w.s.limiter.allow(from, now.Sub(w.s.began), w.p.PerNetwork) {
		size = w.limited()
	} else {
		size = w.finish(w.work(v))
	}
	w.count(size)
	return size
}

// limited answers a query beyond the rate limit: with nothing, or with an empty truncated
// answer, so that the client asks again over TCP, where addresses cannot be spoofed.
func (w *worker) limited() int {
	w.result = resultDropped
	if w.p.Slip == 0 {
		return 0
	}
	if w.slips++; w.slips%w.p.Slip != 0 {
		return 0
	}
	w.result, w.res.full = resultSlipped, true
	return w.finish(rcodeNoError)
}

// work writes the records of an answer and returns the response code.
func (w *worker) work(v reading) int {
	r := &w.req
	switch {
	case v == malformed:
		r.subnet, r.cookie.there = subnet{}, false // malformed options are not echoed
		w.result = resultFormErr
		return rcodeFormErr
	case r.opcode == opNotify || r.opcode == opUpdate:
		w.result = resultRefused
		return rcodeRefused
	case r.opcode != opQuery:
		w.result = resultNotImp
		return rcodeNotImp
	case r.edns && r.version != 0:
		w.result = resultBadVers
		return rcodeBadVers
	case r.questions == 0:
		w.result = resultCookie // the query asks only for a cookie (RFC 7873, 5.4)
		return rcodeNoError
	case r.qtype == typeOPT:
		w.result = resultFormErr
		return rcodeFormErr
	}
	apex := w.p.zone.apex
	if r.qclass != classIN || !w.inZone(apex) || r.qtype >= typeTKEY && r.qtype < typeANY {
		w.result = resultRefused
		return rcodeRefused
	}
	w.res.zone = headerSize + r.length - len(apex.wire)
	w.entry = w.p.zone.names[string(r.lower[:r.length])]
	if w.entry == nil {
		w.result = resultNXDomain
		w.denial(w.p.zone.negative)
		return rcodeNXDomain
	}
	return w.resolve(w.entry)
}

func (w *worker) inZone(apex *domain) bool {
	at := w.req.length - len(apex.wire)
	if at < 0 || string(w.req.lower[at:w.req.length]) != string(apex.wire) {
		return false
	}
	// The apex must begin at a label boundary.
	for i := 0; i < at; i += 1 + int(w.req.lower[i]) {
		if i+1+int(w.req.lower[i]) == at {
			return true
		}
	}
	return at == 0
}

// resolve answers from a name, and follows its CNAMEs.
func (w *worker) resolve(e *entry) int {
	r := &w.req
	if r.qtype == typeANY {
		w.result = resultAny // minimal answer (RFC 8482)
		if at := w.res.begin(nil, typeHINFO, 3600, 9); at > 0 {
			w.res.b = append(append(w.res.b, 7), "RFC8482\x00"...)
			w.res.end(at, inAnswer)
		}
		return rcodeNoError
	}
	var owner *domain // nil: the name in the question
	for n := 0; e.cname != nil && r.qtype != typeCNAME && n < maxChain; n++ {
		w.fixed(owner, e.set(typeCNAME), inAnswer)
		w.result = resultFixed
		if !e.cname.inZone {
			return rcodeNoError // the rest is another zone's to tell
		}
		owner = e.cname
		e = w.p.zone.names[string(owner.wire)]
	}
	switch set := e.set(r.qtype); {
	case r.qtype == typeSOA && e.domain == w.p.zone.apex:
		w.result = resultFixed
		w.soa(owner, w.p.zone.soa.ttl, inAnswer)
	case set != nil:
		w.result = resultFixed
		w.fixed(owner, set, inAnswer)
		if r.qtype == typeNS {
			w.glue(set)
		}
	case e.choice != nil && (r.qtype == typeA || r.qtype == typeAAAA):
		w.choice = e.choice
		if e.choice.directors {
			return w.directors(owner, e.choice)
		}
		return w.decide(owner, e.choice)
	default:
		w.result = resultNoData
		w.denial(w.p.zone.negative)
	}
	return rcodeNoError
}

// fixed writes the fixed records of one set.
func (w *worker) fixed(owner *domain, set *rrset, section int) {
	for i := range set.data {
		d := &set.data[i]
		size := len(d.fixed)
		if d.name != nil {
			size += d.name.size(&w.res)
		}
		at := w.res.begin(owner, set.kind, set.ttl, size)
		if at < 0 {
			return
		}
		w.res.b = append(w.res.b, d.fixed...)
		if d.name != nil {
			w.res.name(d.name)
		}
		w.res.end(at, section)
	}
}

// glue adds the addresses of the name servers in the zone, as far as they fit.
func (w *worker) glue(ns *rrset) {
	full := w.res.full
	for i := range ns.data {
		d := ns.data[i].name
		if !d.inZone {
			continue
		}
		e := w.p.zone.names[string(d.wire)]
		for _, kind := range [...]uint16{typeA, typeAAAA} {
			if e == nil {
				continue
			}
			if set := e.set(kind); set != nil {
				w.fixed(d, set, inAdditional)
			}
		}
	}
	w.res.full = full // glue that does not fit does not truncate the answer
}

// denial adds the SOA record of a negative answer: ttl is how long resolvers may cache it,
// but no longer than the SOA record's own TTL (RFC 2308, 3).
func (w *worker) denial(ttl uint32) {
	w.soa(w.p.zone.apex, min(ttl, w.p.zone.soa.ttl), inAuthority)
}

func (w *worker) soa(owner *domain, ttl uint32, section int) {
	s := &w.p.zone.soa
	at := w.res.begin(owner, typeSOA, ttl, s.primary.size(&w.res)+s.contact.size(&w.res)+len(s.numbers))
	if at < 0 {
		return
	}
	w.res.name(s.primary)
	w.res.name(s.contact)
	w.res.b = append(w.res.b, s.numbers[:]...)
	w.res.end(at, section)
}

// unmapSubnet sets subnet and before. A client subnet that ends before the IPv4 address in
// it tells nothing of who the client is.
func (w *worker) unmapSubnet() {
	w.subnet, w.before = netip.Prefix{}, -1
	sent := &w.req.subnet
	if !sent.addr.IsValid() {
		return
	}
	a, before := w.s.cfg.Unmap(sent.addr)
	known := int(sent.source)
	if before >= 0 {
		if before <= unusedBits && known > unusedBits {
			known = max(known-8, unusedBits)
		}
		if known = min(known-before, a.BitLen()); known <= 0 {
			return
		}
	}
	w.subnet, w.before = netip.PrefixFrom(a, known).Masked(), before
}

// unusedBits is where 8 bits stand in a NAT64 address that are no part of the IPv4 address
// around them (RFC 6052, 2.2).
const unusedBits = 64

// scopeOf is the scope of an answer that holds for a prefix of n bits of the listener's
// address, in the bits of the client subnet as it was sent.
func (w *worker) scopeOf(n int) int {
	switch {
	case w.before < 0:
		return n
	case w.before <= unusedBits && w.before+n > unusedBits:
		return w.before + n + 8
	}
	return w.before + n
}

// client sets whose place counts: the client subnet's, or the resolver's if the query has
// none.
func (w *worker) client() {
	w.listener.Addr = w.from
	if w.subnet.IsValid() {
		w.listener.Addr = w.subnet.Addr()
	}
}

// locate sets the place of the listener.
func (w *worker) locate() {
	if !w.located && w.listener.Addr.IsValid() {
		w.place, w.located = w.s.cfg.Locate(w.listener.Addr), true
		w.listener.Place = w.place
	}
}

// whence sets the Origin of the listener.
func (w *worker) whence() {
	w.client()
	w.known = nil
	if o := w.origins; o != nil {
		o.begin(w.s.cfg.Edition(), w.view.Snapshot) // the edition first: what is found after it may be newer
		if w.known = o.find(w.listener.Addr); w.known != nil {
			w.listener.Origin = o.all[w.known.origin]
			return
		}
	}
	w.locate()
	w.listener.Origin = w.view.Origin(w.listener.Addr, w.place)
}

// decide answers with the addresses of nodes.
func (w *worker) decide(owner *domain, c *choice) int {
	w.view = w.s.cfg.View()
	if w.view.Snapshot == nil {
		w.result = resultServFail
		return rcodeServFail // resolvers then ask the next server
	}
	w.whence()
	w.listener.Mount, w.listener.Scheme, w.listener.Port = c.mount, c.scheme, c.port
	w.listener.Key = w.key(c.mount)
	w.listener.Family = director.IPv4
	if w.req.qtype == typeAAAA {
		w.listener.Family = director.IPv6
	}
	w.d.Want = c.count
	w.view.Decide(&w.d, w.listener, w.view.Live)
	w.decided = true
	w.result = resultDecided
	if w.d.Outcome == director.NoMount {
		w.result = resultServFail // no node has reported the mount yet
		return rcodeServFail
	}
	known := false
	if w.chosen, known = w.addresses(owner, c); !known && w.d.Drawn > len(w.d.Ranked) {
		// The addresses of the ranked nodes are unknown, but those of others may be known.
		drawn := w.d.Drawn
		w.d.Spread, w.d.Want = false, drawn
		w.view.Decide(&w.d, w.listener, w.view.Live)
		w.chosen, _ = w.addresses(owner, c)
		w.d.Spread, w.d.Drawn = true, drawn
	}
	if w.chosen == 0 {
		w.denial(min(c.ttl, w.p.zone.negative))
	}
	w.scope = w.widest()
	return rcodeNoError
}

// key is the Key by which nodes are drawn.
func (w *worker) key(mount string) uint64 {
	if w.subnet.IsValid() {
		p, _ := w.listener.Addr.Prefix(keyBits(w.listener.Addr)) // shorter than any address
		return prefixKey(w.s.keys.placement, p.Addr(), mount)
	}
	return w.roll()
}

func keyBits(a netip.Addr) int {
	if a.Is4() {
		return keyBits4
	}
	return keyBits6
}

// addresses writes one address of each ranked node: with two, a node would get twice its
// share. It moves the nodes that it wrote to the front of d.Ranked and returns their
// number, and whether an address of any node is known, in either family.
func (w *worker) addresses(owner *domain, c *choice) (n int, known bool) {
	for _, r := range w.d.Ranked {
		a := w.s.nodes.of(w.view.NodeID(r.Node))
		if a == nil {
			continue
		}
		known = true
		list := a.v4
		if w.req.qtype == typeAAAA {
			list = a.v6
		}
		if len(list) == 0 {
			continue
		}
		if n == c.count || !w.address(owner, list[w.listener.Key%uint64(len(list))], c.ttl) {
			break
		}
		w.d.Ranked[n] = r
		n++
	}
	return n, known
}

// address writes an A or AAAA record.
func (w *worker) address(owner *domain, a netip.Addr, ttl uint32) bool {
	at := w.res.begin(owner, w.req.qtype, ttl, 16)
	if at < 0 {
		return false
	}
	if a.Is4() {
		b := a.As4()
		w.res.b = append(w.res.b, b[:]...)
	} else {
		b := a.As16()
		w.res.b = append(w.res.b, b[:]...)
	}
	w.res.end(at, inAnswer)
	return true
}

// widest is the scope of the widest prefix around the client's subnet that gets exactly
// the same decision: all its addresses have one Origin, and one Key where the Key matters.
func (w *worker) widest() int {
	asked := w.subnet.IsValid()
	if !asked && (w.origins == nil || w.known != nil) {
		return 0
	}
	a, atLeast, n := w.listener.Addr, 0, 0
	if w.d.Drawn > 1 || !asked {
		atLeast = keyBits(a)
	}
	if k := w.known; k != nil && int(k.atLeast) <= atLeast {
		n = max(int(k.bits), atLeast)
	} else {
		n = w.alikeAround(a, atLeast)
		if w.origins != nil {
			w.origins.add(a, w.listener.Origin, n, atLeast)
		}
	}
	if !asked {
		return 0
	}
	return w.scopeOf(n)
}

// alikeAround returns the length of the widest prefix around the listener's address, at
// least atLeast, in which all have the listener's Origin.
func (w *worker) alikeAround(a netip.Addr, atLeast int) int {
	w.locate()
	n := w.s.cfg.Widest(a, atLeast, w.alike)
	if first, last := w.view.CIDRBounds(a); first.IsValid() || last.IsValid() {
		for ; n < a.BitLen(); n++ {
			p, _ := a.Prefix(n)
			if (!first.IsValid() || !p.Addr().Less(first)) && (!last.IsValid() || !last.Less(lastOf(p))) {
				break
			}
		}
	}
	return n
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().As16()
	skip := 128 - p.Addr().BitLen()
	for bit := skip + p.Bits(); bit < 128; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a := netip.AddrFrom16(b)
	if p.Addr().Is4() {
		return a.Unmap()
	}
	return a
}

// directors answers with the addresses of the live directors, the nearest first.
func (w *worker) directors(owner *domain, c *choice) int {
	w.client()
	w.locate()
	w.near = append(w.near[:0], w.s.cfg.Directors()...)
	sortByDistance(w.near, w.place)
	w.result = resultDirectors
	for i := range w.near {
		for _, a := range w.near[i].Addrs {
			if a = a.Unmap(); a.Is4() == (w.req.qtype == typeA) && w.chosen < c.count {
				if !w.address(owner, a, c.ttl) {
					break
				}
				w.chosen++
			}
		}
	}
	if w.chosen == 0 {
		if len(w.near) == 0 {
			w.result = resultServFail // another server may know some
			return rcodeServFail
		}
		w.denial(min(c.ttl, w.p.zone.negative))
	}
	if w.subnet.IsValid() && w.chosen > 1 {
		w.scope = w.scopeOf(w.s.cfg.Widest(w.listener.Addr, keyBits(w.listener.Addr), w.same))
	}
	return rcodeNoError
}

// optSize is the size of the answer's OPT record, in bytes.
func (w *worker) optSize() int {
	r := &w.req
	if !r.edns {
		return 0
	}
	n := 11
	if r.version == 0 {
		if r.subnet.there {
			n += 8 + (int(r.subnet.source)+7)/8
		}
		if r.cookie.there {
			n += 4 + 8 + serverCookieSize
		}
	}
	return n
}

// finish completes the header, adds the OPT record, and returns the answer's length.
func (w *worker) finish(rcode int) int {
	r, res := &w.req, &w.res
	flags := uint16(flagQR) | r.flags&(0xf<<11) | r.flags&(flagRD|flagCD)
	if w.res.zone > 0 && (rcode == rcodeNoError || rcode == rcodeNXDomain) {
		flags |= flagAA
	}
	begin := headerSize + len(r.question)
	if res.full {
		// A truncated answer has no records: part of a set is worse than none (RFC 2181, 9).
		flags |= flagTC
		res.b, res.counts = res.b[:begin], [3]uint16{}
	}
	if r.edns {
		w.opt(rcode)
	}
	b := res.b
	binary.BigEndian.PutUint16(b[2:], flags|uint16(rcode&0xf))
	binary.BigEndian.PutUint16(b[4:], uint16(min(len(r.question), 1)))
	for i, n := range res.counts {
		binary.BigEndian.PutUint16(b[6+2*i:], n)
	}
	return len(b)
}

func (w *worker) opt(rcode int) {
	r, res := &w.req, &w.res
	b := append(res.b, 0, 0, typeOPT)
	b = binary.BigEndian.AppendUint16(b, maxUDP)
	b = append(b, byte(rcode>>4), 0, 0, 0)
	if r.do {
		b[len(b)-2] = 0x80
	}
	b = append(b, 0, 0)
	length := len(b) - 2
	if r.version == 0 && r.subnet.there {
		b = w.appendSubnet(b)
	}
	if r.version == 0 && r.cookie.there {
		b = binary.BigEndian.AppendUint16(b, optCookie)
		b = binary.BigEndian.AppendUint16(b, 8+serverCookieSize)
		b = append(b, r.cookie.client[:]...)
		b = w.s.keys.cookie.append(b, r.cookie.client, w.from, w.now)
	}
	binary.BigEndian.PutUint16(b[length:], uint16(len(b)-length-2))
	res.b = b
	res.counts[inAdditional]++
}

// appendSubnet echoes the client subnet with the scope of the answer. Family, source length
// and address must be those of the query, or the resolver drops the answer (RFC 7871, 7.3).
func (w *worker) appendSubnet(b []byte) []byte {
	s := &w.req.subnet
	n := (int(s.source) + 7) / 8
	b = binary.BigEndian.AppendUint16(b, optSubnet)
	b = binary.BigEndian.AppendUint16(b, uint16(4+n))
	b = binary.BigEndian.AppendUint16(b, s.family)
	b = append(b, s.source, byte(w.scope))
	if n == 0 {
		return b
	}
	if s.addr.Is4() {
		a := s.addr.As4()
		return append(b, a[:n]...)
	}
	a := s.addr.As16()
	return append(b, a[:n]...)
}
