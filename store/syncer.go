package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
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
	// SetNodes sets what to measure from now on.
	SetNodes(nodes []director.Node, mounts []director.Mount)
	// Changes returns the newest report of each measured node that has another one than
	// at since, with times by this machine's clock, and the number for the next call. If
	// all is set, these are all reports that there are; so with since 0.
	Changes(since uint64) (reports []director.Report, all bool, now uint64)
	// Suspicion says why the prober does not trust what it measures; empty: it does.
	Suspicion() string
	// Doubt says that there is evidence against a node, and against a mount if one is
	// given. Those that are to be measured at all are then probed at once.
	Doubt(node director.NodeID, mount, why string)
	// Share passes on the verdicts of the other director that probes the node, with times
	// by this machine's clock. second says that the other one is to ask for the node's
	// mounts first.
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

	// Uncounted returns, by mount, how many listeners this director carries that no
	// node counts. It is called each tick and must not block. nil: it carries none.
	Uncounted func() map[string]int
	// Sessions returns the listeners that this director counts itself. It is called each
	// tick, like Uncounted. nil: it counts none.
	Sessions func() Sessions
	// Moves returns those that it moved within the last minute. It is called like Sessions.
	// nil: none.
	Moves func() Moves
	// Addrs returns the addresses where listeners reach this director, and none once it
	// is about to stop, which the next exchange tells the others. It is called for each
	// exchange and must not block. nil: none.
	Addrs func() []netip.Addr

	// Leaving says whether this director takes no new listeners any more. It is called
	// like Addrs. nil: it takes them.
	Leaving func() bool

	Name     string // of this director, for people; the same in all runs
	Director string // unique to this run of the process; empty: the host's name and random letters
	Site     string // where this director is; may be empty
	Version  string // of the program, for the other directors
	// StateDir is a directory for a copy of the overlay, in case the store loses it.
	// Empty: no copy.
	StateDir string

	// CheckRule says what is wrong with a client rule of the overlay; a rule with an
	// error has no effect. nil: no rule is checked.
	CheckRule func(rule json.RawMessage) error

	// DownAfter is how long a registered node may be silent before it is down, and
	// ForgetAfter how long before it is forgotten. Defaults 5 s and 5 min.
	DownAfter, ForgetAfter time.Duration

	Tick    time.Duration    // between two snapshots, give or take a tenth; default 250 ms
	Settle  time.Duration    // see DefaultSettle, which is the default
	Stale   time.Duration    // age up to which a report counts for a node's health; default 15 s
	Timeout time.Duration    // of one Sync; default 1 s
	Now     func() time.Time // this machine's clock; nil: time.Now
	Log     *slog.Logger
}

// A Syncer keeps a director's view of the fleet up to date: each tick it
// exchanges with the store and builds a snapshot. From the first snapshot on it
// always has one, whatever happens to the store. Its methods are safe for
// concurrent use.
type Syncer struct {
	cfg   SyncerConfig     // its Now is a steady clock: see steady
	wall  func() time.Time // this machine's clock, with its steps
	view  atomic.Pointer[director.View]
	ready chan struct{}
	kick  chan struct{} // receives when something changed here that cannot wait for the tick
	copy  *stateCopy    // nil: none is kept
	loop  *loop

	// released says that StateDir is another process's.
	released atomic.Bool

	evidence evidence
	registry *registry

	started   time.Time
	begun     time.Time    // started by the store's clock, once it has answered; guarded by mu
	ahead     atomic.Int64 // store's clock minus ours, in nanoseconds
	changed   bell         // rings when the overlay or the fleet has changed
	exchanged bell         // rings when an exchange has ended, successfully or not

	seats atomic.Pointer[seats] // nil: there are none yet

	mu       sync.Mutex // guards what follows
	declared declared
	base     director.Config // as declared, with the nodes that registered
	applied  director.Config // base with the overlay, which the fleet is compiled from
	source   Source          // what applied was made from
	overlay  Overlay
	doubts   []Doubt                       // this director's own
	left     map[director.NodeID]departure // registered nodes that have recently deregistered here
	peers    map[string]peer               // other directors that may be answering, by id
	drains   map[director.NodeID]drain     // the nodes that are drained now
	asOf     time.Time                     // the Now of the Picture that the snapshot is built from
	status   Status
	built    time.Time // when the newest snapshot was built; zero: there is none
	synced   time.Time // when the store last answered; zero: it never has
}

// runChance is how many random letters at the end of an id distinguish the runs of a
// director.
const runChance = 8

// declared is a configuration that compiles by itself.
type declared struct {
	config director.Config
	hash   string
	edit   int // its number, from 1
}

// NewSyncer checks c and reads the copy in StateDir. A copy that cannot be used is
// reported in the status, and tried again. A configuration that does not compile is
// an error. [Syncer.Run] must follow: it releases the copy.
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
		host, _ := os.Hostname() // without it, the random letters alone make the id unique
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
	s.loop = &loop{Syncer: s, ledgers: ledgers{}, shared: map[director.NodeID]shared{}, verdicts: map[director.NodeID]director.Report{}, absent: map[director.NodeID]time.Time{}, seated: map[director.NodeID]seated{}}
	s.loop.compile(s.loop.now())
	s.loop.assign(s.loop.now()) // so that the prober has nodes from the start
	return s, nil
}

// Release lets another process have what this director keeps on disk. From then on it keeps
// no copy of the overlay, and a store that keeps the overlay there refuses edits.
func (s *Syncer) Release() error {
	s.released.Store(true)
	var errs []error
	if s.copy != nil {
		errs = append(errs, s.copy.file.Close())
	}
	if k, ok := s.cfg.Store.(Keeper); ok {
		errs = append(errs, k.Release())
	}
	return errors.Join(errs...)
}

// Claim takes what another process has released.
func (s *Syncer) Claim() {
	if s.copy != nil {
		s.copy.file.Claim()
	}
	if k, ok := s.cfg.Store.(Keeper); ok {
		k.Claim()
	}
	s.wake()
}

func setDefault(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

// SetConfig sets the declared configuration, which is in force soon after it returns.
// A configuration that does not compile is refused as a whole; the error is that of
// [director.Compile], and the old configuration stays.
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

// Config returns the configuration as declared, and as it is in force, with the
// overlay and the registered nodes. The caller must change neither.
func (s *Syncer) Config() (declared, inForce director.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.declared.config, s.applied
}

// A Source is what the fleet is compiled from. It may be older than what Config and Overlay
// return, and its parts belong together.
type Source struct {
	Declared director.Config // without the overlay and the registered nodes
	Overlay  Overlay
	At       time.Time // by the store's clock: entries that had ended then have no effect
}

// InForce returns the configuration that the fleet is compiled from, with the overlay and
// the registered nodes, and what it was made from. The caller must change neither.
func (s *Syncer) InForce() (director.Config, Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied, s.source
}

// hashConfig returns a short hash of what c means to listeners. It leaves out Self,
// since directors may have different names.
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

// Overlay returns the overlay as this director last saw it, including expired
// entries; see [Overlay.InForce].
func (s *Syncer) Overlay() Overlay {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overlay
}

// edit replaces the overlay in the store, by compare-and-set as described at [Store],
// and at this director. An o that fails [Overlay.Validate] is refused.
func (s *Syncer) edit(ctx context.Context, at Revision, o Overlay) (Revision, error) {
	if err := o.Validate(); err != nil {
		return 0, fmt.Errorf("the edit is refused: %w", err)
	}
	o, err := o.asStored()
	if err != nil {
		return 0, fmt.Errorf("the edit is refused: %w", err)
	}
	defer s.wake() // after a conflict, too: the store's overlay is newer than ours
	rev, err := s.cfg.Store.Edit(ctx, at, o)
	if err != nil {
		return rev, err
	}
	o.Revision = rev
	s.adopt(o)
	return rev, nil
}

// adopt takes over o unless it is older than the overlay held; in that case the next
// Sync offers the one held.
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
		s.cfg.Log.Info("an operator's change is in force", "revision", o.Revision, "before", held.Revision)
	case o.Revision == held.Revision && !reflect.DeepEqual(o, held):
		s.changed.ring()
		s.cfg.Log.Warn("the store has other operators' changes under the same number, and the store's apply", "revision", o.Revision)
	}
}

// noteLag records how long an edit took to arrive here, if o is the result of a
// single edit of held. s.mu is held.
func (s *Syncer) noteLag(held, o Overlay) {
	if s.built.IsZero() || o.Revision != held.Revision+1 || len(o.History) == 0 {
		return
	}
	if last := o.History[len(o.History)-1]; last.Revision == o.Revision {
		s.status.EditLag = max(0, s.Now().Sub(last.At))
	}
}
