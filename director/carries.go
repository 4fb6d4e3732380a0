package director

import "slices"

// carried says whether and how a node carries a mount.
type carried struct {
	is      Reason // Fit, LacksMount or NodeFull
	schemes Scheme // in which the mount plays there
}

// knowCarriers fills s.carries, s.fullAt and the nodes' plays from the reports.
func (s *Snapshot) knowCarriers() {
	s.carries, s.fullAt = make([][]carried, len(s.mounts)), make([][]int, len(s.mounts))
	for m := range s.mounts {
		s.carries[m] = make([]carried, len(s.nodes))
	}
	for i := range s.nodes {
		s.carryAnew(i, nil)
	}
}

// carryAnew updates, for one node, s.carries and s.fullAt from its report, and the schemes
// in which it plays at least one mount. Columns that s shares with prev are copied first.
func (s *Snapshot) carryAnew(i int, prev *Snapshot) {
	st := s.nodes[i]
	if st.plays = 0; len(s.mounts) == 0 {
		st.plays = st.schemes
	}
	for m := range s.mounts {
		is, fullAt := s.carry(i, m)
		c := carried{is, s.plays(i, m)}
		if c != s.carries[m][i] {
			if prev != nil && &s.carries[m][0] == &prev.carries[m][0] {
				s.carries[m] = slices.Clone(s.carries[m])
			}
			s.carries[m][i] = c
		}
		if fullAt != s.mountFullAt(m, i) {
			switch {
			case s.fullAt[m] == nil:
				s.fullAt[m] = make([]int, len(s.nodes))
			case prev != nil && prev.fullAt[m] != nil && &s.fullAt[m][0] == &prev.fullAt[m][0]:
				s.fullAt[m] = slices.Clone(s.fullAt[m])
			}
			s.fullAt[m][i] = fullAt
		}
		if is != LacksMount {
			st.plays |= c.schemes
		}
	}
}

// mountFullAt returns the number of listeners at a node at which the mount's own limit may
// be reached; 0: it has none. m below 0 means any mount.
func (s *Snapshot) mountFullAt(m, node int) int {
	if m < 0 || s.fullAt[m] == nil {
		return 0
	}
	return s.fullAt[m][node]
}

// sameReport compares what identifies a report: one prober never uses the same time
// twice. Verdicts are compared too, as they change between two reports.
func sameReport(a, b *Report) bool {
	return a.Taken.Equal(b.Taken) && a.By == b.By && a.Health == b.Health && len(a.Mounts) == len(b.Mounts) && slices.Equal(a.Verdicts, b.Verdicts)
}

// carry says whether a node carries a mount in any scheme, and at how many listeners
// at the node the mount may be full; 0: never. Every listener en route to the node may
// be en route to this mount, as directors count by node only.
func (s *Snapshot) carry(node, mount int) (is Reason, fullAt int) {
	r := &s.nodes[node].report
	path := s.nodePath(node, mount)
	if v := r.verdict(path, 0); v != nil && !r.ofTheNode(v) {
		switch v.State {
		case MountSilent:
			return LacksMount, 0
		case MountFull:
			return NodeFull, 0
		}
	}
	if m := r.mount(path); m != nil {
		switch {
		case m.Limit <= 0:
			return Fit, 0
		case m.Listeners >= m.Limit:
			return NodeFull, 0
		}
		return Fit, s.fleet.nodes[node].counted(r) + m.Limit - max(0, m.Listeners)
	}
	if r.AnyMount || len(r.Mounts) == 0 && r.Health != Up {
		return Fit, 0 // it cannot list its mounts, or has not yet: its health decides
	}
	return LacksMount, 0
}

// plays returns the schemes in which a mount plays at a node. A verdict about one
// scheme removes only that scheme.
func (s *Snapshot) plays(node, mount int) Scheme {
	all := s.nodes[node].schemes
	r := &s.nodes[node].report
	if len(r.Verdicts) == 0 {
		return all
	}
	path, out := s.nodePath(node, mount), all
	for i := range r.Verdicts {
		if v := &r.Verdicts[i]; (v.Path == "" || v.Path == path) && v.State == MountSilent && !r.ofTheNode(v) {
			out &^= v.Scheme
		}
	}
	return out
}

func (s *Snapshot) nodePath(node, mount int) string {
	name := s.mounts[mount].Name
	if p, ok := s.fleet.nodes[node].Paths[name]; ok {
		return p
	}
	return name
}
