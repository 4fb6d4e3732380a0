package redisstore

import (
	"time"

	"github.com/signpost-fm/signpost/store"
)

// Schema is the version of the form of all keys and values, except the overlay's
// document, which has [store.OverlaySchema]. It rises only with changes that an
// older Signpost would misread; a new field in a JSON value is not one.
const Schema = 1

const (
	// maxDocument bounds the overlay's document, in bytes. 50 regions of 20
	// nodes take 60 kB.
	maxDocument = 4 << 20
	// maxChanges bounds how many changes of one director are kept: it begins
	// anew with all it has before there are more, in 32 s at four a second.
	maxChanges = 128
	// asideLife is how long an overlay that could not be read is kept for
	// somebody who wants to look into it.
	asideLife = 30 * 24 * time.Hour
)

// keys are the names of all that a fleet has in Redis. They share a hash tag, so
// that they are in one slot of a Cluster and one script may use them together.
// [Rights] says what an ACL must allow.
//
// Nothing else may be kept under the prefix. Directors of two fleets need two prefixes.
type keys struct {
	// schema is a string: the number [Schema]. Any director writes it, once, or
	// over a lower one. If it is higher than a director knows, that director
	// reads and no longer writes. It does not expire.
	schema string

	// overlay is a hash: "document", the overlay's JSON (at most maxDocument
	// bytes); "revision", the same as in the document; "sha1" of the document,
	// by which directors see that it is another one. Edits write it, and
	// directors that refill an empty store or mend it. It does not expire.
	overlay string

	// aside is a hash: the last overlay that could not be read, set aside by
	// whoever mended it. It expires after asideLife.
	aside string

	// directors is a hash with a field for each director seen within
	// [store.ReportLife], named by its ID, of some 150 bytes:
	//
	//	<seen> <first> <last> <JSON of store.Director>
	//
	// The first is the store's clock in µs; the others number the changes that
	// are kept of it. Each director writes its own in every Sync, and any
	// director removes those past their life. As a whole it expires
	// [store.ReportLife] after the last Sync of all.
	directors string

	// changes is a hash with the fields "<number> <director ID>", first to last
	// for each director: a change as JSON, which gzip has compressed if it is
	// longer than packFrom. The first is all that the director offers, the ones
	// behind it what became different. They are at most maxChanges for a
	// director, and in bytes at most about three times what it offers (some 50
	// a report, 80 a registered node, 3 a count). Written, removed and expired like directors; numbers
	// never come again.
	changes string

	// trial is a hash and trialAside what it is renamed to: [Store.Try] writes both,
	// and they expire after trialLife.
	trial, trialAside string

	// edits is no key but a channel: each new overlay's revision.
	edits string
}

func keysUnder(prefix string) keys {
	tag := "{" + prefix + "}:"
	return keys{
		schema:    tag + "schema",
		overlay:   tag + "overlay",
		aside:     tag + "overlay-unreadable",
		directors: tag + "directors",
		changes:   tag + "changes",
		edits:     tag + "edits",

		trial: tag + "trial", trialAside: tag + "trial-aside",
	}
}

// types says what Redis's TYPE command must answer for each key that is there.
func (k keys) types() map[string]string {
	return map[string]string{k.schema: "string", k.overlay: "hash", k.aside: "hash", k.directors: "hash", k.changes: "hash"}
}

// life is how long anything stays of a director that no longer calls.
const life = max(store.DirectorLife, store.CountLife, store.ReportLife)
