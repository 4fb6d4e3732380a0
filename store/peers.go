package store

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	// missingLife is how long a director that fell silent is reckoned with: it may have
	// sent listeners until its lease ran out, and those are on their way for a while.
	missingLife = Lease + EnRouteMax
	// maxMissing bounds what is remembered of directors that fell silent.
	maxMissing = 1000
)

// A peer is another director that may be answering listeners.
type peer struct {
	Director
	first time.Time // when it was first heard of, by our clock
	heard time.Time // when its last Sync was, by our clock
	live  bool
}

// A drain is a node that takes no new listeners.
type drain struct {
	at     time.Time // the Now of the first Picture with it; zero: none has it yet
	inFile bool      // by the file alone, which each director has for itself
}

// Missing is a director that fell silent without having stopped. It may still answer
// listeners, by the fleet as it knew it.
type Missing struct {
	ID    string
	Site  string
	Heard time.Time // its last Sync, by the store's clock
	Until time.Time // when it no longer counts, by the store's clock
}

// meet notes which other directors there are, and drains that are in the store.
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

// restarted says whether a director that is not heard any more has a successor: one
// of the same name that came after its last Sync. l.mu is held.
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

// runName is what the runs of a director have in common: its id without the chance
// at its end. An id without any is its own name.
func runName(id string) string {
	if i := strings.LastIndexByte(id, '-'); i > 0 && len(id)-i-1 == runChance {
		return id[:i]
	}
	return id
}

// noteDrains notes which nodes are drained, and since which Picture. l.mu is held.
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
	for _, n := range l.declared.config.Nodes {
		if n.Drained {
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

// leaseEnded says whether this director has been without its store for so long that
// others no longer reckon with it, and tells so once.
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
// drained node: they have not said that they know of the drain, and may be answering.
// While the store does not answer, that is all of them, for nobody knows what they do.
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

// missing returns the directors that fell silent, by id. s.mu is held.
func (s *Syncer) missing(now time.Time) []Missing {
	ahead := time.Duration(s.ahead.Load())
	var all []Missing
	for _, q := range s.peers {
		if age := now.Sub(q.heard); age > DirectorLife && age <= missingLife {
			heard := q.heard.Add(ahead).UTC().Round(0)
			all = append(all, Missing{ID: q.ID, Site: q.Site, Heard: heard, Until: heard.Add(missingLife)})
		}
	}
	slices.SortFunc(all, func(a, b Missing) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
