package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/director"
)

// A Question is a query that a resolver could send.
type Question struct {
	Name string
	Type string // A or AAAA; empty: A
	// Resolver is the resolver's address; not valid: unknown. Subnet is the client subnet
	// that it sends; not valid: none.
	Resolver netip.Addr
	Subnet   netip.Prefix
}

// An Explanation is the answer that a question would get, with everything that leads to it.
type Explanation struct {
	Name     string       `json:"name"`
	Type     string       `json:"type"`
	Resolver string       `json:"resolver,omitempty"`
	Subnet   string       `json:"subnet,omitempty"`
	By       string       `json:"by"`    // whose place counts: subnet or resolver
	Drawn    string       `json:"drawn"` // how nodes are drawn: by subnet (the same each time) or for each answer
	Scope    int          `json:"scope"` // length of the prefix for which the answer holds; with a Subnet
	TTL      uint32       `json:"ttl"`   // seconds
	Addrs    []netip.Addr `json:"addrs"` // of the answer, the best first
	Nodes    []NodeAddr   `json:"nodes"` // whose addresses they are; none for directors
	Outcome  string       `json:"outcome"`
	// Brings is how many listeners an answer for the region is estimated to bring.
	Brings float64 `json:"listeners_per_answer,omitempty"`
	// Decision is every node's part; nil for the name of directors.
	Decision *director.Explanation `json:"decision,omitempty"`
	// Unknown are the fit nodes that no answer names, because their addresses are unknown.
	Unknown []director.NodeID `json:"without_address,omitempty"`
}

// NodeAddr is a node in an answer.
type NodeAddr struct {
	Node director.NodeID `json:"node"`
	Addr netip.Addr      `json:"addr"`
}

// Explain answers a question with the code that answers queries, and counts nothing. An
// error says what is wrong with the question.
func (s *Server) Explain(q Question) (*Explanation, error) {
	w := s.newWorker()
	w.p = s.policy.Load()
	if err := w.pose(q); err != nil {
		return nil, err
	}
	x := &Explanation{
		Name: w.entry.domain.text, Type: kindNames[kindOf(w.req.qtype)], By: "resolver", Drawn: "for each answer",
		TTL: w.entry.choice.ttl, Addrs: []netip.Addr{}, Nodes: []NodeAddr{},
	}
	if q.Resolver.IsValid() {
		x.Resolver = q.Resolver.String()
	}
	if w.req.subnet.addr.IsValid() {
		x.Subnet = q.Subnet.String()
	}
	if w.subnet.IsValid() {
		x.By, x.Drawn = "subnet", "by subnet"
	}
	w.res = response{b: make([]byte, headerSize, maxUDP), limit: maxUDP, zone: 0}
	w.resolve(w.entry)
	x.Scope, x.Outcome = w.scope, resultNames[w.result]
	x.addresses(w)
	if w.view.Snapshot == nil || !w.decided {
		return x, nil
	}
	x.Outcome = w.d.Outcome.String()
	for i, c := range w.d.Ranked[:w.chosen] {
		x.Nodes = append(x.Nodes, NodeAddr{w.view.NodeID(c.Node), x.Addrs[i]})
	}
	x.Brings = s.learn.each(w.d.Region)
	d := w.view.Explain(w.listener, w.view.Live)
	x.Decision = &d
	for _, c := range d.Candidates {
		if c.Reason == director.Fit && s.nodes.of(c.Node) == nil {
			x.Unknown = append(x.Unknown, c.Node)
		}
	}
	return x, nil
}

// pose sets up a worker as if it had received the question as a query.
func (w *worker) pose(q Question) error {
	d, err := parseName(q.Name)
	if err != nil {
		return err
	}
	switch strings.ToUpper(q.Type) {
	case "", "A":
		w.req.qtype = typeA
	case "AAAA":
		w.req.qtype = typeAAAA
	default:
		return fmt.Errorf("%q has no addresses to explain; ask for A or AAAA", q.Type)
	}
	w.entry = w.p.zone.names[string(d.wire)]
	for n := 0; w.entry != nil && w.entry.cname != nil && n < maxChain; n++ {
		w.entry = w.p.zone.names[string(w.entry.cname.wire)]
	}
	if w.entry == nil || w.entry.choice == nil {
		var have []string
		for _, e := range w.p.zone.names {
			if e.choice != nil {
				have = append(have, e.domain.text)
			}
		}
		return fmt.Errorf("%s is not a name that a decision answers; those are %s", d.text, strings.Join(slices.Sorted(slices.Values(have)), ", "))
	}
	w.from, _ = w.s.cfg.Unmap(q.Resolver)
	w.now = w.s.cfg.Now()
	w.req.length = copy(w.req.lower[:], d.wire)
	w.req.subnet = subnet{}
	if q.Subnet.IsValid() {
		p := q.Subnet.Masked()
		w.req.subnet = subnet{there: true, family: 1, source: byte(p.Bits())}
		if p.Addr().Is6() {
			w.req.subnet.family = 2
		}
		if p.Bits() > 0 {
			w.req.subnet.addr = p.Addr()
		}
	}
	w.unmapSubnet()
	return nil
}

// addresses reads the addresses from the answer's records.
func (x *Explanation) addresses(w *worker) {
	for at := headerSize; at < len(w.res.b); {
		kind, data, next := record(w.res.b, at)
		if next < 0 {
			return
		}
		if kind == typeA || kind == typeAAAA {
			if a, ok := netip.AddrFromSlice(data); ok {
				x.Addrs = append(x.Addrs, a)
			}
		}
		at = next
	}
}
