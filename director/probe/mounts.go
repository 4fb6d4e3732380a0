package probe

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// word is what a server's statistics say of a mount. Anything but playing raises a
// doubt, which a GET like a listener's settles.
type word int

const (
	noWord     word = iota // they do not tell, or not yet
	playing                // it has a source, and bytes come in
	still                  // it has a source, but nothing comes in, or nothing of use
	sourceless             // it is listed without a source: a fallback plays, or a relay waits for its first listener
	absent                 // it is not listed
	numWords   = iota
)

const (
	// tryEvery is the least time between two GETs for the same mount and the same word
	// of the statistics, over all directors that probe the node. Whatever the statistics
	// say in turn, a mount is requested no more than once in that time on average, and
	// twice within it at most.
	tryEvery = time.Minute
	// tryAgain is the same if another mount of the server, which may have been the
	// fallback, has lost its source in between.
	tryAgain = 10 * time.Second
	// tryPause is the pause between two GETs at a node, and tryRate how many GETs may begin
	// in a second over all nodes: when a whole fleet loses its sources, all are in doubt.
	tryPause = 100 * time.Millisecond
	tryRate  = 100
	// maxTries is how many GETs may be under way at once.
	maxTries = 64
	// tryGrace is how long a doubt waits for its GET before the statistics' word is believed.
	tryGrace = 3 * time.Second
	// shareWait is how much longer the second director that probes a node waits for the
	// first one's result.
	shareWait = 3 * time.Second
	// triedLife is how long a GET's result is valid for the same word.
	triedLife = 10 * time.Minute
	// shownLife is how long a report shows a GET's verdict when the mount simply plays.
	shownLife = 2 * tryEvery
	// maxKnown is how many mounts are remembered of a node after it stopped listing them.
	maxKnown = 64
)

// Patience is how long a stream may be silent after its burst before it counts as
// silent. An Ogg page holds at most 255 packets, which are 5.9 s of Vorbis at 44.1 kHz;
// an MP3 frame is 26 ms, and sources send several at once.
const (
	shortPatience = 2 * time.Second
	longPatience  = 6500 * time.Millisecond
	// samplePatience is for mounts whose statistics do not tell whether anything comes in.
	samplePatience = 11 * time.Second
)

// mount is the state of one path at a node.
type mount struct {
	verdict  director.Verdict // its State is MountUnknown until something is known
	info     director.MountReport
	word     word
	sourced  bool // it had a source of its own
	onDemand bool // it is a relay that connects for its first listener
	got      [numWords]past
	doubt    string              // evidence against it besides the statistics; empty: none
	wanted   time.Time           // since when a GET is needed; zero: none is
	tried    time.Time           // when the newest GET ended; zero: there was none
	asked    [numWords]time.Time // the same, by the statistics' word at that time
	spent    time.Time           // until when the GETs that were made use up one in each tryEvery
	after    time.Duration       // the longest silence after which audio came; 0: none was heard
	odd      float64             // expected kbit/s, where bytes come in at another rate; 0: not in doubt
	fails    int                 // failed GETs in a row, where these are the probe itself
	full     bool                // it turned a listener away
	limit    int                 // listeners when it turned one away; 0: not known
	roomy    int                 // the most listeners with which it still took one; 0: not known
	was      int                 // listeners by the previous answer
	gone     time.Time           // since when it is not listed; zero: it is listed
	edge     edge                // how far its playlist has come, where it is one
	moved    time.Time           // when edge was first seen there
	live     bool                // its playlist had no end yet, or segments of it are gone
}

// past is the result of the last GET for a word of the statistics.
type past struct {
	tried
	at time.Time // zero: there was none
}

func (p *past) fresh(now time.Time) bool { return !p.at.IsZero() && now.Sub(p.at) < triedLife }

// set records a verdict. taken is by the store's clock.
func (m *mount) set(state director.MountState, cause director.Cause, detail string, taken time.Time) {
	v := &m.verdict
	if v.State != state || v.Since.IsZero() {
		v.State, v.Since = state, taken
	}
	v.Cause, v.Detail, v.Taken = cause, detail, taken
	v.Listed = m.word == playing && state != director.MountPlays
}

// want records that a GET is needed, if none is already.
func (m *mount) want(now time.Time) {
	if m.wanted.IsZero() {
		m.wanted = now
	}
}

// settle records that no GET is needed any more.
func (m *mount) settle() { m.wanted, m.doubt = time.Time{}, "" }

// mount returns the state of a path, and creates it if necessary.
func (s *state) mount(path string) *mount {
	m := s.known[path]
	if m == nil {
		m = &mount{verdict: director.Verdict{Path: path}, info: director.MountReport{Path: path, Listeners: -1}}
		s.known[path] = m
	}
	return m
}

// matters says whether listeners are sent to a path: to every path, where none is declared.
func (s *state) matters(path string) bool {
	return len(s.mounts) == 0 || slices.Contains(s.mounts, path)
}

// hearMounts applies an answer's statistics to each mount. taken is by the store's clock.
func (s *state) hearMounts(a *answer, c *Config, now, taken time.Time) {
	quiet := s.follow(a, now)
	words := make(map[string]word, len(a.mounts)+len(s.mounts))
	for i := range a.mounts {
		info := &a.mounts[i]
		if !s.matters(info.Path) {
			continue
		}
		w := playing
		odd, isStill := quiet[info.Path]
		switch {
		case slices.Contains(a.sourceless, info.Path):
			w = sourceless
		case isStill:
			w = still
		}
		words[info.Path] = w
		m := s.mount(info.Path)
		m.odd = odd.kbit
		m.hear(info, w, slices.Contains(a.onDemand, info.Path))
	}
	other := absent
	if a.anyMount {
		other = noWord
	}
	for _, path := range s.mounts {
		if _, listed := words[path]; !listed {
			words[path] = other
			s.mount(path)
		}
	}
	lost := false
	for path, m := range s.known {
		lost = lost || m.word == playing && words[path] != playing
	}
	for path, m := range s.known {
		w, there := words[path]
		if !there {
			w = absent
		}
		if lost && m.word == w {
			m.another(now)
		}
		if m.gone.IsZero() && w == absent {
			m.gone = now
		}
		m.judge(w, c, s.grace(), now, taken)
		if a.blind {
			m.want(now)
		}
		if m.word == playing && m.limit == 0 && !m.full && slices.Contains(a.untold, path) {
			m.crowded(now)
		}
		m.was = m.info.Listeners
	}
	s.forget()
	s.listed = a.mounts
	if len(a.sourceless) > 0 {
		s.listed = slices.DeleteFunc(slices.Clone(a.mounts), func(m director.MountReport) bool {
			return !s.matters(m.Path) && slices.Contains(a.sourceless, m.Path)
		})
	}
}

// hear records what the statistics say of a mount that is listed.
func (m *mount) hear(info *director.MountReport, w word, onDemand bool) {
	if info.Peak < m.info.Peak {
		m.roomy, m.limit = 0, 0 // the server has restarted, perhaps with another limit
	}
	m.info, m.gone = *info, time.Time{}
	m.onDemand = m.onDemand || onDemand
	m.sourced = m.sourced || w == playing
}

// forget drops mounts to which nobody is sent, and bounds how many are kept that are gone.
func (s *state) forget() {
	gone := 0
	var oldest string
	for path, m := range s.known {
		switch {
		case !s.matters(path):
			delete(s.known, path)
		case len(s.mounts) == 0 && !m.gone.IsZero():
			gone++
			if oldest == "" || m.gone.Before(s.known[oldest].gone) {
				oldest = path
			}
		}
	}
	if gone > maxKnown {
		delete(s.known, oldest)
	}
}

// judge updates the verdict by the statistics' word.
func (m *mount) judge(w word, c *Config, grace time.Duration, now, taken time.Time) {
	changed := w != m.word
	m.word = w
	got := &m.got[w]
	switch {
	case w == playing && m.full:
		m.stillFull(now, taken)
		return
	case w == playing && (!got.fresh(now) || got.state == director.MountPlays):
		m.set(director.MountPlays, m.causeOf(got), m.detailOf(got), taken)
		if m.doubt == "" {
			m.settle()
		}
		return
	case w == noWord:
		if m.doubt != "" || m.verdict.State == director.MountSilent || m.verdict.State == director.MountFull {
			m.want(now)
		}
		return
	}
	if changed && got.fresh(now) {
		m.apply(got.tried, taken)
	}
	switch {
	case m.doubt != "", changed && !got.fresh(now), m.verdict.State != director.MountPlays, got.at.IsZero():
		m.want(now)
	case w == sourceless && m.isOnDemand():
		if c.OnDemand > 0 && now.Sub(m.tried) >= c.OnDemand {
			m.want(now)
		}
	default:
		m.want(now)
	}
	if w != still && !got.fresh(now) && !m.wanted.IsZero() && now.Sub(m.wanted) > grace && m.verdict.State == director.MountPlays {
		m.set(director.MountSilent, m.gonesCause(), "by the statistics; it has not been asked for yet", taken)
	}
}

// grace is how long a doubt may wait for its GET.
func (s *state) grace() time.Duration {
	if s.second {
		return tryGrace + shareWait
	}
	return tryGrace
}

// another records that another mount of the server has lost its source. What a GET got
// from this mount while it had no source of its own may have come from that one.
func (m *mount) another(now time.Time) {
	if m.word != absent && m.word != sourceless || m.verdict.State != director.MountPlays {
		return
	}
	m.got[m.word] = past{}
	m.asked[m.word] = later(now, m.tried.Add(tryAgain)).Add(-tryEvery)
	m.want(now)
}

// stillFull keeps a mount full until a seat is free, or until a GET, once a minute, gets one.
func (m *mount) stillFull(now, taken time.Time) {
	switch {
	case m.limit > 0 && m.info.Listeners >= 0 && m.info.Listeners < m.limit:
		m.set(director.MountPlays, "", "", taken)
		m.settle()
	default:
		m.set(director.MountFull, director.SeatsTaken, m.got[playing].detail, taken)
		m.want(now)
	}
}

// crowded asks for a GET when a mount whose limit is not reported seems to have reached
// it: it has never had more listeners, and their number has just stopped growing.
func (m *mount) crowded(now time.Time) {
	if n := m.info.Listeners; n > m.roomy && n >= m.info.Peak && m.info.Peak > 0 && n == m.was && m.info.Limit == 0 {
		m.want(now)
	}
}

func (m *mount) causeOf(p *past) director.Cause {
	if p.at.IsZero() {
		return ""
	}
	return p.cause
}

func (m *mount) detailOf(p *past) string {
	if p.at.IsZero() || p.cause == "" {
		return ""
	}
	return p.detail
}

func (m *mount) isOnDemand() bool { return m.onDemand || !m.sourced }

func (m *mount) gonesCause() director.Cause {
	if m.sourced {
		return director.SourceGone
	}
	return director.NotThere
}

// apply turns a GET's result into a verdict.
func (m *mount) apply(t tried, taken time.Time) {
	cause, detail := t.cause, t.detail
	switch {
	case t.state == director.MountPlays && cause == "" && m.word == sourceless && m.isOnDemand():
		cause = director.PlaysOnDemand
	case t.state == director.MountPlays && cause == "" && m.word == absent && !m.sourced:
		cause = director.PlaysUnlisted
	case t.state == director.MountPlays && cause == "" && (m.word == sourceless || m.word == absent):
		cause = director.PlaysFallback
	case cause == director.NotThere:
		cause = m.gonesCause()
	}
	if m.doubt != "" && t.state == director.MountSilent {
		detail += "; " + m.doubt
	}
	m.set(t.state, cause, detail, taken)
}

// hearTry records a GET's result; taken is now by the store's clock.
func (s *state) hearTry(r request, t tried, now, taken time.Time) {
	m := s.known[r.path]
	if m == nil {
		return // it has been forgotten since
	}
	m.tried, m.asked[r.word], s.blindDue = now, now, now.Add(tryEvery)
	m.advance(&t, now)
	if t.state == director.MountUnknown {
		m.settle()
		return
	}
	if m.word != r.word {
		return // the statistics have changed since, before or after the GET
	}
	m.got[r.word] = past{t, now}
	m.after = max(m.after, t.after)
	m.full = t.state == director.MountFull
	switch {
	case m.full:
		m.limit = max(0, m.info.Listeners)
	case t.state == director.MountPlays:
		m.roomy, m.limit = max(m.roomy, m.info.Listeners), 0
		if f := s.flows[r.path]; f != nil && m.word == still {
			f.spare(now)
			m.odd = 0
		}
	}
	m.apply(t, taken)
	m.settle()
}

// patience is how long the mount may be silent.
func (m *mount) patience() time.Duration {
	base := longPatience
	if m.info.Type == "audio/mpeg" {
		base = shortPatience
	}
	return max(base, m.after*6/5)
}

// dueTry returns the GET that is due; ok is false if none is.
func (s *state) dueTry(now time.Time) (r request, ok bool) {
	var best *mount
	for _, m := range s.known {
		from := m.wanted
		if s.second {
			from = from.Add(shareWait)
		}
		if last := m.asked[m.word]; m.wanted.IsZero() || now.Before(from) || !last.IsZero() && now.Sub(last) < tryEvery || m.spent.Sub(now) > tryEvery {
			continue
		}
		if best == nil || m.wanted.Before(best.wanted) || m.wanted.Equal(best.wanted) && m.verdict.Path < best.verdict.Path {
			best = m
		}
	}
	if best == nil {
		return request{}, false
	}
	r.path, r.word = best.verdict.Path, best.word
	best.spent = later(best.spent, now).Add(tryEvery)
	if best.sourced && now.Sub(best.wanted) < tryGrace+shareWait && (best.word == absent || best.word == sourceless) {
		r.hold = holdTime
	}
	switch last := &best.got[best.word]; {
	case best.word == still:
		r.patience, r.kbit = best.patience(), best.odd
	case last.state == director.MountSilent && last.cause == director.SourceHangs:
		r.patience = best.patience() // the burst alone would be no proof
	}
	return r, true
}

// share applies what other directors that probe the node got there by GETs. Their times
// are by the store's clock, which shows wall now.
func (s *state) share(others []director.Verdict, now, wall time.Time) (changed bool) {
	for i := range others {
		v := &others[i]
		m := s.known[v.Path]
		if v.Path == "" || v.Scheme != 0 || m == nil || v.State == director.MountUnknown || v.Cause.Network() {
			continue
		}
		at := now.Add(min(0, -wall.Sub(v.Taken))) // on the monotonic clock
		answers := !m.wanted.IsZero() && !at.Before(m.wanted.Add(-2*shareWait))
		contradicts := v.Listed && m.word == playing && m.verdict.State == director.MountPlays && at.After(m.tried)
		if !answers && !contradicts {
			continue
		}
		s.hearTry(request{path: v.Path, word: m.word}, tried{state: v.State, cause: v.Cause, detail: v.Detail}, at, v.Taken)
		changed = true
	}
	return changed
}

// assemble builds the report's mounts and verdicts. The mounts are those that play or
// are full, listed or not.
func (s *state) assemble(now time.Time) {
	r := &s.report
	r.Detail = s.said
	if hanging := s.hanging(); hanging != "" && r.Health == director.Up {
		r.Detail += "; " + hanging
	}
	r.Mounts, r.Verdicts = s.listed, nil
	plain := true
	for _, m := range s.known {
		plain = plain && m.word == playing && m.verdict.State == director.MountPlays && m.limit == 0
		if v := &m.verdict; v.State != director.MountUnknown &&
			(v.State != director.MountPlays || v.Cause != "" || m.word == absent || !m.tried.IsZero() && now.Sub(m.tried) < shownLife) {
			r.Verdicts = append(r.Verdicts, *v)
		}
	}
	if !plain {
		r.Mounts = s.playing()
	}
	r.Verdicts = append(r.Verdicts, s.wayVerdicts()...)
	slices.SortFunc(r.Verdicts, func(a, b director.Verdict) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Scheme, b.Scheme))
	})
	r.CertificateEnds = s.certificate()
}

// playing lists the mounts that play or are full.
func (s *state) playing() []director.MountReport {
	out := make([]director.MountReport, 0, len(s.listed))
	for i := range s.listed {
		info := s.listed[i]
		m := s.known[info.Path]
		if m != nil && m.verdict.State != director.MountPlays && m.verdict.State != director.MountFull {
			continue
		}
		if m != nil && info.Limit == 0 {
			info.Limit = m.limit
		}
		out = append(out, info)
	}
	if s.report.AnyMount {
		return out
	}
	for _, path := range slices.Sorted(maps.Keys(s.known)) {
		m := s.known[path]
		if m.word == absent && m.verdict.State == director.MountPlays {
			info := m.info
			info.Listeners = -1
			out = append(out, info)
		}
	}
	slices.SortFunc(out, func(a, b director.MountReport) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// hanging tells operators for which mounts nothing comes in.
func (s *state) hanging() string {
	var paths []string
	for path, m := range s.known {
		if m.verdict.State == director.MountSilent && m.verdict.Cause == director.SourceHangs {
			paths = append(paths, path)
		}
	}
	return silences(paths)
}

// mountEvents returns the changes of verdicts between two reports.
func mountEvents(was, is *director.Report) (out []event) {
	if is.Health != director.Up {
		return nil // the node's own event says it all
	}
	before := make(map[string]*director.Verdict, len(was.Verdicts))
	for i := range was.Verdicts {
		before[keyOf(&was.Verdicts[i])] = &was.Verdicts[i]
	}
	now := make(map[string]bool, len(is.Verdicts))
	for i := range is.Verdicts {
		v := &is.Verdicts[i]
		now[keyOf(v)] = true
		old := before[keyOf(v)]
		state := director.MountPlays // what has no verdict plays, or was never there
		if old != nil {
			state = old.State
		} else if v.Path != "" && !slices.ContainsFunc(was.Mounts, func(m director.MountReport) bool { return m.Path == v.Path }) {
			state = director.MountUnknown
		}
		if v.State != state && !(state == director.MountUnknown && v.State == director.MountPlays) {
			out = append(out, mountEvent(is.Node, v, state, since(old)))
		}
	}
	for key, old := range before {
		if !now[key] && old.State != director.MountPlays && slices.ContainsFunc(is.Mounts, func(m director.MountReport) bool { return m.Path == old.Path }) {
			v := *old
			v.State, v.Cause, v.Detail, v.Since = director.MountPlays, "", "", is.Taken
			out = append(out, mountEvent(is.Node, &v, old.State, since(old)))
		}
	}
	return out
}

func keyOf(v *director.Verdict) string { return v.Scheme.String() + " " + v.Path }

func since(v *director.Verdict) time.Time {
	if v == nil {
		return time.Time{}
	}
	return v.Since
}

func mountEvent(node director.NodeID, v *director.Verdict, was director.MountState, since time.Time) event {
	what, attrs := "mount ", []slog.Attr{slog.String("node", string(node))}
	if v.Path == "" {
		what = "scheme "
	} else {
		attrs = append(attrs, slog.String("mount", v.Path))
	}
	if v.Scheme != 0 {
		attrs = append(attrs, slog.String("scheme", v.Scheme.String()))
	}
	level, msg := slog.LevelWarn, what+v.State.Words()
	if v.State == director.MountPlays {
		level, msg = slog.LevelInfo, what+"plays again"
	}
	attrs = append(attrs, slog.String("why", v.String()), slog.String("was", was.Words()))
	if !since.IsZero() {
		attrs = append(attrs, slog.Duration("for", v.Since.Sub(since).Round(time.Millisecond)))
	}
	return event{level, msg, attrs}
}

// refused is the warning that a node's mounts are requested in place of its statistics.
func refused(err error) complaint {
	return complaint{fmt.Sprintf("%v: its mounts are asked for instead, once a minute each", err), "if it is no Icecast, say so with kind: http"}
}

// heardOf says whether any mount played, or was full, when it was last requested.
func (s *state) heardOf() bool {
	for _, m := range s.known {
		if m.verdict.State == director.MountPlays || m.verdict.State == director.MountFull {
			return true
		}
	}
	return false
}
