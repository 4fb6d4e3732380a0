// Package proxy carries streams through the director, for listeners that can
// follow neither a redirect nor a playlist.
//
// [Proxy.Serve] finds the first of the ranked nodes that plays, takes the
// listener's connection out of net/http's hands, and answers as an Icecast or
// SHOUTcast server would: an HTTP/1.0 head, then audio until somebody leaves.
// The answer is never chunked, for chunk framing ends up in the audio of many
// old players, and no deadline is put on a stream as a whole.
//
// # One way through
//
//	node -> source (upstream, parser) -> ring of chunks -> cursor of each listener -> socket
//
// A source is one upstream connection, which serves all listeners of a mount at a
// node. Its parser takes the stream apart once: metadata out, frames found. The
// frames make chunks of up to a second, which never change and form a chain. A
// listener is a cursor into that chain, and what it is written are pieces of
// chunks and, if it asked for them, of metadata blocks. Formats that are not
// understood have a source for each listener, and the node waits for it.
//
// When a node fails, falls silent or is left, its source looks for another one's,
// and appends to its own chain a joint: a chunk that leads into the chain of the
// other, on a frame boundary. The listeners walk over it without knowing.
//
// # Choices, and what was measured
//
// Plain TCP on Linux is written by one loop for each processor, with sockets that
// never block and epoll. That costs a listener a descriptor and about 2 KB, most of
// it the record of the session: no goroutine, no buffer, and nothing of what
// net/http and the runtime's poller hold for a connection. Listeners are written to
// once a second, which is a sixth as often as audio comes from Icecast. Beside nginx
// without buffering it takes a tenth to a third of the CPU and a fifth of the memory
// or less: docs/performance.md has the table. TLS, HTTP/2 and other systems have
// goroutines for each listener instead.
//
// A connection that ends with FIN is ended so whatever the reason: without a
// length there is nothing else that players understand, and Icecast does the same.
// After a reset ffmpeg, mpv, mpg123 and MPlayer were seen to do what they do after a
// FIN, and it would cost what the kernel still holds for them.
// Stalled and slow listeners are reset, for they would not fetch what is left.
//
// A FIN looks the same whether a listener has left or has closed its sending side only,
// as some do once they have asked. Within halfClose of the stream's beginning it is taken
// for the latter, and the next write tells who was gone: the answer to it is a reset.
// Later it is taken for the former, and the node is free at once.
package proxy

import (
	"context"
	"crypto/tls"
	"iter"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Config says how much a Proxy may carry and how long it waits. A zero duration
// means its default.
type Config struct {
	MaxListeners int     // streams carried at once; 0: any number
	MaxMbit      float64 // megabits a second of audio carried at once, as Request.Kbit adds up; 0: any
	MaxPerMount  int     // streams of one mount carried at once; 0: any number
	MaxPerClient int     // streams to one address (IPv4, or an IPv6 /64) at once; 0: any number

	// PerListener gives each listener an upstream of its own, which tells the node
	// who listens, for stations whose nodes must count every listener.
	PerListener bool
	// Burst is how much audio a listener gets at once, to begin with and to have in
	// reserve. 0: 64 KB, as Icecast's burst-size.
	Burst time.Duration
	// Linger is how long an upstream is kept for new listeners when the last has left.
	Linger time.Duration

	ConnectTimeout time.Duration // TCP and TLS toward one node; default 2 s
	HeaderTimeout  time.Duration // from the request to the first frame of audio; default 5 s
	// IdleTimeout is how long a node may be silent in mid-stream before its
	// listeners are cut. A frozen node keeps its connections open, and shows only
	// here. Another node is looked for much earlier, when half of the burst is
	// used up. Default 15 s.
	IdleTimeout time.Duration
	// StallTimeout is how long a listener may take no audio before it is cut. It
	// counts from the last that it acknowledged, and takes up to 3 s more; over HTTP/2,
	// and on other systems than Linux, it counts from when the network's buffers toward
	// it are full. Default 15 s.
	StallTimeout time.Duration

	// Targets returns the nodes that may take over the listeners of one that has
	// failed or is to be left, the best first. It may include that one, and is asked
	// for the listener for whom the upstream was opened. nil: the Upstreams of that
	// listener's Request.
	Targets func(mount string, node director.NodeID, client netip.Addr) []Upstream
	// Nodes returns all nodes of the fleet, each with every URL at which it is found:
	// a node may redirect to another. nil: only to one of the listener's Request.
	Nodes func() iter.Seq2[director.NodeID, string]
	// Evidence is told what nodes did instead of playing. It must not block.
	Evidence func(Failure)
	// Opening is told of each connection that is about to be opened, which the node
	// will count as a listener, however many share it. It must not block.
	Opening func(director.NodeID)

	TLS *tls.Config  // toward https nodes; nil: verify with the system's roots
	Log *slog.Logger // nil: slog.Default

	patience  time.Duration // how long any node may be silent; default minPatience
	halfClose time.Duration // see halfClose; negative: 0
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
	Client    netip.Addr // for MaxPerClient, and told to the node like UserAgent; invalid: unknown
	UserAgent string     // told to the node over an upstream that is this listener's own
	// Query and Authorization are what the listener added to the URL, and its header of
	// that name. A node gets them only over an upstream that is this listener's own: with
	// PerListener, or where it lets in nobody without. They may be empty.
	Query         string
	Authorization string
	Metadata      bool   // the listener asked for ICY metadata
	ICYLine       bool   // answer "ICY 200 OK", which some SHOUTcast players insist on
	Type          string // media type where the node tells none or octet-stream; empty: audio/mpeg

	personal bool // the node is told who listens
}

// Proxy carries streams within a budget. It is safe for concurrent use.
type Proxy struct {
	cfg    Config
	epoch  time.Time
	budget budget
	base   context.Context // of all sources
	end    context.CancelFunc
	cutoff context.Context // done when running streams must end
	cut    context.CancelCauseFunc
	start  sync.Once // of loops, with the first listener on plain TCP
	loops  []*loop

	running sync.WaitGroup // one for each listener that has room; added to under budget.mu
	open    sync.WaitGroup // one for each goroutine that looks after a source
	turn    atomic.Uint32  // which loop is next

	mu      sync.Mutex // guards what follows, and who listens to what
	shared  map[key]*source
	sources map[*source]struct{}
	mounts  map[string]*mount
	whys    map[Why]uint64
	failing map[place]Trouble // what nodes did last, if not play
	members map[place]members // where each listener has to show something
}

// New returns a Proxy that carries nothing yet. It is ended by Drain.
func New(cfg Config) *Proxy {
	orDefault(&cfg.ConnectTimeout, 2*time.Second)
	orDefault(&cfg.HeaderTimeout, 5*time.Second)
	orDefault(&cfg.IdleTimeout, 15*time.Second)
	orDefault(&cfg.StallTimeout, 15*time.Second)
	orDefault(&cfg.patience, minPatience)
	if cfg.halfClose == 0 {
		cfg.halfClose = halfClose
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	p := &Proxy{
		cfg: cfg, epoch: time.Now(), budget: newBudget(cfg),
		shared: map[key]*source{}, sources: map[*source]struct{}{}, mounts: map[string]*mount{}, whys: map[Why]uint64{}, failing: map[place]Trouble{},
		members: map[place]members{},
	}
	p.base, p.end = context.WithCancel(context.Background())
	p.cutoff, p.cut = context.WithCancelCause(context.Background())
	return p
}

func orDefault(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

// now is the Proxy's clock. It is never 0, which means "never".
func (p *Proxy) now() time.Duration { return time.Since(p.epoch) + 1 }

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
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = ctx.Err()
		p.cfg.Log.Info("ending the streams that are still carried inline", "listeners", p.Usage().Listeners)
		p.cut(EndDrained)
		p.all(taskCut)
		<-idle
	}
	p.end()
	p.all(taskStop)
	p.open.Wait()
	return err
}

func (p *Proxy) all(kind taskKind) {
	p.start.Do(func() {}) // no more of them
	for _, l := range p.loops {
		l.post(task{kind: kind})
	}
}
