// Package api is what is said over /api/v1: the bodies of requests and answers of
// a director's operators' side, as JSON. Agents and the command line share it with
// the director, so it links no HTTP framework and no metrics.
//
// Times are by the store's clock, in UTC. A field that names another type of
// Signpost (a node's id, a revision) has that type's form in JSON.
package api
