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
)

// registry holds the registered nodes that a director knows of, its own agents'
// and those of others. Its methods are safe for concurrent use.
//
// How long a node has been silent is measured on this machine's monotonic clock,
// so that no step of any clock takes a node down.
type registry struct {
	self                   string // this director
	downAfter, forgetAfter time.Duration

	mu     sync.Mutex
	held   map[director.NodeID]*held
	offset time.Duration // store's clock minus ours
	edit   int           // how often what the fleet is made of has changed
}

type held struct {
	Registration
	heard   time.Time // when Seen was, by our clock
	told    time.Time // until when By is known to have heard nothing newer, by our clock
	clipped bool      // it came with times in the future: by a clock that has been set back since
	mine    bool      // we offer it to the others
	checked int       // the edit of the declared configuration that it was checked with
}

func newRegistry(c SyncerConfig) *registry {
	return &registry{self: c.Director, downAfter: c.DownAfter, forgetAfter: c.ForgetAfter, held: map[director.NodeID]*held{}}
}

// admit says whether a node may be part of the declared fleet.
func (g *registry) admit(d declared, r *Registration) error {
	if slices.ContainsFunc(d.config.Nodes, func(n director.Node) bool { return n.ID == r.Node }) {
		return fmt.Errorf("%w: %s stands in the directors' configuration; give the agent another --id, or take the node out there", ErrDeclared, r.Node)
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

// ofNode says what Compile finds wrong with a node that is its configuration's only one.
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

// sameNode says whether two registrations make the same node of the fleet.
func sameNode(a, b *Registration) bool {
	x, y := a.node(), b.node()
	x.Drained, y.Drained = false, false
	return reflect.DeepEqual(x, y)
}

// register takes in what an agent says of a node that was checked with that edit
// of the declared configuration. fresh says that it is news, which others should
// know at once. most is as with [Syncer.Register].
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
		return Registration{}, false, fmt.Errorf("%w: the token %q has %d nodes registered, which is the most that it may; end one, or raise its nodes= in the directors' tokens_file", ErrNotAdmitted, r.Token, most)
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

// change changes a node for its agent, or for an operator.
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
	if by != (Speaker{}) { // an operator's word is not the agent's
		next.Seen, next.heard, next.By = g.storeTime(now), now, g.self
	}
	change(&next.Registration, g.storeTime(now))
	g.put(&next)
	return next.Registration, nil
}

func (g *registry) heldBy(h *held) *HeldError {
	return &HeldError{Node: h.Node, Until: h.Seen.Add(g.downAfter)}
}

// reporting counts the nodes other than one that a token registered and that are not
// known to be silent. g.mu is held.
func (g *registry) reporting(token string, besides director.NodeID, now time.Time) (n int) {
	for id, h := range g.held {
		if id != besides && h.Token == token && !h.gone() && !g.silent(h, now) {
			n++
		}
	}
	return n
}

// put is every change of what is held. g.mu is held.
func (g *registry) put(h *held) {
	if was := g.held[h.Node]; was == nil || was.gone() != h.gone() || !reflect.DeepEqual(was.node(), h.node()) {
		g.edit++
	}
	g.held[h.Node] = h
}

// alive says whether an agent holds its node's id.
func (g *registry) alive(h *held, now time.Time) bool {
	return !h.gone() && now.Sub(h.heard) <= g.downAfter
}

// silent says whether an agent is known to have said nothing for too long. It is
// not while only a director whose news do not arrive may have heard it: the store
// is away, for one of the two, or that director is dead.
func (g *registry) silent(h *held, now time.Time) bool {
	until := h.told
	if h.By == g.self {
		until = now
	}
	return until.Sub(h.heard) > g.downAfter
}

func (g *registry) storeTime(now time.Time) time.Time { return now.Add(g.offset).UTC().Round(0) }

// setOffset notes how far the store's clock is ahead of ours. All times that are
// held go with it: what was said before was said by our clock, or by the store's as
// it was set then.
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

// offers returns what this director is to tell the others.
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

// adopt takes in what a Picture says. What it does not have although we know of it
// was offered by a director that died, or was lost with the store: then we offer it.
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

// merge returns what holds of two registrations of one id. Whoever merges what
// with what, and in which order, comes to the same.
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
	out.Since = earliest(have.Since, came.Since) // directors that both hear it differ by a moment
	out.Gone = latest(have.Gone, came.Gone)
	out.Drained = earliest(have.Drained, came.Drained)
	// Our own offer comes back, too; only with what is newer, somebody else offers as much.
	out.mine = have.mine && !(newer && reflect.DeepEqual(out.Registration, came.Registration))
	return &out
}

// before says whether a holds the id and not b, another instance: the one that is
// alive, and if both are, the one that registered first.
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

// forget drops what has been silent for too long, and returns the ids of what was
// not deregistered. While its agent may have been heard elsewhere, a node stays that
// was reached within that time.
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

// nodes returns what registered nodes add to the fleet, by id, and the number of
// changes up to it.
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
// agent's, or that it says nothing any more. word is what that is worth, for an
// operator. Where the agent may have been heard elsewhere, its last load stands, and
// the node is as well as directors find it.
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

// heardHere returns when a node's agent last reported to this director, by our clock; zero: it
// reports to another one.
func (g *registry) heardHere(id director.NodeID) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h := g.held[id]; h != nil && h.By == g.self {
		return h.heard
	}
	return time.Time{}
}

// plays returns a path that a registered node says it has, one of the declared
// mounts if there are any; empty: none.
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
