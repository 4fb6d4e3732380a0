// Package director decides which node serves a listener.
//
// It is the pure core of Signpost: given a [Snapshot] and a [Listener] it ranks
// the nodes, and asked, it says why. It knows no HTTP, no Redis, no clock and no
// dice; time and load are handed in. Everything it needs is computed when a
// Snapshot is built, so that [Snapshot.Decide] only reads.
//
// The way through the package:
//
//	Config --Compile--> Fleet --Build(reports, en route, now)--> Snapshot --Decide/Explain--> node
//
// A [Fleet] changes when the configuration does, a Snapshot several times a
// second. Both are immutable once made and safe for concurrent use.
package director
