package proxy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Result is how a stream went.
type Result struct {
	Node     director.NodeID // which node served last; empty: none did
	Bytes    int64           // of the stream written to the listener, ICY metadata included
	Duration time.Duration   // since the answer began; 0: it never did
	End      End
	Failed   []Failure // nodes that were tried in vain, in order
}

// An End says why a stream ended. The set is closed, and each is its stable
// string in logs and metrics.
type End string

// How a stream can end.
const (
	EndListenerLeft    End = "listener_left"    // closed its connection, or it was reset
	EndListenerStalled End = "listener_stalled" // took no audio for StallTimeout
	EndListenerSlow    End = "listener_slow"    // took less than the bitrate, and skipped too often
	EndUpstreamEnded   End = "upstream_ended"   // the node closed its connection, or its body was over, and nobody took over
	EndUpstreamSilent  End = "upstream_silent"  // the node sent nothing for IdleTimeout, and nobody took over
	EndUpstreamFailed  End = "upstream_failed"  // the node reset its connection or broke its framing, and nobody took over
	EndDrained         End = "drained"          // this director was shut down; of a Failover: the node was left
)

var ends = [...]End{EndListenerLeft, EndListenerStalled, EndListenerSlow, EndUpstreamEnded, EndUpstreamSilent, EndUpstreamFailed, EndDrained}

// Ends lists every End, for metrics that name them all from the start.
func Ends() []End { return slices.Clone(ends[:]) }

// upstream says whether it was the node's doing.
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
	Detail string // for an operator: what was asked, and what came
}

// A Why classes a Failure. The set is closed, and each is its stable string in
// logs and metrics.
type Why string

// What a node can do instead of playing.
const (
	WhyURL      Why = "url"       // the URL to ask is unusable: a mistake of the caller's
	WhyConnect  Why = "connect"   // no connection, or no TLS session that can be trusted
	WhyOwn      Why = "own"       // this director has no file descriptor left: no fault of the node
	WhyTimeout  Why = "timeout"   // connected, but no audio within HeaderTimeout
	WhyHeader   Why = "header"    // what came is not an HTTP or ICY answer, or its head is without end
	WhyFull     Why = "full"      // 403 or 503: how Icecast and its kin refuse listeners at a limit
	WhyMembers  Why = "members"   // 401: it wants a password or a token of each listener
	WhyStatus   Why = "status"    // any other status but 2xx
	WhyRedirect Why = "redirect"  // to a stranger, to itself, or a second one
	WhyNotAudio Why = "not_audio" // a page, a playlist, a compressed body
	WhyMetadata Why = "metadata"  // ICY metadata at no usable interval, or at another than told
	WhyEnded    Why = "ended"     // closed or broken before the first frame of audio
	WhyLost     Why = "lost"      // closed or broken in mid-stream
	WhySilent   Why = "silent"    // less than half its bitrate for too long in mid-stream
)

// Error makes a Failure usable as one.
func (f Failure) Error() string { return string(f.Node) + ": " + f.Detail }

// Errors of Serve. With each of them nothing has been written, and the caller
// still owns the response.
var (
	ErrNoRoom     = errors.New("proxy: the inline budget is used up")
	ErrNoUpstream = errors.New("proxy: no node gave audio")
	// ErrDraining is an ErrNoRoom: here or elsewhere, the ladder goes on.
	ErrDraining = fmt.Errorf("proxy: shutting down: %w", ErrNoRoom)
)

// RefusedError says that a node refused this very listener: by the password or the token
// that came with the request, or because there was none. It is no evidence against the
// node. Nothing has been written, and the caller still owns the response.
type RefusedError struct {
	Failure
	Status     int      // 401, or 403
	Challenges []string // of the node: WWW-Authenticate, for 401
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
