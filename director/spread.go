package director

import (
	"math"
	"time"
)

// spread adds to the first choice as many others as are wanted, by systematic
// sampling: the shares of the first one's tier are laid side by side on a circle, the
// first choice says where on it the first place is, and the others follow at equal
// distances (W. G. Madow and L. H. Madow, "On the theory of systematic sampling", 1944).
// Every place then falls to each node by its share, and no two to one node, unless its
// share is above 1/want.
//
// Where several places fall to one node, an answer that names it once is wrong by the
// others. So some answers leave out the nodes with fewer places: if the first choice is
// the k-th of its node's places, those that have at least k are named. Over all Keys
// that gives each node its share again, as any of a node's places is the first one
// equally often.
func (q *search) spread(ladder []*rung) {
	first := q.d.Ranked[0]
	line := line{search: q, rung: ladder[first.Rung], tier: first.tier, since: q.lastGood(ladder)}
	line.waived = q.s.warming && q.s.warmUpWaived(line.rung, q.d.Mount)
	sum, from, own := 0.0, 0.0, 0.0
	at := -1
	for i, e := range line.rung.entries {
		share := line.share(e)
		if i < len(line.known) {
			line.known[i] = share
		}
		if e.node == first.Node {
			at, from, own = i, sum, share
		}
		if share > 0 {
			q.d.Drawn++
		}
		sum += share
	}
	if own == 0 || q.d.Want == 1 {
		return // it has filled up meanwhile, or nobody asks
	}
	places := float64(q.d.Want)
	within := uniform(mix(q.l.Key), q.s.fleet.nodes[first.Node].hash) * own / sum * places
	k := math.Floor(within) // how many of the first one's places lie before this one
	_, start := math.Modf(from/sum*places + within)
	// The rest of the circle, once round from the first one.
	entries := line.rung.entries
	for n, to := 1, from+own; n < len(entries); n++ {
		i := (at + n) % len(entries)
		if i == 0 {
			to = 0
		}
		begin := to
		if i < len(line.known) {
			to += line.known[i]
		} else {
			to += line.share(entries[i])
		}
		held := math.Ceil(to/sum*places-start) - math.Ceil(begin/sum*places-start)
		if held > k && len(q.d.Ranked) < q.d.Want {
			q.d.Ranked = append(q.d.Ranked, Candidate{Node: entries[i].node, Rung: first.Rung, tier: first.tier})
		}
	}
}

// line is what the first choice was drawn from.
type line struct {
	*search
	rung   *rung
	tier   int
	waived bool
	since  time.Time
	known  [32]float64 // shares of the first entries, which are all there are in most rows
}

// share is a node's part of the line, 0 if it is not on it.
func (l *line) share(e entry) float64 {
	c := Candidate{Node: e.node, Rung: l.d.Ranked[0].Rung}
	share := l.s.share(l.rung, e, l.waived)
	reason := l.judge(e)
	if reason == Fit && share <= 0 {
		reason = AtTarget
	}
	drawn, ok := l.accept(&c, l.rung, e, reason, share, l.since)
	if !ok || c.tier != l.tier {
		return 0
	}
	return drawn
}
