package web

import (
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/visits"
)

// stats are the counters behind the metrics. Requests change them mostly with atomic
// additions. It implements [prometheus.Collector].
type stats struct {
	answers  [][numAnswers]atomic.Uint64 // by outcome
	passed   []atomic.Uint64             // decisions that passed over a node, by reason
	codes    [600]atomic.Uint64          // by HTTP status
	seconds  histogram                   // the duration of requests, without inline streams
	families families
	sent     ways
	limited  [2]atomic.Uint64 // by limitScope
	carried  atomic.Uint64    // streams carried inline that have ended
	bytes    atomic.Uint64    // of them
	moves    [4]atomic.Uint64 // of who plays HLS, by director.Move
	// sessions and uncounted tell who plays HLS, and how many answers went to those who
	// were too many to count.
	sessions   func() map[director.NodeID]map[string]int
	uncounted  func() uint64
	noRoom     atomic.Uint64 // streams for which the inline budget had no room
	noUpstream atomic.Uint64
	panics     atomic.Uint64
	open       atomic.Int64 // connections
	excess     atomic.Uint64
	shed       atomic.Uint64
}

// decided counts a decision's outcome and answer, and the reasons for which it passed over
// nodes.
func (s *stats) decided(d *director.Decision, a Answer) {
	s.answers[d.Outcome][a].Add(1)
	for passed := d.Seen.Without(director.Fit); passed != 0; passed &= passed - 1 {
		s.passed[bits.TrailingZeros32(uint32(passed))].Add(1)
	}
}

// limitScope is the rate limit that a request exceeded.
type limitScope int

const (
	limitKey limitScope = iota
	limitAddress
)

func newStats() *stats {
	return &stats{answers: make([][numAnswers]atomic.Uint64, len(director.Outcomes())), passed: make([]atomic.Uint64, len(director.AllReasons()))}
}

// maxFamilies bounds how many label values user agents can make.
const maxFamilies = 200

// family counts the requests of one kind of client.
type family struct {
	name  string
	steps [visits.NumSteps]atomic.Uint64
	seen  string // the first user agent of the family
	// returned is a user agent that came back after a redirect; nil: none did.
	returned atomic.Pointer[agent]
}

// count counts a request by the user agent a.
func (f *family) count(s visits.Step, a *agent) {
	f.steps[s].Add(1)
	if (s == visits.Next || s == visits.Inline) && len(a.ua) <= maxCachedAgent && f.returned.Load() == nil {
		f.returned.Store(a)
	}
}

// The names of families without a name of their own.
const (
	familyNone  = "none"  // no user agent
	familyOther = "other" // a mixture
)

// families holds the families of clients seen. It is safe for concurrent use.
type families struct {
	mu    sync.Mutex
	named map[string]*family
	all   []*family
}

// of returns the family of a user agent. Once there are maxFamilies, new ones are "other".
func (f *families) of(ua string) *family {
	name := familyName(ua)
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.named[name]; known != nil {
		return known
	}
	if len(f.all) >= maxFamilies {
		name = familyOther
		if known := f.named[name]; known != nil {
			return known
		}
	}
	if f.named == nil {
		f.named = map[string]*family{}
	}
	known := &family{name: strings.Clone(name), seen: strings.Clone(clip(ua))}
	f.named[known.name] = known
	f.all = append(f.all, known)
	return known
}

// familyName is the user agent's first token, up to a slash or a space.
func familyName(ua string) string {
	const longest = 40
	if ua == "" {
		return familyNone
	}
	name := ua
	if i := strings.IndexAny(ua, "/ "); i >= 0 {
		name = ua[:i]
	}
	if name == "" || len(name) > longest {
		return familyOther
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f {
			return familyOther
		}
	}
	return name
}

// histogram counts durations in fixed buckets.
type histogram struct {
	counts [len(histogramBounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

var histogramBounds = [...]time.Duration{
	20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond,
	time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, time.Second,
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(histogramBounds) && d > histogramBounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

var (
	descRequests    = prometheus.NewDesc("signpost_requests_total", "Requests for a mount, by how the decision ended and how they were answered.", []string{"outcome", "answer"}, nil)
	descPassed      = prometheus.NewDesc("signpost_passed_over_total", "Decisions in which a node was passed over, by reason; one may have several. Nodes of the regions that a row overflows into are looked at only if the row has none.", []string{"reason"}, nil)
	descResponses   = prometheus.NewDesc("signpost_responses_total", "Answers by HTTP status.", []string{"code"}, nil)
	descSeconds     = prometheus.NewDesc("signpost_request_duration_seconds", "Time to answer, without inline streams.", nil, nil)
	descSent        = prometheus.NewDesc("signpost_listeners_sent_total", "Listeners that were sent to a node, by the region that they belong to; empty: none.", []string{"region", "node"}, nil)
	descClients     = prometheus.NewDesc("signpost_client_requests_total", "Requests of clients without a rule, by the user agent's first word and by what happened before: first, again (within 3 s), next and inline (back within 15 s, or again and again at an even pace, so the redirect may not have worked), crowd (more than 3 in 10 s, and not at an even pace).", []string{"client", "step"}, nil)
	descLimited     = prometheus.NewDesc("signpost_rate_limited_total", "Requests answered 429, by what there were too many of.", []string{"scope"}, nil)
	descCarried     = prometheus.NewDesc("signpost_inline_streams_total", "Inline streams that have ended.", nil, nil)
	descBytes       = prometheus.NewDesc("signpost_inline_bytes_total", "Bytes of inline streams that have ended.", nil, nil)
	descNotCarried  = prometheus.NewDesc("signpost_inline_refused_total", "Listeners who were to get the stream inline and did not.", []string{"reason"}, nil)
	descSessions    = prometheus.NewDesc("signpost_hls_sessions", "Players of HLS that ask this director which node to use, by the node that they play from and the mount.", []string{"node", "mount"}, nil)
	descMoves       = prometheus.NewDesc("signpost_hls_moves_total", "Players of HLS that were moved to another node while they played, by why: their node was drained, failed, or the weights gave them to another one.", []string{"why"}, nil)
	descUncounted   = prometheus.NewDesc("signpost_hls_uncounted_total", "Answers to players of HLS that were too many to be counted.", nil, nil)
	descPanics      = prometheus.NewDesc("signpost_panics_total", "Requests that ended in a panic: faults to report.", nil, nil)
	descConnections = prometheus.NewDesc("signpost_connections", "Open connections.", nil, nil)
	descShed        = prometheus.NewDesc("signpost_connections_shed_total", "Connections that had waited for a request for the longest, and were closed to make room for others.", nil, nil)
	descExcess      = prometheus.NewDesc("signpost_connections_refused_total", "Connections closed at once because there were too many.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (s *stats) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descRequests, descPassed, descResponses, descSeconds, descSent, descClients, descLimited, descCarried,
		descBytes, descNotCarried, descPanics, descConnections, descExcess, descShed, descSessions, descMoves, descUncounted,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (s *stats) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for o := range s.answers {
		for a := range s.answers[o] {
			count(descRequests, s.answers[o][a].Load(), director.Outcome(o).String(), Answer(a).String())
		}
	}
	for _, r := range director.AllReasons()[director.Fit+1:] {
		count(descPassed, s.passed[r].Load(), r.String())
	}
	for code := range s.codes {
		if n := s.codes[code].Load(); n > 0 {
			count(descResponses, n, strconv.Itoa(code))
		}
	}
	ch <- s.seconds.metric()
	for region, nodes := range s.sent.all() {
		for node, n := range nodes {
			count(descSent, n.Load(), string(region), string(node))
		}
	}
	for _, f := range s.families.list() {
		for i := range f.steps {
			count(descClients, f.steps[i].Load(), f.name, visits.Step(i).String())
		}
	}
	count(descLimited, s.limited[limitKey].Load(), "key")
	count(descLimited, s.limited[limitAddress].Load(), "address")
	count(descCarried, s.carried.Load())
	count(descBytes, s.bytes.Load())
	count(descNotCarried, s.noRoom.Load(), "no_room")
	count(descNotCarried, s.noUpstream.Load(), "no_upstream")
	for node, mounts := range s.sessions() {
		for mount, n := range mounts {
			ch <- prometheus.MustNewConstMetric(descSessions, prometheus.GaugeValue, float64(n), string(node), mount)
		}
	}
	for _, move := range director.AllMoves()[1:] {
		count(descMoves, s.moves[move].Load(), move.String())
	}
	count(descUncounted, s.uncounted())
	count(descPanics, s.panics.Load())
	count(descExcess, s.excess.Load())
	count(descShed, s.shed.Load())
	ch <- prometheus.MustNewConstMetric(descConnections, prometheus.GaugeValue, float64(s.open.Load()))
}

func (f *families) list() []*family {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[:len(f.all):len(f.all)]
}

func (h *histogram) metric() prometheus.Metric {
	buckets := make(map[float64]uint64, len(histogramBounds))
	var n uint64
	for i, b := range histogramBounds {
		n += h.counts[i].Load()
		buckets[b.Seconds()] = n
	}
	n += h.counts[len(histogramBounds)].Load()
	return prometheus.MustNewConstHistogram(descSeconds, n, time.Duration(h.sum.Load()).Seconds(), buckets)
}
