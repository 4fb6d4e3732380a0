package web

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/director"
)

// PastSpan is how far back a server remembers requests, if there were not too many.
const PastSpan = time.Hour

const (
	pastParts = 16
	// pastTries is how many parts an entry is offered to before it is dropped.
	pastTries = 4
	pastText  = 64 // bytes that are kept of a path, and of a user agent
	mostPast  = 50 // entries in one answer
)

// A past remembers the last requests, each with the pseudonym of its address, so that who
// did not hear something an hour ago is found by the address: it keeps no address. Its
// memory is taken at once and is bounded; adding allocates nothing and waits for nobody. It
// is safe for concurrent use.
type past struct {
	parts   [pastParts]pastPart
	turn    atomic.Uint32
	dropped atomic.Uint64 // because of pastTries readers or writers
	began   time.Time
}

// A pastPart is a ring. Its lock is held for a copy, or by a reader while it looks through.
type pastPart struct {
	mu    sync.Mutex
	ring  []pastEntry
	added uint64
	_     [64]byte // of another part's cache line
}

type pastEntry struct {
	person   uint64 // pseudonym of the address alone; never leaves memory
	listener uint64 // as in the record
	at       int64  // when the request began, in ns since 1970
	bytes    int64
	lasted   time.Duration
	// Strings that live on: of the configuration, or constant.
	fault, mount, rule, step, end string
	node                          director.NodeID
	region                        director.RegionID
	status                        uint16
	answer                        Answer
	outcome                       director.Outcome
	decided, https, begins        bool
	path, agent                   clipped
}

// A clipped is the beginning of a text of the request's, whose memory is used again.
type clipped struct {
	n    uint8
	text [pastText]byte
}

func (c *clipped) set(s string) { c.n = uint8(copy(c.text[:], s)) }

func (c *clipped) String() string {
	text := c.text[:c.n]
	if c.n == pastText { // it may have been cut within a letter
		for i := 0; i < utf8.UTFMax && !utf8.Valid(text); i++ {
			text = text[:len(text)-1]
		}
	}
	return string(text)
}

// newPast returns a past of size requests; nil if size is 0.
func newPast(size int, now time.Time) *past {
	if size <= 0 {
		return nil
	}
	p := &past{began: now}
	for i := range p.parts {
		p.parts[i].ring = make([]pastEntry, max(1, size/pastParts))
	}
	return p
}

// add remembers a request. begins says that it is a stream that is carried inline, which
// has just begun.
func (p *past) add(r *Record, person uint64, begins bool) {
	turn := p.turn.Add(1)
	for i := range uint32(pastTries) {
		part := &p.parts[(turn+i)%pastParts]
		if !part.mu.TryLock() {
			continue
		}
		e := &part.ring[part.added%uint64(len(part.ring))]
		part.added++
		e.person, e.listener, e.at, e.bytes, e.lasted = person, r.Listener, r.Time.UnixNano(), r.Bytes, r.Duration
		e.fault, e.mount, e.rule, e.step, e.end, e.node, e.region = r.Fault, r.Mount, r.Rule, r.Step, r.End, r.Node, r.Region
		e.status, e.answer, e.outcome, e.decided, e.https, e.begins = uint16(r.Status), r.Answer, r.Outcome, r.Decided, r.HTTPS, begins
		e.path.set(r.Path)
		e.agent.set(r.UserAgent)
		part.mu.Unlock()
		return
	}
	p.dropped.Add(1)
}

// Past is what a director remembers of an address.
type Past struct {
	// Since is from when on it remembers every request: an hour ago, later if it began
	// then, or if so many have come since that it could not keep them all.
	Since time.Time `json:"since"`
	// Records are those of the address, the newest first, 50 at most.
	Records []PastRecord `json:"records"`
	More    int          `json:"more,omitempty"` // older ones that are left out
}

// PastRecord is what became of one request. It has the names that the requests' log has.
type PastRecord struct {
	Time      time.Time         `json:"time"`
	Status    int               `json:"status"`
	Path      string            `json:"path"` // at most 64 bytes
	Answer    Answer            `json:"answer"`
	Outcome   string            `json:"outcome,omitempty"`
	Fault     string            `json:"fault,omitempty"` // what the listener was told
	Mount     string            `json:"mount,omitempty"`
	Node      director.NodeID   `json:"node,omitempty"`
	Region    director.RegionID `json:"region,omitempty"`
	Rule      string            `json:"rule,omitempty"`
	Step      string            `json:"step,omitempty"`
	Listener  string            `json:"listener"`   // the pseudonym in the requests' log
	UserAgent string            `json:"user_agent"` // at most 64 bytes
	HTTPS     bool              `json:"https,omitempty"`
	// Of a stream carried inline: that it has begun; how long it lasted, in seconds, what
	// was sent, and why it ended.
	Begins  bool    `json:"begins,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	End     string  `json:"end,omitempty"`
}

// of returns what is remembered of whoever has one of these pseudonyms.
func (p *past) of(persons []uint64, now time.Time) *Past {
	from := now.Add(-PastSpan)
	since := from
	later := func(t time.Time) {
		if t.After(since) {
			since = t
		}
	}
	later(p.began)
	var found []pastEntry
	for i := range p.parts {
		part := &p.parts[i]
		part.mu.Lock()
		n := uint64(len(part.ring))
		if part.added > n {
			later(time.Unix(0, part.ring[part.added%n].at)) // the oldest that is left
		}
		for j := range min(part.added, n) {
			if e := &part.ring[j]; slices.Contains(persons, e.person) && e.at >= from.UnixNano() {
				found = append(found, *e)
			}
		}
		part.mu.Unlock()
	}
	slices.SortFunc(found, func(a, b pastEntry) int { return cmp.Compare(b.at, a.at) })
	out := &Past{Since: since.UTC(), Records: []PastRecord{}, More: max(0, len(found)-mostPast)}
	for i := range found[:min(len(found), mostPast)] {
		out.Records = append(out.Records, found[i].told())
	}
	return out
}

func (e *pastEntry) told() PastRecord {
	r := PastRecord{
		Time: time.Unix(0, e.at).UTC(), Status: int(e.status), Path: e.path.String(), Answer: e.answer, Fault: e.fault, Mount: e.mount, Node: e.node, Region: e.region,
		Rule: e.rule, Step: e.step, Listener: fmt.Sprintf("%016x", e.listener), UserAgent: e.agent.String(), HTTPS: e.https, Begins: e.begins, Bytes: e.bytes, End: e.end,
	}
	if e.decided {
		r.Outcome = e.outcome.String()
	}
	if e.end != "" {
		r.Seconds = e.lasted.Seconds()
	}
	return r
}

// remember adds a record to the past, if there is one, and the request has an address.
func (s *Server) remember(r *Record, person uint64, begins bool) {
	if s.past != nil && person != 0 {
		s.past.add(r, person, begins)
	}
}

// personOf returns the pseudonym of a request's address alone; 0: it has none, or nothing
// is remembered.
func (s *Server) personOf(x *exchange) uint64 {
	if s.past == nil || !x.client.addr.IsValid() {
		return 0
	}
	return s.keys.person(x.now, x.client.addr)
}

// pastOf returns what is remembered of an address; nil: nothing is remembered. The
// pseudonyms change at midnight, UTC.
func (s *Server) pastOf(a netip.Addr) *Past {
	if s.past == nil || !a.IsValid() {
		return nil
	}
	now := s.cfg.Now()
	return s.past.of([]uint64{s.keys.person(now, a), s.keys.person(now.Add(-PastSpan), a)}, now)
}
