package director

// NodeState is what is known of a node, for rendering and for operators.
type NodeState struct {
	Node                    // as declared
	State           Reason  // Fit, Drained, Down or Unverified
	Used            int     // listeners without relays, those en route included
	EnRoute         int     // listeners sent to it that its report cannot have counted yet
	Estimated       int     // the part of EnRoute that is an estimate
	Recent          int     // listeners sent to it in the second before the snapshot
	EffectiveTarget int     // listeners; converted from Mbit/s, or derived from the limit, where need be; 0: unknown
	EffectiveLimit  int     // listeners, likewise
	Plays           bool    // some mount, in some scheme; its seats count only then
	Room            float64 // 0..1
	WarmUp          float64 // 0..1
	Report          Report  // the newest report; zero: none yet
}

// Nodes returns how many nodes there are; they are numbered from 0.
func (s *Snapshot) Nodes() int { return len(s.nodes) }

// NodeID returns the id of node n.
func (s *Snapshot) NodeID(n int) NodeID { return s.fleet.nodes[n].ID }

// Shares says whether what s knows of node n is what o knows of it, for o of the same Fleet.
func (s *Snapshot) Shares(o *Snapshot, n int) bool { return s.nodes[n] == o.nodes[n] }

// FindNode returns the number of the node with this id.
func (s *Snapshot) FindNode(id NodeID) (int, bool) {
	n, ok := s.fleet.index[id]
	return n, ok
}

// State returns Fit, Drained, Down or Unverified, as [NodeState] has it.
func (s *Snapshot) State(n int) Reason { return s.nodes[n].health }

// Node returns what is known of node n.
func (s *Snapshot) Node(n int) NodeState {
	st := s.nodes[n]
	return NodeState{
		Node: s.fleet.nodes[n].Node, State: st.health,
		Used: st.used, EnRoute: st.enRoute, Estimated: st.estimated, Recent: st.recent,
		EffectiveTarget: st.target, EffectiveLimit: st.limit,
		Plays: st.plays != 0, Room: st.room, WarmUp: st.warm, Report: st.report,
	}
}
