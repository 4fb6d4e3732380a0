package session

import (
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
)

const (
	moveStep  = 5 * time.Second // how exactly moves age
	moveSteps = int64(time.Minute / moveStep)
)

// Moves counts the sessions that this director moved away from nodes within the last minute.
// The zero value is ready, and safe for concurrent use. Time is passed in.
type Moves struct {
	mu  sync.Mutex
	all map[away]*lastMinute
}

// away is where sessions were moved from, and why.
type away struct {
	node  director.NodeID
	mount string
	why   director.Move
}

// lastMinute has a number for each step of a minute, and which step since 1970 that is of.
type lastMinute struct {
	step  [moveSteps]int64
	moved [moveSteps]int
}

// Add counts one that plays a mount, and is moved away from a node now.
func (m *Moves) Add(node director.NodeID, mount string, why director.Move, now time.Time) {
	step := now.Unix() / int64(moveStep/time.Second)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[away]*lastMinute{}
	}
	key := away{node, mount, why}
	of := m.all[key]
	if of == nil {
		of = new(lastMinute)
		m.all[key] = of
	}
	at := step % moveSteps
	if of.step[at] != step {
		of.step[at], of.moved[at] = step, 0
	}
	of.moved[at]++
}

// Count returns those of the last minute, by node, mount and [director.Move.String], and
// forgets the others.
func (m *Moves) Count(now time.Time) map[director.NodeID]map[string]map[string]int {
	step := now.Unix() / int64(moveStep/time.Second)
	out := map[director.NodeID]map[string]map[string]int{}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, of := range m.all {
		n := 0
		for i := range of.step {
			if of.step[i] > step-moveSteps && of.step[i] <= step {
				n += of.moved[i]
			}
		}
		if n == 0 {
			delete(m.all, key)
			continue
		}
		if out[key.node] == nil {
			out[key.node] = map[string]map[string]int{}
		}
		if out[key.node][key.mount] == nil {
			out[key.node][key.mount] = map[string]int{}
		}
		out[key.node][key.mount][key.why.String()] = n
	}
	return out
}
