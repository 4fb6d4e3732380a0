package probe

import (
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Config configures a Prober. A zero field means its default.
type Config struct {
	// Interval is the time from one probe of a healthy node to the next, less up
	// to a tenth of it, so that many nodes do not stay in step. Default 2 s.
	Interval time.Duration
	// Timeout bounds a probe, from the lookup of the host to the last byte. A
	// probe that confirms a failure gets half of it, or twice as long as the node's
	// answers take, if that is more. Default 2 s.
	Timeout time.Duration
	// Recheck is how soon a node in doubt is probed again, counted from the start
	// of the probe that raised the doubt. Default 500 ms.
	Recheck time.Duration
	// Fall is how many failures in a row take a node down, Rise how many good answers
	// in a row bring it up again. Both default to 2. A node that was never down is up
	// with its first good answer.
	Fall, Rise int
	// Sample is how often the prober listens to each mount whose server does not report
	// incoming bytes: for some 2 s, or 13 s if the mount is silent. This takes a
	// listener's seat. 0: never.
	Sample time.Duration
	// Push keeps a connection open to each Icecast whose admin password is known, over
	// which the server announces changes. After a change the node is probed at once, up
	// to four times a second.
	Push bool
	// InFlight is how many probes may run at once, each with a goroutine and a
	// socket. Default 256: that many nodes may hang before others are probed late.
	InFlight int

	// Kind returns what kind of server a node is, one of [Kinds] or [Reach]. Nil or "":
	// icecast.
	Kind func(director.NodeID) string
	// Credentials returns a node's admin user and password, if there are any.
	Credentials func(director.NodeID) (user, password string, ok bool)
	// Path returns the path to request from a node of kind http; nil or "": the mounts
	// themselves, or "/" where none is declared. For kind Reach it is the mount to open;
	// "": none is opened.
	Path func(director.NodeID) string
	// Expect returns the statuses expected for Path, or for the mounts, of a node of kind
	// http. Nil: 2xx or 3xx for a page, and what a listener needs for a mount.
	Expect func(director.NodeID) Statuses
	// OnDemand is how often a relay that connects only for listeners is made to connect,
	// to see whether it plays. 0: once when it appears or after it was down, and when
	// it is in doubt.
	OnDemand time.Duration
	// TLS is used for https URLs, whose certificates are verified as players would. Nil:
	// the system's roots.
	TLS *tls.Config

	Now func() time.Time // the store's clock, for the times in reports; default time.Now
	// Chance returns a random duration from 0 to most, without most. It keeps nodes and
	// directors out of step. Default: that of math/rand/v2.
	Chance func(most time.Duration) time.Duration
	Log    *slog.Logger // changes of state; default: nowhere
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
	if c.Chance == nil {
		c.Chance = rand.N[time.Duration]
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Detection returns the longest time for which a node that was up can be dead before
// it is reported down, whether it refuses connections, is off the network, or accepts
// connections and never answers. With the defaults it is 5 s. A node that refuses
// connections is found in half of that. A node whose answers take more than a quarter
// of Timeout may need half of Timeout more for each failure but the first.
func (c Config) Detection() time.Duration {
	c = c.withDefaults()
	return c.Interval + c.Timeout + time.Duration(c.Fall-1)*max(c.Recheck, c.Timeout/2)
}
