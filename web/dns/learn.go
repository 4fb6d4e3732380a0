package dns

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A learner estimates how many listeners an answer brings. A resolver caches an answer and
// gives it to all its clients until the TTL expires, so that an answer may bring no
// listener or a thousand. The learner estimates the number by region, from what nodes
// report after answers, and counts these listeners as en route, spread over the time in
// which they come.
//
// The estimate is rough: reports tell how many listen, not how many came. The learner
// attributes a node's new listeners to its own answers in the proportion of what these were
// expected to bring to all that directors sent or expected, by HTTP too. It does not see
// listeners who leave meanwhile, so that the estimate falls in a fleet in balance, where no
// listeners need to be expected.
type learner struct {
	mu      sync.Mutex
	ways    map[way]*flow
	nodes   map[director.NodeID]*arrivals
	regions map[director.RegionID]*yield
	last    time.Time // of the last step
}

// flow is what the answers of one way still bring.
type flow struct {
	counted uint64  // the counter's value at the last step
	pending float64 // answers whose listeners are yet to come
	since   float64 // answers whose listeners should have come since the node's last report
}

// arrivals is what has happened at a node since its last report.
type arrivals struct {
	taken     time.Time
	listeners int
	sent      float64 // listeners that all directors have sent or expected there since then
	owed      float64 // the fraction of a listener that is not yet counted
}

// yield is how many listeners the answers for a region brought.
type yield struct {
	listeners, answers float64 // decaying sums: half in yieldHalf
}

const (
	learnTick = 250 * time.Millisecond
	// The estimate for a region starts at one listener an answer, with this weight.
	priorAnswers, priorListeners = 5, 5
	// yieldHalf is the half-life of what was learned.
	yieldHalf = 5 * time.Minute
	// maxYield bounds the effect of a wrong number of listeners in a report.
	maxYield = 10_000
)

func (l *learner) init() {
	l.ways, l.nodes, l.regions = map[way]*flow{}, map[director.NodeID]*arrivals{}, map[director.RegionID]*yield{}
}

func (l *learner) run(ctx context.Context, s *Server) {
	t := time.NewTicker(learnTick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			counts := map[way]uint64{}
			for w, n := range s.stats.ways.all() {
				counts[w] = n.Load()
			}
			l.step(s.cfg.Now(), s.cfg.View(), counts, s.policy.Load().zone.life())
		}
	}
}

// life is how long resolvers cache answers that come from a decision: the longest TTL of
// all such names, at least 1 s.
func (z *zone) life() time.Duration {
	longest := uint32(1)
	for _, e := range z.names {
		if e.choice != nil && !e.choice.directors {
			longest = max(longest, e.choice.ttl)
		}
	}
	return time.Duration(longest) * time.Second
}

// brings returns how many listeners an answer brings, by region.
func (l *learner) brings() map[director.RegionID]float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[director.RegionID]float64{}
	for r, y := range l.regions {
		out[r] = y.each()
	}
	return out
}

// each is how many listeners an answer for a region brings.
func (l *learner) each(r director.RegionID) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if y := l.regions[r]; y != nil {
		return y.each()
	}
	return priorListeners / priorAnswers
}

func (y *yield) each() float64 {
	return min((y.listeners+priorListeners)/(y.answers+priorAnswers), maxYield)
}

// step advances to now: it counts the listeners who should have come since the last step,
// and learns from new reports. counts are answers in parts of wholeAnswer, and only rise;
// life is how long resolvers cache an answer.
func (l *learner) step(now time.Time, view director.View, counts map[way]uint64, life time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	passed := now.Sub(l.last)
	first := l.last.IsZero()
	l.last = now
	if first || passed <= 0 || view.Snapshot == nil {
		return
	}
	// An answer's listeners come with exponential decay: each moment brings a fixed part of
	// those still to come, 63 % of all in the first half of the answer's life.
	part := 1 - math.Exp(-2*passed.Seconds()/life.Seconds())
	for w, n := range counts {
		f := l.ways[w]
		if f == nil {
			f = &flow{}
			l.ways[w] = f
		}
		f.pending += float64(n-min(n, f.counted)) / wholeAnswer
		f.counted = n
	}
	expected := map[director.NodeID]float64{}
	for w, f := range l.ways {
		come := f.pending * part
		f.pending -= come
		f.since += come
		expected[w.node] += come * l.yield(w.region).each()
	}
	l.expect(view, expected, passed)
	l.forget(view, counts)
	fade := math.Exp2(-passed.Seconds() / yieldHalf.Seconds())
	for _, y := range l.regions {
		y.listeners *= fade
		y.answers *= fade
	}
}

func (l *learner) yield(r director.RegionID) *yield {
	if l.regions[r] == nil {
		l.regions[r] = &yield{}
	}
	return l.regions[r]
}

// expect counts expected listeners as en route, in whole numbers, and learns from reports.
func (l *learner) expect(view director.View, expected map[director.NodeID]float64, passed time.Duration) {
	for id, n := range expected {
		i, there := view.FindNode(id)
		if !there {
			continue
		}
		a := l.nodes[id]
		st := view.Node(i)
		if a == nil {
			a = &arrivals{taken: st.Report.Taken, listeners: st.Report.Listeners}
			l.nodes[id] = a
		}
		a.owed += n
		if whole := math.Floor(a.owed); whole > 0 && view.Live != nil {
			view.Live.Expect(i, int(whole))
			a.owed -= whole
		}
		a.sent += float64(st.Recent) * passed.Seconds()
		l.learn(id, a, &st.Report)
	}
}

// learn attributes the listeners that have come to a node to the regions whose answers
// named it.
func (l *learner) learn(id director.NodeID, a *arrivals, r *director.Report) {
	if r.Listeners < 0 || r.Full || !r.Taken.After(a.taken) {
		return
	}
	came, known := float64(max(r.Listeners-a.listeners, 0)), a.listeners >= 0 && !a.taken.IsZero()
	own := 0.0
	for w, f := range l.ways {
		if w.node == id {
			own += f.since * l.yield(w.region).each()
		}
	}
	if all := max(own, a.sent); known && all > 0 {
		for w, f := range l.ways {
			if w.node != id {
				continue
			}
			y := l.yield(w.region)
			y.listeners += came * f.since * y.each() / all
			y.answers += f.since
		}
	}
	for w, f := range l.ways {
		if w.node == id {
			f.since = 0
		}
	}
	a.taken, a.listeners, a.sent = r.Taken, r.Listeners, 0
}

// forget drops ways that are no longer counted and nodes that no longer exist.
func (l *learner) forget(view director.View, counts map[way]uint64) {
	maps.DeleteFunc(l.ways, func(w way, _ *flow) bool { _, there := counts[w]; return !there })
	maps.DeleteFunc(l.nodes, func(id director.NodeID, _ *arrivals) bool { _, there := view.FindNode(id); return !there })
}
