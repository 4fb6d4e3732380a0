// Package redisstore is the store that any number of directors share, in Redis
// 6 or later: a single server, one that Sentinels watch, or a Cluster.
//
// One Sync is one round trip: a script in Redis takes what changed at this
// director and returns what changed at the others. It is a script because reading
// and writing must be one step, and because what comes back depends on what is
// found; a pipeline would take two round trips and could be torn. It is sent by
// its hash and not kept as a function, since functions need Redis 7 and somebody
// who installs and upgrades them.
//
// Everything in Redis but the overlay can be deleted at any time: it is there
// again within two ticks. The overlay, too, if a director holds a copy. All
// keys are named and bounded in keys.go.
//
// Whatever Redis answers that is not an answer, and whatever it does not answer,
// is [store.ErrAway] with a remedy. What is found under the prefix that no
// Signpost wrote is left where it is, told by [Store.Problems], and otherwise
// passed over. What a newer Signpost wrote is never overwritten.
package redisstore
