package probe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A kind knows how to ask one sort of server. A new sort is a new file and a
// row in kinds.
type kind interface {
	// ask returns what the server told, or an error that says what was asked and
	// what came instead: "GET /admin/stats: connection refused". It is called for
	// many nodes at once, and returns when ctx is done.
	ask(ctx context.Context, t target) (answer, error)
}

var kinds = map[string]kind{
	"":          icecast{},
	"icecast":   icecast{},
	"shoutcast": shoutcast{},
	"http":      plain{},
	Reach:       reach{},
}

// Kinds returns the names of the kinds that an operator may choose, sorted.
func Kinds() []string {
	names := slices.Sorted(maps.Keys(kinds))
	return slices.DeleteFunc(names, func(s string) bool { return s == "" || s == Reach })
}

// target is whom to ask.
type target struct {
	kind           string
	client         *client
	base           string     // the node's URL, without a path of the server's own
	path           string     // what to ask for, where the operator said so
	mounts         []string   // paths at the node that listeners are sent to
	turn           []string   // those of them to try in this probe, where it is they that are asked
	plays          bool       // some mount was heard lately
	mayTry         bool       // mounts may be asked for in place of statistics
	expect         Statuses   // what path, or a mount, is to be answered with; nil: a good answer
	ends           *time.Time // where to leave when the certificate ends; nil: nowhere
	mountDue       bool       // of kind Reach: it is time to open a mount
	agent          string     // User-Agent; empty: signpost-probe
	user, password string
	admin          bool          // user and password are given
	timeout        time.Duration // for error texts; the context enforces it
}

// answer is what a server told of itself. Its fields mean what those of
// director.Report do.
type answer struct {
	full     bool // it refuses connections at its own limit: nothing else was told
	detail   string
	warning  string // something is wrong that does not make it down
	server   string
	mounts   []director.MountReport
	anyMount bool
	kbit     float64
	read     map[string]int64   // bytes that came in from a mount's source so far, where told
	told     map[string]float64 // kbit/s that a mount's source says it has, where it does
	untold   []string           // mounts of which only listening tells whether anything comes

	sourceless []string         // mounts that are listed without a source
	onDemand   []string         // relays that connect when the first listener comes
	tried      map[string]tried // what was got of mounts that were asked for themselves
	turn       string           // of them, the one whose turn it was
	blind      bool             // its statistics cannot be had; tried says that it serves

	listeners, limit int
}

// maxCount is the largest number of listeners that is believed of one server:
// counters have been seen to wrap to 1.8e18.
const maxCount = 10_000_000

// listenersOf adds up the mounts' listeners; total is the server's own sum, for
// when a mount does not tell. Either may be -1. The mounts come first because
// they count listeners, while a server's own sum is a tally of comings and goings.
func listenersOf(mounts []director.MountReport, total int) int {
	sum := 0
	for _, m := range mounts {
		if m.Listeners < 0 {
			return total
		}
		sum += m.Listeners
	}
	return sum
}

// limitOf is the number of listeners that the mounts allow together, 0 if one of
// them has no limit of its own.
func limitOf(mounts []director.MountReport) int {
	sum := 0
	for _, m := range mounts {
		if m.Limit <= 0 {
			return 0
		}
		sum += m.Limit
	}
	return sum
}

func describe(server string, mounts int) string {
	if mounts == 1 {
		return fmt.Sprintf("%s, 1 mount", server)
	}
	return fmt.Sprintf("%s, %d mounts", server, mounts)
}
