package director

// A Move says whether a listener who can be moved while playing is to go to another node,
// and why. HLS and DASH players with content steering can be moved; a redirect moves nobody.
type Move uint8

// The moves.
const (
	Stays    Move = iota // it is where it should be, or there is no room where it should be
	MovesOut             // its node is drained, or has no part in the row any more, and another has room
	MovesTo              // the weights give it to another node, which has room
	Flees                // its node is down, or does not play the mount any more
)

var moveNames = [...]string{Stays: "stays", MovesOut: "drained", MovesTo: "weights", Flees: "failed"}

// String returns the move's stable name: "stays", "drained", "weights" or "failed".
func (m Move) String() string { return moveNames[m] }

// AllMoves lists every move.
func AllMoves() []Move { return []Move{Stays, MovesOut, MovesTo, Flees} }

// Nowhere is the node number of a listener who is at no node yet.
const Nowhere = -1

// betterBy is how many times as free another node must be, in parts of its target, before
// a listener is moved in a row without weights. With less, listeners would go back and
// forth: whoever moves changes what is free.
const betterBy = 1.5

// Steer decides like Decide, for a listener who plays from the node at, and says whether it
// is to be moved. at is Nowhere for one who has none yet. rested is false for one who was
// moved lately: then only a failure moves it, or a drain, which is an operator's word.
//
// d.Ranked begins with the node to play from. The others follow: first those that take new
// listeners, then those that only could (for want of room, or drained), as alternates and
// for a later move. Nodes that do not play the mount are left out. If none is left, and at is
// a node, d.Ranked is at alone: the director may be wrong about it.
//
// A listener moves only into room, also from a drained node. In a row with weights, it
// goes to the node that the weights alone give it, by rendezvous hashing: so a change of the
// weights moves the same listeners first, and no more than it must, and a node that fills
// up or empties moves nobody.
func (s *Snapshot) Steer(d *Decision, l Listener, at int, rested bool, live Live) Move {
	l.Origin = s.Origin(l.Addr, l.Place)
	s.decide(d, &l, live, nil)
	if d.Outcome == NoMount || d.Outcome == Denied {
		return Stays
	}
	q := search{s: s, d: d, l: l, live: live, want: d.Want}
	ladder, _ := s.place(d, &l, nil)
	if d.Outcome == Dark && at != Nowhere {
		d.Ranked = d.Ranked[:0] // the listener knows better than the director what still plays
	}
	q.alternates(ladder)
	if at == Nowhere {
		return Stays
	}
	to := at
	switch is := q.judgeAt(ladder, at); {
	case fails(is):
		q.drop(at)
		if len(d.Ranked) > 0 {
			return Flees
		}
	case !rested && is != Drained:
	case is == Drained || is == WeightZero || is == NotInRow:
		// Where a pace keeps it from the nodes of its row, it waits, and goes no farther.
		if d.Outcome == Placed || d.Outcome == Spilled || d.Outcome == Overflow && !d.Seen.Has(Paced) {
			return MovesOut
		}
	default:
		to = q.home(ladder, at)
	}
	q.first(to)
	if to != at {
		return MovesTo
	}
	return Stays
}

// fails says whether a node that is passed over for this reason has nothing to play.
func fails(r Reason) bool {
	switch r {
	case Down, LacksMount, LacksScheme, Elsewhere, ToAvoid:
		return true
	}
	return false
}

// playing is judge, for a listener who may be at the node already: a drained one may be
// down, too.
func (q *search) playing(e entry) Reason {
	is := q.judge(e)
	if is != Drained {
		return is
	}
	c := q.s.carriesAt(q.d.Mount, e.node)
	switch {
	case q.s.nodes[e.node].report.Health == Failed:
		return Down
	case c.is == LacksMount:
		return LacksMount
	case c.schemes&q.l.Scheme == 0:
		return LacksScheme
	}
	return Drained
}

// judgeAt judges the node where the listener is. Preferences do not count.
func (q *search) judgeAt(ladder []*rung, at int) Reason {
	here, is := entry{node: at, weight: 1}, NotInRow
	for _, r := range ladder {
		for _, e := range r.entries {
			if e.node == at && is == NotInRow {
				here, is = e, Fit
			}
		}
	}
	q.forgiving = true
	if reason := q.playing(here); is == Fit || fails(reason) {
		is = reason
	}
	q.forgiving = false
	return is
}

// alternates appends the nodes that play the mount and take no new listeners now, those
// that are meant to be left last.
func (q *search) alternates(ladder []*rung) {
	for _, last := range [...]bool{false, true} {
		for i, r := range ladder {
			for _, e := range r.entries {
				is := q.playing(e)
				if fails(is) || is == Unverified || last != (is == Drained || is == WeightZero) {
					continue
				}
				if len(q.d.Ranked) < q.want && q.rankOf(e.node) < 0 {
					q.d.Ranked = append(q.d.Ranked, Candidate{Node: e.node, Rung: i})
				}
			}
		}
	}
}

// home returns the node that the weights give the listener, if it has room; else at. If that
// node still warms up, the listener goes there once it is within the part of the node's share
// that is given out by then, and nowhere else before. Who is there stays: it took its seat
// when the warm-up was waived, perhaps, and would be back when it is over.
func (q *search) home(ladder []*rung, at int) int {
	for _, r := range ladder {
		waived := q.s.warming && q.s.warmUpWaived(r, q.d.Mount)
		best, lowest, here := entry{node: Nowhere}, 0.0, false
		now, soonest := Nowhere, 0.0 // the same, with the shares that are given out
		for _, e := range r.entries {
			here = here || e.node == at
			switch is := q.judge(e); is {
			case Drained, WeightZero, Unverified, Unconfirmed, LacksFamily:
				continue
			default:
				if fails(is) {
					continue
				}
			}
			share := q.s.nodes[e.node].free
			if r.given {
				share = e.weight
			}
			if share <= 0 {
				continue
			}
			draw := q.draw(e.node, share)
			if best.node == Nowhere || draw < lowest {
				best, lowest = e, draw
			}
			if !waived {
				draw /= q.s.nodes[e.node].warm
			}
			if now == Nowhere || draw < soonest {
				now, soonest = e.node, draw
			}
		}
		switch {
		case best.node == at:
			return at
		case best.node == Nowhere: // nobody of this rung plays: the next one is its home
			if here {
				return at
			}
		case best.node != now:
			return at
		case q.hasRoom(best) && (r.given || !here || q.ease(best.node) >= betterBy*q.ease(at)):
			return best.node
		default:
			return at
		}
	}
	return at
}

// hasRoom says whether a node takes a listener who need not come: below the part of its
// target up to which weights hold.
func (q *search) hasRoom(e entry) bool {
	st := q.s.nodes[e.node]
	return q.judge(e) == Fit && (st.target == 0 || float64(q.used(e.node)) < q.s.fleet.tuning.SpillAt*float64(st.target))
}

// ease is how free a node is, in parts of its target, or else beside others without one.
func (q *search) ease(node int) float64 {
	st := q.s.nodes[node]
	switch {
	case st.target > 0:
		return st.free / float64(st.target)
	case q.s.middle > 0:
		return st.free / float64(q.s.middle)
	}
	return st.free
}

func (q *search) rankOf(node int) int {
	for i := range q.d.Ranked {
		if q.d.Ranked[i].Node == node {
			return i
		}
	}
	return -1
}

func (q *search) drop(node int) {
	if i := q.rankOf(node); i >= 0 {
		q.d.Ranked = append(q.d.Ranked[:i], q.d.Ranked[i+1:]...)
	}
}

// first puts a node before all others.
func (q *search) first(node int) {
	i := q.rankOf(node)
	c := Candidate{Node: node}
	switch {
	case i >= 0:
		c = q.d.Ranked[i]
	case len(q.d.Ranked) < q.want:
		q.d.Ranked = append(q.d.Ranked, c)
		i = len(q.d.Ranked) - 1
	default:
		i = len(q.d.Ranked) - 1
	}
	copy(q.d.Ranked[1:i+1], q.d.Ranked[:i])
	q.d.Ranked[0] = c
}
