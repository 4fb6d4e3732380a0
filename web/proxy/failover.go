package proxy

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/proxy/audio"
)

// joinedBy is how many frames identify a position in a stream.
const joinedBy = 4

// maxTakers is how many sources are tried for the listeners of a failed node: each may
// end before it takes over.
const maxTakers = 3

// Failover is one change of node under listeners.
type Failover struct {
	Time      time.Time       `json:"time"`
	From      director.NodeID `json:"from"`
	To        director.NodeID `json:"to,omitempty"` // empty: no node could take over
	Cause     End             `json:"cause"`
	Gap       time.Duration   `json:"-"` // without audio from either
	GapMs     int64           `json:"gap_ms"`
	Listeners int             `json:"listeners"`
}

// renewAfter is how long an upstream must have existed for its end to be taken for the
// end of the connection only, not of the stream.
const renewAfter = 2 * time.Second

// renewWithin is how long the new connection may take to reach the point where the old
// one ended: Icecast's burst of 64 KB arrives within half a second.
const renewWithin = time.Second

// renewLook is how often it is looked whether the new connection has reached that point.
const renewLook = 20 * time.Millisecond

// renew continues with the same node over another connection, and reports whether that
// plays. Some nodes end each connection after a while (Icecast's max-listener-duration),
// and the newest listener that shares it may have come a moment ago. A connection of a
// single listener is not renewed: the node ended it for this listener, as it would for any.
func (s *source) renew() bool {
	if s.alone || !joinable(s.codec) || time.Since(s.began) < renewAfter {
		return false
	}
	p := s.p
	p.mu.Lock()
	s.forget() // otherwise claim would find it again
	p.mu.Unlock()
	to := p.claim(s.ask.upstream, s.ask.req, false) //nolint:contextcheck // a source outlives who asked for it
	select {
	case <-to.ready:
	case <-s.ctx.Done():
	}
	if s.ctx.Err() != nil || to.fail != nil || to.ring.params() != s.ring.params() {
		p.release(to)
		return false
	}
	s.ring.publish(p.now())
	last := s.ring.newest(reservoir)
	catchUp := time.NewTimer(p.cfg.renewWithin)
	defer catchUp.Stop()
	look := time.NewTicker(renewLook)
	defer look.Stop()
	for waits := true; waits && !to.ring.has(last, p.now()); { // its first audio is a burst old
		select {
		case <-look.C:
		case <-catchUp.C:
			waits = false
		case <-s.ctx.Done():
			waits = false
		}
	}
	return s.handOver(to, &seeking{renewed: true})
}

// seeking is a search for a source that can take over. A nil search finds nothing.
type seeking struct {
	cause    End
	renewed  bool // the source found is at the same node
	vacating bool // the present node is to be left, and still plays
	cancel   context.CancelFunc
	found    chan *source // claimed, or nil
}

func (k *seeking) result() <-chan *source {
	if k == nil {
		return nil
	}
	return k.found
}

// stop ends a search, and releases the source it may have found meanwhile.
func (k *seeking) stop() {
	if k == nil || k.found == nil {
		return
	}
	k.cancel()
	go func(found chan *source) {
		if s := <-found; s != nil {
			s.p.release(s)
		}
	}(k.found)
	k.found = nil
}

// seek starts a search for the best other node that plays the same.
func (s *source) seek(cause End, vacating bool) *seeking {
	ctx, cancel := context.WithCancel(s.ctx)
	k := &seeking{cause: cause, vacating: vacating, cancel: cancel, found: make(chan *source, 1)}
	s.p.open.Add(1)
	go func(found chan<- *source) {
		defer s.p.open.Done()
		defer cancel()
		found <- s.other(ctx)
	}(k.found)
	return k
}

// other returns a claimed source that can take over the listeners of s; nil: there is none.
func (s *source) other(ctx context.Context) *source {
	if !joinable(s.codec) {
		return nil
	}
	for _, u := range s.targets() {
		c := s.p.claim(u, s.ask.req, s.alone) //nolint:contextcheck // a source outlives who asked for it
		select {
		case <-c.ready:
		case <-ctx.Done():
			s.p.release(c)
			return nil
		}
		if c.fail == nil && c.ring.params() == s.ring.params() && c.sound() {
			return c
		}
		s.p.release(c)
	}
	return nil
}

// sound reports whether the node plays as it should.
func (s *source) sound() bool {
	return !joinable(s.codec) || s.parser.slack(s.p.now()) > 0
}

// targets returns the nodes that may take over, the best first.
func (s *source) targets() []Upstream {
	all := s.ask.req.Upstreams
	if ask := s.p.cfg.Targets; ask != nil {
		all = ask(s.mount.name, s.node, s.ask.req.Client)
	}
	return slices.DeleteFunc(slices.Clone(all), func(u Upstream) bool {
		return u.Node == s.node || u.Node == s.ask.upstream.Node
	})
}

// joinable reports whether a stream of this codec can continue with another's frames.
func joinable(c audio.Codec) bool { return c == audio.MPEG || c == audio.ADTS }

// failed is called when the node has failed. Another source takes over, or the listeners'
// streams end.
func (s *source) failed(cause End, k *seeking) {
	if k != nil && k.vacating {
		k.stop()
		k = nil
	}
	if cause == EndUpstreamSilent {
		s.evidence(s.silence())
		if k == nil || k.found == nil { // no search is running, though there was time for one
			s.over(cause)
			return
		}
	}
	for range maxTakers {
		if k == nil || k.found == nil {
			k = s.seek(cause, false)
		}
		k.cause = cause
		select {
		case to := <-k.found:
			k.found = nil
			if to == nil {
				s.over(cause)
				return
			}
			if s.handOver(to, k) {
				return
			}
		case <-s.ctx.Done():
			k.stop()
			s.over(endOf(s.ctx, EndListenerLeft))
			return
		}
	}
	s.over(cause)
}

// silence returns the evidence against a node that has fallen silent.
func (s *source) silence() Failure {
	return Failure{Node: s.node, Why: WhySilent, Detail: "GET " + s.ask.upstream.URL + ": no audio in mid-stream"}
}

// over ends the source and its listeners' streams.
func (s *source) over(end End) {
	p := s.p
	s.ring.finish(p.now())
	p.mu.Lock()
	s.forget()
	delete(p.sources, s)
	s.end = end
	if s.claims > 0 && end.upstream() {
		s.mount.failover(Failover{Time: time.Now(), From: s.node, Cause: end, Listeners: s.claims})
	}
	p.mu.Unlock()
	s.tell(task{kind: taskEnd, src: s})
	s.ring.publish(p.now())
}

// handOver moves the listeners of s to another source, on which s holds a claim. It
// returns false if that source has ended meanwhile, or has handed over to s itself.
func (s *source) handOver(to *source, k *seeking) bool {
	p := s.p
	defer p.release(to) // the claim of the search
	gap := max(0, s.parser.quiet(p.now()))
	f := Failover{Time: time.Now(), From: s.node, Cause: k.cause, Gap: gap, GapMs: gap.Milliseconds()}
	p.mu.Lock()
	to = to.followed()
	if to == s || to.end != "" {
		p.mu.Unlock()
		return false
	}
	s.forget()
	delete(p.sources, s)
	to.claims += s.claims
	to.shards.Or(s.shards.Load())
	s.moved = to
	f.To, f.Listeners = to.node, s.claims
	if k.renewed {
		s.mount.renewed++
	} else {
		s.mount.failover(f)
	}
	p.mu.Unlock()
	now := p.now()
	s.ring.finish(now)
	s.ring.join(to.ring, gap, now)
	if k.renewed {
		p.cfg.Log.Debug("a node ended the connection of inline listeners and plays on over another", "mount", s.mount.name, "node", s.node, "listeners", f.Listeners)
	} else {
		p.cfg.Log.Info("inline listeners were moved to another node", "mount", s.mount.name, "from", f.From, "to", f.To,
			"cause", string(f.Cause), "gap", gap.Round(time.Millisecond), "listeners", f.Listeners)
	}
	s.tell(task{kind: taskMove, src: s, to: to})
	s.ring.publish(now)
	return true
}

// join continues the chain of r with that of next, on a frame boundary. If next has the
// very frames that r ends with, it continues after these. Otherwise it continues about gap
// before the end of next, so that a listener's reserve stays as it was.
func (r *ring) join(next *ring, gap, now time.Duration) {
	j := next.behind(r.newest(reservoir), gap, now)
	if j == nil {
		j = next.joint(gap, now)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tail.next.Store(j)
	for _, open := range r.joints {
		open.next.Store(j)
	}
	r.joints = nil
}

// newest returns the last n frames of the newest chunk, or fewer.
func (r *ring) newest(n int) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tail.last(n)
}

// behind returns a chunk that leads into the chain of r after these frames; nil: r does
// not have them.
func (r *ring) behind(frames [][]byte, gap, now time.Duration) *chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut(now)
	c, i := r.find(frames, gap)
	if c == nil {
		return nil
	}
	j := &chunk{at: now, params: c.params, title: c.title}
	for _, f := range c.frames(i, len(c.ends)) {
		j.data = append(j.data, f...)
		j.ends = append(j.ends, int32(len(j.data)))
	}
	r.lead(j, c)
	return j
}

// has reports whether r has these frames.
func (r *ring) has(frames [][]byte, now time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut(now)
	c, _ := r.find(frames, 0)
	return c != nil
}

// find returns the chunk with the last of these frames, and the index of the frame after
// it; nil: r does not have them, or they are too few to tell. If r has them more than once,
// as in silence, it returns those nearest to gap before the end of r. r.mu is held.
func (r *ring) find(frames [][]byte, gap time.Duration) (found *chunk, next int) {
	if len(frames) < joinedBy {
		return nil, 0
	}
	var off time.Duration
	var before [][]byte
	left := r.took // audio after the frame that is compared
	for c := r.oldest; c != nil; c = c.next.Load() {
		for i, f := range c.frames(0, len(c.ends)) {
			left -= c.took / time.Duration(len(c.ends))
			if before = append(before, f); len(before) > len(frames) {
				before = before[1:]
			}
			if d := (left - gap).Abs(); slices.EqualFunc(before, frames, bytes.Equal) && (found == nil || d < off) {
				found, next, off = c, i+1, d
			}
		}
	}
	return found, next
}

// lead makes j continue with what follows c. r.mu is held.
func (r *ring) lead(j, c *chunk) {
	if next := c.next.Load(); next != nil {
		j.next.Store(next)
	} else {
		r.joints = append(r.joints, j)
	}
}

// joint returns a chunk that leads into the chain of r, beginning with the frames about
// gap before its end.
func (r *ring) joint(gap, now time.Duration) *chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut(now)
	c, skipped, behind := r.oldest, 0, r.took-gap // frames of c to skip; audio to skip
	var before [][]byte
	for c != r.tail && (behind >= c.took || len(c.ends) == 0) {
		behind -= c.took
		before, c = c.last(reservoir), c.next.Load()
	}
	if behind > 0 && c.took > 0 {
		skipped = int(float64(len(c.ends)) * behind.Seconds() / c.took.Seconds())
	}
	skipped = min(skipped, len(c.ends))
	j := &chunk{at: now, params: c.params, title: c.title}
	before = append(before, c.frames(0, skipped)...)
	for i, f := range c.frames(skipped, len(c.ends)) {
		if i == 0 {
			f = audio.Join(before, f)
		}
		j.data = append(j.data, f...)
		j.ends = append(j.ends, int32(len(j.data)))
	}
	r.lead(j, c)
	return j
}

// params returns the Params of the newest frames.
func (r *ring) params() audio.Params {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open != nil {
		return r.open.params
	}
	return r.tail.params
}
