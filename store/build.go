package store

import (
	"cmp"
	"iter"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// build makes a snapshot from what is known and replaces the previous one.
func (l *loop) build() {
	began := l.cfg.Now()
	now := l.now()
	anew := l.compile(now)
	l.look()
	l.sightings.hear(l.cfg.Director, l.picture.Reports)
	changed := l.sightings.group(now)
	live, others := l.assign(now)
	l.share(maps.Clone(changed), others)
	l.whole = l.whole || anew || l.snapshot == nil
	if !l.probed || !l.answered {
		l.whole = true
		return
	}
	news := l.news(l.judge(now, live, changed, l.whole || others))
	sum := newLoad(now, l.cfg.Settle, func(id director.NodeID) director.Report {
		if r, ok := news[id]; ok || l.whole {
			return r
		}
		if n, ok := l.snapshot.FindNode(id); ok {
			return l.snapshot.Node(n).Report
		}
		return director.Report{}
	})
	for _, n := range l.ledgers {
		sum.add(n.buckets)
	}
	for id, counts := range l.picture.Counts {
		if id == l.cfg.Director {
			continue // the ledgers are newer
		}
		sum.add(counts)
	}
	in := director.Input{Now: now, Reports: news, Uncounted: l.uncounted()}
	sum.input(&in)
	if before := l.snapshot; l.whole {
		l.snapshot = l.fleet.Build(before, in)
		l.counters = l.countersOf(l.snapshot)
	} else {
		l.snapshot = before.Next(in)
		l.counters = l.counters.after(l.snapshot, before)
	}
	l.whole = false
	first := l.view.Swap(&director.View{Snapshot: l.snapshot, Live: l.counters}) == nil
	l.update(func(st *Status) {
		l.built, l.asOf = l.cfg.Now(), l.picture.Now
		st.BuildTime = l.built.Sub(began)
	})
	if anew {
		l.changed.ring()
	}
	if first {
		close(l.ready)
	}
}

// uncounted sums, by mount and over all live directors, the listeners that they
// carry and no node counts.
func (l *loop) uncounted() map[string]int {
	sum := map[string]int{}
	add := func(of map[string]int) {
		for mount, n := range of {
			if n >= -maxCount && n <= maxCount { // else it is invalid
				sum[mount] += n
			}
		}
	}
	add(l.carried())
	for d := range l.others() {
		add(d.Uncounted)
	}
	return sum
}

// others yields the live directors but this one, which knows its own numbers better.
func (l *loop) others() iter.Seq[*Director] {
	return func(yield func(*Director) bool) {
		for i := range l.picture.Directors {
			if d := &l.picture.Directors[i]; d.ID != l.cfg.Director && !yield(d) {
				return
			}
		}
	}
}

// carried returns this director's own part of uncounted.
func (l *loop) carried() map[string]int {
	if l.cfg.Uncounted == nil {
		return nil
	}
	return l.cfg.Uncounted()
}

// news returns the reports that the snapshot does not have yet: of the nodes that were
// judged, and of those with agents. They are all that there are if it is to be built from
// everything.
func (l *loop) news(judged sighted) map[director.NodeID]director.Report {
	news := make(map[director.NodeID]director.Report, len(judged))
	for id := range judged {
		news[id] = l.verdicts[id]
	}
	l.withAgents(news)
	l.withSessions(news)
	return news
}

// compiled is what a fleet was compiled from.
type compiled struct {
	edit    int // declared.edit
	joined  int // registry.edit
	overlay Overlay
	at      time.Time // when, by the store's clock
	until   time.Time // when an entry will expire; zero: none will
}

// compile updates the fleet from the declared configuration, the registered nodes
// and the overlay, and says whether the fleet changed. It does nothing while all of
// them are the same and the same entries are in force: none has expired since, and
// the clock was not set back to before the last compilation.
func (l *loop) compile(now time.Time) (anew bool) {
	l.mu.Lock()
	d, o := l.declared, l.overlay
	l.mu.Unlock()
	reached := func(id director.NodeID) bool {
		v, ok := l.verdicts[id]
		return ok && (v.Health == director.Up || v.Health == director.Failed && now.Sub(v.Since) <= l.cfg.ForgetAfter)
	}
	for _, id := range l.registry.forget(l.cfg.Now(), reached) {
		l.cfg.Log.Info("a registered node is forgotten: its agent has been silent for too long", "node", id)
		l.forgotten(id)
	}
	joining, edit := l.registry.nodes()
	if c := &l.compiled; l.fleet != nil && c.edit == d.edit && c.joined == edit && reflect.DeepEqual(c.overlay, o) &&
		!now.Before(c.at) && (c.until.IsZero() || now.Before(c.until)) {
		c.overlay = o // sharing its memory makes the next comparison faster
		return false
	}
	joined := l.join(d.config, joining)
	fleet, applied, effects, err := compile(joined, o, now)
	l.compiled = compiled{d.edit, edit, o, now, o.NextExpiry(now)}
	if err != nil { // not expected: d has compiled before
		l.cfg.Log.Error("the configuration is refused with the operators' changes; the fleet stays as it was", "err", err)
		return false
	}
	effects = append(effects, l.ruleEffects(o.InForce(now).Rules)...)
	slices.SortStableFunc(effects, func(a, b Effect) int { return cmp.Compare(a.Entry, b.Entry) })
	l.fleet = fleet
	l.update(func(st *Status) {
		l.base, l.applied, l.source = joined, applied, Source{d.config, o, now}
		st.Revision, st.Effects = o.Revision, effects
	})
	for _, e := range effects {
		if e.Kind == Skipped {
			l.cfg.Log.Warn("one of the operators' changes is skipped, because the configuration would be refused with it", "entry", e.Entry, "err", e.Detail)
		}
	}
	l.probing.want(probed(applied, o, now), applied.Mounts)
	declaredNode := map[director.NodeID]bool{}
	for _, n := range applied.Nodes {
		declaredNode[n.ID] = true
	}
	l.evidence.know(applied.Nodes)
	l.ledgers.prune(func(id director.NodeID) bool { return declaredNode[id] })
	return true
}

// probed returns the nodes of an applied configuration that are to be probed,
// including registered ones: see [fromOutside].
func probed(c director.Config, o Overlay, now time.Time) []director.Node {
	settings := o.InForce(now).Nodes
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n director.Node) bool {
		return settings[n.ID].State == NodeDisabled
	})
}

// join adds registered nodes to the declared configuration, and tells of those that stay
// out.
func (l *loop) join(c director.Config, nodes []director.Node) director.Config {
	was := l.refused
	joined, refused := join(c, nodes)
	l.joined, l.refused = map[director.NodeID]bool{}, refused
	for _, n := range joined.Nodes[len(c.Nodes):] {
		l.joined[n.ID] = true
	}
	for id, why := range refused {
		if was[id] != why {
			l.cfg.Log.Warn("a registered node stays out of the fleet", "node", id, "why", why)
		}
	}
	return joined
}

// join adds registered nodes to the declared configuration. A node that does not fit into
// it, for example after the file changed, stays out, and why has the reason.
func join(c director.Config, nodes []director.Node) (joined director.Config, why map[director.NodeID]string) {
	declared := c.Nodes
	why = map[director.NodeID]string{}
	good := nodes[:0:0]
	for _, n := range nodes {
		switch {
		case slices.ContainsFunc(declared, func(d director.Node) bool { return d.ID == n.ID }):
			why[n.ID] = ErrDeclared.Error()
		case !c.Admits(n.ID):
			why[n.ID] = ErrNotAdmitted.Error()
		default:
			good = append(good, n)
		}
	}
	c.Nodes = slices.Concat(declared, good)
	if len(good) > 0 && !compiles(c) { // without good, it has compiled before
		c.Nodes = slices.Clone(declared)
		for _, n := range good { // one by one, each with those already accepted
			c.Nodes = append(c.Nodes, n)
			if _, err := director.Compile(c); err != nil {
				why[n.ID] = err.Error()
				c.Nodes = c.Nodes[:len(c.Nodes)-1]
			}
		}
	}
	return c, why
}

// Compose returns the fleet that a director with the declared configuration c makes of
// registered nodes and an overlay at a time, as [Apply] does. out has the nodes that stay
// out of it, each with the reason. What the configuration would be refused with is left
// out, and has the effect Skipped. An error means that c itself is refused.
func Compose(c director.Config, registered []director.Node, o Overlay, now time.Time) (fleet director.Config, effects []Effect, out map[director.NodeID]string, err error) {
	joined, out := join(c, registered)
	_, fleet, effects, err = compile(joined, o, now)
	return fleet, effects, out, err
}

func compiles(c director.Config) bool {
	_, err := director.Compile(c)
	return err == nil
}

// ruleEffects returns an effect for each client rule of the overlay that cannot be used.
func (l *loop) ruleEffects(rules []Rule) []Effect {
	var out []Effect
	for _, r := range rules {
		if l.cfg.CheckRule == nil {
			break
		}
		if err := l.cfg.CheckRule(r.Rule); err != nil {
			out = append(out, Effect{ruleEntry(r.ID), Skipped, err.Error()})
		}
	}
	return out
}
