package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

// registry holds the registered nodes that a director knows of: those whose agents
// call it, and those that other directors offer. Its methods are safe for concurrent
// use.
//
// An agent's silence is measured by this machine's monotonic clock, so that no step
// of any clock takes a node down.
type registry struct {
	self                   string // this director
	downAfter, forgetAfter time.Duration

	mu     sync.Mutex
	held   map[director.NodeID]*held
	offset time.Duration // store's clock minus ours
	edit   int           // number of changes to what the registered nodes add to the fleet
}

type held struct {
	Registration
	heard   time.Time // Seen, by our clock
	told    time.Time // until when By is known to have heard nothing newer, by our clock
	clipped bool      // it came with times in the future, from a clock that has been set back since
	mine    bool      // this director offers it to the others
	checked int       // the edit of the declared configuration that it was checked against
}

func newRegistry(c SyncerConfig) *registry {
	return &registry{self: c.Director, downAfter: c.DownAfter, forgetAfter: c.ForgetAfter, held: map[director.NodeID]*held{}}
}

// admit says whether a node may be part of the declared fleet.
func (g *registry) admit(d declared, r *Registration) error {
	if slices.ContainsFunc(d.config.Nodes, func(n director.Node) bool { return n.ID == r.Node }) {
		return fmt.Errorf("%w: %s is in the directors' configuration; give the agent another --id, or take the node out there", ErrDeclared, r.Node)
	}
	if !d.config.Admits(r.Node) {
		return fmt.Errorf("%w: %q is not among the ids in the directors' store.registered.ids (%s)", ErrNotAdmitted, r.Node,
			cmp.Or(strings.Join(d.config.MayRegister, ", "), "there are none"))
	}
	g.mu.Lock()
	h := g.held[r.Node]
	good := h != nil && h.checked == d.edit && !h.gone() && sameNode(&h.Registration, r)
	g.mu.Unlock()
	if good {
		return nil
	}
	alone := d.config
	alone.Nodes, alone.Regions, alone.MayRegister = []director.Node{r.node()}, nil, nil
	if _, err := director.Compile(alone); err != nil {
		return fmt.Errorf("%w: %s", ErrBadNode, ofNode(err))
	}
	return nil
}

// ofNode returns the text of Compile's errors for a configuration with a single node,
// without the node's place in it.
func ofNode(err error) string {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	var texts []string
	for _, e := range all {
		var c *director.ConfigError
		if errors.As(e, &c) && len(c.Path) > 2 && c.Path[0] == "nodes" {
			e = &director.ConfigError{Path: c.Path[2:], Msg: c.Msg}
		}
		texts = append(texts, e.Error())
	}
	return strings.Join(texts, "; ")
}

// sameNode says whether two registrations make the same node of the fleet, whether
// drained or not.
func sameNode(a, b *Registration) bool {
	x, y := a.node(), b.node()
	x.Drained, y.Drained = false, false
	return reflect.DeepEqual(x, y)
}

// register processes an agent's call for a node. checked is the edit of the declared
// configuration that the node was checked against. fresh means that the other
// directors should know of it at once. most is as with [Syncer.Register].
func (g *registry) register(now time.Time, r Registration, checked, most int) (got Registration, fresh bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.held[r.Node]
	mine := h != nil && h.heldBy(Speaker{r.Instance, r.Secret})
	switch {
	case h != nil && !mine && g.alive(h, now):
		return Registration{}, false, g.heldBy(h)
	case mine && h.gone():
		told := *h
		told.Gone, told.mine = g.storeTime(now), true
		g.put(&told)
		return Registration{}, false, fmt.Errorf("%w: %s was taken out; restart its agent to register it again", ErrNotRegistered, r.Node)
	case h == nil && len(g.held) >= MaxRegistered:
		return Registration{}, false, fmt.Errorf("%w: %d are the most", ErrTooMany, MaxRegistered)
	case most > 0 && !mine && g.reporting(r.Token, r.Node, now) >= most:
		return Registration{}, false, fmt.Errorf("%w: the token %q has %s registered, which is the most that it may; end one, or raise its nodes= in the directors' tokens_file", ErrNotAdmitted, r.Token, wording.Count(most, "node"))
	}
	seen := g.storeTime(now)
	wantsDrain := !r.Drained.IsZero()
	r.Report.Node, r.Report.By = r.Node, "its agent"
	r.Drained, r.Returned, r.Gone = time.Time{}, time.Time{}, time.Time{}
	for _, t := range timesOf(&r.Report) {
		*t = byStore(*t, now, g.offset)
	}
	r.Since, r.Seen, r.By = seen, seen, g.self
	if h != nil && !h.gone() {
		r.Returned = h.Returned
		if g.silent(h, now) {
			r.Returned = seen
		}
		if mine {
			r.Since, r.Drained = h.Since, h.Drained
		}
	}
	if wantsDrain && r.Drained.IsZero() {
		r.Drained = seen
	}
	fresh = h == nil || h.gone() || !mine || r.Returned != h.Returned
	g.put(&held{Registration: r, heard: now, mine: true, checked: checked})
	return r, fresh, nil
}

// change changes a node on behalf of its agent or of an operator.
func (g *registry) change(now time.Time, id director.NodeID, by Speaker, change func(*Registration, time.Time)) (Registration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.held[id]
	switch {
	case h == nil || h.gone():
		return Registration{}, fmt.Errorf("%w: %s", ErrNotRegistered, id)
	case by != Speaker{} && !h.heldBy(by):
		return Registration{}, g.heldBy(h)
	}
	next := *h
	next.mine = true
	if by != (Speaker{}) { // an operator's change does not mean that the agent is alive
		next.Seen, next.heard, next.By = g.storeTime(now), now, g.self
	}
	change(&next.Registration, g.storeTime(now))
	g.put(&next)
	return next.Registration, nil
}

func (g *registry) heldBy(h *held) *HeldError {
	return &HeldError{Node: h.Node, Until: h.Seen.Add(g.downAfter)}
}

// reporting counts the nodes that a token registered and that are not known to be
// silent, not counting the node besides. g.mu is held.
func (g *registry) reporting(token string, besides director.NodeID, now time.Time) (n int) {
	for id, h := range g.held {
		if id != besides && h.Token == token && !h.gone() && !g.silent(h, now) {
			n++
		}
	}
	return n
}

// put stores h, and counts an edit if what h adds to the fleet changed. g.mu is held.
func (g *registry) put(h *held) {
	if was := g.held[h.Node]; was == nil || was.gone() != h.gone() || !reflect.DeepEqual(was.node(), h.node()) {
		g.edit++
	}
	g.held[h.Node] = h
}

// alive says whether an agent still holds its node's id: its last call is no longer
// ago than downAfter.
func (g *registry) alive(h *held, now time.Time) bool {
	return !h.gone() && now.Sub(h.heard) <= g.downAfter
}

// silent says whether an agent is known to have been silent for longer than
// downAfter. That is not known while the director that heard it last is not heard
// itself: the store is away for either director, or that director is dead.
func (g *registry) silent(h *held, now time.Time) bool {
	until := h.told
	if h.By == g.self {
		until = now
	}
	return until.Sub(h.heard) > g.downAfter
}

func (g *registry) storeTime(now time.Time) time.Time { return now.Add(g.offset).UTC().Round(0) }

// setOffset sets how far the store's clock is ahead of ours. All times held move
// along: earlier ones are by our clock, or by the store's clock as it was set then.
func (g *registry) setOffset(offset time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if offset == g.offset {
		return
	}
	for _, h := range g.held {
		shift(offset-g.offset, h.times()...)
	}
	g.offset = offset
}

// offers returns the registrations that this director offers to the others.
func (g *registry) offers() []Registration {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []Registration
	for _, id := range slices.Sorted(maps.Keys(g.held)) {
		if h := g.held[id]; h.mine {
			all = append(all, h.Registration)
		}
	}
	return all
}

// adopt merges a Picture's registrations. One that this director holds and the
// Picture lacks was offered by a director that died, or was lost with the store:
// from then on this director offers it.
func (g *registry) adopt(now time.Time, p Picture) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.held {
		notAfter(p.Now, h.times()...)
	}
	there := make(map[director.NodeID]bool, len(p.Registrations))
	for _, r := range p.Registrations {
		there[r.Node] = true
		clipped := notAfter(p.Now, r.times()...)
		h := &held{Registration: r, heard: now.Add(-p.Now.Sub(r.Seen)), clipped: clipped > clockError}
		have := g.held[r.Node]
		switch {
		case g.past(h, now) || r.Node == "" || have == nil && len(g.held) >= MaxRegistered:
		case have == nil:
			g.put(h)
		default:
			g.put(g.merge(have, h, now))
		}
	}
	told := make(map[string]time.Time, len(p.Directors))
	for _, d := range p.Directors {
		told[d.ID] = now.Add(-max(0, p.Now.Sub(d.Seen)))
	}
	for id, h := range g.held {
		h.mine = h.mine || !there[id]
		if at, ok := told[h.By]; ok {
			h.told = at
		}
	}
}

// merge merges two registrations of one id. The result does not depend on which
// director merges them, or in which order.
func (g *registry) merge(have, came *held, now time.Time) *held {
	if !sameAgent(&have.Registration, &came.Registration) {
		if g.before(came, have, now) {
			return came
		}
		return have
	}
	out := *have
	newer := came.Seen.After(have.Seen) && (have.clipped || !came.clipped)
	if newer {
		out = *came
	}
	out.Secret = cmp.Or(have.Secret, came.Secret)
	out.Since = earliest(have.Since, came.Since) // two directors that hear it differ slightly
	out.Gone = latest(have.Gone, came.Gone)
	out.Drained = earliest(have.Drained, came.Drained)
	// Our own offer comes back, too. Only if what came is newer does another director
	// offer as much as we would.
	out.mine = have.mine && !(newer && reflect.DeepEqual(out.Registration, came.Registration))
	return &out
}

// before says whether a holds the id rather than b, which is of another agent. The
// one that is alive holds it; if both are, the one that registered first; if neither
// is, the one that was seen last.
func (g *registry) before(a, b *held, now time.Time) bool {
	x, y := g.alive(a, now), g.alive(b, now)
	switch {
	case x != y:
		return x
	case x:
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Secret, b.Secret)) < 0
	}
	return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Secret, b.Secret)) < 0
}

// earliest returns the earlier of two times, of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// past says whether a registration is to be forgotten.
func (g *registry) past(h *held, now time.Time) bool {
	if h.gone() {
		return g.storeTime(now).Sub(h.Gone) > min(g.forgetAfter, goneLife)
	}
	return now.Sub(h.heard) > g.forgetAfter
}

// forget drops registrations that have been silent or gone for too long, and returns
// the ids of those that were not deregistered. A node whose agent may have been heard
// by another director is kept as long as reached says that directors reached it.
func (g *registry) forget(now time.Time, reached func(director.NodeID) bool) (ids []director.NodeID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, h := range g.held {
		if g.past(h, now) && (h.gone() || g.silent(h, now) || !reached(id)) {
			delete(g.held, id)
			if !h.gone() {
				g.edit++
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// nodes returns the registered nodes in order of their ids, and the number of
// changes that led to them.
func (g *registry) nodes() (nodes []director.Node, edit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(g.held)) {
		if h := g.held[id]; !h.gone() {
			nodes = append(nodes, h.node())
		}
	}
	return nodes, g.edit
}

// knows says whether a node is registered.
func (g *registry) knows(id director.NodeID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.held[id]
	return h != nil && !h.gone()
}

// report returns the newest report of a registered node, by the store's clock: the
// agent's, or one that says that the agent is silent. word describes for operators
// what is known from the agent. If another director may have heard the agent since,
// the last reported load is kept, and the node's health is left to the directors'
// probes.
func (g *registry) report(id director.NodeID, now time.Time) (r director.Report, word string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.held[id]
	if h == nil || h.gone() {
		return director.Report{}, "", false
	}
	r, word = h.Report, "its agent says that it is well"
	if h.Returned.After(r.Returned) {
		r.Returned = h.Returned
	}
	if now.Sub(h.heard) <= g.downAfter {
		return r, word, true
	}
	since, heard := g.storeTime(h.heard.Add(g.downAfter)), h.Seen.Format(time.TimeOnly+" MST")
	if g.silent(h, now) {
		if r.Health != director.Failed {
			r.Since = since
		}
		r.Health, r.Taken = director.Failed, g.storeTime(now)
		r.Detail = "its agent has not reported since " + heard
		r.Full, r.Listeners, r.Kbit = false, -1, 0
		return r, word, true
	}
	word = "its agent last reported at " + heard + " to " + h.By + ", which this director does not hear"
	if r.Health != director.Up {
		r.Since, r.Returned = since, since
	}
	r.Health, r.Detail, r.Full = director.Up, word, false
	return r, word, true
}

// heardHere returns when a node's agent last reported to this director, by our clock;
// zero: its last report went to another one.
func (g *registry) heardHere(id director.NodeID) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h := g.held[id]; h != nil && h.By == g.self {
		return h.heard
	}
	return time.Time{}
}

// plays returns a path from a registered node's report: one of the declared mounts,
// if there are any. Empty: there is none.
func (g *registry) plays(id director.NodeID, mounts []director.Mount) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.held[id]
	if h == nil {
		return ""
	}
	if h.Report.AnyMount && len(mounts) > 0 {
		return mounts[0].Name
	}
	for _, m := range h.Report.Mounts {
		if len(mounts) == 0 || slices.ContainsFunc(mounts, func(d director.Mount) bool { return d.Name == m.Path }) {
			return m.Path
		}
	}
	return ""
}

func (g *registry) list(now time.Time) []Heard {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []Heard
	for _, id := range slices.Sorted(maps.Keys(g.held)) {
		if h := g.held[id]; !h.gone() {
			all = append(all, Heard{h.Registration, max(0, now.Sub(h.heard))})
		}
	}
	return all
}
