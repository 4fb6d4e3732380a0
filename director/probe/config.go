package probe

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Config is what a Prober needs to know. A zero field means its default.
type Config struct {
	// Interval is the time from one probe of a healthy node to the next, less up
	// to a tenth of it, so that many nodes do not stay in step. Default 2 s.
	Interval time.Duration
	// Timeout bounds a probe from the lookup of the host to the last byte. The
	// probe that confirms a failure gets half of it, or twice what the node's
	// answers take if that is more. Default 2 s.
	Timeout time.Duration
	// Recheck is how soon a node in doubt is asked again, counted from the start
	// of the probe that raised the doubt. Default 500 ms.
	Recheck time.Duration
	// Fall and Rise are how many failures in a row make a node down, and how many
	// good answers make it up again. Defaults 2 and 2. A node that was never down
	// is up with its first good answer.
	Fall, Rise int
	// Sample is how often each mount is listened to for some two seconds, or thirteen if
	// it is silent, whose server does not tell how many bytes come in: it takes a
	// listener's seat. 0: never.
	Sample time.Duration
	// Push keeps a connection to each Icecast whose admin password is known, over which
	// it tells of changes: then it is asked at once, up to four times a second.
	Push bool
	// InFlight is how many probes may run at once, each with a goroutine and a
	// socket. Default 256: as many nodes may hang before others are asked late.
	InFlight int

	// Kind says what sort of server a node is, one of [Kinds] or [Reach]. Nil or "":
	// icecast.
	Kind func(director.NodeID) string
	// Credentials returns a node's admin user and password, if there are any.
	Credentials func(director.NodeID) (user, password string, ok bool)
	// Path is what is asked of a node of kind http; nil or "": the mounts themselves, or
	// "/" where none is declared. Of one of kind Reach it is a mount; "": none is opened.
	Path func(director.NodeID) string
	// Expect is what Path, or the mounts, of a node of kind http are to be answered with.
	// Nil: a page with 2xx or 3xx, a mount as a listener needs it.
	Expect func(director.NodeID) Statuses
	// OnDemand is how often a relay that connects when a listener comes is made to do so,
	// to see whether it plays. 0: once when it appears or after it was down, and when
	// something speaks against it.
	OnDemand time.Duration
	// TLS is for https URLs, which are judged as players would. Nil: the system's roots.
	TLS *tls.Config

	Now func() time.Time // the store's clock, for the times in reports; default time.Now
	Log *slog.Logger     // changes of state; default: nowhere
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&c.Interval, 2*time.Second)
	set(&c.Timeout, 2*time.Second)
	set(&c.Recheck, 500*time.Millisecond)
	atLeastOne := func(n *int, to int) {
		if *n <= 0 {
			*n = to
		}
	}
	atLeastOne(&c.Fall, 2)
	atLeastOne(&c.Rise, 2)
	atLeastOne(&c.InFlight, 256)
	if c.Kind == nil {
		c.Kind = func(director.NodeID) string { return "" }
	}
	if c.Credentials == nil {
		c.Credentials = func(director.NodeID) (string, string, bool) { return "", "", false }
	}
	if c.Path == nil {
		c.Path = func(director.NodeID) string { return "" }
	}
	if c.Expect == nil {
		c.Expect = func(director.NodeID) Statuses { return nil }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Detection is the longest that a node which was up can be dead before it is
// reported down, whether it refuses connections, is off the network, or accepts
// them and never answers. With the defaults it is 5 s; a node that refuses
// connections is found in half of that, and one whose answers take more than a
// quarter of Timeout may need half of Timeout more for each failure but the first.
func (c Config) Detection() time.Duration {
	c = c.withDefaults()
	return c.Interval + c.Timeout + time.Duration(c.Fall-1)*max(c.Recheck, c.Timeout/2)
}
