// Package probe probes every node on a schedule of its own, and keeps the results as
// one [director.Report] per node.
//
// One failed probe does not take a node down, and one good answer does not bring it up
// again: see Config.Fall and Config.Rise. Statistics only raise doubts about a mount; a
// GET like a listener's settles them (see [director.Verdict]).
package probe

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Prober probes nodes. Its methods are safe for concurrent use.
type Prober struct {
	cfg    Config
	kinds  map[string]kind
	client *client
	lookup lookup
	try    func(ctx context.Context, t target, r request) tried
	tryWay func(ctx context.Context, t target, mount string) (tried, time.Time)

	wake  chan struct{} // the schedule has changed
	news  chan struct{}
	first chan struct{}

	mu         sync.Mutex
	set        bool // SetNodes was called
	isFirst    bool // first is closed
	unprobed   int  // how many of states were not probed yet
	states     []*state
	index      map[director.NodeID]int // into states
	suspects   string                  // why it does not trust itself
	suspectsOf time.Time               // the nodes that began to fail after this are the reason
	queue      queue                   // the states without a probe under way, by due time
	inFlight   int
	tries      int       // GETs that are under way
	tryAt      time.Time // when the next GET may begin
}

// New returns a Prober without nodes. It probes nothing before Run.
func New(c Config) *Prober {
	c = c.withDefaults()
	return &Prober{
		cfg:    c,
		kinds:  kinds,
		client: &client{tls: c.TLS},
		lookup: net.DefaultResolver.LookupNetIP,
		try:    func(ctx context.Context, t target, r request) tried { return t.tryIn(ctx, r) },
		tryWay: func(ctx context.Context, t target, mount string) (tried, time.Time) { return t.tryWayIn(ctx, mount) },
		wake:   make(chan struct{}, 1),
		news:   make(chan struct{}, 1),
		first:  make(chan struct{}),
	}
}

// SetNodes sets the nodes to probe from now on. A node that keeps its ID and URLs keeps
// its state; a new one is probed at once; the others are forgotten.
//
// mounts are the declared ones. Verdicts are kept for their paths at a node, which are
// requested where a node has no statistics, and under which SHOUTcast's streams are
// reported. Where none is declared, every mount that a node lists counts.
func (p *Prober) SetNodes(nodes []director.Node, mounts []director.Mount) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := make(map[director.NodeID]*state, len(p.states))
	for _, s := range p.states {
		s.removed = true
		known[s.report.Node] = s
	}
	p.states, p.index = make([]*state, len(nodes)), make(map[director.NodeID]int, len(nodes))
	p.queue, p.unprobed = p.queue[:0], 0
	for i, n := range nodes {
		s := known[n.ID]
		if s == nil || !slices.Equal(s.urls, n.URLs) || s.internal != n.InternalURL {
			s = newState(n)
		} else {
			delete(known, n.ID)
		}
		s.removed = false
		s.mounts, s.paths, s.declared = pathsAt(n, mounts), n.Paths, bitratesAt(n, mounts)
		p.states[i], p.index[n.ID] = s, i
		if !s.probed {
			p.unprobed++
		}
		if !s.asking {
			p.queue = append(p.queue, s)
		}
	}
	for _, s := range known { // the nodes that were removed
		if s.endFeed != nil {
			s.endFeed()
		}
	}
	heap.Init(&p.queue)
	p.set = true
	p.closeFirst()
	p.reflect()
	p.changed()
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

// Reports returns the newest report of every node that was probed at least once, in the
// order of SetNodes. The reports do not name the director. The caller owns the slice,
// not the mounts in it.
func (p *Prober) Reports() []director.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]director.Report, 0, len(p.states))
	for _, s := range p.states {
		if s.probed {
			out = append(out, s.report)
		}
	}
	return out
}

// A Tally counts a node's probes since the Prober first knew the node.
type Tally struct {
	Node              director.NodeID
	Took              time.Duration // the newest probe
	Answers, Failures uint64
}

// Tallies returns the tally of every node that was probed at least once.
func (p *Prober) Tallies() []Tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Tally, 0, len(p.states))
	for _, s := range p.states {
		if s.probed {
			out = append(out, s.tally)
		}
	}
	return out
}

// A Warning is what is wrong with a node's answers though they do not take it down: a
// password that the server refuses, or statistics that are none.
type Warning struct {
	Node  director.NodeID
	Text  string
	Since time.Time
}

// Warnings returns those of the nodes that this Prober probes, as their newest answers
// are, in order of node.
func (p *Prober) Warnings() (all []Warning) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.states {
		if s.warning != "" && s.report.Health == director.Up {
			all = append(all, Warning{s.report.Node, s.warning, s.warned})
		}
	}
	slices.SortFunc(all, func(a, b Warning) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

// First returns a channel that is closed when every node of SetNodes has been probed
// once, whatever the result.
func (p *Prober) First() <-chan struct{} { return p.first }

func (p *Prober) closeFirst() {
	if p.isFirst || !p.set || p.unprobed > 0 {
		return
	}
	p.isFirst = true
	close(p.first)
}

// News returns a channel that receives after the health of a node has changed, or after
// a GET, here or at another director, has changed a mount's verdict. One receive may
// stand for several changes.
func (p *Prober) News() <-chan struct{} { return p.news }

func (p *Prober) changed() { signal(p.wake) }

// signal sends to c, unless a value already waits there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run probes until ctx is done, and returns nil when the last probe has ended.
// It must be called only once.
func (p *Prober) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	defer probes.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-p.wake:
		}
		timer.Reset(p.start(ctx, &probes))
	}
}

// start begins the probes that are due and returns the time until the next one is due.
func (p *Prober) start(ctx context.Context, probes *sync.WaitGroup) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	// The schedule uses the monotonic clock, so that a step of the store's clock
	// neither stalls nor hurries it.
	now := time.Now()
	for len(p.queue) > 0 && p.inFlight < p.cfg.InFlight {
		s := p.queue[0]
		if wait := s.due.Sub(now); wait > 0 {
			return wait
		}
		heap.Pop(&p.queue)
		s.asking, s.asked, s.nudged = true, now, false
		p.inFlight++
		timeout := s.timeout(p.cfg.Timeout)
		probes.Go(func() { p.probe(ctx, s, timeout) })
	}
	return time.Hour // a probe that ends, or SetNodes, wakes Run
}

// probe probes one node once, and puts it back into the queue.
func (p *Prober) probe(ctx context.Context, s *state, timeout time.Duration) {
	started, taken := time.Now(), p.cfg.Now()
	h := p.ask(ctx, s, timeout)
	h.taken, h.took = taken, time.Since(started)

	p.mu.Lock()
	p.inFlight--
	s.asking = false
	var news []event
	if ctx.Err() == nil && !s.removed {
		if outOfFiles(h.err) {
			p.cfg.Log.Warn("a node was not probed: this director has no file descriptor left", "node", s.report.Node, "err", h.err)
		} else {
			was, failed := s.report.Health, !s.failing.IsZero()
			if !s.probed {
				p.unprobed--
			}
			news = s.hear(h, p.cfg)
			if s.report.Health != was {
				signal(p.news)
			}
			if failed == s.failing.IsZero() {
				p.reflect()
			}
		}
		s.due = p.nextDue(s, started)
		if s.again != "" && s.failures == 0 { // a good answer, to a probe that began before the doubt
			s.doubted(s.again)
		}
		s.again = ""
		if nudged := started.Add(pushPause); s.nudged && nudged.Before(s.due) {
			s.due = nudged
		}
		heap.Push(&p.queue, s)
		p.closeFirst()
	}
	p.changed()
	feed := p.feeds(ctx, s)
	p.mu.Unlock()
	p.tell(ctx, news)
	p.hearOut(ctx, s)
	if feed != nil {
		p.feed(feed, s)
	}
}

func (p *Prober) nextDue(s *state, started time.Time) time.Time {
	now := time.Now()
	interval := p.cfg.Interval - rand.N(p.cfg.Interval/10+1)
	switch {
	case s.inDoubt(), s.confirms():
		return later(now, started.Add(p.cfg.Recheck))
	case s.report.Health == director.Failed:
		// Counted from the probe's end: with the default times, a node that hangs then
		// occupies a slot of InFlight for only about half of the time.
		return now.Add(interval)
	default:
		return s.beforeOverdue(now, later(now, started.Add(interval)))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// heard is the result of one probe.
type heard struct {
	taken    time.Time
	took     time.Duration
	answer   answer
	err      error
	mount    bool // a mount was due to be opened
	looked   bool // families were looked up, perhaps in vain
	families families

	base     string    // the URL that was probed
	ends     time.Time // when its certificate expires; zero: not known
	way      *way      // another URL of the node that was tried at the same time; nil: none
	wayMount string
	wayGot   tried
	wayEnds  time.Time
}

// ask probes the node. At the same time it looks up the addresses of its hosts and
// tries another of its URLs, when these are due.
func (p *Prober) ask(ctx context.Context, s *state, timeout time.Duration) (h heard) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !time.Now().Before(s.lookupDue) {
		found := make(chan families, 1)
		go func() { found <- p.lookup.families(ctx, s.urls) }()
		h.looked = true
		defer func() { h.families = <-found }()
	}
	t := p.target(s, timeout)
	h.base, t.ends = t.base, &h.ends
	k, ok := p.kinds[t.kind]
	if !ok {
		h.err = fmt.Errorf("kind %q is not known: set one of %q", t.kind, Kinds())
		return h
	}
	p.mu.Lock()
	w := s.dueWay(t.base, time.Now())
	if w != nil {
		h.way, h.wayMount = w, s.nextAt(w)
	}
	p.mu.Unlock()
	if w != nil {
		done := make(chan struct{})
		go func() {
			defer close(done)
			at := t
			at.base, at.timeout = w.url, p.cfg.Timeout
			h.wayGot, h.wayEnds = p.tryWay(ctx, at, h.wayMount)
		}()
		defer func() { <-done }()
	}
	h.answer, h.err = k.ask(ctx, t)
	h.mount = t.mountDue
	return h
}

// target describes a node for a probe or a GET.
func (p *Prober) target(s *state, timeout time.Duration) target {
	t := target{
		kind:    p.cfg.Kind(s.report.Node),
		client:  p.client,
		path:    p.cfg.Path(s.report.Node),
		expect:  p.cfg.Expect(s.report.Node),
		timeout: timeout,
	}
	p.mu.Lock()
	t.base = s.base()
	t.mounts, t.turn = s.mounts, s.turns()
	t.plays = s.heardOf()
	t.mayTry = !time.Now().Before(s.blindDue)
	t.mountDue = s.failures > 0 || s.report.Health != director.Up || !time.Now().Before(s.mountDue)
	p.mu.Unlock()
	t.user, t.password, t.admin = p.cfg.Credentials(s.report.Node)
	return t
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
