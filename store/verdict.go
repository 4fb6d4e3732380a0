package store

import (
	"slices"

	"github.com/signpost-fm/signpost/director"
)

// This file merges the verdicts on nodes' mounts; judge.go decides whether a node is down.

// subject is what a verdict is about: one path at a node or all of them, in one scheme
// or in all.
type subject struct {
	path   string
	scheme director.Scheme
}

// settle merges the verdicts of the two directors on each mount of a node into one, and
// lists as the node's mounts those that play.
//
// The newest verdict counts, since both are about the same server; but one from asking
// like a listener that contradicts the node's statistics takes precedence. A verdict
// that may be due to a director's own network counts only if the other director says the
// same, as with a node, and never from a director that suspects itself while there is
// another one.
func (j *judges) settle(r *director.Report, opinions []opinion) {
	if len(opinions) == 0 {
		return // the directors that are to probe it have no report: r is all there is
	}
	subjects := subjectsOf(opinions)
	if len(subjects) == 0 {
		r.Verdicts = nil
		return
	}
	before := j.before[r.Node].Verdicts
	r.Mounts, r.Verdicts = slices.Clone(r.Mounts), nil
	for _, s := range subjects {
		v, ok := j.about(s, opinions)
		if !ok {
			continue
		}
		if i := slices.IndexFunc(before, s.is); i >= 0 && before[i].State == v.State && !before[i].Since.IsZero() {
			v.Since = before[i].Since
		}
		if s.scheme == 0 {
			list(r, &v, opinions)
		}
		if v.State != director.MountPlays || v.Cause != "" || s.scheme != 0 {
			r.Verdicts = append(r.Verdicts, v)
		}
	}
	for _, o := range opinions {
		if ends := o.CertificateEnds; !ends.IsZero() && (r.CertificateEnds.IsZero() || ends.Before(r.CertificateEnds)) {
			r.CertificateEnds = ends
		}
	}
}

func (s subject) is(v director.Verdict) bool { return v.Path == s.path && v.Scheme == s.scheme }

// subjectsOf returns the subjects of all verdicts in opinions, each once, in their order.
func subjectsOf(opinions []opinion) (all []subject) {
	for _, o := range opinions {
		for i := range o.Verdicts {
			if s := (subject{o.Verdicts[i].Path, o.Verdicts[i].Scheme}); !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// about returns the merged verdict on one subject; ok is false if there is none yet.
func (j *judges) about(s subject, opinions []opinion) (v director.Verdict, ok bool) {
	for _, o := range opinions {
		i := slices.IndexFunc(o.Verdicts, s.is)
		if i < 0 {
			continue
		}
		one := o.Verdicts[i]
		if one.By = o.By; one.Cause.Network() && !j.agreed(s, o, opinions) {
			continue
		}
		if !ok || one.Listed && !v.Listed || one.Listed == v.Listed && one.Taken.After(v.Taken) {
			v, ok = one, true
		}
	}
	return v, ok
}

// agreed says whether all opinions blame the network for s, as o does, so that o's
// verdict counts. If there is more than one opinion and o's director suspects itself,
// it does not.
func (j *judges) agreed(s subject, o opinion, opinions []opinion) bool {
	if j.live[o.By].Suspect != "" && len(opinions) > 1 {
		return false
	}
	for _, other := range opinions {
		if i := slices.IndexFunc(other.Verdicts, s.is); i < 0 || !other.Verdicts[i].Cause.Network() {
			return false
		}
	}
	return true
}

func (o opinion) lists(path string) *director.MountReport {
	if i := slices.IndexFunc(o.Mounts, func(m director.MountReport) bool { return m.Path == path }); i >= 0 {
		return &o.Mounts[i]
	}
	return nil
}

// list adds the mount of v to the report's mounts if it plays, or is full, and removes
// it if it does not play. If v does not know, list changes nothing.
func list(r *director.Report, v *director.Verdict, opinions []opinion) {
	i := slices.IndexFunc(r.Mounts, func(m director.MountReport) bool { return m.Path == v.Path })
	switch plays := v.State == director.MountPlays || v.State == director.MountFull; {
	case plays == (i >= 0) || v.State == director.MountUnknown:
	case !plays:
		r.Mounts = slices.Delete(r.Mounts, i, i+1)
	default:
		for _, o := range opinions {
			if m := o.lists(v.Path); m != nil {
				r.Mounts = append(r.Mounts, *m)
				return
			}
		}
	}
}

// shared is what the prober was last told by Share about a node.
type shared struct {
	second   bool
	verdicts []director.Verdict
}

// share passes to the prober the verdicts of the other director that probes a node, so
// that only one of the two asks for a mount in doubt. It looks at the nodes whose reports
// have changed, and at all if the pairs have.
func (l *loop) share(changed sighted, anew bool) {
	self := l.cfg.Director
	if anew {
		for id := range l.shared {
			if p := l.probing.pairs[id]; !p.has(self) {
				delete(l.shared, id)
			}
		}
		for id := range l.probing.pairs {
			changed.add(id)
		}
	}
	for id := range changed {
		p := l.probing.pairs[id]
		other := p.first
		if other == self {
			other = p.second
		}
		if !p.has(self) || other == "" && l.shared[id].verdicts == nil && !l.shared[id].second {
			continue
		}
		now := shared{second: p.second == self}
		for _, r := range l.sightings.of[id] {
			if r.By == other {
				now.verdicts = r.Verdicts
			}
		}
		if was := l.shared[id]; was.second == now.second && slices.Equal(was.verdicts, now.verdicts) {
			continue
		}
		l.shared[id] = now
		local := slices.Clone(now.verdicts)
		for i := range local {
			shift(-l.offset, &local[i].Since, &local[i].Taken)
		}
		l.cfg.Prober.Share(id, now.second, local)
	}
}
