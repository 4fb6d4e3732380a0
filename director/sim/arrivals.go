package sim

import "iter"

// pull reads a sequence one by one. iter.Pull runs the sequence in a coroutine, which is
// no goroutine beside ours: only one of the two ever runs.
func pull(seq iter.Seq[Arrival]) (next func() (Arrival, bool), stop func()) { return iter.Pull(seq) }
