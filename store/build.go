package store

import (
	"reflect"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// build makes a snapshot of what is known and puts it in the place of the last.
func (l *loop) build() {
	now := l.now()
	l.compile(now)
	reports := byNode(now, l.cfg.Director, l.reports(), l.picture.Reports)
	live := l.assign(now, reports)
	if !l.probed || !l.answered {
		return
	}
	l.judge(now, live, reports)
	sum := newLoad(now, l.cfg.Settle, l.verdicts)
	for _, n := range l.ledgers {
		for _, c := range n.buckets {
			sum.add(c)
		}
	}
	for id, counts := range l.picture.Counts {
		if id == l.cfg.Director {
			continue // the ledgers know better
		}
		for _, c := range counts {
			sum.add(c)
		}
	}
	l.snapshot = l.fleet.Build(l.snapshot, director.Input{Now: now, Reports: l.verdicts, EnRoute: sum.enRoute, Recent: sum.recent})
	first := l.view.Swap(&director.View{Snapshot: l.snapshot, Live: l.live()}) == nil
	l.update(func(*Status) { l.built = l.cfg.Now() })
	if first {
		close(l.ready)
	}
}

// live makes the counters of the newest snapshot.
func (l *loop) live() live {
	out := make(live, l.snapshot.Nodes())
	for i := range out {
		st := l.snapshot.Node(i)
		n := l.ledgers.of(st.ID)
		out[i] = liveNode{counter: n.counter, base: n.read, used: st.Used, recent: st.Recent}
	}
	return out
}

// compiled is what a fleet was compiled from.
type compiled struct {
	edit    int // declared.edit
	overlay Overlay
	until   time.Time // when an entry will expire; zero: none will
}

// compile brings the fleet up to date with the declared configuration and the
// overlay. Nothing is done while both are the same and no entry has expired.
func (l *loop) compile(now time.Time) {
	l.mu.Lock()
	d, o := l.declared, l.overlay
	l.mu.Unlock()
	if c := &l.compiled; l.fleet != nil && c.edit == d.edit && reflect.DeepEqual(c.overlay, o) &&
		(c.until.IsZero() || now.Before(c.until)) {
		return
	}
	fleet, applied, effects, err := compile(d.config, o, now)
	l.compiled = compiled{d.edit, o, o.NextExpiry(now)}
	if err != nil { // not to be expected: d compiled before
		l.cfg.Log.Error("the configuration is refused with the overlay; the fleet stays as it was", "err", err)
		return
	}
	l.fleet = fleet
	l.update(func(st *Status) { st.Revision, st.Effects = o.Revision, effects })
	for _, e := range effects {
		if e.Kind == Skipped {
			l.cfg.Log.Warn("an entry of the overlay is left out, for the configuration would be refused with it", "entry", e.Entry, "err", e.Detail)
		}
	}
	l.probing.want(probed(applied, o, now), applied.Mounts)
	declaredNode := map[director.NodeID]bool{}
	for _, n := range applied.Nodes {
		declaredNode[n.ID] = true
	}
	l.evidence.know(applied.Nodes)
	l.ledgers.prune(func(id director.NodeID) bool { return declaredNode[id] })
}

// probed returns the nodes of an applied configuration that are to be probed.
func probed(c director.Config, o Overlay, now time.Time) []director.Node {
	settings := o.InForce(now).Nodes
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n director.Node) bool {
		return settings[n.ID].State == NodeDisabled
	})
}
