package director

import (
	"math"
	"time"
)

// spread adds up to Want-1 other nodes to the first choice by systematic sampling: the
// shares of the first choice's tier are laid side by side on a circle, the first choice
// determines the first place on it, and the others follow at equal distances
// (W. G. Madow and L. H. Madow, "On the theory of systematic sampling", 1944). Each place
// then falls on each node with the probability of its share, and no two places fall on
// one node unless its share is above 1/Want.
//
// Where several places fall on one node, an answer that names it once gives it too
// little. Some answers therefore leave out the nodes with fewer places: if the first
// choice is the k-th of its node's places, only nodes with at least k places are named.
// Over all Keys, each node gets its share again, as each of a node's places is the first
// one equally often.
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
		return // the node has filled up meanwhile, or no others are wanted
	}
	places := float64(q.d.Want)
	within := uniform(mix(q.l.Key), q.s.fleet.nodes[first.Node].hash) * own / sum * places
	k := math.Floor(within) // how many of the first node's places lie before this one
	_, start := math.Modf(from/sum*places + within)
	// The rest of the circle, once around from the first node.
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

// line is the tier that the first choice was drawn from.
type line struct {
	*search
	rung   *rung
	tier   int
	waived bool
	since  time.Time
	known  [32]float64 // shares of the first entries; most rows have no more
}

// share returns a node's part of the line; 0: it is not on it.
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
