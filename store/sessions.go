package store

import (
	"maps"
	"slices"

	"github.com/signpost-fm/signpost/director"
)

// Sessions are listeners whom a director counts itself, by node and mount: players of HLS
// that ask it which node to use. A node is in it for each mount by which players can be moved
// to it, also with 0: then nobody listens there.
type Sessions map[director.NodeID]map[string]int

// Moves are the sessions that a director moved away from nodes within the last minute, by node,
// mount and why: the name of a [director.Move].
type Moves map[director.NodeID]map[string]map[string]int

// seats are the sessions of all live directors.
type seats struct {
	sessions Sessions
	moves    Moves
}

// Sessions returns the sessions of all live directors, and those that they moved within the last
// minute. The caller must not change them.
func (s *Syncer) Sessions() (Sessions, Moves) {
	if all := s.seats.Load(); all != nil {
		return all.sessions, all.moves
	}
	return nil, nil
}

// moves sums those of all live directors.
func (l *loop) moves() Moves {
	sum := Moves{}
	add := func(of Moves) {
		for node, mounts := range of {
			for mount, moved := range mounts {
				for why, n := range moved {
					if n <= 0 || n > maxCount {
						continue // it is invalid
					}
					if sum[node] == nil {
						sum[node] = map[string]map[string]int{}
					}
					if sum[node][mount] == nil {
						sum[node][mount] = map[string]int{}
					}
					sum[node][mount][why] += n
				}
			}
		}
	}
	if l.cfg.Moves != nil {
		add(l.cfg.Moves())
	}
	for d := range l.others() {
		add(d.Moves)
	}
	return sum
}

// sessions sums those of all live directors. A session is at one director at a time.
func (l *loop) sessions() Sessions {
	sum := Sessions{}
	add := func(of Sessions) {
		for node, mounts := range of {
			for mount, n := range mounts {
				if n < 0 || n > maxCount {
					continue // it is invalid
				}
				if sum[node] == nil {
					sum[node] = map[string]int{}
				}
				sum[node][mount] += n
			}
		}
	}
	if l.cfg.Sessions != nil {
		add(l.cfg.Sessions())
	}
	for d := range l.others() {
		add(d.Sessions)
	}
	return sum
}

// seated is a node's report without sessions, and the sessions that were added to it.
type seated struct {
	report director.Report
	mounts map[string]int
}

// withSessions adds sessions to reports: servers of segments do not know how many listen.
// Reports whose sessions have changed become news.
func (l *loop) withSessions(news map[director.NodeID]director.Report) {
	if l.snapshot == nil {
		return // which mounts a node plays is not known yet
	}
	sum := l.sessions()
	l.seats.Store(&seats{maps.Clone(sum), l.moves()})
	for id := range l.seated {
		if sum[id] == nil {
			sum[id] = nil // to be taken out of its report
		}
	}
	for id, mounts := range sum {
		was, seat := l.seated[id]
		report, fresh := news[id]
		switch {
		case fresh:
		case l.whole || seat && maps.Equal(was.mounts, mounts):
			continue
		case seat:
			report = was.report
		default:
			n, ok := l.snapshot.FindNode(id)
			if !ok {
				continue
			}
			report = l.snapshot.Node(n).Report
		}
		if mounts == nil {
			delete(l.seated, id)
			news[id] = report
			continue
		}
		l.seated[id] = seated{report, mounts}
		news[id] = l.seat(id, report, mounts)
	}
}

// seat returns a report with a node's sessions added to it. If nobody counts the listeners of
// other mounts that the node plays, their sum stays unknown.
func (l *loop) seat(id director.NodeID, r director.Report, mounts map[string]int) director.Report {
	if r.Health != director.Up {
		return r
	}
	n, ok := l.snapshot.FindNode(id)
	if !ok {
		return r
	}
	paths := l.snapshot.Node(n).Paths
	known, all := r.Listeners >= 0, 0
	r.Mounts = slices.Clone(r.Mounts)
	others := false
	for m := range l.snapshot.Mounts() {
		name := l.snapshot.Mount(m).Name
		count, ours := mounts[name]
		if !ours {
			others = others || l.snapshot.MountState(n, m) != director.MountSilent
			continue
		}
		path := name
		if p, ok := paths[name]; ok {
			path = p
		}
		all += count
		i := slices.IndexFunc(r.Mounts, func(t director.MountReport) bool { return t.Path == path })
		switch {
		case i >= 0:
			r.Mounts[i].Listeners = max(0, r.Mounts[i].Listeners) + count
		case r.AnyMount:
			r.Mounts = append(r.Mounts, director.MountReport{Path: path, Listeners: count})
		}
	}
	if known || !others {
		r.Listeners = max(0, r.Listeners) + all
	}
	return r
}
