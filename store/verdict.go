package store

import (
	"slices"

	"github.com/signpost-fm/signpost/director"
)

// Verdicts about nodes' mounts are merged here; whether a node is down is judge.go's.

// subject is what a verdict is about: a path at a node, or all of them, in a scheme,
// or in each.
type subject struct {
	path   string
	scheme director.Scheme
}

// settle makes one verdict of those that the two say of each mount of a node, and lists
// as its mounts those that play.
//
// The newest word counts, for both speak of the same server; but one who has asked like
// a listener knows better than one who has read the statistics. What may be the fault
// of a director's own network counts only if the other says the same, as with a node,
// and one that suspects itself does not count there.
func (j *judges) settle(r *director.Report, opinions []opinion) {
	if len(opinions) == 0 {
		return // nobody who is to probe it has a word: r is all there is
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

// subjectsOf lists what opinions have verdicts about, each once, in their order.
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

// about returns what is to be held of one subject; ok is false if that is nothing yet.
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

// agreed says whether all others say the same that one says of its network.
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

// list has a mount in the list exactly if it plays.
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

// shared is what the prober was told of another director's part in a node.
type shared struct {
	second   bool
	verdicts []director.Verdict
}

// share tells the prober what the other of the two that probe a node has got there by
// GETs of its own, so that a mount in doubt is asked for by one of them.
func (l *loop) share(reports map[director.NodeID][]director.Report) {
	self := l.cfg.Director
	for id := range l.shared {
		if p := l.probing.pairs[id]; !p.has(self) {
			delete(l.shared, id)
		}
	}
	for id, p := range l.probing.pairs {
		other := p.first
		if other == self {
			other = p.second
		}
		if !p.has(self) || other == "" && l.shared[id].verdicts == nil && !l.shared[id].second {
			continue
		}
		now := shared{second: p.second == self}
		for _, r := range reports[id] {
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
