package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/memstore"
)

const tick = 250 * time.Millisecond

// twoTicks is how long one director may take to tell and another to ask, each a tick
// and its jitter after what happened.
const twoTicks = 2*tick*11/10 + time.Millisecond

// A rig is a running Syncer with a prober that says what it is told.
type rig struct {
	*store.Syncer
	name   string
	prober *prober
	log    *proctest.Output
	stop   func()
}

// start runs a Syncer until the test ends or it is stopped. What c leaves out is made up.
func start(t *testing.T, c store.SyncerConfig) *rig {
	t.Helper()
	d := &rig{name: c.Director, log: &proctest.Output{}}
	if c.Prober == nil {
		c.Prober = newProber()
	}
	if c.Config.Nodes == nil {
		c.Config = config("n1", "n2")
	}
	d.prober = c.Prober.(*prober)
	c.Log = slog.New(slog.NewTextHandler(d.log, nil))
	s, err := store.NewSyncer(c)
	if err != nil {
		t.Fatal(err)
	}
	d.Syncer = s
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(d.stop)
	return d
}

// pass lets time pass, and everybody do what is due.
func pass(d time.Duration) {
	time.Sleep(d) // the bubble's clock
	synctest.Wait()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// config has these nodes in one row.
func config(ids ...director.NodeID) director.Config {
	world := director.Region{ID: "world", Match: director.Match{Default: true}}
	c := director.Config{Mounts: []director.Mount{{Name: "/live.mp3"}}}
	for i, id := range ids {
		c.Nodes = append(c.Nodes, director.Node{ID: id, URLs: []string{fmt.Sprintf("http://127.0.0.%d:8000", i+1)}, Target: 1000})
		world.Row = append(world.Row, director.Weight{Node: id, Weight: 1, Given: true})
	}
	c.Regions = []director.Region{world}
	return c
}

func drain(id director.NodeID, state store.NodeState) store.Overlay {
	stamp := store.Stamp{By: "anna", At: time.Now().UTC()}
	return store.Overlay{
		Nodes: map[director.NodeID]store.NodeSetting{id: {State: state, Stamp: stamp}},
		Rules: []store.Rule{{ID: "r", Rule: []byte(`{ "agent": "<a>" }`), Stamp: stamp}}, // a form that changes when it is stored
	}
}

type prober struct {
	mu      sync.Mutex
	nodes   []director.NodeID
	reports []director.Report
	told    map[director.NodeID]director.Report // by the last Changes
	edit    uint64                              // number of calls of it
	ahead   time.Duration                       // of this machine's clock
	doubt   string                              // of itself
	doubted []string                            // nodes, and why
	shared  map[director.NodeID]sharedWith
	news    chan struct{}
	first   chan struct{}
}

// newProber returns one that has probed every node once.
func newProber() *prober {
	p := &prober{first: make(chan struct{}), news: make(chan struct{}, 1)}
	close(p.first)
	return p
}

func (p *prober) SetNodes(nodes []director.Node, _ []director.Mount) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes = nil
	for _, n := range nodes {
		p.nodes = append(p.nodes, n.ID)
	}
	p.reports = slices.DeleteFunc(p.reports, func(r director.Report) bool { return !slices.Contains(p.nodes, r.Node) })
	for _, id := range p.nodes { // registered nodes are reached, unless a test says otherwise
		if strings.HasPrefix(string(id), "edge") && !slices.ContainsFunc(p.reports, func(r director.Report) bool { return r.Node == id }) {
			p.reports = append(p.reports, director.Report{Node: id, Health: director.Up, Listeners: -1, IPv4: true, Taken: time.Now().Add(p.ahead)})
		}
	}
}

func (p *prober) probes() []director.NodeID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nodes
}

func (p *prober) First() <-chan struct{} { return p.first }

func (p *prober) News() <-chan struct{} { return p.news }

func (p *prober) Share(id director.NodeID, second bool, others []director.Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared == nil {
		p.shared = map[director.NodeID]sharedWith{}
	}
	p.shared[id] = sharedWith{second, others}
}

// sharedWith is what a prober was told of another director's part in a node.
type sharedWith struct {
	second bool
	others []director.Verdict
}

func (p *prober) Doubt(id director.NodeID, _, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubted = append(p.doubted, string(id)+": "+why)
}

func (p *prober) doubts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.doubted)
}

func (p *prober) Suspicion() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doubt
}

// suspects makes it doubt itself; with "" no more.
func (p *prober) suspects(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubt = why
}

func (p *prober) Changes(since uint64) (changed []director.Report, all bool, now uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := p.told
	p.edit, p.told = p.edit+1, map[director.NodeID]director.Report{}
	all = since+1 != p.edit || since == 0
	for _, r := range p.reports {
		p.told[r.Node] = r
		if all || !reflect.DeepEqual(told[r.Node], r) {
			changed = append(changed, r)
		}
	}
	for id := range told {
		if _, still := p.told[id]; !still && !all {
			return slices.Clone(p.reports), true, p.edit
		}
	}
	return changed, all, p.edit
}

// report makes the newest report of a node, taken now.
func (p *prober) report(id director.NodeID, listeners int) {
	p.tell(director.Report{Node: id, Health: director.Up, Listeners: listeners, AnyMount: true})
}

// tell makes r the newest report of its node, taken now.
func (p *prober) tell(r director.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Taken = time.Now().Add(p.ahead)
	p.reports = slices.DeleteFunc(p.reports, func(old director.Report) bool { return old.Node == r.Node })
	p.reports = append(p.reports, r)
}

func memory(t *testing.T) *memstore.Store { return memoryAt(t, time.Now) }

func memoryAt(t *testing.T, now func() time.Time) *memstore.Store {
	t.Helper()
	s := memstore.Open(memstore.Config{Now: now})
	return s
}

func join(t *testing.T, s *memstore.Store) *memstore.Store {
	t.Helper()
	other, err := s.Join()
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// ailment is what is wrong with a store.
type ailment int

const (
	well  ailment = iota
	away          // refuses
	hung          // answers only that the time is up
	stuck         // Sync does not answer, whatever the time
	slow          // Sync answers late what was true when it was asked
)

const slowness = 400 * time.Millisecond // longer than a tick

// unwell is a store with an ailment.
type unwell struct {
	store.Store
	mu      sync.Mutex
	ailment ailment
	changed chan struct{} // closed when the ailment changes
}

func newUnwell(t *testing.T, a ailment) *unwell {
	u := &unwell{Store: memory(t), ailment: a, changed: make(chan struct{})}
	t.Cleanup(func() { u.set(well) }) // lets go of who is stuck
	return u
}

func (u *unwell) set(a ailment) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ailment = a
	close(u.changed)
	u.changed = make(chan struct{})
}

func (u *unwell) replace(s store.Store) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.Store = s
}

// suffer returns the store to ask, or the error to answer.
func (u *unwell) suffer(ctx context.Context) (store.Store, error) {
	u.mu.Lock()
	s, a := u.Store, u.ailment
	u.mu.Unlock()
	switch a {
	case away:
		return nil, fmt.Errorf("%w: connection refused", store.ErrAway)
	case hung, stuck:
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", store.ErrAway, ctx.Err())
	}
	return s, nil
}

func (u *unwell) Sync(ctx context.Context, o store.Offer) (store.Picture, error) {
	u.mu.Lock()
	a, changed := u.ailment, u.changed
	u.mu.Unlock()
	if a == stuck {
		<-changed
		return store.Picture{}, fmt.Errorf("%w: reset", store.ErrAway)
	}
	s, err := u.suffer(ctx)
	if err != nil {
		return store.Picture{}, err
	}
	p, err := s.Sync(ctx, o)
	if a == slow {
		time.Sleep(slowness) // the bubble's clock
	}
	return p, err
}

func (u *unwell) Edit(ctx context.Context, at store.Revision, o store.Overlay) (store.Revision, error) {
	s, err := u.suffer(ctx)
	if err != nil {
		return 0, err
	}
	return s.Edit(ctx, at, o)
}
