package director

// Live counts what has happened at this director since the snapshot was built. It uses
// the snapshot's node numbers. Decisions check limits and pace by it, and rank nodes at
// their target or pace by it. Shares never depend on it, so that directors agree.
// Implementations are safe for concurrent use and do not block.
type Live interface {
	// Used is the node's listeners now: the snapshot's number plus those sent since.
	Used(node int) int
	// Recent is how many listeners were sent to the node within the last second.
	Recent(node int) int
	// Count records that a listener was sent to the node. Decide never calls it.
	Count(node int)
	// Expect records an estimate of n listeners en route to the node: those that DNS
	// answers send cannot be counted. Decide never calls it.
	Expect(node, n int)
}

// View is a snapshot and its counters, which use the same node numbers.
type View struct {
	*Snapshot
	Live Live
}
