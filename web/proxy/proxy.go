// Package proxy carries streams through the director, for listeners that can
// follow neither a redirect nor a playlist.
//
// [Proxy.Serve] finds the first of the ranked nodes that plays, takes the
// listener's connection over from net/http, and answers as an Icecast or
// SHOUTcast server would: an HTTP/1.0 head, then audio until one side leaves.
// The answer is never chunked, because many old players take the chunk framing for audio.
// A stream as a whole has no deadline.
//
// # How audio flows
//
//	node -> source (upstream, parser) -> ring of chunks -> cursor of each listener -> socket
//
// A source is one upstream connection, which serves all listeners of a mount at a
// node. Its parser processes the stream once: it takes the metadata out and finds the
// frames. Frames are collected into chunks of up to a second. Chunks never change, and
// form a chain. A listener is a cursor into that chain. It is written pieces of chunks
// and, if it asked for them, of metadata blocks. A stream in a format that is not
// understood has a source for each listener, and the node waits for that listener.
//
// When a node fails, falls silent or is to be left, its source looks for the source of
// another node, and appends a joint to its own chain: a chunk that leads into the other's
// chain on a frame boundary. The listeners follow it without noticing.
//
// # Choices, and what was measured
//
// On Linux listeners are written to by one loop for each processor, with non-blocking
// sockets and epoll. A listener costs a descriptor and about 2 KB, most of it the record
// of the session. It has no goroutine, no buffer, and none of the memory
// that net/http and the runtime's poller hold for a connection. Listeners are written to
// once a second, a sixth as often as audio comes from Icecast. Compared with nginx
// without buffering, this takes a tenth to a third of the CPU and a fifth of the memory
// or less: docs/performance.md has the table. Over TLS (see [Wired]) a listener has the
// state of a [tls.Conn] besides, which the loop drives without waiting. With HTTP/2 and
// on other systems each listener has goroutines instead.
//
// A source with a single listener has two goroutines only while it begins or something is
// wrong. Otherwise the loop reads its socket, too, on a grid of time, and writes what it has
// read from memory that all such sources share (see feed). Over TLS toward the node, in
// chunks, and for formats that are not understood, the goroutines stay.
//
// Streams end with a FIN whatever the reason: a body without a length has no other end
// that players understand, and Icecast does the same. After a reset, ffmpeg, mpv, mpg123
// and MPlayer were seen to do what they do after a FIN, and a reset would lose what the
// kernel still holds for them. Stalled and slow listeners are reset, because they would
// not fetch the rest.
//
// A FIN looks the same whether a listener has left or has only closed its sending side,
// as some do after the request. Within halfClose of the stream's beginning it is taken
// for the latter; a listener that has left answers the next write with a reset. Later it
// is taken for the former, and the node is free at once.
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

// Config says how much a Proxy may carry and how long it waits. A zero duration means
// the field's default.
type Config struct {
	MaxListeners int     // streams carried at once; 0: any number
	MaxMbit      float64 // megabits a second of audio carried at once, as Request.Kbit adds up; 0: any
	MaxPerMount  int     // streams of one mount carried at once; 0: any number
	MaxPerClient int     // streams to one address (IPv4, or an IPv6 /64) at once; 0: any number

	// PerListener gives each listener an upstream of its own, which tells the node who
	// listens. It is for stations whose nodes must count every listener.
	PerListener bool
	// Burst is how much audio a listener gets at once at the beginning, as its reserve.
	// 0: 64 KB, Icecast's burst-size.
	Burst time.Duration
	// Linger is how long an upstream is kept for new listeners after the last has left.
	Linger time.Duration

	ConnectTimeout time.Duration // TCP and TLS toward one node; default 2 s
	HeaderTimeout  time.Duration // from the request to the first frame of audio; default 5 s
	// IdleTimeout is how long a node may be silent in mid-stream before its listeners
	// are cut. A frozen node keeps its connections open, and only this timeout detects it.
	// The search for another node begins much earlier, when half of the burst is used up.
	// Default 15 s.
	IdleTimeout time.Duration
	// StallTimeout is how long a listener may take no audio before it is cut. It counts
	// from the last audio that the listener acknowledged, and takes up to 3 s more. Over
	// HTTP/2, and on systems other than Linux, it counts from when the network's buffers
	// toward the listener are full. Default 15 s.
	StallTimeout time.Duration

	// Targets returns the nodes that may take over the listeners of a node that has
	// failed or is to be left, the best first. The result may include that node. The
	// client is the listener for whom the upstream was opened. nil: the Upstreams of that
	// listener's Request.
	Targets func(mount string, node director.NodeID, client netip.Addr) []Upstream
	// Nodes returns all nodes of the fleet, each with every URL at which it is found. A
	// node may redirect to any of them. nil: only to the Upstreams of the listener's Request.
	Nodes func() iter.Seq2[director.NodeID, string]
	// Evidence is called with what a node did instead of playing. It must not block.
	Evidence func(Failure)
	// Opening is called before each upstream is opened. The node will count that
	// connection as one listener, however many share it. It must not block.
	Opening func(director.NodeID)

	TLS *tls.Config  // toward https nodes; nil: verify with the system's roots
	Log *slog.Logger // nil: slog.Default

	patience    time.Duration // how long any node may be silent; default minPatience
	halfClose   time.Duration // see halfClose; negative: 0
	renewWithin time.Duration // see renewWithin
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
	// Query is what the listener added to the URL, and Authorization its header of that
	// name. A node gets them only over an upstream that is this listener's own: with
	// PerListener, or where the node lets in nobody without them. They may be empty.
	Query         string
	Authorization string
	Metadata      bool   // the listener asked for ICY metadata
	ICYLine       bool   // answer "ICY 200 OK", which some SHOUTcast players insist on
	Type          string // media type if the node declares none or octet-stream; empty: audio/mpeg

	personal bool // the node is told who listens
}

// Proxy carries streams within a budget. It is safe for concurrent use. Drain ends it.
type Proxy struct {
	cfg    Config
	epoch  time.Time
	budget budget
	base   context.Context // of all sources
	end    context.CancelFunc
	cutoff context.Context // done when running streams must end
	cut    context.CancelCauseFunc
	start  sync.Once // of loops, with the first listener
	loops  []*loop

	running sync.WaitGroup // one for each listener that has claimed room; added to under budget.mu
	open    sync.WaitGroup // one for each goroutine that runs a source or searches for one
	turn    atomic.Uint32  // which loop is next

	mu      sync.Mutex // guards what follows, and who listens to what
	shared  map[key]*source
	sources map[*source]struct{}
	mounts  map[string]*mount
	whys    map[Why]uint64
	failing map[place]Trouble // what nodes did last instead of playing
	members map[place]members // where each listener needs a password or a token
}

// New returns a Proxy that carries nothing yet.
func New(cfg Config) *Proxy {
	orDefault(&cfg.ConnectTimeout, 2*time.Second)
	orDefault(&cfg.HeaderTimeout, 5*time.Second)
	orDefault(&cfg.IdleTimeout, 15*time.Second)
	orDefault(&cfg.StallTimeout, 15*time.Second)
	orDefault(&cfg.patience, minPatience)
	orDefault(&cfg.renewWithin, renewWithin)
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

// Drain refuses new listeners with ErrDraining and waits until the present ones have
// left. If ctx is done first, it ends their streams, waits for that, and returns the
// context's error. A drained Proxy stays drained.
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
		p.cfg.Log.Info("ending the inline streams that still play", "listeners", p.Usage().Listeners)
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
	p.start.Do(func() {}) // no loops are started from here on
	for _, l := range p.loops {
		l.post(task{kind: kind})
	}
}
