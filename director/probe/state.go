package probe

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// state is what is known of one node. It changes when a probe of the node ends,
// under the Prober's lock.
type state struct {
	urls []string
	// internal is where the node is asked instead of at its urls; empty: at these
	internal string
	mounts   []string       // paths at the node that listeners are sent to
	declared map[string]int // the bitrates of these in kbit/s, where declared
	flows    map[string]*flow
	samples  samples
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
	if h.err == nil && !h.answer.full {
		s.follow(&h.answer)
	}
	if h.looked {
		s.hearFamilies(h.families)
	}
	if h.err != nil {
		s.hearFailure(h, c.Fall)
	} else {
		s.hearAnswer(h, c.Rise)
	}
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
	r.Mounts, r.AnyMount = a.mounts, a.anyMount
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
	return out
}
