package director

// knowCarriers notes who carries what, from the reports.
func (s *Snapshot) knowCarriers(prev *Snapshot) {
	n := len(s.nodes)
	s.carries = make([]Reason, len(s.mounts)*n)
	sameMounts := prev != nil && prev.fleet == s.fleet && len(prev.mounts) == len(s.mounts)
	for i := range s.nodes {
		r := &s.nodes[i].report
		if sameMounts && sameReport(&prev.nodes[i].report, r) {
			for m := range s.mounts {
				s.carries[m*n+i] = prev.carries[m*n+i]
				if prev.fullAt != nil {
					s.limitMount(m*n+i, prev.fullAt[m*n+i])
				}
			}
			continue
		}
		for m := range s.mounts {
			var fullAt int
			s.carries[m*n+i], fullAt = s.carry(i, m)
			s.limitMount(m*n+i, fullAt)
		}
	}
}

func (s *Snapshot) limitMount(i, fullAt int) {
	if fullAt > 0 && s.fullAt == nil {
		s.fullAt = make([]int, len(s.carries))
	}
	if s.fullAt != nil {
		s.fullAt[i] = fullAt
	}
}

// sameReport compares what identifies a report: one prober's clock never repeats.
func sameReport(a, b *Report) bool {
	return a.Taken.Equal(b.Taken) && a.By == b.By && a.Health == b.Health && len(a.Mounts) == len(b.Mounts)
}

// carry says what a node's report makes of a mount there, and with how many listeners
// at the node it may be full; 0: never. Whoever is on the way to the node may be on
// the way to this mount, for directors count by node only.
func (s *Snapshot) carry(node, mount int) (is Reason, fullAt int) {
	r := &s.nodes[node].report
	if r.AnyMount || len(r.Mounts) == 0 && r.Health != Up {
		return Fit, 0 // it cannot tell, or has not told yet: then its health decides
	}
	path := s.nodePath(node, mount)
	for i := range r.Mounts {
		if m := &r.Mounts[i]; m.Path == path {
			switch {
			case m.Limit <= 0:
				return Fit, 0
			case m.Listeners >= m.Limit:
				return NodeFull, 0
			}
			return Fit, s.fleet.nodes[node].counted(r) + m.Limit - max(0, m.Listeners)
		}
	}
	return LacksMount, 0
}

func (s *Snapshot) nodePath(node, mount int) string {
	name := s.mounts[mount].Name
	if p, ok := s.fleet.nodes[node].Paths[name]; ok {
		return p
	}
	return name
}
