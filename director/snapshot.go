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
	Reports map[NodeID]Report // the newest of each node
	EnRoute map[NodeID]int    // listeners sent to a node that its report cannot have counted yet
	// Estimated is how many of EnRoute nobody has counted: those whom answers in DNS bring.
	Estimated map[NodeID]int
	Recent    map[NodeID]int // listeners all directors sent to a node within the last second
	// Uncounted is, by mount, how many listen whom no node counts: they are carried
	// inline by directors and share a connection.
	Uncounted map[string]int
}

// A Snapshot is the fleet as it stands: what Decide reads. It is immutable and
// safe for concurrent use.
type Snapshot struct {
	fleet   *Fleet
	built   time.Time
	nodes   []nodeState
	mounts  []Mount
	names   map[string]int
	paths   []string  // escaped public paths, by mount
	carries []carried // [mount*nodes+node]
	// fullAt is, as in carries, with how many listeners at the node the mount's own
	// limit may be reached there; 0: it has none. Nil: no mount has.
	fullAt  []int
	warming bool // some node is not yet warm

	uncounted map[string]int
}

type nodeState struct {
	health           Reason // Fit, Drained, Down or Unverified
	full             bool
	plays            Scheme // in which it plays some mount
	ipv4, ipv6       bool
	schemes          Scheme
	used, target     int // target and limit in listeners; 0: unknown
	limit, maxNew    int
	hold             bool // maxNew is a bound
	roomStep         int
	freeStep         int // of target, or what it holds where there is none
	room, free, warm float64

	enRoute   int
	estimated int // of enRoute
	recent    int
	report    Report
}

// Build makes the snapshot that follows prev, which may be nil: hysteresis needs
// to know where things stood. The snapshot keeps the reports and Uncounted of in.
func (f *Fleet) Build(prev *Snapshot, in Input) *Snapshot {
	s := &Snapshot{fleet: f, built: in.Now, nodes: make([]nodeState, len(f.nodes)), uncounted: in.Uncounted}
	for i := range f.nodes {
		s.nodes[i] = f.state(i, prev, in)
		s.warming = s.warming || s.nodes[i].warm < 1
	}
	s.freeShares()
	s.knowMounts(prev)
	s.knowCarriers(prev)
	return s
}

func (f *Fleet) state(i int, prev *Snapshot, in Input) nodeState {
	n := &f.nodes[i]
	r := in.Reports[n.ID]
	st := nodeState{
		health: healthReason(n, r), full: r.Full, ipv4: n.ipv4, ipv6: n.ipv6, schemes: n.schemes(),
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
		return &s.nodes[i]
	}
	return nil
}

// counted is how many listeners a report tells.
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

// defaultKbit is taken for a mount that does not tell its bitrate: the most common one.
const defaultKbit = 128

// capacity returns a node's target and limit in listeners; 0 means unknown. What
// is set in Mbit/s is converted by what its listeners take now, or by the mounts' bitrates.
func (f *Fleet) capacity(n *fleetNode, r Report) (target, limit int) {
	limit = lowest(n.Limit, r.Limit)
	target = n.Target
	if target == 0 {
		// A server's own limit is where it refuses, not where it should stand.
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

// kbitEach is what one listener of a node takes.
func (f *Fleet) kbitEach(r Report) float64 {
	const enough = 10 // listeners, below which a measured mean says little
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

// freeShares turns steps into shares by load. A node whose capacity nobody knows
// is taken for one of middle size among those that are known; if none is, the
// share is the inverse of what a node holds.
func (s *Snapshot) freeShares() {
	var targets []int
	for i := range s.nodes {
		if t := s.nodes[i].target; t > 0 {
			targets = append(targets, t)
		}
	}
	middle := 0
	if len(targets) > 0 {
		slices.Sort(targets)
		middle = targets[len(targets)/2]
	}
	for i := range s.nodes {
		st := &s.nodes[i]
		switch {
		case st.target > 0:
			st.free = float64(st.target) * float64(st.freeStep) / freeSteps
		case middle > 0:
			st.free = float64(middle) * float64(freeStep(float64(st.used)/float64(middle), -1)) / freeSteps
			st.free = max(st.free, float64(middle)/freeSteps)
		default:
			st.free = heldShare(st.freeStep)
		}
	}
}

// knowMounts takes the declared mounts, or collects what nodes report and have
// reported: a mount that nobody carries now is still a mount.
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

// maxDiscovered bounds what misbehaving nodes can make of a snapshot.
const maxDiscovered = 4096

func (s *Snapshot) discoverMounts(prev *Snapshot) {
	found := map[string]Mount{}
	if prev != nil && len(prev.fleet.mounts) == 0 {
		for _, m := range prev.mounts {
			found[m.Name] = m
		}
	}
	for i := range s.nodes {
		public := invert(s.fleet.nodes[i].Paths)
		for _, m := range s.nodes[i].report.Mounts {
			name := m.Path
			if p, ok := public[name]; ok {
				name = p
			}
			if _, known := found[name]; !known && checkMountName(name) == "" && len(found) < maxDiscovered {
				found[name] = Mount{Name: name, Type: m.Type}
			}
		}
	}
	s.names = make(map[string]int, len(found))
	for i, name := range slices.Sorted(maps.Keys(found)) {
		s.mounts = append(s.mounts, found[name])
		s.names[name] = i
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

// Mounts returns all mounts that are declared or, where none is, that nodes
// report. The caller does not change them.
func (s *Snapshot) Mounts() []Mount { return s.mounts }

// Mount returns a mount by its number in a Decision. The caller does not change it.
func (s *Snapshot) Mount(m int) *Mount { return &s.mounts[m] }

// Uncounted returns how many listen to a mount whom no node counts: they are
// carried inline by directors and share a connection. It is below 0 where a
// connection is kept for nobody.
func (s *Snapshot) Uncounted(m int) int { return s.uncounted[s.mounts[m].Name] }

// FindMount returns the number of the mount with this name or alias.
func (s *Snapshot) FindMount(name string) (int, bool) {
	m, ok := s.names[name]
	return m, ok
}

// URL returns where listeners find mount m at node n: a base such as
// "http://a.example:8000" and an escaped path. scheme says which of the node's URLs
// will do; of two in which the mount plays, HTTP is preferred. An empty base means none.
func (s *Snapshot) URL(n, m int, scheme Scheme) (base, path string) {
	node := &s.fleet.nodes[n]
	if plays := s.carries[m*len(s.nodes)+n].schemes & scheme; plays != 0 {
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

// Upstream returns where directors find mount m at node n, to carry it: a base such
// as "http://10.0.0.7:8000" and an escaped path.
func (s *Snapshot) Upstream(n, m int) (base, path string) {
	node := &s.fleet.nodes[n]
	if node.upstream == node.http && s.carries[m*len(s.nodes)+n].schemes == HTTPS {
		return node.https, s.pathAt(node, m)
	}
	return node.upstream, s.pathAt(node, m)
}

// carriesAt says what a node makes of mount m. m below 0 is whichever mount.
func (s *Snapshot) carriesAt(m, n int) carried {
	if m >= 0 {
		return s.carries[m*len(s.nodes)+n]
	}
	if st := &s.nodes[n]; st.plays != 0 {
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

// servesAt says whether who knows a node's name, a port and the public path of mount m
// (below 0: of whichever) finds it there in one of the schemes.
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
