package dns

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// An answer is kept by a resolver and given to all who ask there while it lives, so
// that it brings no listener or a thousand. The learner reckons how many, by region,
// from what nodes report after answers, and has them counted as on their way, spread
// over the time in which they come.
//
// The reckoning is rough: reports tell who is there and not who came. Whoever comes to
// a node while answers lead to it is put down to these in proportion to what was
// expected, listeners that directors send by HTTP before them; who leaves meanwhile is
// not seen, so that a fleet in balance brings the number down. Then nobody has to be
// waited for either.
type learner struct {
	mu      sync.Mutex
	ways    map[way]*flow
	nodes   map[director.NodeID]*arrivals
	regions map[director.RegionID]*yield
	last    time.Time // of the last step
}

// flow is what one way still brings.
type flow struct {
	counted uint64  // what the counter said at the last step
	pending float64 // answers whose listeners are yet to come
	since   float64 // answers whose listeners should have come since the node's last report
}

// arrivals is what is known of a node since its last report.
type arrivals struct {
	taken     time.Time
	listeners int
	sent      float64 // listeners that all directors sent or expected there since
	owed      float64 // the part of a listener that is not yet counted
}

// yield is how many listeners answers for a region brought.
type yield struct {
	listeners, answers float64 // of late more than of old
}

const (
	learnTick = 250 * time.Millisecond
	// A region is taken to get one listener an answer until it has had some.
	priorAnswers, priorListeners = 5, 5
	// yieldHalf is how long it takes for what was learned to count half.
	yieldHalf = 5 * time.Minute
	// maxYield bounds what a misreported number of listeners can do.
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

// life is how long resolvers keep answers that were decided: the longest of all names.
func (z *zone) life() time.Duration {
	longest := uint32(1)
	for _, e := range z.names {
		if e.choice != nil && !e.choice.directors {
			longest = max(longest, e.choice.ttl)
		}
	}
	return time.Duration(longest) * time.Second
}

// brings tells how many listeners an answer brings, by region.
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

// step moves on to now: it counts those who should have come since the last step, and
// learns from new reports. counts are answers in parts of wholeAnswer, which only
// rise; life is how long resolvers keep one.
func (l *learner) step(now time.Time, view director.View, counts map[way]uint64, life time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	passed := now.Sub(l.last)
	first := l.last.IsZero()
	l.last = now
	if first || passed <= 0 || view.Snapshot == nil {
		return
	}
	// Half of an answer's listeners come in the first half of its life: as if each
	// moment brought a fixed part of those to come.
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

// expect counts the listeners that are expected, whole ones, and looks at reports.
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

// learn puts the listeners that have come to a node down to the regions that were
// answered with it.
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

// forget drops what is known of nodes that are there no more.
func (l *learner) forget(view director.View, counts map[way]uint64) {
	maps.DeleteFunc(l.ways, func(w way, _ *flow) bool { _, there := counts[w]; return !there })
	maps.DeleteFunc(l.nodes, func(id director.NodeID, _ *arrivals) bool { _, there := view.FindNode(id); return !there })
}
