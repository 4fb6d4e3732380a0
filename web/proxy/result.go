package proxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Result is how a stream went.
type Result struct {
	Node     director.NodeID // the node that served last; empty: none did
	Bytes    int64           // bytes of the stream written to the listener, ICY metadata included
	Duration time.Duration   // since the answer began; 0: it never began
	End      End
	Failed   []Failure // what the nodes did that were tried before, in order
}

// An End says why a stream ended. The set is closed. Each value is a stable string that
// also appears in logs and metrics.
type End string

// How a stream can end.
const (
	EndListenerLeft    End = "listener_left"    // the listener's connection was closed or reset
	EndListenerStalled End = "listener_stalled" // the listener took no audio for StallTimeout
	EndListenerSlow    End = "listener_slow"    // the listener took less than the bitrate, and skipped too often
	EndUpstreamEnded   End = "upstream_ended"   // the node closed its connection or ended its body, and no node took over
	EndUpstreamSilent  End = "upstream_silent"  // the node sent nothing for IdleTimeout, and no node took over
	EndUpstreamFailed  End = "upstream_failed"  // the node reset its connection or broke its framing, and no node took over
	EndDrained         End = "drained"          // this director was shut down; of a Failover: the node was left
)

// ends lists every End, for counters that name them all from the start.
var ends = [...]End{EndListenerLeft, EndListenerStalled, EndListenerSlow, EndUpstreamEnded, EndUpstreamSilent, EndUpstreamFailed, EndDrained}

// upstream reports whether the node ended the stream.
func (e End) upstream() bool {
	return e == EndUpstreamEnded || e == EndUpstreamSilent || e == EndUpstreamFailed
}

// Error makes an End usable as the cause of a cancelled context.
func (e End) Error() string { return string(e) }

// A Failure is evidence against a node: what it did instead of playing.
type Failure struct {
	Node   director.NodeID
	Mount  string
	Why    Why
	Detail string // for an operator: the request, and what came of it
}

// A Why classifies a Failure. The set is closed. Each value is a stable string that also
// appears in logs and metrics.
type Why string

// What a node can do instead of playing.
const (
	WhyURL      Why = "url"       // the node's URL is unusable: a mistake of the caller's
	WhyConnect  Why = "connect"   // no connection, or no trusted TLS session
	WhyOwn      Why = "own"       // this director has no file descriptor left: no fault of the node
	WhyTimeout  Why = "timeout"   // connected, but no audio within HeaderTimeout
	WhyHeader   Why = "header"    // no HTTP or ICY answer, or a head that is too long
	WhyFull     Why = "full"      // 403 or 503: how Icecast and its kin refuse listeners at a limit
	WhyMembers  Why = "members"   // 401: it wants a password or a token of each listener
	WhyStatus   Why = "status"    // any other status but 2xx
	WhyRedirect Why = "redirect"  // to no node of the fleet, to itself, or a second redirect
	WhyNotAudio Why = "not_audio" // a page, a playlist, a compressed body
	WhyMetadata Why = "metadata"  // an unusable icy-metaint, or metadata at another interval
	WhyEnded    Why = "ended"     // closed or broken before the first frame of audio
	WhyLost     Why = "lost"      // closed or broken in mid-stream
	WhySilent   Why = "silent"    // less than half its bitrate for too long in mid-stream
)

// Error makes a Failure usable as an error.
func (f Failure) Error() string { return string(f.Node) + ": " + f.Detail }

// Errors of Serve. With each of them nothing has been written, and the caller
// still owns the response.
var (
	ErrNoRoom     = errors.New("inline: the budget is used up")
	ErrNoUpstream = errors.New("inline: no node played")
	// ErrDraining wraps ErrNoRoom, so that a caller handles both alike.
	ErrDraining = fmt.Errorf("inline: shutting down: %w", ErrNoRoom)
)

// RefusedError says that a node refused this very listener: by the password or the token
// that came with the request, or because there was none. It is no evidence against the
// node. Nothing has been written, and the caller still owns the response.
type RefusedError struct {
	Failure
	Status     int      // 401 or 403
	Challenges []string // the node's WWW-Authenticate, for 401
}

// NoUpstreamError is an ErrNoUpstream that says what each node did.
type NoUpstreamError struct{ Failed []Failure }

func (e *NoUpstreamError) Error() string {
	text := ErrNoUpstream.Error()
	for i, f := range e.Failed {
		text += [...]string{": ", "; "}[min(i, 1)] + f.Error()
	}
	return text
}

// Unwrap returns ErrNoUpstream.
func (e *NoUpstreamError) Unwrap() error { return ErrNoUpstream }
