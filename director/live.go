package director

// Live is what has happened at this director since the snapshot was built, by
// the snapshot's node numbers. It serves the limit and pacing checks only and
// never changes shares, so that directors agree. Implementations are safe for
// concurrent use and do not block.
type Live interface {
	// Used is the node's listeners now: the snapshot's number and those sent since.
	Used(node int) int
	// Recent is how many listeners the node was given within the last second.
	Recent(node int) int
	// Count says that a listener was sent to the node. Decide never calls it.
	Count(node int)
	// Expect says that n listeners are on their way to the node by an estimate, as
	// nobody can count those whom an answer in DNS brings. Decide never calls it.
	Expect(node, n int)
}

// View is a snapshot and the counters that belong to it: their node numbers agree.
type View struct {
	*Snapshot
	Live Live
}
