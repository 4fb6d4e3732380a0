package probe

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A watch is what is known of the nodes, and the rules by which it changes: which probe
// and which GET is due, and what follows from a result. It is a state machine: it waits
// for nothing, and time and chance are passed in. [Prober] guards it by its lock. Where a
// method has two times, now is on the monotonic clock, so that a step of the machine's
// clock neither stalls nor hurries the schedule, and taken or wall by Config.Now.
type watch struct {
	cfg Config

	set        bool     // setNodes was called
	first      bool     // every node was probed once
	unprobed   int      // how many of states were not probed yet
	edits      uint64   // number of changes to reports
	reset      uint64   // the edit at which the nodes were last set
	edited     []uint64 // by state, the edit at which its report last changed
	news       bool     // since it was last reset, a node's health or a GET's verdict has changed
	due        bool     // since it was last reset, the schedule has changed
	states     []*state
	index      map[director.NodeID]int // into states
	suspects   string                  // why it does not trust itself
	suspectsOf time.Time               // the nodes that began to fail after this are the reason
	queue      queue                   // the states without a probe under way, by due time
	inFlight   int
	tries      int       // GETs that are under way
	tryAt      time.Time // when the next GET may begin
}

// setNodes is [Prober.SetNodes]. It returns the states of the nodes that were removed.
func (w *watch) setNodes(nodes []director.Node, mounts []director.Mount, now time.Time) (removed []*state) {
	known := make(map[director.NodeID]*state, len(w.states))
	before := w.states
	for _, s := range before {
		s.removed = true
		known[s.report.Node] = s
	}
	w.states, w.index = make([]*state, len(nodes)), make(map[director.NodeID]int, len(nodes))
	w.queue, w.unprobed = w.queue[:0], 0
	w.edits++
	w.reset, w.edited = w.edits, make([]uint64, len(nodes))
	for i, n := range nodes {
		s := known[n.ID]
		if s == nil || !slices.Equal(s.urls, n.URLs) || s.internal != n.InternalURL {
			s = newState(n)
		}
		s.removed = false
		s.mounts, s.paths, s.declared = pathsAt(n, mounts), n.Paths, bitratesAt(n, mounts)
		w.states[i], w.index[n.ID] = s, i
		if !s.probed {
			w.unprobed++
		}
		if !s.asking {
			w.queue = append(w.queue, s)
		}
	}
	for _, s := range before {
		if s.removed {
			removed = append(removed, s)
		}
	}
	heap.Init(&w.queue)
	w.set, w.due = true, true
	w.noteFirst()
	w.reflect(now)
	return removed
}

// pathsAt returns the paths at a node to which listeners are sent.
func pathsAt(n director.Node, mounts []director.Mount) []string {
	paths := slices.Sorted(maps.Values(n.Paths))
	for _, m := range mounts {
		if n.Paths[m.Name] == "" {
			paths = append(paths, m.Name)
		}
	}
	return paths
}

// bitratesAt returns the declared bitrates by path at a node.
func bitratesAt(n director.Node, mounts []director.Mount) map[string]int {
	kbit := make(map[string]int, len(mounts))
	for _, m := range mounts {
		if m.Kbit > 0 {
			kbit[cmp.Or(n.Paths[m.Name], m.Name)] = m.Kbit
		}
	}
	return kbit
}

// find returns a node's state; nil: it is not probed here.
func (w *watch) find(id director.NodeID) *state {
	i, ok := w.index[id]
	if !ok {
		return nil
	}
	return w.states[i]
}

func (w *watch) noteFirst() {
	w.first = w.first || w.set && w.unprobed == 0
}

// begin takes the next node that is due out of the queue. If none may be probed now, it
// returns nil and the time until one is due.
func (w *watch) begin(now time.Time) (s *state, wait time.Duration) {
	if len(w.queue) == 0 || w.inFlight >= w.cfg.InFlight {
		return nil, time.Hour // the end of a probe, or setNodes, changes the schedule
	}
	s = w.queue[0]
	if wait = s.due.Sub(now); wait > 0 {
		return nil, wait
	}
	heap.Pop(&w.queue)
	s.asking, s.asked, s.nudged = true, now, false
	w.inFlight++
	return s, 0
}

// end takes the result of a probe and puts its node back into the queue. It returns what
// changed, for the log. A probe that failed by this director's own fault is lost.
func (w *watch) end(s *state, h heard, lost bool, now time.Time) (news []event) {
	w.inFlight--
	w.due, s.asking = true, false
	if s.removed {
		return nil
	}
	if !lost {
		was, failed := s.report.Health, !s.failing.IsZero()
		if !s.probed {
			w.unprobed--
		}
		news = s.hear(h, &w.cfg, now)
		w.edit(s)
		w.news = w.news || s.report.Health != was
		if failed == s.failing.IsZero() {
			w.reflect(now)
		}
	}
	s.due = w.nextDue(s, now)
	if s.again != "" && s.failures == 0 { // a good answer, to a probe that began before the doubt
		s.doubted(s.again, now)
	}
	s.again = ""
	if nudged := s.asked.Add(pushPause); s.nudged && nudged.Before(s.due) {
		s.due = nudged
	}
	heap.Push(&w.queue, s)
	w.noteFirst()
	return news
}

// abandon notes that a probe, or a GET, was given up because the prober ends.
func (w *watch) abandon(s *state) { w.inFlight--; s.asking = false }

func (w *watch) nextDue(s *state, now time.Time) time.Time {
	interval := w.cfg.Interval - w.cfg.Chance(w.cfg.Interval/10+1)
	switch {
	case s.inDoubt(), s.confirms():
		return later(now, s.asked.Add(w.cfg.Recheck))
	case s.report.Health == director.Failed:
		// Counted from the probe's end: with the default times, a node that hangs then
		// occupies a slot of InFlight for only about half of the time.
		return now.Add(interval)
	default:
		return s.beforeOverdue(now, later(now, s.asked.Add(interval)))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// hurry makes a waiting node due at due, unless it is due earlier already. The same time
// is not ignored: the caller may have changed s.due itself.
func (w *watch) hurry(s *state, due time.Time) {
	if due.After(s.due) {
		return
	}
	s.due = due
	heap.Init(&w.queue)
	w.due = true
}

// nudge makes a node due at once, or as soon as pushPause allows.
func (w *watch) nudge(s *state, now time.Time) {
	switch {
	case s.removed:
	case s.asking:
		s.nudged = true
	default:
		w.hurry(s, later(now, s.asked.Add(pushPause)))
	}
}

// doubt is [Prober.Doubt].
func (w *watch) doubt(id director.NodeID, mount, why string, now time.Time) {
	s := w.find(id)
	if s == nil || s.report.Health == director.Failed {
		return
	}
	if m := s.known[cmp.Or(s.paths[mount], mount)]; m != nil {
		m.doubt = why
		m.want(now)
	}
	s.doubted(why, now)
	if s.asking {
		s.again = why
		return
	}
	w.hurry(s, s.due)
}

// doubted records a doubt and makes the node due now; that probe may take it down.
func (s *state) doubted(why string, now time.Time) {
	s.doubt = why
	s.failures = max(s.failures, 1)
	s.due = now
}

// beginTry returns the GET that is due next at a node, if one may begin now.
func (w *watch) beginTry(s *state, now time.Time) (r request, ok bool) {
	if s.trying || s.removed || s.report.Health != director.Up || s.failures > 0 || w.tries >= maxTries || now.Before(w.tryAt) {
		return request{}, false
	}
	if r, ok = s.dueTry(now); !ok {
		r, ok = s.dueSample(&w.cfg, now)
	}
	if ok {
		s.trying = true
		w.tries++
		w.tryAt = later(w.tryAt, now.Add(-time.Second)).Add(time.Second / tryRate)
	}
	return r, ok
}

// endTry takes the result of a GET.
func (w *watch) endTry(s *state, r request, got tried, now, taken time.Time) (news []event) {
	w.tries--
	s.trying = false
	if s.removed {
		return nil
	}
	was := s.report
	s.rememberGET(s.base(), r.path, got, taken.Add(-got.took))
	s.hearTry(r, got, now, taken)
	return w.changes(s, &was, now)
}

// abandonTry notes that a GET was given up because the prober ends.
func (w *watch) abandonTry(s *state) { w.tries--; s.trying = false }

// changes builds a node's report anew after a verdict has come from elsewhere than a
// probe, and returns what is different from was.
func (w *watch) changes(s *state, was *director.Report, now time.Time) (news []event) {
	s.assemble(now)
	w.edit(s)
	news = mountEvents(was, &s.report)
	w.news = w.news || len(news) > 0
	return news
}

// share is [Prober.Share].
func (w *watch) share(id director.NodeID, second bool, others []director.Verdict, now, wall time.Time) (news []event) {
	s := w.find(id)
	if s == nil {
		return nil
	}
	s.second = second
	was := s.report
	if !s.share(others, now, wall) {
		return nil
	}
	return w.changes(s, &was, now)
}

// hears is [Prober.Hears].
func (w *watch) hears(id director.NodeID, mount string, now, wall time.Time) (news []event) {
	s := w.find(id)
	if s == nil || s.report.Health != director.Up {
		return nil
	}
	path := cmp.Or(s.paths[mount], mount)
	m := s.known[path]
	if m == nil || m.full || m.wanted.IsZero() && m.verdict.State != director.MountSilent {
		return nil
	}
	was := s.report
	s.hearTry(request{path: path, word: m.word}, tried{state: director.MountPlays, detail: "this director gets its stream for inline listeners"}, now, wall)
	return w.changes(s, &was, now)
}

// reports is [Prober.Reports].
func (w *watch) reports() []director.Report {
	out := make([]director.Report, 0, len(w.states))
	for _, s := range w.states {
		if s.probed {
			out = append(out, s.report)
		}
	}
	return out
}

// edit notes that the report of a node has changed.
func (w *watch) edit(s *state) {
	w.edits++
	w.edited[w.index[s.report.Node]] = w.edits
}

// changesSince is [Prober.Changes].
func (w *watch) changesSince(since uint64) (reports []director.Report, all bool, now uint64) {
	all = since < w.reset || since == 0
	for i, edit := range w.edited {
		if !all && edit <= since {
			continue
		}
		if s := w.states[i]; s.probed {
			reports = append(reports, s.report)
		}
	}
	return reports, all, w.edits
}

// queue is a heap of states, ordered by due time.
type queue []*state

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*state)) }
func (q *queue) Pop() any {
	old := *q
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return s
}
