package dns

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/signpost-fm/signpost/director"
)

// result is what became of a query.
type result uint8

const (
	resultDecided   result = iota // by director.Decide, whose outcome says more
	resultDirectors               // the live directors
	resultFixed                   // fixed records
	resultAny                     // the minimal answer to ANY
	resultCookie                  // only a cookie was asked for
	resultNoData                  // no such type at the name
	resultNXDomain                // no such name
	resultRefused
	resultServFail // no snapshot yet, no such mount yet, no director known
	resultFormErr
	resultNotImp
	resultBadVers
	resultSlipped // too many: truncated
	resultDropped // too many: not answered
	numResults    = iota
)

var resultNames = [numResults]string{
	resultDecided: "decided", resultDirectors: "directors", resultFixed: "fixed", resultAny: "any", resultCookie: "cookie",
	resultNoData: "nodata", resultNXDomain: "nxdomain", resultRefused: "refused", resultServFail: "servfail",
	resultFormErr: "formerr", resultNotImp: "notimp", resultBadVers: "badvers", resultSlipped: "slipped", resultDropped: "dropped",
}

// The record types that are counted separately.
const (
	kindA = iota
	kindAAAA
	kindHTTPS
	kindOther
	numKinds
)

var kindNames = [numKinds]string{"A", "AAAA", "HTTPS", "other"}

func kindOf(qtype uint16) int {
	switch qtype {
	case typeA:
		return kindA
	case typeAAAA:
		return kindAAAA
	case typeHTTPS:
		return kindHTTPS
	}
	return kindOther
}

// The outcomes of a query: those of a decision first, then the other results.
var numOutcomes = len(director.Outcomes()) + numResults

func outcomeName(i int) string {
	if n := len(director.Outcomes()); i >= n {
		return resultNames[i-n]
	}
	return director.Outcome(i).String()
}

// counted counts the queries for a name by type, transport, whether there was a client
// subnet, and outcome.
type counted struct {
	name  string // "": no name of the zone
	cells [numKinds][2][2][]atomic.Uint64
}

func newCounted(name string) *counted {
	c := &counted{name: name}
	for k := range c.cells {
		for t := range c.cells[k] {
			for e := range c.cells[k][t] {
				c.cells[k][t][e] = make([]atomic.Uint64, numOutcomes)
			}
		}
	}
	return c
}

// stats counts with atomic additions only. It implements [prometheus.Collector].
type stats struct {
	workers   atomic.Uint32
	junk      atomic.Uint64
	decided   atomic.Uint64    // answers with addresses of nodes
	truncated [2]atomic.Uint64 // by transport
	sendFails atomic.Uint64
	panics    atomic.Uint64
	ways      ways
	nowhere   *counted

	mu    sync.Mutex
	names map[string]*counted // of all zones since the process began
	all   atomic.Pointer[[]*counted]
}

func newStats() *stats {
	return &stats{nowhere: newCounted(""), names: map[string]*counted{}}
}

// count gives the names of a zone their counters. Names of earlier zones keep theirs.
func (s *stats) count(z *zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range z.names {
		if s.names[e.domain.text] == nil {
			s.names[e.domain.text] = newCounted(e.domain.text)
		}
		e.counted = s.names[e.domain.text]
	}
	all := []*counted{s.nowhere}
	for _, c := range s.names {
		all = append(all, c)
	}
	s.all.Store(&all)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// count counts and records a query that was answered with size bytes.
func (w *worker) count(size int) {
	c := w.s.stats.nowhere
	if w.entry != nil {
		c = w.entry.counted
	}
	outcome := len(director.Outcomes()) + int(w.result)
	if w.result == resultDecided {
		outcome = int(w.d.Outcome)
	}
	c.cells[kindOf(w.req.qtype)][b2i(w.tcp)][b2i(w.req.subnet.addr.IsValid())][outcome].Add(1)
	if w.res.full {
		w.s.stats.truncated[b2i(w.tcp)].Add(1)
	} else if w.result == resultDecided && w.chosen > 0 {
		w.s.stats.decided.Add(1)
		part := uint64(wholeAnswer / w.chosen)
		for _, r := range w.d.Ranked[:w.chosen] {
			w.s.stats.ways.add(way{w.d.Region, w.view.NodeID(r.Node)}, part)
		}
	}
	if w.s.cfg.Record != nil {
		w.record(size)
	}
}

// wholeAnswer is one answer in the units of ways: it is divisible by every number of
// addresses that an answer may have.
const wholeAnswer = 840

// way is a region and a node to which its listeners are sent.
type way struct {
	region director.RegionID
	node   director.NodeID
}

// ways counts answers by way, in parts of wholeAnswer. Adding to a known way takes no lock.
type ways struct {
	known atomic.Pointer[map[way]*atomic.Uint64] // replaced, never modified
	mu    sync.Mutex                             // for replacing it
}

func (c *ways) all() map[way]*atomic.Uint64 {
	if m := c.known.Load(); m != nil {
		return *m
	}
	return nil
}

func (c *ways) add(w way, n uint64) {
	if count := c.all()[w]; count != nil {
		count.Add(n)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.all()
	if known[w] == nil {
		next := make(map[way]*atomic.Uint64, len(known)+1)
		for k, v := range known {
			next[k] = v
		}
		next[w] = new(atomic.Uint64)
		known = next
		c.known.Store(&known)
	}
	known[w].Add(n)
}

// forget drops the ways to nodes that no longer exist: registered nodes may have a new id
// each time. An answer that is added at the same time may be lost from the count.
func (c *ways) forget(gone func(director.NodeID) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[way]*atomic.Uint64{}
	for w, n := range c.all() {
		if !gone(w.node) {
			next[w] = n
		}
	}
	c.known.Store(&next)
}

var (
	descQueries   = prometheus.NewDesc("signpost_dns_queries_total", "Queries by the zone's name that they were for (empty: none), type, how they ended, transport, and whether the resolver told a client subnet.", []string{"name", "type", "outcome", "transport", "subnet"}, nil)
	descAnswers   = prometheus.NewDesc("signpost_dns_answers_total", "Answers that led to a node, by the region that was answered for (empty: none); one that names two nodes counts half for each.", []string{"region", "node"}, nil)
	descBrings    = prometheus.NewDesc("signpost_dns_listeners_per_answer", "How many listeners an answer is reckoned to bring, as learned from nodes' reports.", []string{"region"}, nil)
	descTruncated = prometheus.NewDesc("signpost_dns_truncated_total", "Answers that were too large for their way.", []string{"transport"}, nil)
	descJunk      = prometheus.NewDesc("signpost_dns_junk_total", "Messages that were no queries, and not answered.", nil, nil)
	descSendFails = prometheus.NewDesc("signpost_dns_send_failures_total", "Answers that the system did not send.", nil, nil)
	descTCP       = prometheus.NewDesc("signpost_dns_tcp_connections", "Open TCP connections.", nil, nil)
	descTCPExcess = prometheus.NewDesc("signpost_dns_tcp_refused_total", "TCP connections that were closed at once because there were too many.", nil, nil)
	descPanics    = prometheus.NewDesc("signpost_dns_panics_total", "Queries that ended in a panic: faults to report.", nil, nil)
	descUnknown   = prometheus.NewDesc("signpost_dns_nodes_without_address", "Nodes whose addresses are not known, so that no answer names them.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descQueries, descAnswers, descBrings, descTruncated, descJunk, descSendFails, descTCP, descTCPExcess, descPanics, descUnknown,
	} {
		ch <- d
	}
}

var (
	transports = [2]string{"udp", "tcp"}
	yesNo      = [2]string{"no", "yes"}
)

// Collect implements [prometheus.Collector].
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, c := range *s.stats.all.Load() {
		c.each(func(kind, transport, subnet, outcome int, n uint64) {
			count(descQueries, float64(n), c.name, kindNames[kind], outcomeName(outcome), transports[transport], yesNo[subnet])
		})
	}
	for w, n := range s.stats.ways.all() {
		count(descAnswers, float64(n.Load())/wholeAnswer, string(w.region), string(w.node))
	}
	for region, n := range s.learn.brings() {
		gauge(descBrings, n, string(region))
	}
	for i := range s.stats.truncated {
		count(descTruncated, float64(s.stats.truncated[i].Load()), transports[i])
	}
	count(descJunk, float64(s.stats.junk.Load()))
	count(descSendFails, float64(s.stats.sendFails.Load()))
	gauge(descTCP, float64(s.tcp.Load()))
	count(descTCPExcess, float64(s.refused.Load()))
	count(descPanics, float64(s.stats.panics.Load()))
	gauge(descUnknown, float64(len(s.nodes.unknown())))
}

// each calls f for every counter that is not 0.
func (c *counted) each(f func(kind, transport, subnet, outcome int, n uint64)) {
	for k := range c.cells {
		for t := range c.cells[k] {
			for e := range c.cells[k][t] {
				for o := range c.cells[k][t][e] {
					if n := c.cells[k][t][e][o].Load(); n > 0 {
						f(k, t, e, o, n)
					}
				}
			}
		}
	}
}

// Traffic is what a server has done since it began. The counts only rise, except that those
// of nodes that no longer exist are forgotten.
type Traffic struct {
	Queries  uint64                                            // all
	Outcomes map[string]uint64                                 // queries by outcome
	Answers  map[director.RegionID]map[director.NodeID]float64 // answers that led to a node, by region; one with two nodes counts half for each
	Brings   map[director.RegionID]float64                     // listeners that an answer is estimated to bring
	Names    map[string]uint64                                 // queries by name; "": no name of the zone
}

// Answers returns how many queries were answered with addresses from a decision.
func (s *Server) Answers() uint64 {
	return s.stats.decided.Load()
}

// Traffic reads the counters.
func (s *Server) Traffic() Traffic {
	t := Traffic{
		Outcomes: map[string]uint64{}, Answers: map[director.RegionID]map[director.NodeID]float64{},
		Brings: s.learn.brings(), Names: map[string]uint64{},
	}
	for _, c := range *s.stats.all.Load() {
		c.each(func(_, _, _, outcome int, n uint64) {
			t.Queries += n
			t.Outcomes[outcomeName(outcome)] += n
			t.Names[c.name] += n
		})
	}
	for w, n := range s.stats.ways.all() {
		if t.Answers[w.region] == nil {
			t.Answers[w.region] = map[director.NodeID]float64{}
		}
		t.Answers[w.region][w.node] = float64(n.Load()) / wholeAnswer
	}
	return t
}

// Record is the record of one query. [Config.Record] gets it and must copy what it keeps,
// because the Record is reused.
type Record struct {
	Time      time.Time
	Name      string // the name of the zone that was asked for; empty: none
	Type      string // A, AAAA, HTTPS or other
	Transport string // udp or tcp
	// Outcome is the outcome of a decision, or what else the answer was: directors, fixed,
	// nodata, nxdomain, refused, servfail, formerr, notimp, badvers, any, cookie, slipped
	// or dropped.
	Outcome string
	Nodes   []director.NodeID // the nodes in the answer, the best first
	Region  director.RegionID
	Country director.Code
	// Resolver is the network that the query came from, a /24 or /48. Subnet is the client
	// subnet, if the resolver sent one that tells anything, with at most 24 or 48 bits. Of addresses
	// that stand for IPv4 addresses, both are those.
	Resolver, Subnet netip.Prefix
	Scope            int // length of the prefix for which the answer holds; with a Subnet
	Bytes            int // size of the answer; 0: there was none
}

func (w *worker) record(size int) {
	r := &w.rec
	w.locate() // there may have been no need to yet
	*r = Record{
		Time: w.now, Type: kindNames[kindOf(w.req.qtype)], Transport: transports[b2i(w.tcp)],
		Outcome: resultNames[w.result], Nodes: r.Nodes[:0], Country: w.place.Country,
		Resolver: network(w.from), Scope: w.scope, Bytes: size,
	}
	if w.entry != nil {
		r.Name = w.entry.domain.text
	}
	if w.result == resultDecided {
		r.Outcome, r.Region = w.d.Outcome.String(), w.d.Region
		for _, c := range w.d.Ranked[:w.chosen] {
			r.Nodes = append(r.Nodes, w.view.NodeID(c.Node))
		}
	}
	if p := w.subnet; p.IsValid() {
		r.Subnet, _ = p.Addr().Prefix(min(p.Bits(), keyBits(p.Addr())))
	}
	w.s.cfg.Record(r)
}

// network is the part of an address that a record shows: /24 of IPv4, /48 of IPv6.
func network(a netip.Addr) netip.Prefix {
	p, _ := a.Prefix(keyBits(a)) // shorter than any address
	return p
}
