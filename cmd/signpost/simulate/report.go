package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/sim"
)

// A Report is what came of a simulation, as JSON has it. Times of the day are written as
// "20:05"; those of samples count in seconds from From.
type Report struct {
	From      string  `json:"from"`
	Until     string  `json:"until"`
	Seed      uint64  `json:"seed"`
	Hash      string  `json:"hash"` // of the history: two with the same one are the same
	Listeners int     `json:"listeners"`
	Directors int     `json:"directors"`
	Answers   Answers `json:"answers"`
	Audio     Audio   `json:"audio"`

	Replay *Replay `json:"replay,omitempty"` // of records, and how it was

	Nodes   []Node   `json:"nodes"`
	Regions []Region `json:"regions"`
	Samples Samples  `json:"samples"`
	Events  []Event  `json:"events"`
	Limits  []Judged `json:"limits,omitempty"`
	Remarks []string `json:"remarks,omitempty"`
	// Broken are promises of Signpost (docs/simulation.md) that were not kept.
	Broken []Broken `json:"broken,omitempty"`
}

// Answers counts what directors answered, and did not.
type Answers struct {
	Requests   int            `json:"requests"`
	Unanswered int            `json:"unanswered"` // no director was there
	Refused    int            `json:"refused"`    // no node was given
	Outcomes   map[string]int `json:"outcomes"`
}

// Audio counts what listeners heard.
type Audio struct {
	Listeners  int     `json:"listeners"`        // who came in all, those of the beginning included
	Failed     int     `json:"failed"`           // attempts at nodes that brought nothing
	Seated     int     `json:"seated"`           // attempts that did
	Lost       int     `json:"lost"`             // listeners who gave up
	Late       float64 `json:"late"`             // part 0..1 of those who waited that waited for more than 30 s
	LongestS   float64 `json:"longest_wait_s"`   // seconds
	MostSilent int     `json:"most_silent"`      // listeners without audio at once
	SilentAt   string  `json:"most_silent_at"`   // when they were the most
	CalmAgain  string  `json:"calm_again"`       // when fewer than 1 in 200 waited again; empty: not until the end, or always
	Waits      []Wait  `json:"waits"`            // of those who came
	Back       []Wait  `json:"waits_after_loss"` // of those whose stream had ended
}

// A Wait is how many listeners waited for up to so many seconds, and longer than the one
// before; 0: longer than all.
type Wait struct {
	UpToS float64 `json:"up_to_s"`
	Count int     `json:"count"`
}

// A Node is what one node held.
type Node struct {
	ID     director.NodeID `json:"id"`
	Site   string          `json:"site,omitempty"`
	Target int             `json:"target"` // 0: not known
	Limit  int             `json:"limit"`  // 0: any number
	Mean   int             `json:"mean"`
	Most   int             `json:"most"`
	MostAt string          `json:"most_at"`
	Queue  int             `json:"longest_queue"` // connections that waited to be accepted
	Sent   int             `json:"sent"`
}

// A Region is where a region's listeners were sent.
type Region struct {
	ID   director.RegionID       `json:"id"`
	Sent map[director.NodeID]int `json:"sent"`
}

// Samples are the state over time, one slice for each number.
type Samples struct {
	EveryS    float64                   `json:"every_s"`
	Crowd     []int                     `json:"crowd"` // how many there should be
	Listening []int                     `json:"listening"`
	Waiting   []int                     `json:"waiting"`
	Refused   []int                     `json:"refused"` // since the sample before
	Failed    []int                     `json:"failed"`
	Nodes     map[director.NodeID][]int `json:"nodes"` // listeners
	// Was is how many listened, by what the records say of where they were sent.
	Was map[director.NodeID][]int `json:"was,omitempty"`
}

// A Replay compares what records say with what came of them in the simulation.
type Replay struct {
	Records  []string       `json:"records"` // files
	Requests int            `json:"requests"`
	Regions  []ReplayRegion `json:"regions"`
	Nodes    []ReplayNode   `json:"nodes"`
}

// Compared is a number as it was, and as it would have been.
type Compared struct {
	Was   int `json:"was"`
	Would int `json:"would"`
}

// A ReplayRegion is where a region's requests were sent. Who belonged to another region
// then counts as it was in that one.
type ReplayRegion struct {
	ID      director.RegionID            `json:"id"`
	Sent    map[director.NodeID]Compared `json:"sent"`
	Refused Compared                     `json:"refused"` // no node was given
}

// A ReplayNode is what a node held. How long people listened is known only where a director
// carried the stream; for others it is drawn, and the same on both sides.
type ReplayNode struct {
	ID   director.NodeID `json:"id"`
	Sent Compared        `json:"sent"`
	Mean Compared        `json:"mean"`
	Most Compared        `json:"most"`
}

// An Event is something that happened.
type Event struct {
	At   string `json:"at"`
	Text string `json:"text"`
}

// Broken is a promise that was not kept.
type Broken struct {
	Promise string `json:"promise"`
	At      string `json:"at"`
	About   string `json:"about"`
	Detail  string `json:"detail"`
}

// lateAfter is one of [sim.WaitBounds].
const lateAfter = 30 * time.Second

// NewReport sums up the history of what was played.
func NewReport(h *sim.History, p *Play, limits []Limit) *Report {
	s, regions := &h.Scenario, p.Regions
	from := s.Start.Sub(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	clock := func(at time.Duration) string { return Clock(from + at).String() }
	t := &h.Totals
	r := &Report{
		From: clock(0), Until: clock(s.For), Seed: s.Seed, Hash: fmt.Sprintf("%016x", h.Hash), Listeners: p.listeners(), Directors: len(s.Directors),
		Answers: Answers{Requests: t.Asked, Unanswered: t.Silent, Refused: t.Refused, Outcomes: map[string]int{}},
		Audio: Audio{
			Listeners: t.Arrived, Failed: t.Failed - t.Refused - t.Silent, Seated: t.Seated, Lost: t.Lost, Late: late(h), LongestS: max(h.Waits.Longest, h.Back.Longest).Seconds(),
			Waits: waits(&h.Waits), Back: waits(&h.Back),
		},
		Remarks: p.Remarks,
	}
	for o, n := range t.Outcomes {
		if n > 0 {
			r.Answers.Outcomes[director.Outcome(o).String()] = n
		}
	}
	r.sample(h, clock)
	for i, n := range s.Fleet.Nodes {
		r.Nodes = append(r.Nodes, nodeOf(h, i, n, clock))
	}
	for o, sent := range h.Sent {
		i := slices.IndexFunc(r.Regions, func(one Region) bool { return one.ID == regions[o] })
		if i < 0 {
			i = len(r.Regions)
			r.Regions = append(r.Regions, Region{regions[o], map[director.NodeID]int{}})
		}
		for n, count := range sent {
			if count > 0 {
				r.Regions[i].Sent[s.Fleet.Nodes[n].ID] += count
			}
		}
	}
	if p.replay != nil {
		r.Replay = p.replay.compare(r, h, regions)
	}
	r.Events = events(h, clock)
	for _, b := range h.Broken {
		r.Broken = append(r.Broken, Broken{string(b.Invariant), clock(b.At), b.About, b.Detail})
	}
	for _, l := range limits {
		value := measures[l.Name].of(r)
		r.Limits = append(r.Limits, Judged{l, value, value > l.Most})
	}
	return r
}

// events are a history's notes, with losses in the words of operators.
func events(h *sim.History, clock func(time.Duration) string) (all []Event) {
	notes := slices.DeleteFunc(slices.Clone(h.Notes), func(n sim.Note) bool {
		return strings.HasPrefix(n.Text, "begins: ") || strings.HasPrefix(n.Text, "ends: ")
	})
	for _, f := range h.Scenario.Faults {
		what := "node " + string(f.Node)
		if f.Kind == sim.SiteLoss {
			what = "site " + f.Site
		}
		notes = append(notes, sim.Note{At: f.At, Text: what + " is lost"})
		if f.For > 0 && f.At+f.For <= h.Scenario.For {
			notes = append(notes, sim.Note{At: f.At + f.For, Text: what + " is back"})
		}
	}
	slices.SortStableFunc(notes, func(a, b sim.Note) int { return cmp.Compare(a.At, b.At) })
	for _, n := range notes {
		all = append(all, Event{clock(n.At), n.Text})
	}
	return all
}

func late(h *sim.History) float64 {
	n := h.Waits.N + h.Back.N
	if n == 0 {
		return 0
	}
	within := h.Waits.Within(lateAfter)*float64(h.Waits.N) + h.Back.Within(lateAfter)*float64(h.Back.N)
	return max(0, 1-within/float64(n))
}

func waits(w *sim.Waits) (all []Wait) {
	for i, bound := range sim.WaitBounds() {
		all = append(all, Wait{bound.Seconds(), w.Count[i]})
	}
	return append(all, Wait{0, w.Count[len(w.Count)-1]})
}

func nodeOf(h *sim.History, i int, n director.Node, clock func(time.Duration) string) Node {
	out := Node{ID: n.ID, Site: n.Site, Target: n.Target, Limit: n.Limit}
	sum := 0
	for k := range h.Samples {
		s := &h.Samples[k].Nodes[i]
		sum += s.Listeners
		out.Sent += s.Sent
		out.Queue = max(out.Queue, s.Queue)
		if s.Target > 0 {
			out.Target = s.Target
		}
		if s.Limit > 0 {
			out.Limit = s.Limit
		}
		if k == 0 || s.Listeners > out.Most {
			out.Most, out.MostAt = s.Listeners, clock(h.Samples[k].At)
		}
	}
	if len(h.Samples) > 0 {
		out.Mean = sum / len(h.Samples)
	}
	return out
}

func (r *Report) sample(h *sim.History, clock func(time.Duration) string) {
	out := &r.Samples
	out.EveryS, out.Nodes = h.Scenario.Every.Seconds(), map[director.NodeID][]int{}
	most := 0
	for k := range h.Samples {
		s := &h.Samples[k]
		out.Crowd = append(out.Crowd, s.Crowd)
		out.Listening = append(out.Listening, s.Listening)
		out.Waiting = append(out.Waiting, s.Waiting)
		out.Refused = append(out.Refused, s.Refused)
		out.Failed = append(out.Failed, s.Failed)
		for i, n := range h.Scenario.Fleet.Nodes {
			out.Nodes[n.ID] = append(out.Nodes[n.ID], s.Nodes[i].Listeners)
		}
		if s.Waiting > r.Audio.MostSilent {
			r.Audio.MostSilent, r.Audio.SilentAt, most = s.Waiting, clock(s.At), k
		}
	}
	for k := most; r.Audio.MostSilent > 0 && k < len(h.Samples); k++ {
		if s := &h.Samples[k]; s.Waiting*200 < s.Waiting+s.Listening {
			r.Audio.CalmAgain = clock(s.At)
			break
		}
	}
}

// A Limit is the most that one of [Measures] may be.
type Limit struct {
	Name string  `json:"name"`
	Most float64 `json:"most"` // as a part: 0.001 is 0.1 %
}

// Judged is a Limit, and what it was.
type Judged struct {
	Limit
	Value  float64 `json:"value"`
	Broken bool    `json:"broken"`
}

type measure struct {
	text string // for help
	of   func(*Report) float64
}

func part(n, of int) float64 { return float64(n) / float64(max(1, of)) }

var measures = map[string]measure{
	"refused":    {"requests that got no node", func(r *Report) float64 { return part(r.Answers.Refused, r.Answers.Requests) }},
	"unanswered": {"requests that no director answered", func(r *Report) float64 { return part(r.Answers.Unanswered, r.Answers.Requests) }},
	"failed":     {"attempts at nodes that brought no audio", func(r *Report) float64 { return part(r.Audio.Failed, r.Audio.Failed+r.Audio.Seated) }},
	"lost":       {"listeners who gave up", func(r *Report) float64 { return part(r.Audio.Lost, r.Audio.Listeners) }},
	"late":       {"waits of more than 30 s", func(r *Report) float64 { return r.Audio.Late }},
	"load": {"the most that any node held of its target", func(r *Report) (most float64) {
		for _, n := range r.Nodes {
			if n.Target > 0 {
				most = max(most, part(n.Most, n.Target))
			}
		}
		return most
	}},
}

// Measures lists what can have a limit.
func Measures() []string { return []string{"refused", "unanswered", "failed", "lost", "late", "load"} }

// UnmarshalText reads "refused=0.1%".
func (l *Limit) UnmarshalText(b []byte) error {
	name, value, _ := strings.Cut(string(b), "=")
	number, percent := strings.CutSuffix(strings.TrimSpace(value), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if _, known := measures[name]; !known {
		return fmt.Errorf("%q: nothing is called %q; there are %s", b, name, strings.Join(Measures(), ", "))
	}
	if !percent || err != nil || !(n >= 0) {
		return fmt.Errorf("%q: write NAME=PERCENT, as in %s=0.1%%", b, name)
	}
	*l = Limit{name, n / 100}
	return nil
}

// Err tells which limits are broken; nil: none.
func (r *Report) Err() error {
	var all []string
	for _, l := range r.Limits {
		if l.Broken {
			all = append(all, fmt.Sprintf("%s is %s, and may be %s", l.Name, percent(l.Value), percent(l.Most)))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("the fleet did not hold what is asked of it: %s", strings.Join(all, "; "))
}

// percent writes a part of 1, with as many digits as it needs to be told from 0.
func percent(part float64) string {
	s := strconv.FormatFloat(100*part, 'g', 3, 64)
	if part >= 1 {
		s = strconv.FormatFloat(100*part, 'f', 0, 64)
	}
	return s + " %"
}
