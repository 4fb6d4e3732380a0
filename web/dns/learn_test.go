package dns_test

import (
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/dns"
)

// expects is a Live that adds up who is expected.
type expects struct {
	view director.View
	n    map[director.NodeID]int
}

func (e *expects) Used(int) int   { return 0 }
func (e *expects) Recent(int) int { return 0 }
func (e *expects) Count(int)      {}
func (e *expects) Expect(node, n int) {
	e.n[e.view.NodeID(node)] += n
}

// town is a world in which answers bring listeners to nodes, and nodes report them.
type town struct {
	l       *lab
	learner *dns.Learner
	now     time.Time
	live    *expects
	life    time.Duration
	coming  map[director.NodeID]float64 // listeners on their way
	there   map[director.NodeID]float64
}

func newTown(t *testing.T) *town {
	w := &town{l: newLab(t), learner: dns.NewLearner(), now: time.Unix(1_700_000_000, 0), life: 20 * time.Second,
		coming: map[director.NodeID]float64{}, there: map[director.NodeID]float64{}}
	w.live = &expects{n: map[director.NodeID]int{}}
	return w
}

// pass lets a time go by, in ticks, with a report each second. each is called each second.
func (w *town) pass(d time.Duration, each func()) {
	const tick = 250 * time.Millisecond
	for i := range int(d / tick) {
		w.now = w.now.Add(tick)
		for id, n := range w.coming {
			part := n * tick.Seconds() / w.life.Seconds() * 2
			w.coming[id] -= part
			w.there[id] += part
		}
		if i%4 == 0 {
			each()
			for _, id := range []director.NodeID{"a", "b", "c"} {
				w.l.set(id, func(r *director.Report) { r.Listeners, r.Taken = int(w.there[id]), w.now })
			}
		}
		s := w.l.build()
		w.live.view = director.View{Snapshot: s}
		w.learner.Step(w.now, director.View{Snapshot: s, Live: w.live}, w.life)
	}
}

func (w *town) answer(r director.RegionID, id director.NodeID, answers, each float64) {
	w.learner.Answers(r, id, answers)
	w.coming[id] += answers * each
}

// A region whose answers bring many listeners is told from one whose bring few, and who
// is expected is about who comes.
func TestLearnsWhatAnAnswerBrings(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.pass(5*time.Minute, func() {
		w.answer("eu", "a", 1, 50)
		w.answer("eu", "b", 1, 50)
		w.answer("world", "c", 2, 2)
	})
	brings := w.learner.Brings()
	if got := brings["eu"]; got < 40 || got > 60 {
		t.Errorf("an answer for eu is reckoned to bring %.1f, want about 50", got)
	}
	if got := brings["world"]; got < 1.5 || got > 2.5 {
		t.Errorf("an answer for the world is reckoned to bring %.1f, want about 2", got)
	}
	clear(w.live.n)
	before := w.there["a"]
	w.pass(time.Minute, func() { w.answer("eu", "a", 1, 50) })
	came, expected := w.there["a"]-before, float64(w.live.n["a"])
	if expected < 0.8*came || expected > 1.2*came {
		t.Errorf("%.0f came and %.0f were expected", came, expected)
	}
}

// Until it has learned, an answer is one listener; and a node that reports rubbish does
// not make it a million.
func TestLearnerStartsAndIsBounded(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.pass(time.Second, func() {})
	w.learner.Answers("eu", "a", 10)
	w.life = time.Second
	for range 40 {
		w.pass(250*time.Millisecond, func() {})
	}
	if got := w.live.n["a"]; got < 5 || got > 10 {
		t.Errorf("10 answers make %d listeners expected, want about one each", got)
	}
	w.there["b"] = 1e12
	w.pass(10*time.Second, func() { w.answer("eu", "b", 1, 0); w.there["b"] *= 3 })
	if got := w.learner.Brings()["eu"]; got > 10_000 {
		t.Errorf("an answer is reckoned to bring %g", got)
	}
}
