package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A Prober measures nodes. Its methods are safe for concurrent use and do not block.
type Prober interface {
	// SetNodes says what to measure from now on.
	SetNodes(nodes []director.Node, mounts []director.Mount)
	// Reports returns the newest report of each node that was measured, with the
	// times of this machine's clock.
	Reports() []director.Report
	// Suspicion says why the prober does not trust what it measures; empty: it does.
	Suspicion() string
	// Doubt says that there is evidence against a node, and one of its mounts if it is
	// given, which are then asked at once if they are to be measured at all.
	Doubt(node director.NodeID, mount, why string)
	// Share says what another director that measures the node got of its mounts, with
	// times of this machine's clock, and whether that one is to ask for them first.
	Share(node director.NodeID, second bool, others []director.Verdict)
	// News returns a channel that receives after a node's health has changed. One
	// receive may stand for several changes.
	News() <-chan struct{}
	// First returns a channel that is closed when every node was measured once.
	First() <-chan struct{}
}

// SyncerConfig is what a [Syncer] needs. Store, Config and Prober must be set.
type SyncerConfig struct {
	Store  Store
	Config director.Config // as declared, without the overlay
	Prober Prober

	// Uncounted returns, by mount, how many listeners this director carries whom no
	// node counts. It is called each tick and must not block. nil: it carries none.
	Uncounted func() map[string]int
	// Addrs returns where listeners reach this director, and nothing once it is about to
	// stop: then the others are told at once. It is called each tick and must not block.
	// nil: nowhere.
	Addrs func() []netip.Addr

	Director string // unique to this run of the process; empty: the host's name and some chance
	Site     string // where this director stands; may be empty
	// StateDir is a directory in which a copy of the overlay is kept against a store
	// that loses it. Empty: no copy.
	StateDir string

	// CheckRule says what is wrong with a client rule of the overlay, which then has
	// no effect; nil: nothing ever is.
	CheckRule func(rule json.RawMessage) error

	// DownAfter is how long a registered node may be silent before it is down, and
	// ForgetAfter how long before it is forgotten. Defaults 5 s and 5 min.
	DownAfter, ForgetAfter time.Duration

	Tick    time.Duration    // between two snapshots, give or take a tenth; default 250 ms
	Settle  time.Duration    // see DefaultSettle, which is the default
	Stale   time.Duration    // how old a report may be whose word about health counts; default 15 s
	Timeout time.Duration    // of one Sync; default 1 s
	Now     func() time.Time // this machine's clock; nil: time.Now
	Log     *slog.Logger
}

// A Syncer keeps a director's view of the fleet up to date: each tick it
// exchanges with the store and builds a snapshot. Once it has built the first
// one it always has one, whatever becomes of the store. Its methods are safe for
// concurrent use.
type Syncer struct {
	cfg   SyncerConfig     // its Now is steady: see steady
	wall  func() time.Time // this machine's clock, with its steps
	view  atomic.Pointer[director.View]
	ready chan struct{}
	kick  chan struct{} // something changed here: do not wait for the tick
	copy  *stateCopy    // nil: none is kept
	loop  *loop

	evidence evidence
	registry *registry

	started   time.Time
	ahead     atomic.Int64 // store's clock minus ours, in nanoseconds
	changed   bell         // the overlay or the fleet has
	exchanged bell         // an exchange has ended, well or not

	mu       sync.Mutex // guards what follows
	declared declared
	base     director.Config // as declared, with the nodes that registered
	applied  director.Config // what the fleet is made of
	overlay  Overlay
	doubts   []Doubt                       // this director's own
	left     map[director.NodeID]departure // registered nodes that have deregistered here of late
	peers    map[string]peer               // other directors that may be answering, by id
	drains   map[director.NodeID]drain     // of nodes that are drained now
	asOf     time.Time                     // the Now of the Picture that the snapshot is built from
	status   Status
	built    time.Time // when the newest snapshot was; zero: there is none
	synced   time.Time // when the store last answered; zero: it never has
}

// runChance is how many letters of an id tell the runs of a director from each other.
const runChance = 8

// declared is a configuration that compiles by itself.
type declared struct {
	config director.Config
	hash   string
	edit   int // how many there were before it
}

// NewSyncer checks c and reads the copy in StateDir; one that cannot be used is told in
// the status, and tried again. A configuration that does not compile is an error.
// [Syncer.Run] must follow: it releases what is held.
func NewSyncer(c SyncerConfig) (*Syncer, error) {
	setDefault(&c.Tick, 250*time.Millisecond)
	setDefault(&c.Settle, DefaultSettle)
	setDefault(&c.Stale, 15*time.Second)
	setDefault(&c.Timeout, time.Second)
	setDefault(&c.DownAfter, defaultDownAfter)
	setDefault(&c.ForgetAfter, max(defaultForgetAfter, c.DownAfter))
	if c.Now == nil {
		c.Now = time.Now
	}
	wall := c.Now
	c.Now = steady(wall)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Director == "" {
		host, _ := os.Hostname() // without one, chance alone makes it unique
		c.Director = host + "-" + rand.Text()[:runChance]
	}
	s := &Syncer{
		cfg: c, wall: wall, ready: make(chan struct{}), kick: make(chan struct{}, 1),
		evidence: evidence{raised: make(chan struct{}, 1)}, registry: newRegistry(c), left: map[director.NodeID]departure{}, peers: map[string]peer{},
		started: c.Now(),
	}
	if err := s.SetConfig(c.Config); err != nil {
		return nil, err
	}
	if c.StateDir != "" {
		file, o := OpenFile(filepath.Join(c.StateDir, "overlay.json"), c.Log)
		s.copy = &stateCopy{file: file, saved: o, log: c.Log}
		s.overlay = o
	}
	s.loop = &loop{Syncer: s, results: make(chan result, 1), ledgers: ledgers{}, shared: map[director.NodeID]shared{}, absent: map[director.NodeID]time.Time{}}
	s.loop.compile(s.loop.now())
	s.loop.assign(s.loop.now(), nil) // so that the prober has nodes from the start
	return s, nil
}

func setDefault(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

// SetConfig puts a newly declared configuration in force, soon after it
// returns. One that does not compile is refused as a whole; the error is that of
// [director.Compile], and the old one stays.
func (s *Syncer) SetConfig(c director.Config) error {
	if _, err := director.Compile(c); err != nil {
		return err
	}
	hash, err := hashConfig(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.declared = declared{c, hash, s.declared.edit + 1}
	s.mu.Unlock()
	s.wake()
	return nil
}

// Config returns the configuration as declared, and as it is in force: with the
// overlay and the registered nodes. Neither is to be changed.
func (s *Syncer) Config() (declared, inForce director.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.declared.config, s.applied
}

// hashConfig returns a short hash that is the same wherever c means the same to
// listeners. Directors may go by different names, so Self is left out.
func hashConfig(c director.Config) (string, error) {
	c.Self = nil
	b, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("hash the configuration: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6]), nil
}

func (s *Syncer) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// View returns the newest snapshot with its counters. Before the first one its
// Snapshot is nil. It costs the load of a pointer.
func (s *Syncer) View() director.View {
	if v := s.view.Load(); v != nil {
		return *v
	}
	return director.View{}
}

// Ready returns a channel that is closed once View has a snapshot.
func (s *Syncer) Ready() <-chan struct{} { return s.ready }

// Overlay returns the overlay as this director last saw it, with entries that
// have expired; see [Overlay.InForce].
func (s *Syncer) Overlay() Overlay {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overlay
}

// edit replaces the overlay in the store, by compare-and-set as told at [Store],
// and at this director. An o that fails [Overlay.Validate] is refused.
func (s *Syncer) edit(ctx context.Context, at Revision, o Overlay) (Revision, error) {
	if err := o.Validate(); err != nil {
		return 0, fmt.Errorf("the edit is refused: %w", err)
	}
	o, err := o.asStored()
	if err != nil {
		return 0, fmt.Errorf("the edit is refused: %w", err)
	}
	defer s.wake() // after a conflict, too: what is in force is newer than what we know
	rev, err := s.cfg.Store.Edit(ctx, at, o)
	if err != nil {
		return rev, err
	}
	o.Revision = rev
	s.adopt(o)
	return rev, nil
}

// adopt takes over o unless it is older than what is held: then the next Sync
// offers what is held.
func (s *Syncer) adopt(o Overlay) {
	s.mu.Lock()
	held := s.overlay
	o.Ends = o.ends(held, s.Now(), s.wall())
	if o.Revision >= held.Revision {
		s.overlay = o
		s.noteLag(held, o)
	}
	s.mu.Unlock()
	switch {
	case o.Revision > held.Revision:
		s.changed.ring()
		s.cfg.Log.Info("the overlay was edited", "revision", o.Revision, "before", held.Revision)
	case o.Revision == held.Revision && !reflect.DeepEqual(o, held):
		s.changed.ring()
		s.cfg.Log.Warn("the store has another overlay under the same revision, and the store's stands", "revision", o.Revision)
	}
}

// noteLag notes how long an edit took to come here, if that is what makes o follow
// held. s.mu is held.
func (s *Syncer) noteLag(held, o Overlay) {
	if s.built.IsZero() || o.Revision != held.Revision+1 || len(o.History) == 0 {
		return
	}
	if last := o.History[len(o.History)-1]; last.Revision == o.Revision {
		s.status.EditLag = max(0, s.Now().Sub(last.At))
	}
}
