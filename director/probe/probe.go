// Package probe probes every node on a schedule of its own, and keeps the results as
// one [director.Report] per node.
//
// One failed probe does not take a node down, and one good answer does not bring it up
// again: see Config.Fall and Config.Rise. Statistics only raise doubts about a mount; a
// GET like a listener's settles them (see [director.Verdict]).
package probe

import (
	"cmp"
	"context"
	"fmt"
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

	mu      sync.Mutex
	isFirst bool // first is closed
	watch
}

// New returns a Prober without nodes. It probes nothing before Run.
func New(c Config) *Prober {
	c = c.withDefaults()
	return &Prober{
		cfg:    c,
		watch:  watch{cfg: c},
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
	for _, s := range p.setNodes(nodes, mounts, time.Now()) {
		if s.endFeed != nil {
			s.endFeed()
		}
	}
	p.signal()
}

// Reports returns the newest report of every node that was probed at least once, in the
// order of SetNodes. The reports do not name the director. The caller owns the slice,
// not the mounts in it.
func (p *Prober) Reports() []director.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reports()
}

// Changes returns the newest report of every node that was probed at least once and has
// another report than at since, which an earlier call returned as now. If all is set, the
// nodes were set since, and these are all reports. The caller owns the slice, not the
// mounts in it.
func (p *Prober) Changes(since uint64) (reports []director.Report, all bool, now uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changesSince(since)
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
	Node         director.NodeID
	Text, Remedy string
	Since        time.Time
}

// Warnings returns those of the nodes that this Prober probes, as their newest answers
// are, in order of node.
func (p *Prober) Warnings() (all []Warning) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.states {
		if s.warning != (complaint{}) && s.report.Health == director.Up {
			all = append(all, Warning{s.report.Node, s.warning.Text, s.warning.Remedy, s.warned})
		}
	}
	slices.SortFunc(all, func(a, b Warning) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

// First returns a channel that is closed when every node of SetNodes has been probed
// once, whatever the result.
func (p *Prober) First() <-chan struct{} { return p.first }

// News returns a channel that receives after the health of a node has changed, or after
// a GET, here or at another director, has changed a mount's verdict. One receive may
// stand for several changes.
func (p *Prober) News() <-chan struct{} { return p.news }

// signal passes on what has changed in the watch. p.mu is held.
func (p *Prober) signal() {
	if p.due {
		p.due = false
		signal(p.wake)
	}
	if p.watch.news {
		p.watch.news = false
		signal(p.news)
	}
	if p.watch.first && !p.isFirst {
		p.isFirst = true
		close(p.first)
	}
}

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
	now := time.Now()
	for {
		s, wait := p.begin(now)
		if s == nil {
			return wait
		}
		timeout := s.timeout(p.cfg.Timeout)
		probes.Go(func() { p.probe(ctx, s, timeout) })
	}
}

// probe probes one node once, and puts it back into the queue.
func (p *Prober) probe(ctx context.Context, s *state, timeout time.Duration) {
	started, taken := time.Now(), p.cfg.Now()
	h := p.ask(ctx, s, timeout)
	h.taken, h.took = taken, time.Since(started)

	p.mu.Lock()
	var news []event
	if ctx.Err() == nil {
		lost := outOfFiles(h.err)
		if lost {
			p.cfg.Log.Warn("a node was not probed: this director has no file descriptor left", "node", s.report.Node, "err", h.err)
		}
		news = p.end(s, h, lost, time.Now())
	} else {
		p.abandon(s)
	}
	p.signal()
	feed := p.feeds(ctx, s)
	p.mu.Unlock()
	p.tell(ctx, news)
	p.hearOut(ctx, s)
	if feed != nil {
		p.feed(feed, s)
	}
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
			started := time.Now()
			h.wayGot, h.wayEnds = p.tryWay(ctx, at, h.wayMount)
			h.wayGot.took = time.Since(started)
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
	if t.kind == inParts {
		t.edges, t.public = s.edges(), s.urls
	}
	t.plays = s.heardOf()
	t.mayTry = !time.Now().Before(s.blindDue)
	t.mountDue = s.failures > 0 || s.report.Health != director.Up || !time.Now().Before(s.mountDue)
	p.mu.Unlock()
	t.user, t.password, t.admin = p.cfg.Credentials(s.report.Node)
	return t
}
