package store

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A Registration is a node that is not declared: its agent announces it and reports
// on it every second or two. It is soft state. Each director that the agent calls
// offers it to the others. A node whose agent is silent is down after
// [SyncerConfig.DownAfter] and forgotten after [SyncerConfig.ForgetAfter]. If a
// director cannot know whether the agent is silent, because the director that heard
// it last is itself not heard, it relies on its own probes.
//
// All times are by the store's clock.
type Registration struct {
	Node        director.NodeID `json:"node"`
	URLs        []string        `json:"urls"`
	InternalURL string          `json:"internal_url,omitempty"`
	Site        string          `json:"site,omitempty"`
	Place       director.Place  `json:"place,omitzero"`
	Target      int             `json:"target,omitempty"`
	Limit       int             `json:"limit,omitempty"`
	MaxNewPerS  int             `json:"max_new_per_s,omitempty"`
	Pace        director.Pace   `json:"pace,omitempty"`
	Addrs       []netip.Addr    `json:"addrs,omitempty"`

	Instance string `json:"instance"`        // who holds the id: an agent, and its later runs that go on with it
	Token    string `json:"token,omitempty"` // the name of the token that it came with
	// Secret is the [HashSecret] of a secret that only its agent knows: a caller without
	// it is another agent, whatever instance it gives. Empty: an older agent, without one.
	Secret string `json:"secret,omitempty"`

	Since   time.Time `json:"since"`            // when this instance registered
	Seen    time.Time `json:"seen"`             // when its agent last called
	By      string    `json:"by,omitempty"`     // the director that the agent called then
	Drained time.Time `json:"drained,omitzero"` // since when it takes no new listeners; zero: it takes them
	// Returned is when its agent was heard again after its silence had taken the node
	// down; zero: that never happened.
	Returned time.Time `json:"returned,omitzero"`
	// Gone is when it was deregistered, or when its agent was last told so; zero: it is
	// not deregistered. It is remembered for a while, so that neither the agent nor older
	// news from other directors brings the node back.
	Gone time.Time `json:"gone_at,omitzero"`

	Report director.Report `json:"report"` // the last one
}

const (
	// MaxRegistered bounds how many registered nodes a director knows of.
	MaxRegistered = 2000
	// goneLife is how long a deregistered node is remembered as gone, at most.
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

// A HeldError says that another agent holds the id. It does not say which one, since
// it is sent to a different agent.
type HeldError struct {
	Node  director.NodeID
	Until time.Time
}

// Error says what to do.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is registered by another agent that is alive: give each node an --id of its own, or stop that agent; if it does not report again, the id is free at %s",
		e.Node, e.Until.UTC().Format(time.RFC3339))
}

// A Speaker is who acts for a registered node: an instance of its agent, with the
// [HashSecret] of its secret. The zero Speaker is an operator, who may act for any node.
type Speaker struct{ Instance, Secret string }

// HashSecret returns the form in which an agent's secret is stored. It does not prove
// knowledge of the secret. The hash of an empty secret is empty.
func HashSecret(secret string) string {
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// heldBy says whether s is the agent that registered r.
func (r *Registration) heldBy(s Speaker) bool {
	return r.Instance == s.Instance && (r.Secret == "" || subtle.ConstantTimeCompare([]byte(r.Secret), []byte(s.Secret)) == 1)
}

// sameAgent says whether two registrations are of the same agent. A director of an
// older version offers no secret.
func sameAgent(a, b *Registration) bool {
	return a.Instance == b.Instance && (a.Secret == "" || b.Secret == "" || a.Secret == b.Secret)
}

// node returns what a registration adds to the fleet.
func (r *Registration) node() director.Node {
	return director.Node{
		ID: r.Node, URLs: r.URLs, InternalURL: r.InternalURL, Site: r.Site, Place: r.Place,
		Target: r.Target, Limit: r.Limit, MaxNewPerS: r.MaxNewPerS, Pace: r.Pace, Addrs: r.Addrs, Drained: !r.Drained.IsZero(),
	}
}

func (r *Registration) gone() bool { return !r.Gone.IsZero() }

// times returns pointers to all times in r.
func (r *Registration) times() []*time.Time {
	return append(timesOf(&r.Report), &r.Since, &r.Seen, &r.Drained, &r.Returned, &r.Gone)
}

// Register processes an agent's call: r.Instance registers the node, or reports
// again. The times in r.Report are by this machine's clock. Of the other times only
// whether Drained is set counts; a drain is never taken back. The other directors see
// the result after a tick. Register returns what is now known of the node. At most
// most nodes that report may have the same r.Token; 0: any number.
//
// Errors are a [HeldError] or wrap one of ErrNotAdmitted, ErrDeclared, ErrBadNode,
// ErrNotRegistered (the node was taken out, and this instance may not register it
// again) and ErrTooMany; the fleet is unchanged then.
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

// Drain drains a registered node on behalf of by. Errors are as with
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

// Deregister takes a registered node out of the fleet on behalf of by; its entry in
// the overlay is removed soon after. Errors are as with [Syncer.Register].
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

// Plays returns a path that a registered node plays, as its agent reports, so that
// others can try it. If mounts are declared, it is one of them. Empty: there is no
// such node, or it plays none.
func (s *Syncer) Plays(id director.NodeID) string {
	s.mu.Lock()
	mounts := s.declared.config.Mounts
	s.mu.Unlock()
	return s.registry.plays(id, mounts)
}

// Registrations returns the registered nodes in order of their ids, each with how
// long its agent has been silent.
func (s *Syncer) Registrations() []Heard { return s.registry.list(s.cfg.Now()) }

// Heard is a registered node and its silence.
type Heard struct {
	Registration
	Silent time.Duration // since the agent last called
}
