package sim

import "github.com/signpost-fm/signpost/director"

// An Invariant is the name of a promise.
type Invariant string

func (w *world) decided(p *process, l *listener, d *director.Decision) {}
func (w *world) checkView(p *process)                                  {}
func (w *world) checkSample()                                          {}
func (w *world) drained(n director.NodeID, yes bool)                   {}
