package probe

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// state is what is known of one node. It changes when a probe of the node ends,
// under the Prober's lock.
type state struct {
	urls []string
	// internal is where the node is asked instead of at its urls; empty: at these
	internal string
	mounts   []string          // paths at the node that listeners are sent to
	declared map[string]int    // the bitrates of these in kbit/s, where declared
	paths    map[string]string // where the node has each mount, by its name
	flows    map[string]*flow
	samples  samples
	known    map[string]*mount      // what is known of each, by path
	listed   []director.MountReport // what the last whole answer listed
	untold   []string               // of them, those of which only listening tells whether anything comes
	ways     []*way                 // the node's URLs
	second   bool                   // another director that probes the node tries its mounts first
	trying   bool                   // a GET is under way
	blindDue time.Time              // when mounts may be asked for in place of statistics
	said     string                 // the report's detail, but for what the mounts add to it
	turn     string                 // the mount that was asked for last, where these are the probe
	report   director.Report
	probed   bool
	asking   bool      // a probe is under way, and the state is not in the queue
	removed  bool      // the node is no longer wanted
	due      time.Time // when to ask next, on the monotonic clock

	failures, answers int       // in a row
	failing           time.Time // since when probes fail, on the monotonic clock; zero: they do not
	blamed            bool      // it is one of those for which the Prober suspects itself
	tally             Tally
	pace              time.Duration // what the slowest of the last answers took
	doubt             string        // what speaks against it besides the probes; empty: nothing
	again             string        // the same, while the probe under way began before it
	lookupDue         time.Time     // when to look up the host's addresses next
	mountDue          time.Time     // when to open a mount next, where that is asked for
	warning           string        // the last answer's, so that it is logged once

	asked   time.Time // when the newest probe began, on the monotonic clock
	nudged  bool      // there is news since it did
	endFeed func()    // nil: no feed is open
	feedDue time.Time // when to open one next
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

// timeout is how long the next probe may take, of the whole that one may: half of it
// where it confirms a failed one, but never less than twice what answers take. Where
// nothing but a doubt speaks against the node, it is the only probe there will be.
func (s *state) timeout(whole time.Duration) time.Duration {
	if !s.confirming() || s.failing.IsZero() {
		return whole
	}
	return min(whole, max(whole/2, 2*s.pace))
}

// inDoubt says whether the newest result speaks against what is reported.
func (s *state) inDoubt() bool {
	return s.confirming() || s.answers > 0 && s.report.Health == director.Failed
}

// event is a change of state, for the log.
type event struct {
	level slog.Level
	msg   string
	attrs []slog.Attr
}

// hear takes the result of a probe into the report, and returns what changed.
func (s *state) hear(h heard, c Config) []event {
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
		s.pace = max(h.took, s.pace*3/4) // so that what was slow once is forgotten
	}
	now := time.Now()
	s.hearBase(h.base, h.err, h.ends, h.taken)
	if h.way != nil {
		s.hearWay(h.way, h.wayMount, h.wayGot, h.wayEnds, &c, now, h.taken)
	}
	s.hearTried(&h, c.Fall, now)
	if h.err == nil && !h.answer.full {
		s.report.AnyMount = h.answer.anyMount
		s.untold = h.answer.untold
		s.hearMounts(&h.answer, &c, now, h.taken)
	}
	if h.looked {
		s.hearFamilies(h.families)
	}
	if h.err != nil {
		s.hearFailure(h, c.Fall)
	} else {
		s.hearAnswer(h, c.Rise)
	}
	s.said = s.report.Detail
	s.assemble(now)
	return s.events(was, h)
}

// hearFailure leaves the numbers and their time as they were measured while the
// node is still taken for up. A node that is down keeps its mounts: they are the
// last it was known to carry.
func (s *state) hearFailure(h heard, fall int) {
	s.failures++
	s.answers = 0
	if s.failing.IsZero() {
		s.failing = time.Now()
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

// hearAnswer takes over what the node told. A node that is full tells nothing
// but that, so the numbers of its last whole answer stay.
func (s *state) hearAnswer(h heard, rise int) {
	s.answers++
	s.failures = 0
	s.failing = time.Time{}
	s.doubt = ""
	if h.mount {
		s.mountDue = time.Now().Add(reachMount - rand.N(reachMount/10))
	}
	r := &s.report
	r.Detail = h.answer.detail
	switch {
	case r.Health == director.Failed && s.answers >= rise:
		s.become(director.Up, h.taken)
		r.Returned = h.taken
		for _, m := range s.known { // what was got before it went away says nothing now
			m.got = [numWords]past{}
		}
	case r.Health == director.Failed:
		r.Detail = fmt.Sprintf("%s (%d in a row, up again with %d)", r.Detail, s.answers, rise)
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
		s.warning = h.answer.warning
		if s.warning != "" {
			add(slog.LevelWarn, "node answers in part", slog.String("warning", s.warning))
		}
	}
	return append(out, mountEvents(&was, &is)...)
}

// hearTried takes in what was got of mounts that are asked for themselves. Half a
// failure is none: whatever else than a plain refusal comes once is asked for again.
func (s *state) hearTried(h *heard, fall int, now time.Time) {
	s.turn = cmp.Or(h.answer.turn, s.turn)
	for path, got := range h.answer.tried {
		m := s.mount(path)
		m.word, m.tried, m.asked[noWord], s.blindDue = noWord, now, now, now.Add(tryEvery)
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

// turns returns the mounts to ask for in the next probe, where these are the probe: all
// at first, then one by one, and one in doubt until that is settled.
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
		for _, path := range sorted { // by which the node is judged, if that one hangs
			if s.known[path].verdict.State == director.MountPlays {
				return []string{next, path}
			}
		}
	}
	return []string{next}
}

// maxTurns is how many mounts are asked for in one probe.
const maxTurns = 16

// confirms says whether a mount is in doubt that the next probe asks for.
func (s *state) confirms() bool {
	for _, m := range s.known {
		if m.word == noWord && m.fails > 0 && m.verdict.State == director.MountPlays {
			return true
		}
	}
	return false
}
