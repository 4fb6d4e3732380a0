package sim

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
)

// A Scenario is all that a history follows from. Times are durations since Start. A zero
// field means its default, except where it says otherwise. It is plain data, and is not
// changed by [Run].
type Scenario struct {
	Seed  uint64
	Start time.Time     // of the history, for the products' own clocks; default 2030-01-01 00:00 UTC
	For   time.Duration // how long it takes; default 10 minutes
	Every time.Duration // between two samples; default 1 s

	Fleet     director.Config // as declared; its mounts must be declared, at most 64 of them
	Nodes     []Node          // by index in Fleet.Nodes; may be shorter
	Directors []Director      // at most 20; default one
	Probe     probe.Config    // the rules of probing; its functions are not used
	Tick      time.Duration   // see store.SyncerConfig, whose defaults apply
	Settle    time.Duration

	Origins []Origin // where listeners are; at least one
	Habits  []Habit  // what players do; default [Players]
	Crowd   Crowd    // how many listen, and when
	// Present is who listens at the start; nil: as many of the Crowd as its curve says, each
	// where a director would have sent them.
	Present []Present
	// Arrivals are listeners besides those of Crowd, in order of At, such as those of
	// recorded requests. The sequence is read once and must not change between runs.
	Arrivals iter.Seq[Arrival]

	Faults []Fault // in any order

	// Watch lists the invariants that are checked; nil: all that hold for every scenario.
	Watch []Invariant
}

// A Node is how a server behaves; where it is and what it should hold is in Fleet.Nodes.
type Node struct {
	// Pace is how many listeners it takes in a second while more of them wait; default 200,
	// as was measured with Icecast 2.4.4, of whom those beyond its backlog of 5 connect again
	// after a second. Below 0: any number.
	Pace    float64
	Begins  time.Duration // from taking a listener to its first audio; 0: none
	Limit   int           // listeners that it takes by its own configuration; 0: any number
	Tells   bool          // it reports Limit
	Latency time.Duration // of its answers to probes; default 5 ms
	Lag     time.Duration // how old its statistics may be, up to 1 s; default 300 ms; below 0: none
}

// A Director is one director's process.
type Director struct {
	Site string
	Skew time.Duration // its machine's clock ahead of the others'; may be below 0
}

// An Origin is a network at a place, where listeners are.
type Origin struct {
	Name     string // for the history
	Place    director.Place
	Addr     netip.Addr // for regions that match addresses; zero: one of 100.64.0.0/10
	Weight   float64    // its part of the listeners; default 1
	Networks int        // /24 networks from which its listeners come; default 1 in 20 listeners
	NAT      float64    // the part of its listeners 0..1 who share 1 address with Behind others
	Behind   int        // default 50
	Mounts   []float64  // the mounts' parts there; default: as in Crowd
}

// A Crowd is how many listen over time, each on its own.
type Crowd struct {
	Listeners int   // at the curve's value of 1
	Curve     Curve // default: 1 at all times
	// Session is how long people listen on average; default 30 min. Short is the part 0..1
	// of them who only zap by, for half a minute on average; default 0.3, below 0: none.
	Session time.Duration
	Short   float64
	Mounts  []float64 // the mounts' parts, by index in Fleet.Mounts; default: alike
}

// Present are listeners who are at a node when the history begins.
type Present struct {
	Node, Origin int // in Fleet.Nodes and Origins
	Mount        int // in Fleet.Mounts; below 0: by chance
	Listeners    int
}

// A Curve is a function of time, linear between its points, which are in order of At. It
// is constant before the first and after the last.
type Curve []Point

// A Point is a curve's value at a time since the start.
type Point struct {
	At    time.Duration
	Value float64
}

// At returns the curve's value; 1, if it has no points.
func (c Curve) At(t time.Duration) float64 {
	if len(c) == 0 {
		return 1
	}
	i, _ := slices.BinarySearchFunc(c, t, func(p Point, t time.Duration) int { return cmp.Compare(p.At, t) })
	switch {
	case i == 0:
		return c[0].Value
	case i == len(c):
		return c[len(c)-1].Value
	}
	a, b := c[i-1], c[i]
	return a.Value + (b.Value-a.Value)*float64(t-a.At)/float64(b.At-a.At)
}

// An Arrival is one listener who is told from outside.
type Arrival struct {
	At     time.Duration
	Origin int           // in Origins
	Mount  int           // in Fleet.Mounts
	Habit  int           // in Habits; below 0: by chance
	Stays  time.Duration // 0: by chance
	Person uint64        // who it is: the same number is the same address; 0: by chance
}

// SharedPerson marks a Person whose address is that of others, too, or who comes again: how
// often it is sent to a node says nothing of the node's share.
const SharedPerson = 1 << 63

// A FaultKind is something that goes wrong, or that an operator does.
type FaultKind string

// The kinds. What a fault is about, is in the fields that are named.
const (
	NodeCrash     FaultKind = "node_crash"     // Node: its process dies; connections are refused
	NodeVanish    FaultKind = "node_vanish"    // Node: nothing comes from it any more
	NodeFreeze    FaultKind = "node_freeze"    // Node: it takes connections and answers nothing
	SiteLoss      FaultKind = "site_loss"      // Site: its nodes vanish, and its directors with them
	SourceLoss    FaultKind = "source_loss"    // Node, Mount: the mount has no source there
	LinkBreak     FaultKind = "link_break"     // Node, Origin: listeners from there cannot reach the node
	ReportsLate   FaultKind = "reports_late"   // Node, Span: its answers to probes take that much longer
	ReportsWrong  FaultKind = "reports_wrong"  // Node, Much: it counts Much times its listeners
	NodeLimit     FaultKind = "node_limit"     // Node, Much: it takes no more than Much times its target, whatever is declared
	StoreAway     FaultKind = "store_away"     // the store answers nobody
	StoreSlow     FaultKind = "store_slow"     // Span: an exchange takes that long
	StoreFlush    FaultKind = "store_flush"    // the store is empty; it has no duration
	StoreFailover FaultKind = "store_failover" // Span: the store is away until the end, and then what it was that long before
	AnswersLost   FaultKind = "answers_lost"   // Much 0..1: that part of exchanges takes effect, and its answer is lost
	TicksLate     FaultKind = "ticks_late"     // Director, Span: ticks come up to that much late
	TicksLost     FaultKind = "ticks_lost"     // Director, Much 0..1: that part of ticks does not happen
	TicksTwice    FaultKind = "ticks_twice"    // Director: each exchange reaches the store twice, the second time late
	DirectorCrash FaultKind = "director_crash" // Director: it dies, and is started again at the end
	DirectorCut   FaultKind = "director_cut"   // Director: it cannot reach the store
	DirectorBlind FaultKind = "director_blind" // Director: it reaches no node
	Drain         FaultKind = "drain"          // Node: an operator drains it, and resumes it at the end
	Burst         FaultKind = "burst"          // Much: that many times Listeners arrive beside the others, evenly until the end
)

// A Fault is something that goes wrong at a time, for a time.
type Fault struct {
	Kind FaultKind
	At   time.Duration
	For  time.Duration // 0: until the end of the history

	Node     director.NodeID `json:",omitempty"`
	Site     string          `json:",omitempty"`
	Director int             `json:",omitempty"`
	Origin   int             `json:",omitempty"`
	Mount    int             `json:",omitempty"`
	Span     time.Duration   `json:",omitempty"`
	Much     float64         `json:",omitempty"`
}

// String describes the fault in one line: "60s for 15s: node_crash fra1".
func (f Fault) String() string {
	s := f.At.String()
	if f.For > 0 {
		s += " for " + f.For.String()
	}
	s += ": " + string(f.Kind)
	switch f.Kind {
	case TicksLate, TicksLost, TicksTwice, DirectorCrash, DirectorCut, DirectorBlind:
		s += fmt.Sprintf(" director %d", f.Director)
	case LinkBreak:
		s += fmt.Sprintf(" %s from origin %d", f.Node, f.Origin)
	case SourceLoss:
		s += fmt.Sprintf(" %s mount %d", f.Node, f.Mount)
	case SiteLoss:
		s += " " + f.Site
	default:
		if f.Node != "" {
			s += " " + string(f.Node)
		}
	}
	if f.Span > 0 {
		s += " " + f.Span.String()
	}
	if f.Much > 0 {
		s += fmt.Sprintf(" x %g", f.Much)
	}
	return s
}

const (
	maxDirectors = 20
	maxMounts    = 64
	maxListeners = 1 << 30
)

// withDefaults returns the scenario with all that is needed, or what is wrong with it: one
// error for each mistake, joined.
func (s Scenario) withDefaults() (Scenario, error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	def := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	if s.Start.IsZero() {
		s.Start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	s.Start = s.Start.UTC().Round(0)
	def(&s.For, 10*time.Minute)
	def(&s.Every, time.Second)
	def(&s.Tick, 250*time.Millisecond)
	def(&s.Crowd.Session, 30*time.Minute)
	if s.Crowd.Short == 0 {
		s.Crowd.Short = 0.3
	}
	if len(s.Habits) == 0 {
		s.Habits = Players()
	}
	if len(s.Directors) == 0 {
		s.Directors = make([]Director, 1)
	}
	if n := len(s.Directors); n > maxDirectors {
		fail("%d directors; at most %d can be played", n, maxDirectors)
	}
	if n := len(s.Fleet.Mounts); n == 0 || n > maxMounts {
		fail("%d mounts are declared; 1 to %d can be played", n, maxMounts)
	}
	if len(s.Origins) == 0 {
		fail("no origins: say where listeners are")
	}
	if s.Crowd.Listeners < 0 || s.Crowd.Listeners > maxListeners {
		fail("%d listeners; 0 to %d can be played", s.Crowd.Listeners, maxListeners)
	}
	for i, p := range s.Crowd.Curve {
		switch {
		case i > 0 && p.At <= s.Crowd.Curve[i-1].At:
			fail("the curve's point %d is at %v, which is not after the one before it", i+1, p.At)
		case !(p.Value >= 0) || math.IsInf(p.Value, 0):
			fail("the curve's value at %v is %g; it must be 0 or more", p.At, p.Value)
		}
	}
	s.Nodes = slices.Clone(s.Nodes)
	for len(s.Nodes) < len(s.Fleet.Nodes) {
		s.Nodes = append(s.Nodes, Node{})
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Pace == 0 {
			n.Pace = 200
		}
		def(&n.Latency, 5*time.Millisecond)
		if n.Lag == 0 {
			n.Lag = 300 * time.Millisecond
		}
		n.Lag = min(max(n.Lag, 0), time.Second)
	}
	s.Origins = slices.Clone(s.Origins)
	for i := range s.Origins {
		o := &s.Origins[i]
		if o.Weight == 0 {
			o.Weight = 1
		}
		if o.Behind <= 0 {
			o.Behind = 50
		}
	}
	for _, p := range s.Present {
		if p.Node < 0 || p.Node >= len(s.Fleet.Nodes) || p.Origin < 0 || p.Origin >= len(s.Origins) || p.Mount >= len(s.Fleet.Mounts) || p.Listeners < 0 {
			fail("present are %+v: there is no such node, origin or mount", p)
		}
	}
	for _, f := range s.Faults {
		if err := s.check(f); err != nil {
			fail("fault %q: %w", f, err)
		}
	}
	return s, errors.Join(errs...)
}

// check says what is wrong with a fault.
func (s *Scenario) check(f Fault) error {
	isNode := slices.ContainsFunc(s.Fleet.Nodes, func(n director.Node) bool { return n.ID == f.Node })
	switch f.Kind {
	case NodeCrash, NodeVanish, NodeFreeze, SourceLoss, LinkBreak, ReportsLate, ReportsWrong, NodeLimit, Drain:
		if !isNode {
			return fmt.Errorf("no node is named %q", f.Node)
		}
	case SiteLoss:
		if f.Site == "" || !slices.ContainsFunc(s.Fleet.Nodes, func(n director.Node) bool { return n.Site == f.Site }) {
			return fmt.Errorf("no node has the site %q", f.Site)
		}
	case TicksLate, TicksLost, TicksTwice, DirectorCrash, DirectorCut, DirectorBlind:
		if f.Director < 0 || f.Director >= len(s.Directors) {
			return fmt.Errorf("there are %d directors, from 0", len(s.Directors))
		}
	case StoreAway, StoreSlow, StoreFlush, StoreFailover, AnswersLost, Burst:
	default:
		return errors.New("its kind is not known")
	}
	switch {
	case f.At < 0 || f.For < 0:
		return errors.New("a time is below 0")
	case f.Kind == SourceLoss && (f.Mount < 0 || f.Mount >= len(s.Fleet.Mounts)):
		return fmt.Errorf("there are %d mounts, from 0", len(s.Fleet.Mounts))
	case f.Kind == LinkBreak && (f.Origin < 0 || f.Origin >= len(s.Origins)):
		return fmt.Errorf("there are %d origins, from 0", len(s.Origins))
	}
	return nil
}
