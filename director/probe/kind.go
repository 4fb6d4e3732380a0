package probe

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

// A kind knows how to probe one kind of server. Adding one takes a new file and an
// entry in kinds.
type kind interface {
	// ask returns what the server reports, or an error that names the request and what
	// went wrong: "GET /admin/stats: connection refused". It is called concurrently for
	// many nodes, and returns when ctx is done.
	ask(ctx context.Context, t target) (answer, error)
}

var kinds = map[string]kind{
	"":          icecast{},
	"icecast":   icecast{},
	"shoutcast": shoutcast{},
	"http":      plain{},
	inParts:     plain{},
	Reach:       reach{},
}

// Kinds returns the names of the kinds that an operator may choose, sorted.
func Kinds() []string {
	names := slices.Sorted(maps.Keys(kinds))
	return slices.DeleteFunc(names, func(s string) bool { return s == "" || s == Reach })
}

// target is the server to probe, and how to probe it.
type target struct {
	kind           string
	client         *client
	base           string          // the node's URL; request paths are appended to it
	path           string          // what to request, where the operator configured it
	mounts         []string        // paths at the node that listeners are sent to
	turn           []string        // those of mounts to request in this probe, where mounts are requested
	public         []string        // of kind inParts: the node's URLs for listeners
	edges          map[string]edge // of kind inParts: what was known of mounts that play; their newest segments were there
	plays          bool            // a mount played, or was full, when it was last requested
	mayTry         bool            // mounts may be requested in place of statistics
	expect         Statuses        // expected for path, or for a mount; nil: any good answer
	ends           *time.Time      // where to store the certificate's expiry; nil: nowhere
	mountDue       bool            // of kind Reach: it is time to open a mount
	agent          string          // User-Agent; empty: signpost-probe
	user, password string
	admin          bool          // user and password are given
	timeout        time.Duration // for error texts, and to open a feed; else the context enforces it
}

// A complaint is what is wrong with a node's answers, and what mends it.
type complaint struct{ Text, Remedy string }

// answer is what a server reported of itself. Its fields mean what those of
// director.Report mean.
type answer struct {
	full     bool // it refuses connections at its own limit, and reported nothing else
	detail   string
	warning  complaint // what is wrong, but does not take the node down
	server   string
	mounts   []director.MountReport
	anyMount bool
	kbit     float64
	read     map[string]int64   // bytes that came in from a mount's source so far, where reported
	told     map[string]float64 // kbit/s that a mount's source reports, where it does
	untold   []string           // mounts of which only listening shows whether anything comes in

	sourceless []string         // mounts that are listed without a source
	onDemand   []string         // relays that connect for their first listener
	tried      map[string]tried // results for mounts that were requested themselves
	turn       string           // the one of tried whose turn it was
	blind      bool             // its statistics are not available; its mounts show that it serves

	listeners, limit int
}

// maxCount is the largest number of listeners that is accepted from one server:
// counters have been seen to wrap to 1.8e18.
const maxCount = 10_000_000

// listenersOf returns the sum of the mounts' listeners, or total, the server's own sum,
// if a mount does not report any. Either may be -1. The mounts take precedence: they
// count listeners, while a server's own sum is a tally of arrivals and departures.
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

// limitOf returns how many listeners the mounts allow together; 0: one of them has no
// limit of its own.
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
	return server + ", " + wording.Count(mounts, "mount")
}
