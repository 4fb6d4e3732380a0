package director

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Input is what a Snapshot is built from, besides the Fleet.
type Input struct {
	Now     time.Time         // the store's clock
	Reports map[NodeID]Report // the newest report of each node
	EnRoute map[NodeID]int    // listeners sent to a node that its report cannot have counted yet
	// Estimated is the part of EnRoute that is an estimate: listeners from DNS answers.
	Estimated map[NodeID]int
	Recent    map[NodeID]int // listeners all directors sent to a node within the last second
	// Uncounted is, by mount, the number of listeners whom no node counts: directors
	// carry them inline, and they share a connection.
	Uncounted map[string]int
}

// A Snapshot is the state of the fleet that Decide reads. It is immutable and
// safe for concurrent use. It shares what has not changed with the one before it.
type Snapshot struct {
	fleet  *Fleet
	built  time.Time
	nodes  []*nodeState
	mounts []Mount
	names  map[string]int
	paths  []string // escaped public paths, by mount
	// carries says by mount, then by node, whether and how the node carries the mount.
	carries [][]carried
	// fullAt is, by mount and node, the number of listeners at the node at which the
	// mount's own limit may be reached; 0: it has none. A mount that has none at any node
	// may be nil.
	fullAt   [][]int
	middle   int   // the median of the nodes' targets; 0: no node has one
	restless []int // the nodes that the next snapshot has to look at without news of them
	warming  bool  // some node is not yet warm

	uncounted map[string]int
}

type nodeState struct {
	health           Reason // Fit, Drained, Down or Unverified
	full             bool
	unconfirmed      bool
	plays            Scheme // in which it plays some mount
	ipv4, ipv6       bool
	schemes          Scheme
	used, target     int // target and limit in listeners; 0: unknown
	limit, maxNew    int
	hold             bool // maxNew is a bound
	roomStep         int
	freeStep         int // of target; without a target, of what it holds
	room, free, warm float64

	enRoute   int
	estimated int // of enRoute
	recent    int
	report    Report
}

// Build makes the snapshot that follows prev, which hysteresis needs. prev may be nil.
// The snapshot keeps the reports and Uncounted of in.
func (f *Fleet) Build(prev *Snapshot, in Input) *Snapshot {
	s := &Snapshot{fleet: f, built: in.Now, nodes: make([]*nodeState, len(f.nodes)), uncounted: in.Uncounted}
	for i := range f.nodes {
		s.nodes[i] = f.state(i, prev, &in, in.Reports[f.nodes[i].ID])
		s.settle(i)
	}
	s.middle = s.median()
	for _, st := range s.nodes {
		st.free = st.freeShare(s.middle)
	}
	s.knowMounts(prev)
	s.knowCarriers()
	return s
}

// Next makes the snapshot that follows s. It is the one that Build makes, but in.Reports
// has only reports that s does not have: all other nodes keep theirs. Next looks at those
// nodes, at nodes with listeners en route, and at those that warm up. in.Now must not be
// before s was built.
func (s *Snapshot) Next(in Input) *Snapshot {
	if s.discovers(in.Reports) {
		return s.fleet.Build(s, s.whole(in))
	}
	next := *s
	next.built, next.uncounted, next.restless, next.warming = in.Now, in.Uncounted, nil, false
	next.nodes = slices.Clone(s.nodes)
	next.carries, next.fullAt = slices.Clone(s.carries), slices.Clone(s.fullAt)
	touched := s.touched(&in)
	targets := false // some target has changed
	for _, i := range touched {
		was := s.nodes[i]
		r, news := in.Reports[s.fleet.nodes[i].ID]
		if !news {
			r = was.report
		}
		st := s.fleet.state(i, s, &in, r)
		next.nodes[i] = st
		next.settle(i)
		targets = targets || st.target != was.target
		if st.plays = was.plays; news && !sameReport(&was.report, &st.report) {
			next.carryAnew(i, s)
		}
	}
	if targets {
		next.middle = next.median()
	}
	for _, i := range touched {
		next.nodes[i].free = next.nodes[i].freeShare(next.middle)
	}
	if next.middle != s.middle {
		for i, st := range next.nodes {
			if st == s.nodes[i] && st.target == 0 {
				other := *st
				other.free = other.freeShare(next.middle)
				next.nodes[i] = &other
			}
		}
	}
	return &next
}

// touched returns the nodes that Next has to look at, in order.
func (s *Snapshot) touched(in *Input) []int {
	touched := slices.Clone(s.restless)
	add := func(id NodeID) {
		if i, ok := s.fleet.index[id]; ok {
			touched = append(touched, i)
		}
	}
	for id := range in.Reports {
		add(id)
	}
	for id := range in.EnRoute {
		add(id)
	}
	for id := range in.Recent {
		add(id)
	}
	slices.Sort(touched)
	return slices.Compact(touched)
}

// whole returns in with the reports that s has and in lacks.
func (s *Snapshot) whole(in Input) Input {
	all := make(map[NodeID]Report, len(s.nodes))
	for i, st := range s.nodes {
		id := s.fleet.nodes[i].ID
		all[id] = st.report
		if r, news := in.Reports[id]; news {
			all[id] = r
		}
	}
	in.Reports = all
	return in
}

// settle notes whether a node that was looked at has to be looked at the next time, too.
func (s *Snapshot) settle(i int) {
	st := s.nodes[i]
	s.warming = s.warming || st.warm < 1
	if st.warm < 1 || st.enRoute != 0 || st.estimated != 0 || st.recent != 0 {
		s.restless = append(s.restless, i)
	}
}

// state returns what is known of a node, but for free and plays, which depend on the
// other nodes and on the mounts.
func (f *Fleet) state(i int, prev *Snapshot, in *Input, r Report) *nodeState {
	n := &f.nodes[i]
	st := &nodeState{
		health: healthReason(n, r), full: r.Full, unconfirmed: r.Unconfirmed, ipv4: n.ipv4, ipv6: n.ipv6, schemes: n.schemes(),
		maxNew: n.MaxNewPerS, hold: n.Pace == PaceHold, enRoute: in.EnRoute[n.ID], estimated: in.Estimated[n.ID], recent: in.Recent[n.ID], report: r,
	}
	if !st.ipv4 && !st.ipv6 {
		st.ipv4, st.ipv6 = r.IPv4, r.IPv6
	}
	st.used = n.counted(&r) + st.enRoute
	st.target, st.limit = f.capacity(n, r)
	st.warm = warmth(f.tuning, r.Returned, in.Now)

	prevRoom, prevFree := -1, -1
	if before := prev.stateOf(n.ID); before != nil && (before.target > 0) == (st.target > 0) {
		prevRoom, prevFree = before.roomStep, before.freeStep
	}
	if st.target == 0 {
		st.roomStep = roomSteps
		st.freeStep = heldStepOf(st.used, prevFree)
	} else {
		fill := float64(st.used) / float64(st.target)
		st.roomStep = roomStep(fill, f.tuning.SpillAt, prevRoom)
		st.freeStep = freeStep(fill, prevFree)
	}
	st.room = float64(st.roomStep) / roomSteps
	return st
}

func (s *Snapshot) stateOf(id NodeID) *nodeState {
	if s == nil {
		return nil
	}
	if i, ok := s.fleet.index[id]; ok {
		return s.nodes[i]
	}
	return nil
}

// counted returns the listeners of a report, without relays.
func (n *fleetNode) counted(r *Report) int { return max(0, r.Listeners-n.Relays) }

func (n *fleetNode) schemes() (s Scheme) {
	if n.http != "" {
		s |= HTTP
	}
	if n.https != "" {
		s |= HTTPS
	}
	return s
}

func healthReason(n *fleetNode, r Report) Reason {
	switch {
	case n.Drained:
		return Drained
	case r.Health == Up:
		return Fit
	case r.Health == Failed:
		return Down
	default:
		return Unverified
	}
}

// defaultKbit is used where no mount declares its bitrate. It is the most common one.
const defaultKbit = 128

// capacity returns a node's target and limit in listeners; 0 means unknown. Values in
// Mbit/s are converted by the present bitrate per listener, or by the mounts' bitrates.
func (f *Fleet) capacity(n *fleetNode, r Report) (target, limit int) {
	limit = lowest(n.Limit, r.Limit)
	target = n.Target
	if target == 0 {
		// A server refuses listeners at its limit; its target is well below that.
		target = limit * 2 / 3
	}
	if n.Mbit != (Mbit{}) {
		each := f.kbitEach(r)
		limit = lowest(limit, int(n.Mbit.Limit*1000/each))
		target = lowest(target, int(cmp.Or(n.Mbit.Target, n.Mbit.Limit*2/3)*1000/each))
	}
	if limit > 0 {
		target = min(target, limit)
	}
	return target, limit
}

// kbitEach returns the kbit/s that one listener of a node takes.
func (f *Fleet) kbitEach(r Report) float64 {
	const enough = 10 // listeners; with fewer, a measured mean says little
	if r.Kbit > 0 && r.Listeners >= enough {
		return r.Kbit / float64(r.Listeners)
	}
	most := 0
	for _, m := range f.mounts {
		most = max(most, m.Kbit)
	}
	return float64(cmp.Or(most, defaultKbit))
}

// lowest returns the smaller of two numbers of which 0 means "none".
func lowest(a, b int) int {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// median returns the median of the nodes' targets; 0: no node has one.
func (s *Snapshot) median() int {
	var targets []int
	for _, st := range s.nodes {
		if st.target > 0 {
			targets = append(targets, st.target)
		}
	}
	if len(targets) == 0 {
		return 0
	}
	slices.Sort(targets)
	return targets[len(targets)/2]
}

// freeShare converts steps to a share by load. A node without a known capacity is
// assumed to have the median target of the others. If no node has a target, the share is
// the inverse of what a node holds.
func (st *nodeState) freeShare(median int) float64 {
	switch {
	case st.target > 0:
		return float64(st.target) * float64(st.freeStep) / freeSteps
	case median > 0:
		free := float64(median) * float64(freeStep(float64(st.used)/float64(median), -1)) / freeSteps
		return max(free, float64(median)/freeSteps)
	}
	return heldShare(st.freeStep)
}

// knowMounts takes the declared mounts or, where none is, collects those that nodes
// report or have reported: a mount that no node carries now is still a mount.
func (s *Snapshot) knowMounts(prev *Snapshot) {
	if len(s.fleet.mounts) > 0 {
		s.mounts, s.names = s.fleet.mounts, s.fleet.names
		if prev != nil && prev.fleet == s.fleet {
			s.paths = prev.paths
			return
		}
	} else {
		s.discoverMounts(prev)
	}
	s.paths = make([]string, len(s.mounts))
	for i, m := range s.mounts {
		s.paths[i] = escapePath(m.Name)
	}
}

// maxDiscovered limits how many mounts misbehaving nodes can add to a snapshot.
const maxDiscovered = 4096

func (s *Snapshot) discoverMounts(prev *Snapshot) {
	found := map[string]Mount{}
	if prev != nil && len(prev.fleet.mounts) == 0 {
		for _, m := range prev.mounts {
			found[m.Name] = m
		}
	}
	for i, st := range s.nodes {
		s.fleet.nodes[i].eachMount(&st.report, func(name, typ string) {
			if _, known := found[name]; !known && checkMountName(name) == "" && len(found) < maxDiscovered {
				found[name] = Mount{Name: name, Type: typ}
			}
		})
	}
	s.names = make(map[string]int, len(found))
	for i, name := range slices.Sorted(maps.Keys(found)) {
		s.mounts = append(s.mounts, found[name])
		s.names[name] = i
	}
}

// discovers says whether discoverMounts would find a mount in these reports that s does
// not have.
func (s *Snapshot) discovers(reports map[NodeID]Report) (anew bool) {
	if len(s.fleet.mounts) > 0 || len(s.mounts) >= maxDiscovered {
		return false
	}
	for id, r := range reports {
		if i, ok := s.fleet.index[id]; ok {
			s.fleet.nodes[i].eachMount(&r, func(name, _ string) {
				_, known := s.names[name]
				anew = anew || !known && checkMountName(name) == ""
			})
		}
	}
	return anew
}

// eachMount calls do with the public name and the type of each mount in a report of n.
func (n *fleetNode) eachMount(r *Report, do func(name, typ string)) {
	public := invert(n.Paths)
	for i := range r.Mounts {
		name := r.Mounts[i].Path
		if p, ok := public[name]; ok {
			name = p
		}
		do(name, r.Mounts[i].Type)
	}
}

func invert(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[v] = k
	}
	return out
}

// Built returns when the snapshot was built, by the store's clock.
func (s *Snapshot) Built() time.Time { return s.built }

// Mounts returns all mounts that are declared or, where none is, that nodes report or
// have reported. The caller must not change them.
func (s *Snapshot) Mounts() []Mount { return s.mounts }

// MountsDeclared says whether the configuration declares the mounts. If not, they are those that
// nodes reported.
func (s *Snapshot) MountsDeclared() bool { return len(s.fleet.mounts) > 0 }

// Mount returns a mount by its number in a Decision. The caller must not change it.
func (s *Snapshot) Mount(m int) *Mount { return &s.mounts[m] }

// Uncounted returns the number of a mount's listeners whom no node counts: directors
// carry them inline, and they share a connection. It is below 0 where a connection is
// kept without a listener.
func (s *Snapshot) Uncounted(m int) int { return s.uncounted[s.mounts[m].Name] }

// FindMount returns the number of the mount with this name or alias.
func (s *Snapshot) FindMount(name string) (int, bool) {
	m, ok := s.names[name]
	return m, ok
}

// URL returns where listeners find mount m at node n: a base such as
// "http://a.example:8000" and an escaped path. scheme says which of the node's URLs are
// acceptable; of two in which the mount plays, HTTP is preferred. An empty base means none.
func (s *Snapshot) URL(n, m int, scheme Scheme) (base, path string) {
	node := &s.fleet.nodes[n]
	if plays := s.carries[m][n].schemes & scheme; plays != 0 {
		scheme = plays // else listeners are sent to the last node known good
	}
	switch {
	case scheme&HTTP != 0 && node.http != "":
		base = node.http
	case scheme&HTTPS != 0 && node.https != "":
		base = node.https
	default:
		return "", ""
	}
	return base, s.pathAt(node, m)
}

// Upstream returns where directors get mount m at node n in order to carry it: a base
// such as "http://10.0.0.7:8000" and an escaped path.
func (s *Snapshot) Upstream(n, m int) (base, path string) {
	node := &s.fleet.nodes[n]
	if node.upstream == node.http && s.carries[m][n].schemes == HTTPS {
		return node.https, s.pathAt(node, m)
	}
	return node.upstream, s.pathAt(node, m)
}

// carriesAt says whether and how node n carries mount m. m below 0 means any mount.
func (s *Snapshot) carriesAt(m, n int) carried {
	if m >= 0 {
		return s.carries[m][n]
	}
	if st := s.nodes[n]; st.plays != 0 {
		return carried{Fit, st.plays}
	}
	return carried{LacksMount, s.nodes[n].schemes}
}

func (s *Snapshot) mountName(m int) string {
	if m < 0 {
		return ""
	}
	return s.mounts[m].Name
}

// servesAt says whether node n serves mount m at the given port under the mount's public
// path, in one of the schemes. m below 0 means any mount.
func (s *Snapshot) servesAt(n, m int, scheme Scheme, port uint16) bool {
	node := &s.fleet.nodes[n]
	scheme &= s.carriesAt(m, n).schemes
	if scheme&HTTP != 0 && node.httpPort == port || scheme&HTTPS != 0 && node.httpsPort == port {
		return m < 0 || len(node.Paths) == 0 || s.pathAt(node, m) == s.paths[m]
	}
	return false
}

func (s *Snapshot) pathAt(node *fleetNode, m int) string {
	if len(node.Paths) > 0 {
		if p, ok := node.Paths[s.mounts[m].Name]; ok {
			return escapePath(p)
		}
	}
	return s.paths[m]
}

// OverflowURL returns where listeners of mount m go when every node is at its
// limit; empty: nowhere.
func (s *Snapshot) OverflowURL(m int) string {
	return strings.ReplaceAll(s.fleet.overflowURL, "{mount}", s.paths[m])
}

func escapePath(p string) string { return (&url.URL{Path: p}).EscapedPath() }
