package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/visits"
)

// An Invariant is the name of a promise that is checked at every step.
type Invariant string

// The promises. docs/simulation.md says what each means.
const (
	NotDrained  Invariant = "drained"   // nobody is sent to a drained node
	NotDown     Invariant = "down"      // nobody is sent to a node that has been down for long
	Healthy     Invariant = "healthy"   // a node that serves is not taken for down
	WithinLimit Invariant = "limit"     // a limit is passed by no more than what arrives in a tick
	Shares      Invariant = "shares"    // weights, room and warm-up give the shares that the docs say
	Spill       Invariant = "spill"     // room follows how full a node is
	Warm        Invariant = "warm_up"   // a node that came back warms up in its time
	Steady      Invariant = "steady"    // a share does not go back and forth
	Affinity    Invariant = "affinity"  // directors with the same picture give the same answer
	SameAgain   Invariant = "same"      // who opens a stream twice gets the same node
	NotThere    Invariant = "not_there" // who comes back from a node does not get it again before it was asked
	Seated      Invariant = "seated"    // whoever asks hears something, once all is well
	Room        Invariant = "room"      // nobody is refused while a node has room
	Edits       Invariant = "edits"     // an acknowledged change stays
	Agree       Invariant = "agree"     // directors that reach the store agree
	Counted     Invariant = "counted"   // nobody on the way is forgotten, or counted for ever
	Evidence    Invariant = "evidence"  // a few networks raise no doubt
	Paced       Invariant = "pace"      // a node's pace is kept while others have room
)

// Invariants lists all promises.
func Invariants() []Invariant {
	return []Invariant{NotDrained, NotDown, Healthy, WithinLimit, Shares, Spill, Warm, Steady, Affinity, SameAgain, NotThere, Seated, Room, Edits, Agree, Counted, Evidence, Paced}
}

// The times that the promises allow, beside those of the product's own configuration.
const (
	ticksToKnow   = 3               // ticks after which a director knows what is in the store
	downWithin    = 8 * time.Second // a node that is dead for so long is known to be: probe.Config.Detection and some ticks
	calmAfter     = 20 * time.Second
	seatedAfter   = 30 * time.Second
	agreeWithin   = 2 * time.Second
	evidenceSpan  = 10 * time.Second
	fewNetworks   = 3
	sharesWithin  = 0.02
	sharesSigmas  = 4
	roomSteps     = 8
	longestSettle = 5 * time.Second
)

// checks is what the promises need to remember.
type checks struct {
	watch    map[Invariant]bool
	broken   map[string]bool // what was noted already
	trouble  []int64         // by director: when it last had any; it has now if active is above 0
	active   []int           // by director: faults that concern it, those of the store included
	nodes    []nodeChecks
	views    []viewChecks // by director
	disagree []int64      // by node: since when directors disagree; 0: they do not
	shares   map[director.RegionID]*regionShares
	regions  []director.RegionID // of shares, in the order of their first decision
	acked    map[director.NodeID]ack
	ackedAt  int64
	calm     int64 // when the last fault of any kind ended; -1: one is active
	faults   int   // that are active
}

type ack struct {
	drained bool
	at      int64
}

type nodeChecks struct {
	faults  int
	trouble int64 // when it last had a fault
	// recent and alone count listeners sent, and those who connected by themselves, in
	// slots of a quarter of a second.
	recent, alone window
	most          window // the most listeners in each slot
	queued        int64  // when its queue was last not empty
	cut           int64  // when a link to it last broke: its listeners go, and no report tells yet
	backs         []back // who came back from it lately
}

// back is a listener who came straight back from a node.
type back struct {
	at       int64
	network  uint64
	director int
}

// viewChecks is what is remembered of one director's views.
type viewChecks struct {
	signature uint64
	steps     []stepChecks // by node
	known     []knownNode  // by node
	expected  map[director.RegionID][]nodeShare
}

// knownNode is what shares follow from.
type knownNode struct {
	fit, full    bool
	room, warmUp float64
}

// nodeShare is the share 0..1 of a node.
type nodeShare struct {
	node  int
	share float64
}

type stepChecks struct {
	step, before int
	changed, was int64 // when the step changed to step, and to before
}

// window counts events in slots of windowSlot; it remembers the last 64 of them.
type window struct {
	slot  int64
	count [64]int
}

const windowSlot = int64(250 * time.Millisecond)

func (v *window) turn(now int64) *int {
	slot := now / windowSlot
	if slot-v.slot > int64(len(v.count)) {
		v.slot = slot - int64(len(v.count))
	}
	for v.slot < slot {
		v.slot++
		v.count[v.slot%int64(len(v.count))] = 0
	}
	return &v.count[slot%int64(len(v.count))]
}

// sum is how many there were in the last d, and in the slot before that.
func (v *window) sum(now int64, d time.Duration) (n int) {
	v.turn(now)
	for k := range min(int64(d)/windowSlot+2, int64(len(v.count)), v.slot+1) {
		n += v.count[(v.slot-k)%int64(len(v.count))]
	}
	return n
}

// most is the largest count of a slot in the last d.
func (v *window) largest(now int64, d time.Duration) (n int) {
	v.turn(now)
	for k := range min(int64(d)/windowSlot+2, int64(len(v.count)), v.slot+1) {
		n = max(n, v.count[(v.slot-k)%int64(len(v.count))])
	}
	return n
}

// regionShares are those of a region's nodes.
type regionShares struct {
	sums  []shareSum // by node
	nodes []int      // in the order of their first decision
}

// shareSum compares how often a node was chosen with how often it should have been: the
// sums of the chances, and of their variances.
type shareSum struct{ got, want, variance, all float64 }

func (w *world) newChecks() {
	c := &w.checks
	c.watch, c.broken = map[Invariant]bool{}, map[string]bool{}
	watch := w.s.Watch
	if watch == nil {
		watch = Invariants()
	}
	for _, i := range watch {
		c.watch[i] = true
	}
	c.trouble, c.active = make([]int64, len(w.processes)), make([]int, len(w.processes))
	c.nodes, c.views = make([]nodeChecks, len(w.nodes)), make([]viewChecks, len(w.processes))
	for i := range c.nodes {
		c.nodes[i].queued, c.nodes[i].cut = -int64(time.Hour), -int64(time.Hour)
	}
	c.disagree = make([]int64, len(w.nodes))
	c.shares, c.acked = map[director.RegionID]*regionShares{}, map[director.NodeID]ack{}
}

// breach notes that a promise was broken, the first time that it is about this subject.
func (w *world) breach(i Invariant, about, format string, args ...any) {
	c := &w.checks
	key := string(i) + " " + about
	if !c.watch[i] || c.broken[key] {
		return
	}
	c.broken[key] = true
	w.history.Broken = append(w.history.Broken, Breach{i, time.Duration(w.now), about, fmt.Sprintf(format, args...)})
}

// troubled notes a fault that begins (by 1) or ends (-1).
func (w *world) troubled(f Fault, by int) {
	c := &w.checks
	c.faults += by
	c.calm = w.now
	node := func(i int) { c.nodes[i].faults += by; c.nodes[i].trouble = w.now }
	process := func(i int) { c.active[i] += by; c.trouble[i] = w.now }
	switch f.Kind {
	case SiteLoss:
		for i := range w.nodes {
			if w.nodes[i].site == f.Site {
				node(i)
			}
		}
		for i := range w.processes {
			if w.processes[i].Site == f.Site {
				process(i)
			}
		}
	case StoreAway, StoreSlow, StoreFlush, StoreFailover, AnswersLost:
		for i := range w.processes {
			process(i)
		}
	case TicksLate, TicksLost, DirectorCrash, DirectorCut, DirectorBlind:
		process(f.Director)
	case LinkBreak:
		c.nodes[w.index[f.Node]].cut = w.now
	case TicksTwice, Burst, Drain: // no excuse
	default:
		node(w.index[f.Node])
	}
	if f.Kind == StoreFlush && by > 0 { // it has no duration
		for i := range w.processes {
			c.active[i]--
		}
		c.faults--
	}
}

// quiet is for how long a director, and its way to the store, have had no fault.
func (w *world) quiet(p *process) time.Duration {
	c := &w.checks
	if c.active[p.index] > 0 {
		return 0
	}
	return time.Duration(w.now - max(c.trouble[p.index], p.started))
}

// allQuiet is for how long no director has had a fault.
func (w *world) allQuiet() time.Duration {
	d := time.Duration(math.MaxInt64)
	for i := range w.processes {
		d = min(d, w.quiet(&w.processes[i]))
	}
	return d
}

// well is for how long a node has had no fault.
func (w *world) well(n int) time.Duration {
	if w.checks.nodes[n].faults > 0 {
		return 0
	}
	return time.Duration(w.now - w.checks.nodes[n].trouble)
}

// calm is for how long there has been no fault at all.
func (w *world) calm() time.Duration {
	if w.checks.faults > 0 {
		return 0
	}
	return time.Duration(w.now - w.checks.calm)
}

// know is how long a director may need to learn what is in the store.
func (w *world) know() time.Duration { return ticksToKnow * w.s.Tick * 11 / 10 }

// cameBack notes a listener who came straight back from a node.
func (w *world) cameBack(p *process, l *listener, from director.NodeID) {
	c := &w.checks.nodes[w.index[from]]
	c.backs = slices.DeleteFunc(c.backs, func(b back) bool { return w.now-b.at > int64(evidenceSpan) })
	c.backs = append(c.backs, back{w.now, l.network, p.index})
}

// doubted is told when a director's loop tells its prober of evidence of listeners.
func (w *world) doubted(id director.NodeID) {
	c := &w.checks.nodes[w.index[id]]
	most := 0
	for d := range w.processes {
		networks := map[uint64]bool{}
		for _, b := range c.backs {
			if b.director == d && w.now-b.at <= int64(evidenceSpan) {
				networks[b.network] = true
			}
		}
		most = max(most, len(networks))
	}
	if most < fewNetworks {
		w.breach(Evidence, string(id), "doubted by listeners of %d networks within %v; it takes %d", most, evidenceSpan, fewNetworks)
	}
}

// decided checks one answer.
func (w *world) decided(p *process, l *listener, visit *visits.Result, ask *director.Listener, d *director.Decision) {
	c := &w.checks
	if len(d.Ranked) == 0 {
		w.refused(p, l, d)
		return
	}
	k := d.Ranked[0].Node
	n := w.nodeOf(p, k)
	nc := &c.nodes[n]
	id := w.nodes[n].id
	*nc.recent.turn(w.now)++
	if a, ok := c.acked[id]; ok && a.drained && w.now-a.at > int64(w.know()) && w.quiet(p) > w.know()+time.Second {
		w.breach(NotDrained, string(id), "director %d sends a listener there %v after the drain", p.index, time.Duration(w.now-a.at))
	}
	if w.nodes[n].state() != serving && d.Outcome != director.Dark && w.allQuiet() > calmAfter && w.now-nc.trouble > int64(downWithin) && w.late(n) == 0 {
		w.breach(NotDown, string(id), "director %d sends a listener there %v after it has gone", p.index, time.Duration(w.now-nc.trouble))
	}
	w.checkShares(p, l, visit, d, n)
	w.checkReturn(p, l, visit, ask, d, n)
	w.checkLimit(p, n)
	w.checkPace(n, d)
	w.checkAffinity(p, l, ask)
}

// late is how late a node's reports are, by a fault.
func (w *world) late(n int) time.Duration { return w.nodes[n].late }

// checkReturn checks the answer to a listener with an address of its own who was here
// lately: who opens a stream twice gets the same node, and who comes back from it another.
func (w *world) checkReturn(p *process, l *listener, visit *visits.Result, ask *director.Listener, d *director.Decision, n int) {
	v := &w.checks.views[p.index]
	since := time.Duration(w.now - l.lastAt)
	again := !l.shared && l.lastAt > p.started && int(l.lastBy) == p.index && w.habit(l).Entries == 0
	id := w.nodes[n].id
	switch {
	case !again || visit.Step == visits.Crowd:
	case visit.Step == visits.First && since < 14*time.Second:
		w.breach(NotThere, string(id), "director %d has forgotten a listener who asked %v ago", p.index, since)
	case w.habit(l).Opens > 1 && l.opens == 0 && since < time.Second && w.given() && l.lastSignature == v.signature && int(l.lastTo) != n && d.Outcome <= director.Overflow && !d.Seen.Has(director.AtLimit, director.Paced):
		w.breach(SameAgain, string(id), "director %d sends a listener there who asked %v ago and was sent to %s, and knows nothing new", p.index, since, w.nodes[l.lastTo].id)
	case int(l.lastTo) == n && since > visits.DoubleOpen && since < 14*time.Second:
		other := *ask
		other.Never = []director.NodeID{id}
		alone := director.Decision{}
		if p.view.Decide(&alone, other, p.view.Live); len(alone.Ranked) > 0 && alone.Outcome != director.Dark {
			w.breach(NotThere, string(id), "director %d sends a listener there again who came back from it after %v, and has %s", p.index, since, p.view.NodeID(alone.Ranked[0].Node))
		}
	}
	l.lastAt, l.lastTo, l.lastBy, l.lastSignature = w.now, int16(n), uint8(p.index), v.signature
	if d.Seen.Has(director.AtLimit, director.Paced) {
		l.lastSignature = 0 // another node had no room at that moment, which passes
	}
}

// checkLimit compares what a node really holds with its limit.
func (w *world) checkLimit(p *process, n int) {
	limit := w.s.Fleet.Nodes[n].Limit
	c := &w.checks.nodes[n]
	node := &w.nodes[n]
	if limit == 0 || w.allQuiet() < calmAfter || w.well(n) < calmAfter {
		return
	}
	held := node.listeners + node.queue
	if slack := c.recent.sum(w.now, 2*w.s.Tick) + c.alone.sum(w.now, 6*time.Second) + 2; held > limit+slack {
		w.breach(WithinLimit, string(node.id), "it holds %d listeners with a limit of %d, and director %d sends one more; within a tick may come %d", held, limit, p.index, slack)
	}
}

// checkPace sees that a paced node is spared while others are not.
func (w *world) checkPace(n int, d *director.Decision) {
	most := w.s.Fleet.Nodes[n].MaxNewPerS
	if most == 0 || w.allQuiet() < calmAfter || d.Outcome != director.Placed && d.Outcome != director.Spilled && d.Outcome != director.Overflow {
		return
	}
	c := &w.checks.nodes[n]
	tick := c.recent.sum(w.now, 2*w.s.Tick)
	if sent := c.recent.sum(w.now, time.Second); sent > most+tick*len(w.processes)+2 && sent-tick > most {
		w.breach(Paced, string(w.nodes[n].id), "it was sent %d listeners within a second, %d of them in the last ticks; its pace is %d", sent, tick, most)
	}
}

// checkShares adds the first request of a listener with an address of its own to the sums.
// Who comes again, comes because of the node that it was given, and would count it twice.
func (w *world) checkShares(p *process, l *listener, visit *visits.Result, d *director.Decision, n int) {
	if visit.Step != visits.First || d.Outcome != director.Placed && d.Outcome != director.Spilled || l.shared || l.lastAt > 0 || l.back || w.habit(l).Entries > 0 {
		return
	}
	want := w.expectedShares(p, d.Region)
	if want == nil || d.Seen.Has(director.AtLimit, director.Paced, director.NodeFull, director.LacksMount, director.Unverified) {
		return
	}
	of := w.checks.shares[d.Region]
	if of == nil {
		of = &regionShares{sums: make([]shareSum, len(w.nodes))}
		w.checks.shares[d.Region] = of
		w.checks.regions = append(w.checks.regions, d.Region)
	}
	got := &of.sums[n]
	got.got++
	for _, e := range want {
		s := &of.sums[e.node]
		if s.all == 0 {
			of.nodes = append(of.nodes, e.node)
		}
		s.all++
		s.want += e.share
		s.variance += e.share * (1 - e.share)
	}
	if got.all == 0 { // it had no share
		of.nodes = append(of.nodes, n)
	}
	if !slices.ContainsFunc(want, func(e nodeShare) bool { return e.node == n }) {
		got.all++
	}
}

// expectedShares is what docs/architecture.md says of a row with given weights: weight x
// room x warm-up, the last of which is waived while the warm nodes have room for less
// than half of the nominal shares. Nil: the region has no such row.
func (w *world) expectedShares(p *process, id director.RegionID) []nodeShare {
	v := &w.checks.views[p.index]
	if out, known := v.expected[id]; known {
		return out
	}
	var out []nodeShare
	if i := slices.IndexFunc(w.s.Fleet.Regions, func(r director.Region) bool { return r.ID == id }); i >= 0 && len(w.s.Fleet.Regions[i].Row) > 0 && w.s.Fleet.Regions[i].Row[0].Given {
		out = []nodeShare{}
		var steady, all, sum float64
		row := w.s.Fleet.Regions[i].Row
		for _, e := range row {
			st := &v.known[w.index[e.Node]]
			all += e.Weight
			if st.warmUp == 1 && st.fit && !st.full {
				steady += e.Weight * st.room
			}
		}
		for _, e := range row {
			n := w.index[e.Node]
			st := &v.known[n]
			if !st.fit || st.full {
				continue
			}
			share := e.Weight * st.room
			if steady >= all/2 {
				share *= st.warmUp
			}
			if share > 0 {
				out = append(out, nodeShare{n, share})
			}
			sum += share
		}
		for k := range out {
			out[k].share /= sum
		}
	}
	v.expected[id] = out
	return out
}

// given says whether all rows have given weights: what a row by load goes by is not told.
func (w *world) given() bool {
	for i := range w.s.Fleet.Regions {
		if row := w.s.Fleet.Regions[i].Row; len(row) == 0 || !row[0].Given {
			return false
		}
	}
	return len(w.s.Fleet.Regions) > 0
}

// checkAffinity asks another director that knows the same.
func (w *world) checkAffinity(p *process, l *listener, ask *director.Listener) {
	if ask.Key>>4&7 != 0 || !w.given() { // one in eight: it costs two decisions more
		return
	}
	for i := range w.processes {
		q := &w.processes[i]
		if q == p || !q.up || q.view.Snapshot == nil || w.checks.views[q.index].signature != w.checks.views[p.index].signature {
			continue
		}
		var ours, theirs director.Decision
		other := *ask
		other.Origin = q.origins[l.origin]
		p.view.Decide(&ours, *ask, nil)
		q.view.Decide(&theirs, other, nil)
		if ours.Outcome <= director.Overflow && theirs.Outcome <= director.Overflow && p.view.NodeID(ours.Ranked[0].Node) != q.view.NodeID(theirs.Ranked[0].Node) {
			w.breach(Affinity, fmt.Sprintf("directors %d and %d", p.index, q.index), "with the same picture one answers %s and the other %s",
				p.view.NodeID(ours.Ranked[0].Node), q.view.NodeID(theirs.Ranked[0].Node))
		}
		return
	}
}

// refused checks an answer without a node.
func (w *world) refused(p *process, l *listener, d *director.Decision) {
	if d.Outcome == director.Denied || w.quiet(p) < calmAfter || w.allQuiet() < calmAfter {
		return
	}
	for n := range w.nodes {
		node := &w.nodes[n]
		limit := w.s.Fleet.Nodes[n].Limit
		if w.s.Fleet.Nodes[n].Drained {
			continue
		}
		if a := w.checks.acked[node.id]; a.drained || w.now-a.at < int64(calmAfter) && a.at > 0 {
			continue
		}
		if w.well(n) > calmAfter && w.now-w.checks.nodes[n].cut > int64(calmAfter) && w.serves(d.Region, node.id) && (limit == 0 || node.listeners+node.queue < limit*6/10) {
			w.breach(Room, string(d.Region), "director %d refuses a listener (%v, reasons %b), and %s holds %d of %d", p.index, d.Outcome, d.Seen, node.id, node.listeners, limit)
			return
		}
	}
}

// serves says whether listeners of a region may be sent to a node.
func (w *world) serves(id director.RegionID, node director.NodeID) bool {
	in := func(r *director.Region) bool {
		return slices.ContainsFunc(r.Row, func(e director.Weight) bool { return e.Node == node && (e.Weight > 0 || !e.Given) })
	}
	for i := range w.s.Fleet.Regions {
		r := &w.s.Fleet.Regions[i]
		if r.ID != id {
			continue
		}
		if in(r) {
			return true
		}
		for k := range w.s.Fleet.Regions {
			if o := &w.s.Fleet.Regions[k]; slices.Contains(r.Overflow, o.ID) && in(o) {
				return true
			}
		}
		return len(r.Row) == 0 && len(r.Overflow) == 0
	}
	return true // by distance: in the end, all nodes
}

// checkView checks a new snapshot of a director.
func (w *world) checkView(p *process) {
	v := &w.checks.views[p.index]
	if v.steps == nil {
		v.steps, v.known = make([]stepChecks, len(w.nodes)), make([]knownNode, len(w.nodes))
		v.expected = map[director.RegionID][]nodeShare{}
	}
	clear(v.expected)
	v.signature = 0
	for n := range w.nodes {
		k, ok := p.view.FindNode(w.nodes[n].id)
		if !ok {
			continue
		}
		st := p.view.Node(k)
		v.known[n] = knownNode{st.State == director.Fit, st.Report.Full, st.Room, st.WarmUp}
		v.signature = mix(v.signature ^ uint64(st.State)<<8 ^ math.Float64bits(st.Room) ^ math.Float64bits(st.WarmUp)<<1 ^ uint64(len(st.Report.Mounts))<<20 ^ uint64(len(st.Report.Verdicts))<<28 ^ uint64(st.EffectiveLimit)<<36)
		switch {
		case st.Report.Full || st.EffectiveLimit > 0 && st.Used >= st.EffectiveLimit:
			v.signature = mix(v.signature + 1)
		case st.MaxNewPerS > 0 && st.Recent >= st.MaxNewPerS:
			v.signature = mix(v.signature + 2)
		}
		w.checkSpill(p, n, &st)
		w.checkWarm(p, n, &st)
		w.checkSteps(p, n, &st, &v.steps[n])
		w.checkHealth(p, n, &st)
	}
}

// checkSpill compares the room of a node with how full it is.
func (w *world) checkSpill(p *process, n int, st *director.NodeState) {
	if st.EffectiveTarget == 0 {
		return
	}
	ideal := w.idealRoom(st)
	if step := st.Room * roomSteps; step > ideal+1.3 || step < ideal-0.3 || ideal == 0 && step > 0 {
		w.breach(Spill, string(w.nodes[n].id), "director %d gives it %g of 8 steps of room, with %d listeners of %d", p.index, step, st.Used, st.EffectiveTarget)
	}
}

// checkWarm compares a node's warm-up with how long it has been back.
func (w *world) checkWarm(p *process, n int, st *director.NodeState) {
	t := w.s.Fleet.Tuning
	if st.Report.Returned.IsZero() || t.WarmUp != 0 || t.WarmUpFloor != 0 { // the defaults are a minute, from a tenth
		return
	}
	back := w.at(w.now).Sub(st.Report.Returned)
	want := 0.1 + 0.9*min(max(float64(back)/float64(time.Minute), 0), 1)
	if st.WarmUp > want+0.01 || st.WarmUp < want-0.1 {
		w.breach(Warm, string(w.nodes[n].id), "director %d gives it %.2f of its share, %v after it came back; it should be %.2f", p.index, st.WarmUp, back, want)
	}
}

// idealRoom is a node's room without steps, in steps.
func (w *world) idealRoom(st *director.NodeState) float64 {
	spill := w.s.Fleet.Tuning.SpillAt
	if spill == 0 {
		spill = 0.85
	}
	return min(max((1-float64(st.Used)/float64(st.EffectiveTarget))/(1-spill), 0), 1) * roomSteps
}

// checkSteps sees that room changes only when the load has left its step by some, and does
// not go back and forth by more than what comes and goes.
func (w *world) checkSteps(p *process, n int, st *director.NodeState, s *stepChecks) {
	step := int(st.Room*roomSteps + 0.5)
	if step == s.step && s.changed > 0 {
		return
	}
	if ideal := w.idealRoom(st); s.changed > p.started && step > 0 && ideal > float64(s.step)-1-nearStep && ideal < float64(s.step)+nearStep {
		w.breach(Steady, string(w.nodes[n].id), "for director %d its room went from step %d to %d with %d listeners of %d, which is still in the first", p.index, s.step, step, st.Used, st.EffectiveTarget)
	}
	c := &w.checks.nodes[n]
	settle := max(w.s.Settle, 3*time.Second)
	// A listener on the way may also be in the report already, until settle has passed, and
	// then is counted once again, with all of two seconds at once.
	came := float64(c.recent.sum(w.now, longestSettle) + c.alone.sum(w.now, longestSettle))
	noise := (came + 4*math.Sqrt(2*came+1)) / max(0.15*float64(st.EffectiveTarget)/roomSteps, 1)
	if w.now-s.was < int64(settle) && abs(s.step-s.before) > 1 && float64(abs(s.step-step)) > 1+noise && (s.step > s.before) != (step > s.step) &&
		w.allQuiet() > calmAfter && w.well(n) > calmAfter {
		w.breach(Steady, string(w.nodes[n].id), "for director %d its room went from step %d to %d and back to %d within %v", p.index, s.before, s.step, step, time.Duration(w.now-s.was))
	}
	s.before, s.was = s.step, s.changed
	s.step, s.changed = step, w.now
}

// nearStep is how near a load may be to a step's bounds for the step to stay, by the docs a
// quarter, less what rounding does.
const nearStep = 0.24

func abs(n int) int { return max(n, -n) }

// checkHealth sees that a node that serves is not taken for down.
func (w *world) checkHealth(p *process, n int, st *director.NodeState) {
	if st.State != director.Down || w.well(n) < calmAfter || w.quiet(p) < calmAfter {
		return
	}
	blind := 0
	for i := range w.processes {
		if q := &w.processes[i]; w.quiet(q) < calmAfter {
			blind++
		}
	}
	if blind <= 1 && len(w.processes) > blind {
		w.breach(Healthy, string(w.nodes[n].id), "director %d takes it for down (%s), and it has served for %v", p.index, st.Report.Detail, w.well(n))
	}
}

// checkSample checks what can be judged over time.
func (w *world) checkSample() {
	w.checkAgreement()
	for n := range w.nodes {
		w.checkCounted(n)
	}
	w.checkEdits()
}

// checkAgreement compares what directors that reach the store think of each node.
func (w *world) checkAgreement() {
	c := &w.checks
	for n := range w.nodes {
		differ, first := false, director.Reason(255)
		who := ""
		for i := range w.processes {
			p := &w.processes[i]
			if !p.up || p.view.Snapshot == nil || w.quiet(p) < calmAfter {
				continue
			}
			k, ok := p.view.FindNode(w.nodes[n].id)
			if !ok {
				continue
			}
			st := p.view.State(k)
			who += fmt.Sprintf(" %d: %v", i, st)
			differ = differ || first != 255 && st != first
			first = st
		}
		switch {
		case !differ:
			c.disagree[n] = 0
		case c.disagree[n] == 0:
			c.disagree[n] = w.now
		case w.now-c.disagree[n] >= int64(agreeWithin):
			w.breach(Agree, string(w.nodes[n].id), "directors disagree about it for %v:%s", time.Duration(w.now-c.disagree[n]), who)
		}
	}
}

// checkCounted compares what directors reckon with to what a node holds.
func (w *world) checkCounted(n int) {
	c := &w.checks.nodes[n]
	node := &w.nodes[n]
	*c.most.turn(w.now) = max(*c.most.turn(w.now), node.listeners)
	if node.queue > 0 {
		c.queued = w.now
	}
	if w.allQuiet() < calmAfter || w.well(n) < calmAfter || w.now-c.queued < int64(5*time.Second) {
		return
	}
	const newest = 7 * time.Second // of a probe, its lag and settle
	for i := range w.processes {
		p := &w.processes[i]
		k, ok := p.view.FindNode(node.id)
		if !ok || p.view.State(k) != director.Fit || p.view.Node(k).Report.Full {
			continue
		}
		used := p.view.Live.Used(k)
		if least := node.listeners - c.recent.sum(w.now, 2*w.s.Tick) - c.alone.sum(w.now, 5*time.Second) - 1; used < least {
			w.breach(Counted, string(node.id), "director %d reckons with %d listeners, and it holds %d", i, used, node.listeners)
		}
		if most := c.most.largest(w.now, newest) + c.recent.sum(w.now, newest) + c.alone.sum(w.now, newest) + 2; used > most && w.calm() > calmAfter {
			w.breach(Counted, string(node.id), "director %d reckons with %d listeners, and it held at most %d and was sent %d in %v", i, used, c.most.largest(w.now, newest), c.recent.sum(w.now, newest), newest)
		}
	}
}

// drained notes an acknowledged change.
func (w *world) drained(id director.NodeID, yes bool) {
	w.checks.acked[id] = ack{yes, w.now}
}

// lose notes that the store lost what it held but for kept, and with it the changes that no
// running director has seen.
func (w *world) lose(kept *store.Overlay) {
	for id, a := range w.checks.acked {
		_, has := kept.Nodes[id]
		seen := has == a.drained
		for i := range w.processes {
			p := &w.processes[i]
			if p.up {
				_, has := p.syncer.Overlay().Nodes[id]
				seen = seen || has == a.drained
			}
		}
		if !seen {
			delete(w.checks.acked, id)
		}
	}
}

// checkEdits sees that acknowledged changes are in force.
func (w *world) checkEdits() {
	if w.allQuiet() < 5*time.Second {
		return
	}
	for n := range w.nodes {
		a, ok := w.checks.acked[w.nodes[n].id]
		if !ok || w.now-a.at < int64(5*time.Second) {
			continue
		}
		for i := range w.processes {
			if p := &w.processes[i]; p.up {
				if _, has := p.syncer.Overlay().Nodes[w.nodes[n].id]; has != a.drained {
					w.breach(Edits, string(w.nodes[n].id), "a change of it was acknowledged %v ago, and director %d does not know it", time.Duration(w.now-a.at), i)
				}
			}
		}
	}
}

// attemptFailed checks a listener's attempt at a node that brought no audio.
func (w *world) attemptFailed(l *listener, why string) {
	if w.calm() > seatedAfter && w.allQuiet() > seatedAfter {
		w.breach(Seated, string(w.nodes[l.node].id), "a listener who was sent there got nothing (%s), and all has been well for %v", why, w.calm())
	}
}

// closeChecks judges what is judged at the end.
func (w *world) closeChecks() {
	for _, region := range w.checks.regions {
		of := w.checks.shares[region]
		for _, n := range of.nodes {
			s := &of.sums[n]
			if off := math.Abs(s.got - s.want); off > sharesWithin*s.all+sharesSigmas*math.Sqrt(s.variance)+1 {
				w.breach(Shares, fmt.Sprintf("%s in region %q", w.nodes[n].id, region), "it was sent %.0f of %.0f listeners; its share was %.1f", s.got, s.all, s.want)
			}
		}
	}
}
