package probe

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// state is what is known of one node. The Prober's lock guards it.
type state struct {
	urls []string
	// internal is the URL at which the node is probed instead of its urls; empty: none
	internal string
	mounts   []string          // paths at the node that listeners are sent to
	declared map[string]int    // their bitrates in kbit/s, where declared
	paths    map[string]string // the node's own paths for mounts, by the mounts' names
	flows    map[string]*flow
	samples  samples
	known    map[string]*mount      // the state of each mount, by path
	listed   []director.MountReport // the mounts that the last whole answer listed
	untold   []string               // mounts of which only listening shows whether anything comes in
	ways     []*way                 // the node's URLs
	second   bool                   // another director that probes the node tries its mounts first
	trying   bool                   // a GET is under way
	blindDue time.Time              // when mounts may be requested in place of statistics
	said     string                 // the report's detail without what the mounts add to it
	turn     string                 // the mount that was requested last, where mounts are the probe
	report   director.Report
	probed   bool
	asking   bool      // a probe is under way, and the state is not in the queue
	removed  bool      // SetNodes has removed the node
	due      time.Time // when to probe next, on the monotonic clock

	failures, answers int       // in a row
	failing           time.Time // since when probes fail, on the monotonic clock; zero: they succeed
	blamed            bool      // it is one of the nodes because of which the Prober suspects itself
	tally             Tally
	past              []Past
	pace              time.Duration // how long the slowest of the recent answers took
	doubt             string        // evidence against it besides the probes; empty: none
	again             string        // a doubt that came while a probe was under way
	lookupDue         time.Time     // when to look up its hosts' addresses next
	mountDue          time.Time     // when to open a mount next, for kind Reach
	warning           complaint     // the last answer's warning, kept so that it is logged once
	warned            time.Time     // since when there is one, by the machine's clock

	asked   time.Time // when the newest probe began, on the monotonic clock
	nudged  bool      // the feed has announced a change since then
	endFeed func()    // nil: no feed is open
	feedDue time.Time // when to open the next feed
}

func newState(n director.Node) *state {
	return &state{
		urls:     append([]string(nil), n.URLs...),
		internal: n.InternalURL,
		known:    map[string]*mount{},
		ways:     waysOf(n.URLs),
		report:   director.Report{Node: n.ID, Listeners: -1},
		tally:    Tally{Node: n.ID},
	}
}

// confirming says whether the next failure may take the node down.
func (s *state) confirming() bool {
	return s.failures > 0 && s.report.Health != director.Failed
}

// timeout returns how long the next probe may take. A probe that confirms a failed one
// gets half of whole, or twice as long as answers take, if that is more. If no probe has
// failed and only a doubt speaks against the node, the next probe alone decides, and gets
// the whole.
func (s *state) timeout(whole time.Duration) time.Duration {
	if !s.confirming() || s.failing.IsZero() {
		return whole
	}
	return min(whole, max(whole/2, 2*s.pace))
}

// inDoubt says whether the newest result contradicts the report.
func (s *state) inDoubt() bool {
	return s.confirming() || s.answers > 0 && s.report.Health == director.Failed
}

// event is a change of state, for the log.
type event struct {
	level slog.Level
	msg   string
	attrs []slog.Attr
}

// hear applies a probe's result to the report, and returns what changed.
func (s *state) hear(h heard, c *Config, now time.Time) []event {
	was := s.report
	if !s.probed {
		s.report.Since = h.taken
	}
	s.probed = true
	s.tally.Took = h.took
	if h.err != nil {
		s.tally.Failures++
	} else {
		s.tally.Answers++
		s.pace = max(h.took, s.pace*3/4) // decays, so that a single slow answer is forgotten
	}
	s.rememberProbe(&h)
	s.hearBase(h.base, h.err, h.ends, now, h.taken)
	if h.way != nil {
		s.hearWay(h.way, h.wayMount, h.wayGot, h.wayEnds, c, now, h.taken)
	}
	s.hearTried(&h, c.Fall, now)
	if h.err == nil && !h.answer.full {
		s.report.AnyMount = h.answer.anyMount
		s.untold = h.answer.untold
		s.hearMounts(&h.answer, c, now, h.taken)
	}
	if h.looked {
		s.hearFamilies(h.families, now)
	}
	if h.err != nil {
		s.hearFailure(h, c.Fall, now)
	} else {
		s.hearAnswer(h, c, now)
	}
	s.said = s.report.Detail
	s.assemble(now)
	return s.events(was, h)
}

// hearFailure records a failed probe. While the node still counts as up, the numbers and
// their time stay as they were measured. A node that is down keeps its mounts: the last
// that it was known to carry.
func (s *state) hearFailure(h heard, fall int, now time.Time) {
	s.failures++
	s.answers = 0
	if s.failing.IsZero() {
		s.failing = now
	}
	r := &s.report
	r.Detail = fmt.Sprintf("%v (%d in a row)", h.err, s.failures)
	if s.doubt != "" {
		r.Detail = fmt.Sprintf("%v (%d in a row, counting that %s)", h.err, s.failures, s.doubt)
	}
	if s.failures >= fall {
		s.become(director.Failed, h.taken)
	}
	if r.Health == director.Up {
		return
	}
	r.Taken = h.taken
	r.Full = false
	r.Listeners = -1
	r.Kbit = 0
}

// hearAnswer records a good answer. A node that is full reports nothing else, so the
// numbers of its last whole answer stay.
func (s *state) hearAnswer(h heard, c *Config, now time.Time) {
	s.answers++
	s.failures = 0
	s.failing = time.Time{}
	s.doubt = ""
	if h.mount {
		s.mountDue = now.Add(reachMount - c.Chance(reachMount/10))
	}
	r := &s.report
	r.Detail = h.answer.detail
	switch {
	case r.Health == director.Failed && s.answers >= c.Rise:
		s.become(director.Up, h.taken)
		r.Returned = h.taken
		for _, m := range s.known { // results from before it was down are no longer valid
			m.got = [numWords]past{}
		}
	case r.Health == director.Failed:
		r.Detail = fmt.Sprintf("%s (%d in a row, up again with %d)", r.Detail, s.answers, c.Rise)
	default:
		s.become(director.Up, h.taken)
	}
	r.Taken = h.taken
	r.Full = h.answer.full
	if r.Full {
		return
	}
	a := h.answer
	r.Listeners, r.Limit, r.Kbit, r.Server = a.listeners, a.limit, a.kbit, a.server
}

func (s *state) become(health director.Health, at time.Time) {
	if s.report.Health != health {
		s.report.Health = health
		s.report.Since = at
	}
}

func (s *state) events(was director.Report, h heard) []event {
	var out []event
	is := s.report
	node, detail := slog.String("node", string(is.Node)), slog.String("detail", is.Detail)
	add := func(level slog.Level, msg string, attrs ...slog.Attr) {
		out = append(out, event{level, msg, append([]slog.Attr{node, detail}, attrs...)})
	}
	if is.Health != was.Health {
		level := slog.LevelInfo
		if is.Health == director.Failed {
			level = slog.LevelWarn
		}
		attrs := []slog.Attr{slog.String("was", was.Health.String())}
		if !was.Since.IsZero() {
			attrs = append(attrs, slog.Duration("for", is.Since.Sub(was.Since).Round(time.Millisecond)))
		}
		add(level, "node is "+is.Health.String(), attrs...)
	}
	switch {
	case is.Full && !was.Full:
		add(slog.LevelWarn, "node is full")
	case was.Full && !is.Full && is.Health == director.Up:
		add(slog.LevelInfo, "node has room again")
	}
	if h.err == nil && !h.answer.full && h.answer.warning != s.warning {
		if s.warning == (complaint{}) {
			s.warned = is.Taken
		}
		s.warning = h.answer.warning
		if s.warning != (complaint{}) {
			add(slog.LevelWarn, "node answers in part", slog.String("warning", s.warning.Text), slog.String("remedy", s.warning.Remedy))
		}
	}
	return append(out, mountEvents(&was, &is)...)
}

// hearTried records the results for mounts that were requested themselves. A mount that
// plays keeps its verdict until fall GETs in a row have failed, unless the answer is that
// it is not there or is full.
func (s *state) hearTried(h *heard, fall int, now time.Time) {
	s.turn = cmp.Or(h.answer.turn, s.turn)
	for path, got := range h.answer.tried {
		m := s.mount(path)
		m.word, m.tried, m.asked[noWord], s.blindDue = noWord, now, now, now.Add(tryEvery)
		m.advance(&got, now)
		if got.state != director.MountPlays {
			m.fails++
			if got.cause != director.NotThere && got.state != director.MountFull && m.fails < fall && m.verdict.State == director.MountPlays {
				continue
			}
		} else {
			m.fails = 0
		}
		m.sourced = m.sourced || got.state == director.MountPlays
		m.apply(got, h.taken)
		m.settle()
	}
}

// turns returns the mounts to request in the next probe, where mounts are the probe.
// Mounts without a verdict come first, up to maxTurns of them; then one per probe, in
// turn. A mount in doubt is requested until the doubt is settled.
func (s *state) turns() []string {
	if len(s.mounts) == 0 {
		return nil
	}
	var unknown []string
	sorted := slices.Sorted(slices.Values(s.mounts))
	next := sorted[0]
	if i := slices.IndexFunc(sorted, func(p string) bool { return p > s.turn }); i >= 0 {
		next = sorted[i]
	}
	for _, path := range sorted {
		m := s.known[path]
		switch {
		case m == nil || m.verdict.State == director.MountUnknown:
			unknown = append(unknown, path)
		case s.failures == 0 && (m.doubt != "" || m.fails > 0 && m.verdict.State == director.MountPlays):
			next = path
		}
	}
	if len(unknown) > 0 {
		return unknown[:min(len(unknown), maxTurns)]
	}
	if s.known[next].verdict.State == director.MountSilent {
		for _, path := range sorted { // the node is judged by this one if next hangs
			if s.known[path].verdict.State == director.MountPlays {
				return []string{next, path}
			}
		}
	}
	return []string{next}
}

// maxTurns is how many mounts are requested in one probe.
const maxTurns = 16

// confirms says whether the next probe has to confirm a mount's failure.
func (s *state) confirms() bool {
	for _, m := range s.known {
		if m.word == noWord && m.fails > 0 && m.verdict.State == director.MountPlays {
			return true
		}
	}
	return false
}
