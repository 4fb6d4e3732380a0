// Package store keeps the directors of a fleet in agreement.
//
// A [Store] holds what they share: the [Overlay] of operators' changes, and what
// every director counted and measured. A [Syncer] connects a Store to the pure
// core: several times a second it sends what this director knows, receives the
// [Picture], and builds the snapshot that requests are decided by.
//
//	declared file + overlay + reports + listeners en route = snapshot
//
// On a request's way there are only [Syncer.View], which loads a pointer, and the
// counters in its View, which are incremented. While a Store is away, slow or
// empty, operators cannot edit; listeners are not affected.
package store
