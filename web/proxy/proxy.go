// Package proxy carries a stream through the director, for listeners that can
// follow neither a redirect nor a playlist.
//
// [Proxy.Serve] asks the ranked nodes in turn until one of them plays, takes the
// listener's connection out of net/http's hands, and answers as an Icecast or
// SHOUTcast server would: an HTTP/1.0 head, then audio until somebody leaves.
// The answer is never chunked, for chunk framing ends up in the audio of many
// old players, and no deadline is put on a stream as a whole.
//
// Each listener has an upstream connection of its own, which is closed as soon
// as the listener is gone.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Config says how much a Proxy may carry and how long it waits. A zero duration
// means its default.
type Config struct {
	MaxListeners int     // streams carried at once; 0: any number
	MaxMbit      float64 // megabits a second of audio carried at once, as Request.Kbit adds up; 0: any

	ConnectTimeout time.Duration // TCP and TLS toward one node; default 2 s
	HeaderTimeout  time.Duration // from the request to the first byte of audio; default 5 s
	// IdleTimeout is how long a node may be silent in mid-stream before the
	// stream is cut. A frozen node keeps its connections open, and shows only
	// here. Default 15 s.
	IdleTimeout time.Duration
	// StallTimeout is how long a listener may take no audio before it is cut.
	// It counts from when the network's buffers toward it are full. Default 15 s.
	StallTimeout time.Duration

	TLS *tls.Config  // toward https nodes; nil: verify with the system's roots
	Log *slog.Logger // nil: slog.Default
}

// An Upstream is one node that may serve the listener.
type Upstream struct {
	Node director.NodeID
	URL  string // absolute, with the mount's path on that node and the query
}

// Request is one listener to carry a stream for.
type Request struct {
	Upstreams []Upstream // ranked: the next is tried if one fails before its first byte of audio
	Mount     string     // the public path, for logs
	Kbit      int        // what the stream takes of the budget, in kbit/s; 0: 128
	Client    netip.Addr // told to the node in X-Forwarded-For; invalid: not told
	ICYLine   bool       // answer "ICY 200 OK", which some SHOUTcast players insist on
	Type      string     // media type where the node tells none or octet-stream; empty: audio/mpeg
}

// Result is how a stream went.
type Result struct {
	Node     director.NodeID // which node served; empty: none did
	Bytes    int64           // of the node's stream written to the listener, ICY metadata included
	Duration time.Duration   // since the answer began; 0: it never did
	End      End             // empty if Serve returned an error
	Failed   []Failure       // nodes that were tried in vain, in order
}

// An End says why a stream ended. The set is closed, and each is its stable
// string in logs and metrics.
type End string

// How a stream can end.
const (
	EndListenerLeft    End = "listener_left"    // closed or half-closed its connection, or it was reset
	EndListenerStalled End = "listener_stalled" // took no audio for StallTimeout
	EndUpstreamEnded   End = "upstream_ended"   // the node closed its connection, or its body was over
	EndUpstreamSilent  End = "upstream_silent"  // the node sent nothing for IdleTimeout
	EndUpstreamFailed  End = "upstream_failed"  // the node reset its connection or broke its own framing
	EndDrained         End = "drained"          // this director was shut down
)

// Ends lists every End, for metrics that name them all from the start.
func Ends() []End {
	return []End{EndListenerLeft, EndListenerStalled, EndUpstreamEnded, EndUpstreamSilent, EndUpstreamFailed, EndDrained}
}

// Error makes an End usable as the cause of a cancelled context.
func (e End) Error() string { return string(e) }

// A Failure is evidence against a node: what it did instead of playing.
type Failure struct {
	Node   director.NodeID
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
	WhyTimeout  Why = "timeout"   // connected, but no audio within HeaderTimeout
	WhyHeader   Why = "header"    // what came is not an HTTP or ICY answer, or its head is without end
	WhyFull     Why = "full"      // 403 or 503: how Icecast and its kin refuse listeners at a limit
	WhyStatus   Why = "status"    // any other status but 2xx
	WhyRedirect Why = "redirect"  // to a stranger, to itself, or a second one
	WhyNotAudio Why = "not_audio" // a page, a playlist, a compressed body
	WhyMetadata Why = "metadata"  // ICY metadata unasked for, or at no usable interval
	WhyEnded    Why = "ended"     // closed or broken before the first byte of audio
)

// Errors of Serve. With each of them nothing has been written, and the caller
// still owns the response.
var (
	ErrNoRoom     = errors.New("proxy: the inline budget is used up")
	ErrNoUpstream = errors.New("proxy: no node gave audio")
	// ErrDraining is an ErrNoRoom: here or elsewhere, the ladder goes on.
	ErrDraining = fmt.Errorf("proxy: shutting down: %w", ErrNoRoom)
)

// Proxy carries streams within a budget. It is safe for concurrent use.
type Proxy struct {
	cfg    Config
	budget budget
	cutoff context.Context // done when running streams must end
	cut    context.CancelFunc

	running sync.WaitGroup // one for each Serve that has room; added to under budget.mu
}

// New returns a Proxy that carries nothing yet.
func New(cfg Config) *Proxy {
	orDefault(&cfg.ConnectTimeout, 2*time.Second)
	orDefault(&cfg.HeaderTimeout, 5*time.Second)
	orDefault(&cfg.IdleTimeout, 15*time.Second)
	orDefault(&cfg.StallTimeout, 15*time.Second)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	p := &Proxy{cfg: cfg, budget: budget{maxListeners: cfg.MaxListeners, maxMbit: cfg.MaxMbit}}
	p.cutoff, p.cut = context.WithCancel(context.Background())
	return p
}

func orDefault(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

// Drain refuses new listeners with ErrDraining and waits until those present
// have left. When ctx is done first, it ends their streams, waits for that and
// returns the context's error. A Proxy that was drained stays so.
func (p *Proxy) Drain(ctx context.Context) error {
	p.budget.close()
	idle := make(chan struct{})
	go func() {
		p.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	p.cfg.Log.Info("ending the streams that are still carried inline", "listeners", p.Usage().Listeners)
	p.cut()
	<-idle
	return ctx.Err()
}
