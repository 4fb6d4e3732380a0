// Package sim plays a fleet and its listeners in virtual time: directors, the store that
// they share, nodes, and everybody who listens. From one seed the history is the same to
// the last bit, however many processors there are, on machines of one architecture.
//
// Whatever is a rule of Signpost runs the product's own code: package director decides,
// [store.Steps] are each director's loop, memstore is the shared store, [probe.Steps]
// measure the nodes, and package visits knows who comes back. The model is what is around
// them: how a node takes listeners and fails, how a network loses what is sent, what a
// player does when its stream ends, and when people listen. None of it reads a clock or
// waits; it is one queue of events, worked off by one goroutine.
//
// A [Scenario] says what is played, [Run] plays it, and the [History] says what came of
// it: samples over time, counts, and the promises that were broken (see [Invariants]).
// [Random] makes scenarios of small fleets from a seed, and [Shrink] takes away from one
// that breaks a promise what is not needed for that.
//
// [store.Steps]: https://pkg.go.dev/github.com/signpost-fm/signpost/store#Steps
// [probe.Steps]: https://pkg.go.dev/github.com/signpost-fm/signpost/director/probe#Steps
package sim
