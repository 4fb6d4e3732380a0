package web

import (
	"cmp"
	"encoding/binary"
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
	// pastBlocks is how many blocks a part has: it forgets one of them at once.
	pastBlocks = 8
	// pastBytes is what a request takes that was answered with a redirect: 80 to 130 bytes,
	// half of them names and the user agent.
	pastBytes = 128
	pastText  = 64  // bytes that are kept of a path, and of a user agent
	pastName  = 255 // bytes that are kept of a name: as many as a byte can count
	mostPast  = 50  // entries in one answer
)

// A past remembers the last requests, each with the pseudonym of its address, so that who
// did not hear something an hour ago is found by the address: it keeps no address. Its
// memory is taken at once, is bounded, and has no pointers, so that a collection does not
// look at it; adding allocates nothing and waits for nobody. It is safe for concurrent use.
type past struct {
	parts   [pastParts]pastPart
	turn    atomic.Uint32
	dropped atomic.Uint64 // because of pastTries readers or writers
	began   time.Time
}

// A pastPart is a ring of blocks, which are filled one after the other with entries. Its
// lock is held for a copy, or by a reader while it looks through.
type pastPart struct {
	mu     sync.Mutex
	blocks [pastBlocks][]byte
	now    int      // the block that is being filled
	lost   bool     // entries were overwritten
	_      [64]byte // of another part's cache line
}

// A pastEntry is a request that is remembered. In a block it is the length of all of it,
// the numbers as they stand here, the lengths of the texts in a byte each, and the texts.
type pastEntry struct {
	person   uint64 // pseudonym of the address alone; never leaves memory
	listener uint64 // as in the record
	at       int64  // when the request began, in ns since 1970
	lasted   int64  // in ns
	bytes    int64
	status   uint16
	answer   Answer
	outcome  director.Outcome
	flags    uint8
	texts    [pastTexts]string
}

// The flags of an entry.
const (
	pastDecided uint8 = 1 << iota
	pastHTTPS
	pastBegins
)

// The texts of an entry.
const (
	pastFault = iota
	pastMount
	pastNode
	pastRegion
	pastRule
	pastStep
	pastEnd
	pastPath
	pastAgent
	pastTexts
)

const (
	pastLengths = 2 + 5*8 + 2 + 1 + 1 + 1 // where an entry's texts' lengths begin
	pastNumbers = pastLengths + pastTexts
	pastLongest = pastNumbers + pastTexts*pastName
)

// newPast returns a past of some size requests, in pastBytes each; nil if size is 0.
func newPast(size int, now time.Time) *past {
	if size <= 0 {
		return nil
	}
	p := &past{began: now}
	each := max(pastLongest, size*pastBytes/pastParts/pastBlocks)
	all := make([]byte, pastParts*pastBlocks*each)
	for i := range p.parts {
		for j := range p.parts[i].blocks {
			p.parts[i].blocks[j], all = all[:0:each], all[each:]
		}
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
		part.add(r, person, begins)
		part.mu.Unlock()
		return
	}
	p.dropped.Add(1)
}

// add writes an entry. The part is locked.
func (p *pastPart) add(r *Record, person uint64, begins bool) {
	texts := [pastTexts]string{
		pastFault: r.Fault, pastMount: r.Mount, pastNode: string(r.Node), pastRegion: string(r.Region), pastRule: r.Rule, pastStep: r.Step, pastEnd: r.End,
		pastPath: r.Path[:min(len(r.Path), pastText)], pastAgent: r.UserAgent[:min(len(r.UserAgent), pastText)],
	}
	size := pastNumbers
	for i := range texts {
		size += min(len(texts[i]), pastName)
	}
	block := p.blocks[p.now]
	if len(block)+size > cap(block) {
		p.now = (p.now + 1) % pastBlocks
		block = p.blocks[p.now][:0]
		p.lost = p.lost || len(p.blocks[p.now]) > 0
	}
	b := block[len(block) : len(block)+size]
	p.blocks[p.now] = block[:len(block)+size]

	numbers, order := b[:pastNumbers], binary.LittleEndian
	order.PutUint16(numbers, uint16(size))
	order.PutUint64(numbers[2:], person)
	order.PutUint64(numbers[10:], r.Listener)
	order.PutUint64(numbers[18:], uint64(r.Time.UnixNano()))
	order.PutUint64(numbers[26:], uint64(r.Duration))
	order.PutUint64(numbers[34:], uint64(r.Bytes))
	order.PutUint16(numbers[42:], uint16(r.Status))
	numbers[44], numbers[45] = byte(r.Answer), byte(r.Outcome)
	var flags uint8
	if r.Decided {
		flags |= pastDecided
	}
	if r.HTTPS {
		flags |= pastHTTPS
	}
	if begins {
		flags |= pastBegins
	}
	numbers[46] = flags
	lengths, b := numbers[pastLengths:], b[pastNumbers:]
	for i := range texts {
		n := copy(b[:min(len(b), pastName)], texts[i])
		lengths[i], b = byte(n), b[n:]
	}
}

// next returns the first entry of a block, and what follows it. The entry has no texts yet.
func (e *pastEntry) next(b []byte) (one, rest []byte) {
	order := binary.LittleEndian
	n := order.Uint16(b)
	e.person, e.listener = order.Uint64(b[2:]), order.Uint64(b[10:])
	e.at, e.lasted, e.bytes = int64(order.Uint64(b[18:])), int64(order.Uint64(b[26:])), int64(order.Uint64(b[34:]))
	e.status, e.answer, e.outcome, e.flags = order.Uint16(b[42:]), Answer(b[44]), director.Outcome(b[45]), b[46]
	return b[:n], b[n:]
}

// read copies the texts of an entry.
func (e *pastEntry) read(one []byte) {
	b := one[pastNumbers:]
	for i, n := range one[pastLengths:pastNumbers] {
		e.texts[i], b = string(b[:n]), b[n:]
	}
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
		oldest := part.lost
		for j := range pastBlocks {
			for b := part.blocks[(part.now+1+j)%pastBlocks]; len(b) > 0; {
				var e pastEntry
				var one []byte
				one, b = e.next(b)
				if oldest {
					later(time.Unix(0, e.at))
					oldest = false
				}
				if e.at >= from.UnixNano() && slices.Contains(persons, e.person) {
					e.read(one)
					found = append(found, e)
				}
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
	t := &e.texts
	r := PastRecord{
		Time: time.Unix(0, e.at).UTC(), Status: int(e.status), Path: whole(t[pastPath], pastText), Answer: e.answer, Fault: whole(t[pastFault], pastName), Mount: whole(t[pastMount], pastName),
		Node: director.NodeID(whole(t[pastNode], pastName)), Region: director.RegionID(whole(t[pastRegion], pastName)), Rule: whole(t[pastRule], pastName), Step: t[pastStep],
		Listener: fmt.Sprintf("%016x", e.listener), UserAgent: whole(t[pastAgent], pastText), HTTPS: e.flags&pastHTTPS != 0, Begins: e.flags&pastBegins != 0, Bytes: e.bytes, End: t[pastEnd],
	}
	if e.flags&pastDecided != 0 {
		r.Outcome = e.outcome.String()
	}
	if r.End != "" {
		r.Seconds = time.Duration(e.lasted).Seconds()
	}
	return r
}

// whole returns a text without the letter within which it was cut to so many bytes.
func whole(s string, cut int) string {
	for i := 0; len(s) > 0 && (i > 0 || len(s) == cut) && i < utf8.UTFMax && !utf8.ValidString(s); i++ {
		s = s[:len(s)-1]
	}
	return s
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
