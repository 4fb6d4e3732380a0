package store

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	// missingLife is how long a silent director is still taken into account: it may have
	// sent listeners until its lease ended, and those are en route for a while.
	missingLife = Lease + EnRouteMax
	// maxMissing bounds how many other directors are remembered.
	maxMissing = 1000
)

// A peer is another director that may be answering listeners.
type peer struct {
	Director
	first time.Time // when a Picture first had it, by our clock
	heard time.Time // when its last Sync was, by our clock
	live  bool
}

// A drain is a node that takes no new listeners.
type drain struct {
	at     time.Time // the Now of the first Picture with the drain; zero: none has it yet
	inFile bool      // only the file says so, of which each director has its own
}

// Missing is a director that fell silent without saying that it stops. It may still
// answer listeners, by the last state of the fleet that it knew.
type Missing struct {
	ID    string
	Name  string // empty: an older director's
	Site  string
	Heard time.Time // its last Sync, by the store's clock
	Until time.Time // from when it is no longer taken into account, by the store's clock
}

// meet updates peers and drains from a Picture.
func (l *loop) meet(p Picture) {
	now := l.cfg.Now()
	joining, _ := l.registry.nodes()
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, q := range l.peers {
		q.live = false
		if q.AsOf.After(p.Now) { // the store's clock was set back
			q.AsOf = p.Now
		}
		l.peers[id] = q
	}
	for _, d := range slices.Concat(p.Directors, p.Absent) {
		if d.ID == l.cfg.Director {
			continue
		}
		if d.Left {
			delete(l.peers, d.ID)
			continue
		}
		q := peer{Director: d, first: now, heard: now.Add(-max(0, p.Now.Sub(d.Seen))), live: p.Now.Sub(d.Seen) <= DirectorLife}
		if d.AsOf.After(d.Seen) {
			q.AsOf = d.Seen
		}
		if was, known := l.peers[d.ID]; known {
			q.first = was.first
		} else if len(l.peers) >= maxMissing {
			continue
		}
		l.peers[d.ID] = q
	}
	for id, q := range l.peers {
		if !q.live && (now.Sub(q.heard) > missingLife || l.restarted(q)) {
			delete(l.peers, id)
		}
	}
	l.noteDrains(p, joining)
}

// restarted says whether a silent director has a successor: a director of the same
// name that appeared after its last Sync. l.mu is held.
func (l *loop) restarted(gone peer) bool {
	name := runName(gone.ID)
	if name == runName(l.cfg.Director) && gone.heard.Before(l.started) {
		return true
	}
	for _, q := range l.peers {
		if q.live && q.first.After(gone.heard) && runName(q.ID) == name {
			return true
		}
	}
	return false
}

// runName returns what the runs of a director have in common: its id without the
// random end. An id without such an end is its own name.
func runName(id string) string {
	if i := strings.LastIndexByte(id, '-'); i > 0 && len(id)-i-1 == runChance {
		return id[:i]
	}
	return id
}

// noteDrains updates which nodes are drained, and since which Picture. l.mu is held.
func (l *loop) noteDrains(p Picture, joining []director.Node) {
	drains := map[director.NodeID]drain{}
	add := func(id director.NodeID, stored, inFile bool) {
		d := l.drains[id]
		if d.at.IsZero() && stored {
			d.at = p.Now
		}
		d.inFile = inFile
		drains[id] = d
	}
	for i := range l.declared.config.Nodes {
		if n := &l.declared.config.Nodes[i]; n.Drained {
			add(n.ID, true, true)
		}
	}
	stored := map[director.NodeID]bool{}
	for _, r := range p.Registrations {
		if !r.Drained.IsZero() && !r.gone() {
			stored[r.Node] = true
		}
	}
	for _, n := range joining {
		if n.Drained {
			add(n.ID, stored[n.ID], false)
		}
	}
	for id, s := range p.Overlay.InForce(p.Now).Nodes {
		if s.State == NodeDrained || s.State == NodeDisabled {
			add(id, true, false)
		}
	}
	l.drains = drains
}

// leaseEnded says whether this director's store has been away for longer than Lease.
// It logs that once.
func (l *loop) leaseEnded(now time.Time) bool {
	l.mu.Lock()
	ended := !l.synced.IsZero() && now.Sub(l.synced) > Lease
	l.mu.Unlock()
	if ended != l.expired {
		l.expired = ended
		if ended {
			l.cfg.Log.Warn("the store has been away for long: registered nodes whose agents do not report here come after all others that have room", "away", Lease)
		}
	}
	return ended
}

// Unaware returns the ids of the other directors that may still send listeners to a
// drained node: they may be answering listeners, and have not said that they know of
// the drain. While the store does not answer, these are all of them, since what they
// know is not known.
func (s *Syncer) Unaware(node director.NodeID) []string {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.drains[node]
	var ids []string
	for id, q := range s.peers {
		knows := !s.status.Degraded && !d.at.IsZero() && q.AsOf.After(d.at) && (!d.inFile || q.Config == s.declared.hash)
		if !knows && now.Sub(q.heard) <= missingLife {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// missing returns the directors that fell silent, in order of their ids. s.mu is held.
func (s *Syncer) missing(now time.Time) []Missing {
	ahead := time.Duration(s.ahead.Load())
	var all []Missing
	for _, q := range s.peers {
		if age := now.Sub(q.heard); age > DirectorLife && age <= missingLife {
			heard := q.heard.Add(ahead).UTC().Round(0)
			all = append(all, Missing{ID: q.ID, Name: q.Name, Site: q.Site, Heard: heard, Until: heard.Add(missingLife)})
		}
	}
	slices.SortFunc(all, func(a, b Missing) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
