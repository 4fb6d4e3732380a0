package sim

import (
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A History is what came of a scenario.
type History struct {
	Scenario Scenario // with its defaults
	Hash     uint64   // of every event, in order: two histories with the same hash are the same
	Events   uint64   // how many there were

	Samples []Sample // one each Scenario.Every, from 0 on
	Notes   []Note   // what happened to nodes, directors and the store
	Broken  []Breach // promises that were not kept, the first of each kind and subject

	Totals Totals
	Waits  Waits // from wanting audio until there is some, of listeners who came
	Back   Waits // from the end of a stream until there is audio again
	// Sent counts listeners sent to each node, by origin and node, and Refused the answers
	// without a node, by origin.
	Sent    [][]int
	Refused []int
}

// A Sample is the state at one time. Rates are counts since the sample before.
type Sample struct {
	At    time.Duration
	Nodes []NodeSample // by index in Fleet.Nodes

	Listening int // listeners who hear something
	Waiting   int // listeners who want to and do not
	Crowd     int // how many of the curve's listeners there should be; 0: arrivals are told from outside

	Arrived  int                      // newcomers
	Outcomes [director.Nobody + 1]int // answers of directors, by their outcome
	Refused  int                      // answers without a node
	Silent   int                      // requests that no director answered
	Failed   int                      // attempts at nodes that brought no audio
	Left     int                      // listeners who went because they had heard enough
	Lost     int                      // listeners who gave up
}

// A NodeSample is one node at one time.
type NodeSample struct {
	Listeners int // that it serves
	Queue     int // connections that it has not accepted yet
	Sent      int // listeners sent to it by directors since the sample before
	Up        int // directors that take it for up
	Used      int // what the first running director reckons with
	Target    int // by the first running director; 0: not known
	Limit     int
	Serves    bool // it takes listeners, in truth
}

// Totals are counts over the whole history.
type Totals struct {
	Arrived, Asked, Answered, Refused, Silent int
	Seated, Failed, Left, Lost                int
	Exchanges, Probes, Gets                   int
	Outcomes                                  [director.Nobody + 1]int
}

// waitBounds are the upper bounds of the classes of Waits, in seconds.
var waitBounds = [...]float64{0.5, 1, 2, 3, 5, 8, 12, 20, 30, 60, 120, 300}

// Waits is a histogram of waits.
type Waits struct {
	Count   [len(waitBounds) + 1]int // by WaitBounds, and the last of all above
	N       int
	Sum     time.Duration
	Longest time.Duration
}

// WaitBounds returns the upper bounds of the classes of [Waits.Count] but the last.
func WaitBounds() []time.Duration {
	out := make([]time.Duration, len(waitBounds))
	for i, s := range waitBounds {
		out[i] = time.Duration(s * float64(time.Second))
	}
	return out
}

func (w *Waits) add(d time.Duration) {
	i := 0
	for i < len(waitBounds) && d.Seconds() > waitBounds[i] {
		i++
	}
	w.Count[i]++
	w.N++
	w.Sum += d
	w.Longest = max(w.Longest, d)
}

// Within returns the part 0..1 of the waits that were not longer than d, where d is one
// of WaitBounds; 1, if there were none.
func (w *Waits) Within(d time.Duration) float64 {
	if w.N == 0 {
		return 1
	}
	sum := 0
	for i, bound := range WaitBounds() {
		if bound <= d {
			sum += w.Count[i]
		}
	}
	return float64(sum) / float64(w.N)
}

// A Note is something that happened.
type Note struct {
	At   time.Duration
	Text string // for people: "node fra1 is down for director 0"
}

// A Breach is a promise that was not kept.
type Breach struct {
	Invariant Invariant
	At        time.Duration
	About     string // the node, region or director that it is about
	Detail    string // what was promised, and what happened
}
