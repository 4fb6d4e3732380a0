package redisstore

import (
	"time"

	"github.com/signpost-fm/signpost/store"
)

// Schema is the version of the format of all keys and values, except the overlay's
// document, which has [store.OverlaySchema]. It rises only with changes that an
// older Signpost would misread; a new field in a JSON value is not such a change.
const Schema = 1

const (
	// maxDocument bounds the overlay's document, in bytes. 50 regions of 20
	// nodes take 60 kB.
	maxDocument = 4 << 20
	// maxChanges bounds how many changes of one director are kept. Before there are
	// more, which takes 32 s at four a second, the director sends its whole offer
	// again, which replaces them.
	maxChanges = 128
	// asideLife is how long an overlay that could not be read is kept for inspection.
	asideLife = 30 * 24 * time.Hour
)

// keys are the names of all keys of a fleet in Redis. They share a hash tag, so
// that they are in one slot of a Cluster and one script may use them together.
// [Rights] says what an ACL must allow.
//
// Nothing else may be stored under the prefix. Two fleets need two prefixes.
type keys struct {
	// schema is a string: the number [Schema]. A director writes it if it is missing,
	// is no number, or is lower. If it is higher than a director knows, that director
	// only reads. It does not expire.
	schema string

	// overlay is a hash: "document", the overlay's JSON (at most maxDocument
	// bytes); "revision", the same as in the document; "sha1" of the document, by
	// which directors notice that it changed. It is written by edits, and by directors
	// that refill an empty store or repair it. It does not expire.
	overlay string

	// aside is a hash: the last overlay that could not be read, set aside when it was
	// replaced. It expires after asideLife.
	aside string

	// directors is a hash with a field for each director seen within
	// [store.ReportLife], named by its ID, of some 150 bytes:
	//
	//	<seen> <first> <last> <JSON of store.Director>
	//
	// seen is the time of the director's last Sync by the store's clock, in µs; first
	// and last are the numbers of its first and last change in changes. Each director
	// writes its own field in every Sync, and any director removes expired ones. The
	// key expires [store.ReportLife] after the last Sync of any director.
	directors string

	// changes is a hash with the fields "<number> <director ID>", from first to last
	// for each director. A value is a change as JSON, compressed with gzip if it has
	// packFrom bytes or more. The first change is all that the director offers; each
	// later one is the difference to the one before. A director has at most maxChanges,
	// which together take at most about three times the bytes of what it offers (some
	// 50 a report, 80 a registered node, 3 a count). They are written, removed and
	// expired like directors. A number is never used again.
	changes string

	// trial is a hash, and trialAside the name that it is renamed to. [Store.Try]
	// writes both, and they expire after trialLife.
	trial, trialAside string

	// files is a hash: the content of each of the [store.Files], by name. It does not
	// expire. leases begins the names of the leases' keys: a string each, the holder,
	// which expires with the lease.
	files, leases string

	// edits is not a key but a channel. Its messages are the revisions of new overlays.
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
		files:     tag + "files",
		leases:    tag + "lease:",
		edits:     tag + "edits",

		trial: tag + "trial", trialAside: tag + "trial-aside",
	}
}

// types returns what Redis's TYPE command must answer for each key that exists.
func (k keys) types() map[string]string {
	return map[string]string{k.schema: "string", k.overlay: "hash", k.aside: "hash", k.directors: "hash", k.changes: "hash", k.files: "hash"}
}

// life is how long any data of a director that no longer calls is kept.
const life = max(store.DirectorLife, store.CountLife, store.ReportLife)
