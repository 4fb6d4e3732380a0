package director

import "math"

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
	entries := ladder[first.Rung].entries
	shares := q.line(ladder)
	sum, from := 0.0, 0.0
	at := -1
	for i, share := range shares {
		if entries[i].node == first.Node {
			at, from = i, sum
		}
		if share > 0 {
			q.d.Drawn++
		}
		sum += share
	}
	if at < 0 || shares[at] == 0 || q.d.Want == 1 {
		return // the node has filled up meanwhile, or no others are wanted
	}
	places := float64(q.d.Want)
	within := uniform(mix(q.l.Key), q.s.fleet.nodes[first.Node].hash) * shares[at] / sum * places
	k := math.Floor(within) // how many of the first node's places lie before this one
	_, start := math.Modf(from/sum*places + within)
	// The rest of the circle, once around from the first node.
	to := from + shares[at]
	passed := math.Ceil(to/sum*places - start)
	for n := 1; n < len(entries) && len(q.d.Ranked) < q.d.Want; n++ {
		i := at + n
		if i >= len(entries) {
			i -= len(entries)
		}
		if i == 0 {
			to, passed = 0, math.Ceil(-start)
		}
		if shares[i] == 0 {
			continue
		}
		to += shares[i]
		before := passed
		passed = math.Ceil(to/sum*places - start)
		if passed-before > k {
			q.d.Ranked = append(q.d.Ranked, Candidate{Node: entries[i].node, Rung: first.Rung, tier: first.tier})
		}
	}
}

// line returns with which share each entry of the first choice's rung is in its tier; 0: it
// is not.
func (q *search) line(ladder []*rung) []float64 {
	first := q.d.Ranked[0]
	if q.stage == byShare {
		return q.d.shares // one tier, and no rung was walked after it
	}
	r, since := ladder[first.Rung], q.lastGood(ladder)
	j := judged{rung: r, waived: q.s.warming && q.s.warmUpWaived(r, q.d.Mount)}
	q.d.shares = q.d.shares[:0]
	for _, e := range r.entries {
		c := Candidate{Node: e.node, Rung: first.Rung}
		q.take(&j, e)
		drawn, ok := q.accept(&c, &j, since)
		if !ok || c.tier != first.tier {
			drawn = 0
		}
		q.d.shares = append(q.d.shares, drawn)
	}
	return q.d.shares
}
