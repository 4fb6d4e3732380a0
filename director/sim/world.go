package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// kind is what an event is.
type kind uint8

const (
	evTick     kind = iota // a director's: a is the director, b the tick's number
	evGiveUp               // the first snapshot is waited for no more: b is the run
	evExchange             // an offer arrives at the store: b is the exchange
	evAnswer               // the store's answer arrives
	evLate                 // the answer is late
	evProbe                // the schedule of probes is looked at
	evProbed               // a probe ends
	evTried                // a GET ends
	evAsk                  // a listener asks a director: a is the listener, b its version
	evConnect              // a listener connects to a node again
	evAccept               // a node accepts
	evFailed               // a listener hears nothing
	evLeave                // a listener has heard enough
	evArrive               // the next of the crowd comes
	evTold                 // the next of Arrivals comes
	evFault                // a fault begins: a is its index, c 1 if it ends
	evSample
	evEnd
)

// world is the state of everything.
type world struct {
	s       Scenario
	now     int64 // nanoseconds since the start
	queue   queue
	history *History
	sample  Sample // what is being counted since the last one

	nodes     []node
	index     map[director.NodeID]int
	targets   []int // by node: listeners that it should hold, by the file; 0: none
	processes []process
	store     *shared
	repeats   []repeat
	cuts      []int // by director

	listeners []listener
	free      int32
	listening int
	waiting   int
	broken    []int // by origin and node: faults of the link

	people, nodeChance, storeChance, arrivals chance
	addrs                                     []netip.Addr
	networks                                  []int
	expected                                  []int // listeners of an origin at the curve's peak
	originSums, habitSums                     []float64
	mountSums                                 [][]float64 // by origin
	remembered                                int
	bursts                                    []Fault // those under way
	nextTold                                  func() (Arrival, bool)
	nextArrival                               Arrival
	lastUp                                    [][]bool // by director and node
	checks                                    checks
}

// Run plays a scenario. It returns early, with what happened until then, when ctx is done.
// progress, if not nil, is told now and then how much of Scenario.For has passed. Mistakes
// in the scenario are all returned as one error, before anything is played.
func Run(ctx context.Context, s Scenario, progress func(done time.Duration)) (*History, error) {
	s, err := s.withDefaults()
	if err != nil {
		return nil, err
	}
	fleet, err := director.Compile(s.Fleet)
	if err != nil {
		return nil, err
	}
	w := newWorld(s)
	w.seatCrowd(fleet)
	if s.Arrivals != nil {
		stop := w.tell()
		defer stop()
	}
	for i := range w.processes {
		w.processes[i].start()
	}
	w.schedule()
	w.play(ctx, progress)
	w.closeChecks()
	return w.history, nil
}

func newWorld(s Scenario) *world {
	w := &world{
		s: s, free: noOne, index: map[director.NodeID]int{}, history: &History{Scenario: s},
		people: newChance(s.Seed, ofPeople), nodeChance: newChance(s.Seed, ofNodes), storeChance: newChance(s.Seed, ofStore), arrivals: newChance(s.Seed, ofArrivals),
		broken: make([]int, len(s.Origins)*len(s.Fleet.Nodes)), cuts: make([]int, len(s.Directors)),
	}
	w.store = newShared(func() time.Time { return w.at(w.now) })
	for i, n := range s.Fleet.Nodes {
		w.index[n.ID] = i
		m := node{Node: s.Nodes[i], id: n.ID, index: i, site: n.Site, first: noOne, lost: make([]int, len(s.Fleet.Mounts))}
		for _, mount := range s.Fleet.Mounts {
			path := n.Paths[mount.Name]
			if path == "" {
				path = mount.Name
			}
			m.paths = append(m.paths, path)
		}
		w.nodes = append(w.nodes, m)
		w.targets = append(w.targets, n.Target)
	}
	w.sum()
	w.history.Sent, w.history.Refused = make([][]int, len(s.Origins)), make([]int, len(s.Origins))
	for i := range w.history.Sent {
		w.history.Sent[i] = make([]int, len(w.nodes))
	}
	for w.remembered = 1 << 10; w.remembered < rememberedKeys && (s.Arrivals != nil || w.remembered < 4*s.Crowd.Listeners); {
		w.remembered *= 2
	}
	for i, d := range s.Directors {
		w.processes = append(w.processes, process{w: w, index: i, Director: d, chance: newChance(s.Seed, ofDirectors+i)})
		w.lastUp = append(w.lastUp, make([]bool, len(w.nodes)))
	}
	w.newChecks()
	return w
}

// sum prepares what is drawn by weight.
func (w *world) sum() {
	running := func(n int, weight func(int) float64) (sums []float64) {
		total := 0.0
		for i := range n {
			total += weight(i)
			sums = append(sums, total)
		}
		return sums
	}
	s := &w.s
	w.originSums = running(len(s.Origins), func(i int) float64 { return s.Origins[i].Weight })
	w.habitSums = running(len(s.Habits), func(i int) float64 { return s.Habits[i].Part })
	for _, o := range s.Origins {
		parts := o.Mounts
		if len(parts) == 0 {
			parts = s.Crowd.Mounts
		}
		w.mountSums = append(w.mountSums, running(len(s.Fleet.Mounts), func(i int) float64 {
			if i < len(parts) {
				return parts[i]
			}
			return 1
		}))
	}
	peak := 1.0
	for i, p := range s.Crowd.Curve {
		if i == 0 || p.Value > peak {
			peak = p.Value
		}
	}
	for i, o := range s.Origins {
		n := int(float64(s.Crowd.Listeners) * peak * o.Weight / w.originSums[len(w.originSums)-1])
		w.expected = append(w.expected, n)
		if o.Networks == 0 {
			o.Networks = max(1, n/20)
		}
		w.networks = append(w.networks, o.Networks)
		if !o.Addr.IsValid() {
			o.Addr = netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)})
		}
		w.addrs = append(w.addrs, o.Addr)
	}
}

// at is a time of the history by clocks that are right.
func (w *world) at(ns int64) time.Time { return w.s.Start.Add(time.Duration(ns)) }

func (w *world) put(e event) { w.queue.put(e) }

// seatCrowd seats those who listen at the start, each as a director would that knows all:
// a hundredth of them at a time, by a snapshot with the others.
func (w *world) seatCrowd(fleet *director.Fleet) {
	short := w.s.Crowd.Short
	w.s.Crowd.Short = 0 // who zaps by has gone by
	defer func() { w.s.Crowd.Short = short }()
	if w.s.Present != nil {
		w.seatPresent()
		return
	}
	total := int(float64(w.s.Crowd.Listeners) * w.s.Crowd.Curve.At(0))
	if total == 0 {
		return
	}
	var snap *director.Snapshot
	d := director.Decision{}
	batch := max(1, total/100)
	for k := range total {
		if k%batch == 0 {
			snap = fleet.Build(snap, w.truth())
		}
		i := w.newListener()
		l := &w.listeners[i]
		a := w.someone(w.people)
		w.identify(l, &a)
		o := &w.s.Origins[l.origin]
		snap.Decide(&d, director.Listener{
			Addr: w.addrs[l.origin], Place: o.Place, Key: l.key, Mount: w.s.Fleet.Mounts[l.mount].Name, Scheme: director.HTTP,
		}, nil)
		w.history.Totals.Arrived++
		if len(d.Ranked) == 0 {
			w.waiting++
			l.wants = 1
			w.pause(i, w.people.span(time.Minute), evAsk)
			continue
		}
		l.node = int16(w.index[snap.NodeID(d.Ranked[0].Node)])
		w.seat(i)
	}
}

// seatPresent seats those who are known to listen.
func (w *world) seatPresent() {
	for _, p := range w.s.Present {
		for range p.Listeners {
			mount := p.Mount
			if mount < 0 {
				mount = w.people.pick(w.mountSums[p.Origin])
			}
			i := w.newListener()
			w.identify(&w.listeners[i], &Arrival{Origin: p.Origin, Mount: mount, Habit: -1})
			w.listeners[i].node = int16(p.Node)
			w.history.Totals.Arrived++
			w.seat(i)
		}
	}
}

// truth is the state of the nodes as it is, before anybody has measured it.
func (w *world) truth() director.Input {
	in := director.Input{Now: w.at(0), Reports: map[director.NodeID]director.Report{}}
	for i := range w.nodes {
		n := &w.nodes[i]
		r := director.Report{Node: n.id, Taken: in.Now, Health: director.Up, Since: in.Now, Listeners: n.listeners}
		for _, path := range n.paths {
			r.Mounts = append(r.Mounts, director.MountReport{Path: path, Listeners: -1})
		}
		in.Reports[n.id] = r
	}
	return in
}

// schedule puts what happens by itself into the queue.
func (w *world) schedule() {
	for i, f := range w.s.Faults {
		w.put(event{at: int64(f.At), kind: evFault, a: int32(i)})
		if f.For > 0 && f.At+f.For <= w.s.For {
			w.put(event{at: int64(f.At + f.For), kind: evFault, a: int32(i), c: 1})
		}
	}
	w.put(event{at: 0, kind: evSample})
	w.put(event{at: int64(w.s.For), kind: evEnd})
	w.put(event{at: 0, kind: evArrive, b: 1})
}

// arrive lets one of the crowd come, unless b says that it only sees when the next one
// does: as a Poisson process with a rate that follows the curve.
func (w *world) arrive(e event) {
	if e.b == 0 {
		w.come(w.someone(w.arrivals))
	}
	if rate := w.rate(); rate > 0 {
		if gap := w.arrivals.exponential(time.Duration(float64(time.Second) / rate)); gap < time.Second {
			w.put(event{at: w.now + int64(gap), kind: evArrive})
			return
		}
	}
	w.put(event{at: w.now + int64(time.Second), kind: evArrive, b: 1}) // the rate may be another one by then
}

// someone draws one of the crowd.
func (w *world) someone(c chance) Arrival {
	origin := c.pick(w.originSums)
	return Arrival{Origin: origin, Mount: c.pick(w.mountSums[origin]), Habit: -1}
}

// rate is how many listeners arrive in a second: who goes is replaced, and the crowd grows
// and shrinks with its curve. It grows by those who stay for Session alone, as who zaps by has
// gone again. If it shrinks faster than people go, nobody comes.
func (w *world) rate() float64 {
	c := &w.s.Crowd
	t := time.Duration(w.now)
	const step = 10 * time.Second
	now, then := c.Curve.At(t), c.Curve.At(t+step)
	short := max(0, c.Short)
	mean := (1-short)*c.Session.Seconds() + short*30
	rate := max(0, float64(c.Listeners)*(now+(then-now)/step.Seconds()*c.Session.Seconds())/mean)
	for _, b := range w.bursts {
		until := b.For
		if until == 0 {
			until = w.s.For - b.At
		}
		rate += b.Much * float64(c.Listeners) / until.Seconds()
	}
	return rate
}

// play works off the queue.
func (w *world) play(ctx context.Context, progress func(time.Duration)) {
	h := w.history
	for {
		e, ok := w.queue.take()
		if !ok || e.kind == evEnd {
			return
		}
		w.now = e.at
		if e.kind >= evAsk && e.kind <= evLeave && w.listeners[e.a].version != e.b {
			continue // it waits for something else by now
		}
		h.Events++
		h.Hash = mix(h.Hash ^ mix(uint64(e.at)) ^ uint64(e.kind)<<56 ^ uint64(uint32(e.a))<<16 ^ uint64(e.c))
		if h.Events%progressEvery == 0 {
			if ctx.Err() != nil {
				return
			}
			if progress != nil {
				progress(time.Duration(w.now))
			}
		}
		w.happen(e)
	}
}

// progressEvery is how many events there are between two looks at whether it is to go on:
// they take some milliseconds at most.
const progressEvery = 1 << 9

func (w *world) happen(e event) {
	switch e.kind {
	case evArrive:
		w.arrive(e)
	case evTold:
		w.come(w.nextArrival)
		w.awaitTold()
	case evAsk:
		w.again(e.a)
	case evConnect:
		w.connect(e.a, w.listeners[e.a].node)
	case evAccept:
		w.accept(e.a)
	case evFailed:
		w.failed(e.a, 0)
	case evLeave:
		w.leave(e.a)
	case evFault:
		w.fault(int(e.a), e.c == 1)
	case evSample:
		w.takeSample()
	default:
		p := &w.processes[e.a]
		if p.up {
			p.happen(e)
		}
	}
}

// again is a listener's next request.
func (w *world) again(i int32) {
	if w.listeners[i].is == asking {
		w.ask(i) // the second one for the same play
		return
	}
	w.turnTo(i)
}

func (p *process) happen(e event) {
	switch e.kind {
	case evTick:
		if e.b == p.tick {
			p.onTick()
		}
	case evGiveUp:
		if e.b == p.run {
			p.steps.GiveUp()
			p.settle()
		}
	case evExchange:
		p.onExchange(e)
	case evAnswer:
		p.onAnswer(e)
	case evLate:
		if p.exchanging && e.b == p.exchange {
			p.steps.Late()
			p.settle()
		}
	case evProbe:
		if e.b == p.probe {
			p.onProbe()
		}
	case evProbed:
		p.onProbed(e)
	case evTried:
		p.onTried(e)
	}
}

// tell reads the first of Arrivals; stop ends the reading.
func (w *world) tell() (stop func()) {
	next, stop := pull(w.s.Arrivals)
	w.nextTold = next
	w.awaitTold()
	return stop
}

func (w *world) awaitTold() {
	a, ok := w.nextTold()
	if ok {
		w.nextArrival = a
		w.put(event{at: max(int64(a.At), w.now), kind: evTold})
	}
}

func (w *world) note(format string, args ...any) {
	w.history.Notes = append(w.history.Notes, Note{time.Duration(w.now), fmt.Sprintf(format, args...)})
}

// adopted is told of each new snapshot of a director.
func (w *world) adopted(p *process) {
	last := w.lastUp[p.index]
	h := w.history
	for i := range w.nodes {
		n, ok := p.view.FindNode(w.nodes[i].id)
		up := ok && p.view.State(n) != director.Down
		if p.snapshots > 1 && up != last[i] {
			what := "down"
			if up {
				what = "up"
			}
			w.note("node %s is %s for director %d", w.nodes[i].id, what, p.index)
		}
		last[i] = up
		if ok {
			h.Hash = mix(h.Hash ^ uint64(p.view.Live.Used(n)))
		}
	}
	w.checkView(p)
}

// takeSample notes the state, and begins the next sample.
func (w *world) takeSample() {
	s := w.sample
	s.At = time.Duration(w.now)
	s.Listening, s.Waiting = w.listening, w.waiting
	s.Crowd = int(float64(w.s.Crowd.Listeners) * w.s.Crowd.Curve.At(s.At))
	s.Nodes = make([]NodeSample, len(w.nodes))
	var first *process
	for i := range w.processes {
		if p := &w.processes[i]; first == nil && p.up && p.view.Snapshot != nil {
			first = p
		}
	}
	for i := range w.nodes {
		n := &w.nodes[i]
		ns := NodeSample{Listeners: n.listeners, Queue: n.queue, Sent: n.sent, Serves: n.state() == serving}
		n.sent = 0
		for d := range w.processes {
			if w.processes[d].up && w.lastUp[d][i] {
				ns.Up++
			}
		}
		if first != nil {
			if k, ok := first.view.FindNode(n.id); ok {
				st := first.view.Node(k)
				ns.Used, ns.Target, ns.Limit = st.Used, st.EffectiveTarget, st.EffectiveLimit
			}
		}
		s.Nodes[i] = ns
		w.history.Hash = mix(w.history.Hash ^ uint64(n.listeners)<<32 ^ uint64(n.queue))
	}
	w.history.Samples = append(w.history.Samples, s)
	w.sample = Sample{}
	w.put(event{at: w.now + int64(w.s.Every), kind: evSample})
	w.checkSample()
}

// fault begins or ends one.
func (w *world) fault(i int, ends bool) {
	f := w.s.Faults[i]
	by := 1
	if ends {
		by = -1
		w.note("ends: %s", f)
	} else {
		w.note("begins: %s", f)
	}
	w.troubled(f, by)
	switch f.Kind {
	case NodeCrash:
		w.nodeFault(&w.nodes[w.index[f.Node]], crashed, by)
	case NodeVanish:
		w.nodeFault(&w.nodes[w.index[f.Node]], vanished, by)
	case NodeFreeze:
		w.nodeFault(&w.nodes[w.index[f.Node]], frozen, by)
	case SiteLoss:
		for k := range w.nodes {
			if w.nodes[k].site == f.Site {
				w.nodeFault(&w.nodes[k], vanished, by)
			}
		}
		for k := range w.processes {
			if w.processes[k].Site == f.Site {
				w.processFault(&w.processes[k], by)
			}
		}
	case SourceLoss:
		n := &w.nodes[w.index[f.Node]]
		n.lost[f.Mount] += by
		if by > 0 {
			w.cutOff(n, f.Mount, -1, 40*time.Millisecond, 400*time.Millisecond)
		}
	case LinkBreak:
		n := &w.nodes[w.index[f.Node]]
		w.broken[f.Origin*len(w.nodes)+n.index] += by
		if by > 0 {
			w.cutOff(n, -1, f.Origin, 8*time.Second, 20*time.Second)
		}
	case ReportsLate:
		w.nodes[w.index[f.Node]].late += time.Duration(by) * f.Span
	case ReportsWrong:
		w.nodes[w.index[f.Node]].wrong = float64((by+1)/2) * f.Much
	case NodeLimit:
		w.nodes[w.index[f.Node]].limitBy = float64((by+1)/2) * f.Much
	case Drain:
		w.drain(f, ends)
	case Burst:
		if ends {
			w.bursts = slices.DeleteFunc(w.bursts, func(b Fault) bool { return b == f })
		} else {
			w.bursts = append(w.bursts, f)
		}
	default:
		w.directorFault(f, by)
	}
}

func (w *world) directorFault(f Fault, by int) {
	on := float64((by + 1) / 2)
	switch f.Kind {
	case StoreAway:
		w.store.away += by
	case StoreSlow:
		w.store.slow += time.Duration(by) * f.Span
	case AnswersLost:
		w.store.lossy = on * f.Much
	case StoreFlush:
		if by > 0 {
			w.lose(&store.Overlay{})
			w.store.flush()
		}
	case StoreFailover:
		w.store.away += by
		if by < 0 {
			kept := w.store.keptAt(int64(f.At - f.Span))
			w.lose(&kept)
			if err := w.store.failOver(kept); err != nil {
				panic(err) // memstore refuses no offer of a director with an id
			}
		}
	case TicksLate:
		w.processes[f.Director].late = time.Duration(on) * f.Span
	case TicksLost:
		w.processes[f.Director].lossy = on * f.Much
	case TicksTwice:
		w.processes[f.Director].twice += by
	case DirectorCrash:
		w.processFault(&w.processes[f.Director], by)
	case DirectorCut:
		w.cuts[f.Director] += by
		w.processes[f.Director].link.cut = w.cuts[f.Director]
	case DirectorBlind:
		w.processes[f.Director].blind += by
	}
}

// nodeFault begins or ends a fault of a whole node.
func (w *world) nodeFault(n *node, what nodeState, by int) {
	was := n.state()
	n.faults[what] += by
	now := n.state()
	switch {
	case was != serving || now == serving:
		if now == serving {
			n.accepts = w.now
		}
	case now == crashed:
		w.cutOff(n, -1, -1, 0, 400*time.Millisecond)
	default: // players play what they have, and then wait
		w.cutOff(n, -1, -1, 8*time.Second, 20*time.Second)
	}
}

func (w *world) processFault(p *process, by int) {
	p.down += by
	switch {
	case p.down > 0 && p.up:
		p.stop()
	case p.down == 0 && !p.up:
		p.start()
	}
}

// drain is an operator's change, at the first director that takes it.
func (w *world) drain(f Fault, ends bool) {
	for i := range w.processes {
		p := &w.processes[i]
		if !p.up {
			continue
		}
		_, err := p.syncer.Change(context.Background(), store.Author{By: "operator"}, func(o *store.Overlay) error {
			if o.Nodes == nil {
				o.Nodes = map[director.NodeID]store.NodeSetting{}
			}
			if ends {
				delete(o.Nodes, f.Node)
			} else {
				o.Nodes[f.Node] = store.NodeSetting{State: store.NodeDrained}
			}
			return nil
		})
		p.settle()
		if err == nil {
			w.drained(f.Node, !ends)
			for k := range w.processes { // the store's hint
				if q := &w.processes[k]; k != i && q.up && q.link.reaches() {
					q.steps.Hint()
					q.settle()
				}
			}
			return
		}
	}
	w.note("the change is refused by all directors: %s", f)
}
