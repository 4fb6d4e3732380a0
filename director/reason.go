package director

// A Reason says why a node was chosen or passed over. The set is closed. Each reason
// has one stable string, the same in explain, API, log and metrics.
type Reason uint8

// The reasons. Where several apply, search.judge says which one holds.
const (
	Fit         Reason = iota // nothing speaks against the node
	Drained                   // an operator has drained it: it takes no new listeners
	Down                      // probes agree that it does not serve
	Unverified                // no probe has seen it yet
	LacksMount                // it is up, but does not carry the mount now
	LacksScheme               // it has no URL in the listener's scheme, or the mount does not play in it
	Elsewhere                 // it serves the mount at another port or path than the listener asks at
	LacksFamily               // it has no address in the listener's family
	NotInRow                  // the region's row does not list it
	WeightZero                // the row lists it with weight 0
	AtTarget                  // it holds as many listeners as it should
	AtLimit                   // it holds as many listeners as it may
	NodeFull                  // the node itself refuses listeners, or its mount has no seat left
	Paced                     // it has been sent as many listeners as it may in one second
	ToAvoid                   // the listener has just come back from it, or must never get it
	Unconfirmed               // it registered, but was not confirmed for long: the store is away, and its agent reports elsewhere
	numReasons  = iota
)

var reasonNames = [numReasons]string{
	Fit: "fit", Drained: "drained", Down: "down", Unverified: "unverified", LacksMount: "lacks_mount",
	LacksScheme: "lacks_scheme", Elsewhere: "elsewhere", LacksFamily: "lacks_family", NotInRow: "not_in_row", WeightZero: "weight_zero",
	AtTarget: "at_target", AtLimit: "at_limit", NodeFull: "node_full", Paced: "paced", ToAvoid: "to_avoid", Unconfirmed: "unconfirmed",
}

// String returns the reason's stable name, such as "at_limit".
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// MarshalText makes a Reason its stable name in JSON and logs.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote. It accepts any other name, as another
// version may have more reasons; the String of such a reason is "unknown".
func (r *Reason) UnmarshalText(b []byte) error {
	*r = numReasons
	for i, name := range reasonNames {
		if name == string(b) {
			*r = Reason(i)
		}
	}
	return nil
}

// Reasons is a set of reasons.
type Reasons uint32

// Has says whether at least one of these is in the set.
func (r Reasons) Has(any ...Reason) bool {
	for _, x := range any {
		if r&(1<<x) != 0 {
			return true
		}
	}
	return false
}

// Without returns the set without x.
func (r Reasons) Without(x Reason) Reasons { return r &^ (1 << x) }

// AllReasons lists every reason, for metrics that name them all from the start.
func AllReasons() []Reason {
	all := make([]Reason, numReasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// An Outcome is how a decision ended.
type Outcome uint8

// The outcomes. The first five have nodes, Full not always.
const (
	Placed      Outcome = iota // the first choice of the ladder's first rung
	Spilled                    // another node of the first rung, as the first choice had no room or was paced
	Overflow                   // a node of a later rung of the ladder
	Full                       // no node has room: the least used or least pushed one, one the listener joins, or none
	Dark                       // no node that may take the listener is up: the last known good, unverified
	NoMount                    // no such mount
	MountDown                  // the mount exists, but no node carries it now
	Denied                     // the region may not listen to this mount
	Nobody                     // the mount plays, but no node may take this listener (drained, wrong scheme)
	numOutcomes = iota
)

var outcomeNames = [numOutcomes]string{
	Placed: "placed", Spilled: "spilled", Overflow: "overflow", Full: "full", Dark: "dark",
	NoMount: "no_mount", MountDown: "mount_down", Denied: "denied", Nobody: "nobody",
}

// Outcomes lists every outcome, for metrics that name them all from the start.
func Outcomes() []Outcome {
	all := make([]Outcome, numOutcomes)
	for i := range all {
		all[i] = Outcome(i)
	}
	return all
}

// String returns the outcome's stable name, such as "placed".
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}

// MarshalText makes an Outcome its stable name in JSON and logs.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }
