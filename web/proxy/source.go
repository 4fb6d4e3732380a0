package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/proxy/audio"
)

const (
	// pace is how often listeners are written to. Icecast sends a second of audio in six
	// pieces. One write of the whole second costs a fifth of six writes, and players buffer
	// several seconds.
	pace = time.Second
	// minPatience is how long any node may be silent. Icecast sends six times a second.
	minPatience = time.Second
)

// A source is one upstream connection and its listeners. It never changes its node: when
// the node fails, the listeners go over to another source.
type source struct {
	p     *Proxy
	ask   ask
	node  director.NodeID // the node that serves; after a redirect perhaps not the one asked
	mount *mount
	alone bool        // opened for one listener
	lent  atomic.Bool // a loop reads it, and no goroutine looks after it
	began time.Time

	ctx    context.Context
	cancel context.CancelCauseFunc
	vacate chan struct{} // signals that the listeners are to go to another node

	ready chan struct{} // closed when it plays or has failed
	fail  error         // set before ready is closed; nil: it plays. A Failure, a *RefusedError or an End
	head  head          // set before ready is closed
	codec audio.Codec   // set before ready is closed

	ring    *ring
	parser  *parser
	heads   [4]atomic.Pointer[[]byte] // heads of answers, ready to be written
	arrived atomic.Int64              // bytes from the node
	reserve atomic.Int64              // the burst that the only listener has got, in nanoseconds
	shards  atomic.Uint64             // the loops that write to listeners of this source, a bit each
	space   chan struct{}             // signals that the listener of an opaque stream has taken something
	taken   atomic.Int64              // how much that listener has taken, in bytes

	// Guarded by p.mu.
	private bool    // one listener's own
	kept    bool    // a listener has called keep
	claims  int     // listeners, and goroutines that wait for the source to play
	moved   *source // the source that its listeners have gone to
	end     End     // why it has ended; empty: it has not
}

// key identifies a source that listeners can share.
type key struct {
	node director.NodeID
	url  string
}

// claim returns the source of a mount at a node, and opens one if there is none to share.
// The caller gives the claim back with release, or hands it to a session.
func (p *Proxy) claim(u Upstream, req Request, private bool) *source {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := key{u.Node, u.URL}
	if s := p.shared[k]; s != nil && !private {
		s.claims++
		return s
	}
	s := &source{
		p: p, ask: p.newAsk(u, req), node: u.Node, mount: p.mountOf(req.Mount), alone: private, private: private, began: time.Now(),
		vacate: make(chan struct{}, 1), ready: make(chan struct{}), space: make(chan struct{}, 1),
		ring: newRing(p.cfg.Burst, orKbit(req.Kbit), p.now()), claims: 1,
	}
	s.parser = &parser{s: s}
	s.ctx, s.cancel = context.WithCancelCause(p.base)
	if !private {
		p.shared[k] = s
	}
	p.sources[s] = struct{}{}
	p.open.Add(1)
	go s.run()
	return s
}

// release gives a claim back. The source ends with its last claim, or lingers for new ones.
func (p *Proxy) release(s *source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s = s.followed()
	if s.claims--; s.claims > 0 || s.end != "" {
		return
	}
	if p.cfg.Linger == 0 || s.private {
		s.forget()
		s.cancel(EndListenerLeft)
		return
	}
	time.AfterFunc(p.cfg.Linger, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.claims == 0 {
			s.forget()
			s.cancel(EndListenerLeft)
		}
	})
}

// followed returns the source that the listeners of s have gone to. p.mu is held.
func (s *source) followed() *source {
	for s.moved != nil {
		s = s.moved
	}
	return s
}

// forget makes s unavailable to further claims. p.mu is held.
func (s *source) forget() {
	k := key{s.ask.upstream.Node, s.ask.upstream.URL}
	if s.p.shared[k] == s {
		delete(s.p.shared, k)
	}
}

// keep makes a source the caller's own, and reports whether the caller was the first.
func (s *source) keep() bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.forget()
	mine := !s.kept
	s.kept, s.private = true, true
	return mine
}

// run opens the upstream and looks after it until it ends, or until a loop reads it.
func (s *source) run() {
	if opening := s.p.cfg.Opening; opening != nil {
		opening(s.ask.upstream.Node)
	}
	up, err := s.p.openOne(s.ctx, s.ask)
	if err != nil {
		s.refuse(err)
		s.cancel(nil)
		s.p.open.Done()
		return
	}
	s.p.mu.Lock()
	s.node, s.head = up.node, up.head
	s.p.mu.Unlock()
	s.parser.begin(up)
	reading := s.startReading(up)
	select {
	case <-reading.ended:
	case <-s.parser.found:
	}
	select {
	case <-s.parser.found:
	default: // the upstream ended before the first frame
		s.refuse(reading.err)
		s.close(up, reading)
		return
	}
	s.codec = s.parser.codec
	s.plays()
	close(s.ready)
	s.look(up, reading)
}

// A reading is a goroutine that reads from a node.
type reading struct {
	ended chan struct{} // closed when it has ended
	err   error         // why; set before ended is closed
}

func (s *source) startReading(up *upstream) *reading {
	r := &reading{ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = s.read(up)
	}()
	return r
}

// close frees what a source holds that has ended.
func (s *source) close(up *upstream, r *reading) {
	s.cancel(nil)
	up.close()
	<-r.ended
	s.p.open.Done()
}

// refuse ends a source that has not played.
func (s *source) refuse(err error) {
	s.p.mu.Lock()
	s.forget()
	delete(s.p.sources, s)
	s.end = EndUpstreamFailed
	s.p.mu.Unlock()
	if s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	}
	s.fail = s.ask.failure(err)
	if f, ok := s.fail.(Failure); ok { //nolint:errorlint // never wrapped
		s.evidence(f)
		if r := (*refusal)(nil); errors.As(err, &r) && (f.Why == WhyMembers || f.Why == WhyFull && r.code == http.StatusForbidden) {
			s.fail = &RefusedError{f, r.code, r.challenges}
		}
	}
	close(s.ready)
}

// failure says what a node did instead of playing.
func (a *ask) failure(err error) error {
	var end End
	if errors.As(err, &end) {
		return end
	}
	f := Failure{Node: a.upstream.Node, Why: WhyConnect, Detail: "GET " + a.upstream.URL + ": " + wording.Text(err)}
	if r := (*refusal)(nil); errors.As(err, &r) {
		f.Why = r.why
	}
	if a.query != "" {
		f.Detail = strings.ReplaceAll(f.Detail, a.query, "...") // a node's redirect may repeat it
	}
	return f
}

// patience returns how long the node may be silent before the search for another begins:
// half of what listeners have in reserve, as the search needs the other half.
func (s *source) patience() time.Duration {
	if joinable(s.parser.codec) {
		took := time.Duration(s.reserve.Load())
		if took == 0 {
			_, took, _ = s.ring.measured()
		}
		return min(max(took/2, s.p.cfg.patience), s.p.cfg.IdleTimeout)
	}
	return s.p.cfg.IdleTimeout
}

// publish makes what has arrived available to the listeners.
func (s *source) publish() {
	s.ring.publish(s.p.now())
	s.tell(task{kind: taskMore, src: s})
}

// tell gives a task to the loops that have listeners of this source.
func (s *source) tell(t task) {
	shards := s.shards.Load()
	if shards == 0 {
		return
	}
	for _, l := range s.p.loops {
		if shards&l.bit != 0 {
			l.post(t)
		}
	}
}

// paced reports whether the node is kept waiting for the listener: nothing can be skipped
// in a stream that is not understood.
func (s *source) paced() bool { return s.codec == audio.Opaque }

// took records how many bytes the only listener has taken.
func (s *source) took(n int64) {
	s.taken.Store(n)
	select {
	case s.space <- struct{}{}:
	default:
	}
}

// awaitSpace waits until at most readSize bytes are waiting for the only listener.
func (s *source) awaitSpace() {
	for s.parser.passed-s.taken.Load() > readSize {
		s.publish()
		select {
		case <-s.space:
		case <-s.ctx.Done():
			return
		}
	}
}

// answer returns the head of a listener's answer. Each form of it is made once.
func (s *source) answer(icy, metadata bool) []byte {
	i := 0
	if icy {
		i |= 1
	}
	if metadata {
		i |= 2
	}
	if b := s.heads[i].Load(); b != nil {
		return *b
	}
	a := newAnswer(s.head, s.ask.req.Type, icy, metadata)
	b := a.wire()
	s.heads[i].Store(&b)
	return b
}
