// Package director decides which node serves a listener.
//
// It is the pure core of Signpost: it ranks the nodes for a [Listener] by a
// [Snapshot], and explains the ranking on request. It uses no HTTP, no Redis, no
// clock and no random numbers; time and load are arguments. What a decision needs is
// computed when a Snapshot is built, and [Snapshot.Decide] only reads it. The one
// exception is the ladder by distance, which is computed and kept when the first
// listener of a cell or an area comes.
//
// The order of use:
//
//	Config --Compile--> Fleet --Build(reports, en route, now)--> Snapshot --Decide/Explain--> node
//
// A [Fleet] changes when the configuration does, a Snapshot several times a
// second. Both are immutable once made and safe for concurrent use.
package director
