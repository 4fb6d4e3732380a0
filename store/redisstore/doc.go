// Package redisstore is the store that any number of directors share, in Redis
// 6 or later: a single server, one that Sentinels watch, or a Cluster.
//
// As a rule one Sync is one round trip: a script in Redis takes what changed at this
// director and returns what changed at the others. It is a script because reading
// and writing must be one atomic step, and because the answer depends on what the
// script finds; a pipeline would take two round trips and would not be atomic. It is
// called by its hash and not stored as a function, since functions need Redis 7, and
// somebody to install and upgrade them.
//
// Everything in Redis except the overlay can be deleted at any time: it is restored
// within two ticks. So is the overlay, if a director holds a copy. keys.go names all
// keys and their bounds.
//
// If Redis answers with an error or does not answer, calls return [store.ErrAway],
// with a remedy if one is known. Data under the prefix that no Signpost wrote is left
// where it is, reported by [Store.Problems], and otherwise ignored. There are two
// exceptions: an invalid schema number is overwritten, and an overlay that cannot be
// read is set aside when it is replaced. What a newer Signpost wrote is never
// overwritten.
package redisstore
