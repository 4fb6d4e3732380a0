package store

import (
	"github.com/cespare/xxhash/v2"

	"github.com/signpost-fm/signpost/director"
)

// A pair is the directors that are to probe a node: two, or one if only one is live.
type pair struct{ first, second string } // by ID; empty: none

func (p pair) has(id string) bool { return id != "" && (id == p.first || id == p.second) }

// probersOf picks the directors that are to probe a node, by rendezvous hashing
// (see package director): all directors that know the same others pick the same
// two, without communication. The second is at another site than the first, if
// there is one: a failure at a site is not the node's fault.
//
// When a director is added, a pair changes only if it takes in the new director,
// which replaces at most one of the two. When a director goes, only its own pairs
// change, and the other of the two stays.
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
