package api

import (
	"fmt"
	"strings"

	"github.com/signpost-fm/signpost/director"
)

// Sessions are the players of HLS or DASH at one mount of one node that ask the directors
// which node to use, and can be moved.
type Sessions struct {
	Mount   string          `json:"mount"`
	Node    director.NodeID `json:"node"`
	Playing int             `json:"playing"` // now; they are listeners of the node
	Moved   Moved           `json:"moved"`   // away from the node, by directors, within the last minute
}

// Moved is how many sessions were moved to other nodes, by why.
type Moved struct {
	Drained int `json:"drained"` // their node takes no new listeners
	Weights int `json:"weights"` // the weights give them to another node
	Failed  int `json:"failed"`  // their node did not play the mount any more
}

// Sum is how many there are in all.
func (m Moved) Sum() int { return m.Drained + m.Weights + m.Failed }

// String writes them as operators read it: "12 moved away in the last minute: 10 from a drained
// node, 2 by weights"; empty: there are none.
func (m Moved) String() string {
	if m.Sum() == 0 {
		return ""
	}
	var why []string
	for _, one := range []struct {
		n    int
		text string
	}{{m.Drained, "from a drained node"}, {m.Weights, "by weights"}, {m.Failed, "from a failed node"}} {
		if one.n > 0 {
			why = append(why, fmt.Sprintf("%d %s", one.n, one.text))
		}
	}
	return fmt.Sprintf("%d moved away in the last minute: %s", m.Sum(), strings.Join(why, ", "))
}

// Total adds sessions up. Of none, it is the zero value.
func Total(all []Sessions) (sum Sessions) {
	for _, s := range all {
		sum.Playing += s.Playing
		sum.Moved.Drained += s.Moved.Drained
		sum.Moved.Weights += s.Moved.Weights
		sum.Moved.Failed += s.Moved.Failed
	}
	return sum
}
