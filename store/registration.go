package store

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A Registration is a node that is not declared: an agent beside it says that it
// is there, and how it is, every second or two. It is soft state. Each director
// that the agent talks to offers it to the others; one that has gone quiet is
// down after [SyncerConfig.DownAfter] and forgotten after [SyncerConfig.ForgetAfter].
// Where a director cannot know whether it has, because the one that heard it last
// does not tell any more, it goes by its own probes.
//
// All times are the store's clock.
type Registration struct {
	Node        director.NodeID `json:"node"`
	URLs        []string        `json:"urls"`
	InternalURL string          `json:"internal_url,omitempty"`
	Site        string          `json:"site,omitempty"`
	Place       director.Place  `json:"place,omitzero"`
	Target      int             `json:"target,omitempty"`
	Limit       int             `json:"limit,omitempty"`
	MaxNewPerS  int             `json:"max_new_per_s,omitempty"`

	Instance string `json:"instance"`        // who holds the id: an agent, and those after it that go on with its registration
	Token    string `json:"token,omitempty"` // the name of the token that it came with
	// Secret is the [HashSecret] of what its agent alone knows: who does not is another
	// agent, whatever instance it says. Empty: the agent has none, being older.
	Secret string `json:"secret,omitempty"`

	Since   time.Time `json:"since"`            // when this instance registered
	Seen    time.Time `json:"seen"`             // when it last called
	By      string    `json:"by,omitempty"`     // the director that it called then
	Drained time.Time `json:"drained,omitzero"` // since when it takes no new listeners; zero: it takes them
	// Returned is when it was heard again after it had been down for its silence; zero: it never was.
	Returned time.Time `json:"returned,omitzero"`
	// Gone is when it was deregistered, or its agent was last told so; zero: it was
	// not. That is remembered for a while, so that neither the agent nor older news of
	// it, on its way through other directors, brings it back.
	Gone time.Time `json:"gone_at,omitzero"`

	Report director.Report `json:"report"` // the last one
}

const (
	// MaxRegistered bounds how many registered nodes a director knows of.
	MaxRegistered = 2000
	// goneLife is how long a node is remembered as gone.
	goneLife = ReportLife

	defaultDownAfter   = 5 * time.Second
	defaultForgetAfter = 5 * time.Minute
)

var (
	// ErrNotAdmitted says that no node may register under this id.
	ErrNotAdmitted = errors.New("no node may register under this id")
	// ErrDeclared says that the id is a declared node's.
	ErrDeclared = errors.New("the id is a declared node's")
	// ErrBadNode says that the node cannot be part of the fleet.
	ErrBadNode = errors.New("the node is refused")
	// ErrNotRegistered says that there is no such registered node.
	ErrNotRegistered = errors.New("no node is registered under this id")
	// ErrTooMany says that no more nodes can register.
	ErrTooMany = errors.New("too many nodes are registered")
)

// A HeldError says that another agent holds the id. Who that is, it does not say: it is
// an answer to somebody who is not.
type HeldError struct {
	Node  director.NodeID
	Until time.Time
}

// Error says what to do.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is registered by another agent that is alive: give each node an --id of its own, or stop that agent; if it does not report again, the id is free at %s",
		e.Node, e.Until.UTC().Format(time.RFC3339))
}

// A Speaker is who speaks for a registered node: a run of its agent, and the
// [HashSecret] of its secret. The zero Speaker is an operator, who may speak for any.
type Speaker struct{ Instance, Secret string }

// HashSecret returns what of an agent's secret is kept: nothing that proves to know it.
// An empty secret is none.
func HashSecret(secret string) string {
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// heldBy says whether s is the agent that r is of.
func (r *Registration) heldBy(s Speaker) bool {
	return r.Instance == s.Instance && (r.Secret == "" || subtle.ConstantTimeCompare([]byte(r.Secret), []byte(s.Secret)) == 1)
}

// sameAgent says whether two registrations are of one agent. A director of an older
// version tells no secret.
func sameAgent(a, b *Registration) bool {
	return a.Instance == b.Instance && (a.Secret == "" || b.Secret == "" || a.Secret == b.Secret)
}

// node returns what a registration adds to the fleet.
func (r *Registration) node() director.Node {
	return director.Node{
		ID: r.Node, URLs: r.URLs, InternalURL: r.InternalURL, Site: r.Site, Place: r.Place,
		Target: r.Target, Limit: r.Limit, MaxNewPerS: r.MaxNewPerS, Drained: !r.Drained.IsZero(),
	}
}

func (r *Registration) gone() bool { return !r.Gone.IsZero() }

// times are all that stand in it.
func (r *Registration) times() []*time.Time {
	return append(timesOf(&r.Report), &r.Since, &r.Seen, &r.Drained, &r.Returned, &r.Gone)
}

// Register takes in what an agent says of its node: r.Instance registers it, or
// reports anew. The times in r.Report are by this machine's clock; of the other
// times only whether Drained is set counts, and it is never taken back. Others see
// it after a tick. It returns what is now known of the node. No more than most nodes
// that report may come with the same r.Token; 0: any number.
//
// Errors are a [HeldError] or wrap one of ErrNotAdmitted, ErrDeclared, ErrBadNode,
// ErrNotRegistered (this instance has deregistered it) and ErrTooMany; nothing has
// changed then.
func (s *Syncer) Register(r Registration, most int) (Registration, error) {
	s.mu.Lock()
	declared := s.declared
	s.mu.Unlock()
	if err := s.registry.admit(declared, &r); err != nil {
		return Registration{}, err
	}
	got, fresh, err := s.registry.register(s.cfg.Now(), r, declared.edit, most)
	if err == nil && fresh {
		s.cfg.Log.Info("a node has registered", "node", r.Node, "urls", r.URLs, "instance", r.Instance, "token", r.Token)
		s.wake()
	}
	return got, err
}

// Drain lets a registered node take no new listeners, as by says. Errors are as with
// [Syncer.Register].
func (s *Syncer) Drain(id director.NodeID, by Speaker) (Registration, error) {
	was := false
	r, err := s.registry.change(s.cfg.Now(), id, by, func(r *Registration, now time.Time) {
		if was = !r.Drained.IsZero(); !was {
			r.Drained = now
		}
	})
	if err == nil && !was {
		s.cfg.Log.Info("a registered node takes no new listeners", "node", id, "by", cmp.Or(by.Instance, "an operator"))
		s.wake()
	}
	return r, err
}

// Deregister takes a registered node out of the fleet, and soon after it what
// operators made of it, as by says. Errors are as with [Syncer.Register].
func (s *Syncer) Deregister(id director.NodeID, by Speaker) error {
	_, err := s.registry.change(s.cfg.Now(), id, by, func(r *Registration, now time.Time) { r.Gone = now })
	if err == nil {
		s.mu.Lock()
		s.left[id] = departure{at: s.cfg.Now(), revision: s.overlay.Revision}
		s.mu.Unlock()
		s.cfg.Log.Info("a node has deregistered", "node", id, "by", cmp.Or(by.Instance, "an operator"))
		s.wake()
	}
	return err
}

// Plays returns a path that a registered node plays by its agent's word, so that
// others can try it: one of the declared mounts, if there are any. Empty: there is
// no such node, or none plays.
func (s *Syncer) Plays(id director.NodeID) string {
	s.mu.Lock()
	mounts := s.declared.config.Mounts
	s.mu.Unlock()
	return s.registry.plays(id, mounts)
}

// Registrations returns the nodes that are registered, by id, with how long ago
// each was last heard of.
func (s *Syncer) Registrations() []Heard { return s.registry.list(s.cfg.Now()) }

// Heard is a registered node and its silence.
type Heard struct {
	Registration
	Silent time.Duration // since the agent last called
}
