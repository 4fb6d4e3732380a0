package store

import (
	"github.com/cespare/xxhash/v2"

	"github.com/signpost-fm/signpost/director"
)

// A pair is the directors that are to probe a node: two where two live, else one.
type pair struct{ first, second string } // by ID; empty: none

func (p pair) has(id string) bool { return id != "" && (id == p.first || id == p.second) }

// probersOf picks the directors that are to probe a node, by rendezvous hashing
// (see package director): every director that knows the same others picks the
// same two without a word between them. The second stands at another site than
// the first, if there is one: what goes wrong at a site is not the node's fault.
//
// When a director comes, a pair changes only by taking it in, for one of the
// two at most; when one goes, only the pairs that it was in change, and the other
// of the two stays.
func probersOf(node director.NodeID, live []Director) pair {
	first, firstDraw := -1, uint64(0)
	for i := range live {
		if draw := drawOf(node, live[i].ID); first < 0 || draw > firstDraw {
			first, firstDraw = i, draw
		}
	}
	if first < 0 {
		return pair{}
	}
	second, secondDraw, secondAway := -1, uint64(0), false
	for i := range live {
		if i == first {
			continue
		}
		draw, away := drawOf(node, live[i].ID), live[i].Site != live[first].Site
		if second < 0 || away && !secondAway || away == secondAway && draw > secondDraw {
			second, secondDraw, secondAway = i, draw, away
		}
	}
	if second < 0 {
		return pair{first: live[first].ID}
	}
	return pair{live[first].ID, live[second].ID}
}

func drawOf(node director.NodeID, id string) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(string(node)) // never fails
	_, _ = d.WriteString("\x00")
	_, _ = d.WriteString(id)
	return d.Sum64()
}
