package director

import (
	"math"
	"slices"
	"time"
)

// A Decision is the result for a Listener. The caller owns it and reuses it. Decide
// writes every field but Spread; of Want it only turns 0 into 1.
type Decision struct {
	// Want is how many nodes to rank; 0 means 1. A redirect needs one, a
	// playlist as many as it has lines.
	Want int
	// Spread makes Ranked a set from which the client may take any node, as DNS
	// resolvers reorder addresses: see [Snapshot.Decide].
	Spread bool

	Outcome Outcome
	Region  RegionID // the region that matched; empty: none did, and the ladder is by distance
	Mount   int      // for Snapshot.Mount and Snapshot.URL; -1 with NoMount, and if none was asked for
	// Ranked holds the chosen node and then its alternates. It is empty for NoMount,
	// MountDown, Denied and Nobody, and for Full when every node is at its limit, is
	// full, or holds its pace.
	Ranked []Candidate
	// Drawn is, with Spread, the number of nodes that Ranked was drawn from. If it is 1,
	// every Key gets the same node.
	Drawn int
	// Seen holds the reasons of all nodes that were looked at; Fit: one was not passed over.
	Seen Reasons

	shares []float64 // with Spread: what each entry of the rung that was walked last drew with
}

// Candidate is one ranked node.
type Candidate struct {
	Node int // for Snapshot.Node and Snapshot.URL
	Rung int // its index in the ladder

	tier int     // the lower one is ranked first
	draw float64 // within a tier, the lower one is ranked first
}

// stage says which nodes the search accepts. A stage is tried only if all earlier ones
// found no node.
type stage uint8

const (
	byShare     stage = iota // fit nodes, by share, rung after rung
	unconfirmed              // the same with nodes that may have been drained unseen
	leastUsed                // nodes at target but below their limit, the least used first
	leastPushed              // paced nodes, the one with the least of its MaxNewPerS used first
	joined                   // nodes without a free seat, where the listener joins a connection
	lastKnown                // nodes that were last known good
)

// search is the state of one decision. It stays on the stack.
type search struct {
	s     *Snapshot
	d     *Decision
	l     Listener // by value: behind a pointer it would escape to the heap along with live
	live  Live
	stage stage
	// forgiving drops the mere preferences: a listener over IPv6 usually has IPv4 as
	// well, and the node that it came back from is better than none.
	forgiving bool
	want      int     // how many to rank
	seen      Reasons // why nodes were passed over
	trace     *Explanation
}

// Decide fills d with the decision for l. It allocates nothing once d.Ranked is large
// enough and the listener's ladder is known. It is safe for concurrent use as long as
// each caller has its own d. live may be nil.
//
// With d.Spread, the first of d.Ranked is the same as without, and up to Want-1 others
// of its tier follow. Over all Keys, each node gets its share both if clients take the
// first one and if they take any with equal probability. For that, a node whose share
// is above 1/Want is sometimes the only one in an answer.
func (s *Snapshot) Decide(d *Decision, l Listener, live Live) {
	s.decide(d, &l, live, nil)
}

func (s *Snapshot) decide(d *Decision, l *Listener, live Live, trace *Explanation) {
	d.Ranked = d.Ranked[:0]
	d.Region, d.Mount, d.Seen, d.Drawn = "", -1, 0, 0
	d.Want = max(d.Want, 1)
	if l.Mount != "" {
		m, ok := s.names[l.Mount]
		if !ok {
			d.Outcome = NoMount
			return
		}
		d.Mount = m
	}
	ladder, denied := s.place(d, l, trace)
	if denied {
		d.Outcome = Denied
		return
	}
	q := search{s: s, d: d, l: *l, live: live, want: d.Want, trace: trace}
	if d.Spread && trace == nil {
		q.want = 1
	}
	q.find(ladder)
	if d.Spread && len(d.Ranked) > 0 && trace == nil {
		q.spread(ladder)
	}
}

// find goes through the stages until one accepts a node.
func (q *search) find(ladder []*rung) {
	for _, q.forgiving = range [...]bool{false, true} {
		for q.stage = byShare; q.stage <= joined; q.stage++ {
			if (q.stage != joined || len(q.l.Joins) > 0) && q.run(ladder) {
				return
			}
		}
	}
	q.d.Outcome = q.nobody()
	if q.seen.Has(Down, Unverified) && !q.seen.Has(AtLimit, NodeFull, LacksScheme, Paced) {
		q.stage = lastKnown
		q.run(ladder)
	}
}

// place finds the region and its ladder.
func (s *Snapshot) place(d *Decision, l *Listener, trace *Explanation) (ladder []*rung, denied bool) {
	o, by := l.Origin, byNothing
	if o.ladder == nil || trace != nil {
		o, by = s.origin(l.Addr, l.Place)
	}
	if o.region != noRegion {
		region := &s.fleet.regions[o.region]
		d.Region = region.id
		denied = region.denies(s.mountName(d.Mount))
	}
	ladder = *o.ladder
	if trace != nil {
		trace.MatchedBy = by.String()
		for _, r := range ladder {
			trace.Ladder = append(trace.Ladder, r.name)
		}
	}
	return ladder, denied
}

// run ranks the nodes that the stage accepts and says whether there are any.
func (q *search) run(ladder []*rung) bool {
	if q.trace != nil {
		q.trace.Candidates = q.trace.Candidates[:0]
	}
	since := q.lastGood(ladder)
	lost := math.Inf(1) // the best draw among nodes of the first rung that had no room
	for i, r := range ladder {
		j := judged{rung: r, waived: q.s.warming && q.s.warmUpWaived(r, q.d.Mount)}
		q.d.shares = q.d.shares[:0]
		for _, e := range r.entries {
			c := Candidate{Node: e.node, Rung: i}
			q.take(&j, e)
			q.seen |= 1 << j.reason
			drawn, ok := q.accept(&c, &j, since)
			if ok {
				q.rank(c, drawn)
			} else if drawn = 0; i == 0 && lacksRoom(j.reason) {
				lost = min(lost, q.draw(e.node, nominal(q.s, r, e)))
			}
			if q.d.Spread {
				q.d.shares = append(q.d.shares, drawn)
			}
			if q.trace != nil {
				q.trace.add(*q, c, j)
			}
		}
		if q.stage == byShare && len(q.d.Ranked) >= q.want && q.trace == nil {
			break
		}
	}
	q.d.Seen = q.seen
	if len(q.d.Ranked) == 0 {
		return false
	}
	q.d.Outcome = q.outcome(ladder[0], lost)
	return true
}

func (q *search) draw(node int, share float64) float64 {
	return exponential(uniform(q.l.Key, q.s.fleet.nodes[node].hash)) / share
}

// judged is a node of a rung, with its share and the reason to pass it over, or Fit.
type judged struct {
	entry
	rung   *rung
	reason Reason
	share  float64
	waived bool // its warm-up
}

// take makes j the entry, judged.
func (q *search) take(j *judged, e entry) {
	j.entry, j.reason, j.share = e, q.judge(e), q.s.share(j.rung, e, j.waived)
	if (j.reason == Fit || j.reason == Unconfirmed) && j.share <= 0 {
		j.reason = AtTarget
	}
}

// judge returns the reason to pass a node over, the weightiest if several apply, or Fit.
func (q *search) judge(e entry) Reason {
	st := q.s.nodes[e.node]
	if st.health != Fit {
		return st.health
	}
	carries := q.s.carriesAt(q.d.Mount, e.node)
	switch {
	case carries.is == LacksMount:
		return LacksMount
	case carries.schemes&q.l.Scheme == 0:
		return LacksScheme
	case q.l.Port != 0 && !q.s.servesAt(e.node, q.d.Mount, q.l.Scheme, q.l.Port):
		return Elsewhere
	case len(q.l.Never) > 0 && slices.Contains(q.l.Never, q.s.fleet.nodes[e.node].ID):
		return ToAvoid
	case e.weight == 0:
		return WeightZero
	case st.full || carries.is == NodeFull || q.mountFull(e.node):
		return NodeFull
	case st.limit > 0 && q.used(e.node) >= st.limit:
		return AtLimit
	case !q.forgiving && !q.reaches(st):
		return LacksFamily
	case !q.forgiving && q.avoids(e.node):
		return ToAvoid
	case st.maxNew > 0 && q.recent(e.node) >= st.maxNew:
		return Paced
	case st.unconfirmed:
		return Unconfirmed
	}
	return Fit
}

func (q *search) avoids(node int) bool {
	a := &q.l.Avoid
	if a[0] == "" && a[1] == "" {
		return false
	}
	id := q.s.fleet.nodes[node].ID
	return a[0] == id || a[1] == id
}

func (q *search) used(node int) int {
	if q.live == nil {
		return q.s.nodes[node].used
	}
	return q.live.Used(node)
}

// mountFull says whether the listeners sent to a node since its report may have reached
// the mount's own limit there.
func (q *search) mountFull(node int) bool {
	at := q.s.mountFullAt(q.d.Mount, node)
	return at > 0 && q.used(node) >= at
}

func (q *search) recent(node int) int {
	if q.live == nil {
		return q.s.nodes[node].recent
	}
	return q.live.Recent(node)
}

func (q *search) reaches(st *nodeState) bool {
	family := q.l.Family
	if a := q.l.Addr; family == AddrFamily && a.IsValid() {
		family = IPv6
		if a.Unmap().Is4() {
			family = IPv4
		}
	}
	switch {
	case family == AddrFamily || !st.ipv4 && !st.ipv6:
		return true // unknown
	case family == IPv4:
		return st.ipv4
	default:
		return st.ipv6
	}
}

func lacksRoom(r Reason) bool {
	return r == AtTarget || r == AtLimit || r == NodeFull || r == Paced
}

// share is weight x room x warm-up, or free capacity x warm-up by load.
func (s *Snapshot) share(r *rung, e entry, waived bool) float64 {
	st := s.nodes[e.node]
	share := st.free
	if r.given {
		share = e.weight * st.room
	}
	if !waived {
		share *= st.warm
	}
	return share
}

// nominal is the share of a node that holds nobody.
func nominal(s *Snapshot, r *rung, e entry) float64 {
	if r.given {
		return e.weight
	}
	return max(float64(s.nodes[e.node].target), 1)
}

// warmUpWaived says whether the warm nodes have room for less than half of the rung's
// nominal shares: then the nodes that came back are needed at once.
func (s *Snapshot) warmUpWaived(r *rung, mount int) bool {
	var steady, all float64
	for _, e := range r.entries {
		st := s.nodes[e.node]
		n := nominal(s, r, e)
		all += n
		if st.warm == 1 && st.health == Fit && !st.full && s.carriesAt(mount, e.node).is == Fit {
			steady += n * st.room
		}
	}
	return steady < all/2
}

// accept says whether the stage accepts the candidate, and sets its tier. It also
// returns the share that divides the candidate's draw.
func (q *search) accept(c *Candidate, j *judged, since time.Time) (float64, bool) {
	st := q.s.nodes[j.node]
	switch q.stage {
	case byShare:
		c.tier = c.Rung
		return j.share, j.reason == Fit
	case unconfirmed:
		c.tier = c.Rung
		return j.share, j.reason == Unconfirmed
	case leastUsed:
		// In twentieths, and by draw among equals, so that not every listener gets the same node.
		c.tier = q.used(j.node) * 20 / max(st.limit, st.target, 1)
		return nominal(q.s, j.rung, j.entry), j.reason == AtTarget
	case leastPushed:
		c.tier = q.recent(j.node) * 10 / max(st.maxNew, 1)
		return nominal(q.s, j.rung, j.entry), j.reason == Paced && !st.hold
	case joined:
		c.tier = c.Rung
		full := j.reason == AtLimit || j.reason == NodeFull
		return nominal(q.s, j.rung, j.entry), full && slices.Contains(q.l.Joins, q.s.fleet.nodes[j.node].ID)
	default:
		c.tier = c.Rung
		return nominal(q.s, j.rung, j.entry), q.mayStillServe(j.entry, since)
	}
}

// knownTogether is the longest time from the first to the last node of one failure to
// be noticed: a director that loses its network sees them go down one after another.
const knownTogether = 30 * time.Second

// lastGood returns the time since which a node must have gone down to count as one of
// the last known good. Only the last stage needs it.
func (q *search) lastGood(ladder []*rung) (since time.Time) {
	if q.stage != lastKnown {
		return since
	}
	for _, r := range ladder {
		for _, e := range r.entries {
			if st := q.s.nodes[e.node]; st.health == Down && st.report.Since.After(since) {
				since = st.report.Since
			}
		}
	}
	return since.Add(-knownTogether)
}

func (q *search) mayStillServe(e entry, since time.Time) bool {
	st, carries := q.s.nodes[e.node], q.s.carriesAt(q.d.Mount, e.node)
	if e.weight == 0 || carries.schemes&q.l.Scheme == 0 || carries.is == LacksMount ||
		q.l.Port != 0 && !q.s.servesAt(e.node, q.d.Mount, q.l.Scheme, q.l.Port) {
		return false
	}
	return st.health == Unverified || st.health == Down && !st.report.Since.Before(since)
}

// rank keeps the best q.want candidates in order: by tier, then by draw. The
// logarithm is most of a decision's cost. As -ln(u) is never below v + v*v/2 with v = 1-u,
// the beginning of its series, a candidate that loses even with that needs no logarithm.
func (q *search) rank(c Candidate, share float64) {
	r := q.d.Ranked
	if c.Rung > 0 && slices.ContainsFunc(r, func(o Candidate) bool { return o.Node == c.Node }) {
		return // an earlier rung has named it
	}
	u := uniform(q.l.Key, q.s.fleet.nodes[c.Node].hash)
	v := 1 - u
	c.draw = (v + v*v/2) / share
	i := len(r)
	if i >= q.want && !c.before(&r[i-1]) {
		return
	}
	c.draw = exponential(u) / share
	if i >= q.want {
		if !c.before(&r[i-1]) {
			return
		}
		i--
	} else {
		r = append(r, c)
	}
	for i > 0 && c.before(&r[i-1]) {
		r[i] = r[i-1]
		i--
	}
	r[i] = c
	q.d.Ranked = r
}

func (c *Candidate) before(o *Candidate) bool {
	return c.tier < o.tier || c.tier == o.tier && c.draw < o.draw
}

// outcome returns the outcome of a search that found a node. lost is the best draw
// among the nodes of the first rung that had no room: the chosen node must beat it to be
// the first choice.
func (q *search) outcome(home *rung, lost float64) Outcome {
	first := &q.d.Ranked[0]
	switch {
	case q.stage == lastKnown:
		return Dark
	case q.stage > unconfirmed:
		return Full
	case first.Rung > 0:
		return Overflow
	}
	for _, e := range home.entries {
		if e.node == first.Node && lost < q.draw(e.node, nominal(q.s, home, e)) {
			return Spilled
		}
	}
	return Placed
}

// nobody returns the outcome of a search that found no node.
func (q *search) nobody() Outcome {
	switch {
	case q.seen.Has(AtLimit, NodeFull, Paced):
		return Full
	case q.seen.Has(LacksScheme):
		return Nobody
	case q.seen.Has(LacksMount):
		return MountDown
	}
	return Nobody
}
