// Package store is where directors agree.
//
// A [Store] holds what they share: the [Overlay] of operators' changes, and what
// every director counted and measured. A [Syncer] stands between a Store and the
// pure core: several times a second it sends what this director knows, receives
// the [Picture], and builds the snapshot that requests are decided by.
//
//	declared file + overlay + reports + listeners en route = snapshot
//
// Nothing here is on the way of a request but [Syncer.View], which loads a
// pointer, and the counters in its View, which add to one. A Store that is away,
// slow or empty costs operators their edits for as long, and listeners nothing.
package store
