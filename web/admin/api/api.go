// Package api has the bodies of requests and answers under /api/v1 of a director's
// operators' side, as JSON. Agents and the command line share it with the director,
// so it links no HTTP framework and no metrics.
//
// Times are by the store's clock, in UTC.
package api
