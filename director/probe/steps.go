package probe

import (
	"errors"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Steps are the steps that a [Prober] takes, for who keeps the time and plays the nodes
// instead: a simulation. They wait for nothing and start nothing; their only clock and
// chance are those of the Config, both of which must be set. They are not safe for
// concurrent use. They have a Prober's methods that directors call, so a [store.Syncer]
// may have them as its prober.
//
// [store.Syncer]: https://pkg.go.dev/github.com/signpost-fm/signpost/store#Syncer
type Steps struct {
	w           watch
	news, first chan struct{} // never receive: see Changed and First
	told        bool
}

// NewSteps returns steps without nodes.
func NewSteps(c Config) *Steps {
	return &Steps{w: watch{cfg: c.withDefaults()}, news: make(chan struct{}), first: make(chan struct{})}
}

// A Probe is under way until it is given to [Steps.End].
type Probe struct {
	Node    director.NodeID
	Timeout time.Duration // how long the node's answer may take

	s       *state
	started time.Time
}

// Told is what a node said of itself when it was probed. Its fields mean what those of
// [director.Report] mean.
type Told struct {
	Full             bool // it refuses connections at its own limit, and said nothing else
	Listeners, Limit int
	Mounts           []director.MountReport
	Sourceless       []string // mounts that are listed without a source
	Server           string
}

// Begin returns the next probe that is due; ok is false if none is, and wait is then the
// time until one is, unless Begin has another word by then: see Rescheduled.
func (t *Steps) Begin() (p Probe, wait time.Duration, ok bool) {
	now := t.w.cfg.Now()
	s, wait := t.w.begin(now)
	if s == nil {
		return Probe{}, wait, false
	}
	return Probe{s.report.Node, s.timeout(t.w.cfg.Timeout), s, now}, 0, true
}

// End takes what the node answered to a probe. A non-empty failure says in a few words why
// it did not.
func (t *Steps) End(p Probe, told Told, failure string) {
	now := t.w.cfg.Now()
	h := heard{taken: p.started, took: now.Sub(p.started), base: p.s.base(), answer: answer{
		full: told.Full, detail: describe(told.Server, len(told.Mounts)), server: told.Server, mounts: told.Mounts, sourceless: told.Sourceless,
		listeners: told.Listeners, limit: told.Limit,
	}}
	if failure != "" {
		h.answer, h.err = answer{}, errors.New(failure)
	}
	t.w.end(p.s, h, false, now)
}

// A Try is a GET like a listener's, under way until it is given to [Steps.EndTry].
type Try struct {
	Node director.NodeID
	Path string // the mount's, at the node

	s *state
	r request
}

// BeginTry returns the GET that is due at a node, if one is. It is asked for after each
// probe, and a tenth of a second after each GET.
func (t *Steps) BeginTry(id director.NodeID) (try Try, ok bool) {
	s := t.w.find(id)
	if s == nil {
		return Try{}, false
	}
	r, ok := t.w.beginTry(s, t.w.cfg.Now())
	return Try{id, r.path, s, r}, ok
}

// EndTry takes what a listener would get of the mount.
func (t *Steps) EndTry(try Try, state director.MountState, cause director.Cause, detail string) {
	now := t.w.cfg.Now()
	t.w.endTry(try.s, try.r, tried{state: state, cause: cause, detail: detail}, now, now)
}

// Rescheduled says, once, that a probe may be due earlier than Begin has said.
func (t *Steps) Rescheduled() (yes bool) {
	yes, t.w.due = t.w.due, false
	return yes
}

// Changed says, once, that a node's health or a GET's verdict has changed, for which a
// Prober's News receives.
func (t *Steps) Changed() (yes bool) {
	yes, t.w.news = t.w.news, false
	return yes
}

// Round says, once, that every node was probed once.
func (t *Steps) Round() (yes bool) {
	yes, t.told = t.w.first && !t.told, t.told || t.w.first
	return yes
}

// SetNodes is [Prober.SetNodes].
func (t *Steps) SetNodes(nodes []director.Node, mounts []director.Mount) {
	t.w.setNodes(nodes, mounts, t.w.cfg.Now())
}

// Reports is [Prober.Reports].
func (t *Steps) Reports() []director.Report { return t.w.reports() }

// Changes is [Prober.Changes].
func (t *Steps) Changes(since uint64) ([]director.Report, bool, uint64) {
	return t.w.changesSince(since)
}

// Suspicion is [Prober.Suspicion].
func (t *Steps) Suspicion() string { return t.w.suspects }

// Doubt is [Prober.Doubt].
func (t *Steps) Doubt(id director.NodeID, mount, why string) {
	t.w.doubt(id, mount, why, t.w.cfg.Now())
}

// Share is [Prober.Share].
func (t *Steps) Share(id director.NodeID, second bool, others []director.Verdict) {
	now := t.w.cfg.Now()
	t.w.share(id, second, others, now, now)
}

// News never receives: see Changed.
func (t *Steps) News() <-chan struct{} { return t.news }

// First is never closed: see Round.
func (t *Steps) First() <-chan struct{} { return t.first }
