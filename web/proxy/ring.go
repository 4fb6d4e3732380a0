package proxy

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/web/proxy/audio"
)

const (
	// chunkSize is the size of a full chunk, in bytes: 1 s at 128 kbit/s. A stream with a
	// lower bitrate makes smaller chunks, one per pace.
	chunkSize = 16 << 10
	// defaultBurst is what a listener gets at once at the beginning, in bytes: Icecast's
	// burst-size.
	defaultBurst = 64 << 10
	// reservoir is how many frames back the audio of a Layer III frame may begin, for
	// bitrates down to 24 kbit/s.
	reservoir = 16
)

// A chunk is a piece of a stream that all listeners share: whole frames, up to a second
// of them. Once it is in a ring, nothing of it changes but next.
//
// Chunks form a chain, and a listener's position is a pointer into it. There is no
// reference count: the garbage collector frees the chunks that the last listener has
// passed, and the ring keeps the newest.
type chunk struct {
	data   []byte
	ends   []int32       // where its frames end in data
	took   time.Duration // playing time; 0: unknown
	at     time.Duration // when it was published, by the Proxy's clock
	params audio.Params
	title  *title // what is playing; nil: the node has not said
	start  bool   // a listener may begin with it
	header []byte // pages that a listener who begins with it needs first (Ogg)
	lead   []byte // replaces its first frame for a listener who begins with it; nil: no need
	next   atomic.Pointer[chunk]
}

// A title is a metadata block that is sent to all listeners. Titles are compared by
// address.
type title struct{ block audio.Block }

// A ring holds the last few seconds of a stream. One goroutine adds to it; all else is
// safe for concurrent use.
type ring struct {
	burst    time.Duration // 0: burstLen applies
	burstLen int           // bytes

	mu     sync.Mutex
	open   *chunk // not in the chain yet; nil: empty
	oldest *chunk // of the burst
	tail   *chunk // the newest
	len    int    // bytes from oldest to tail
	took   time.Duration
	joints []*chunk      // ends of other chains, which continue with what follows tail
	wake   chan struct{} // closed when there is more, or the stream has ended
	over   bool          // nothing is added any more

	title    *title // of the audio to be added next
	header   []byte // pages that a listener who joins needs first (Ogg)
	inHeader bool   // header pages are arriving
}

func newRing(burst time.Duration, kbit int, now time.Duration) *ring {
	root := &chunk{start: true, at: now}
	r := &ring{burst: burst, burstLen: defaultBurst, oldest: root, tail: root, wake: make(chan struct{})}
	if burst > 0 { // for streams whose duration is not known
		r.burstLen = int(burst.Seconds() * float64(kbit) * 1000 / 8)
	}
	return r
}

// add appends a unit, unless the ring has been finished.
func (r *ring) add(u audio.Unit, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	if u.Header != r.inHeader {
		r.cut(now)
		if r.inHeader = u.Header; u.Header {
			r.header = nil
		}
	}
	if u.Header {
		r.header = append(r.header, u.Data...)
	}
	if c := r.open; c != nil && (len(c.data)+len(u.Data) > chunkSize || c.params != u.Params || u.Start && !c.start) {
		r.cut(now)
	}
	if r.open == nil {
		// The previous chunk shows how many bytes one pace takes.
		r.open = &chunk{data: make([]byte, 0, max(len(u.Data), len(r.tail.data)*9/8)), params: u.Params, title: r.title, start: u.Start}
		if !u.Header {
			r.open.header = r.header
		}
	}
	c := r.open
	c.data = append(c.data, u.Data...)
	c.ends = append(c.ends, int32(len(c.data)))
	c.took += u.Duration
}

// setTitle sets the title of what is added from here on.
func (r *ring) setTitle(t *title, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.title != nil && bytes.Equal(r.title.block, t.block) {
		return
	}
	r.cut(now)
	r.title = t
}

// publish makes what has been added available to listeners.
func (r *ring) publish(now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut(now)
	close(r.wake)
	r.wake = make(chan struct{})
}

// finish publishes what is left. Nothing can be added after it.
func (r *ring) finish(now time.Duration) {
	r.publish(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

// more returns a channel that is closed when there may be more than now.
func (r *ring) more() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wake
}

// cut closes the open chunk. r.mu is held.
func (r *ring) cut(now time.Duration) {
	c := r.open
	if c == nil {
		return
	}
	r.open = nil
	c.at = now
	if c.params.Codec == audio.MPEG {
		first := c.data[:c.ends[0]]
		if lead := audio.Join(r.tail.last(reservoir), first); len(lead) != len(first) {
			c.lead = lead
		}
	}
	r.tail.next.Store(c)
	for _, j := range r.joints {
		j.next.Store(c)
	}
	r.joints = nil
	r.tail = c
	r.len += len(c.data)
	r.took += c.took
	for r.oldest != c && r.longer(r.oldest) {
		r.len -= len(r.oldest.data)
		r.took -= r.oldest.took
		r.oldest = r.oldest.next.Load()
	}
}

// last returns the last n frames, or fewer.
func (c *chunk) last(n int) [][]byte {
	return c.frames(max(0, len(c.ends)-n), len(c.ends))
}

// frames returns the frames from one up to another.
func (c *chunk) frames(from, to int) [][]byte {
	all := make([][]byte, 0, to-from)
	for i := from; i < to; i++ {
		begin := int32(0)
		if i > 0 {
			begin = c.ends[i-1]
		}
		all = append(all, c.data[begin:c.ends[i]])
	}
	return all
}

// longer reports whether the ring still holds a burst without c.
func (r *ring) longer(c *chunk) bool {
	if r.burst > 0 && r.took > 0 {
		return r.took-c.took >= r.burst
	}
	return r.len-len(c.data) >= r.burstLen
}

// begin returns the chunk that a new listener begins with: a burst before the newest.
func (r *ring) begin(now time.Duration) *chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := r.oldest; at != nil; at = at.next.Load() {
		if at.start {
			return at
		}
	}
	wait := &chunk{at: now} // no chunk to begin with yet: it leads to what comes next
	r.joints = append(r.joints, wait)
	return wait
}

// latest returns the newest chunk that a listener may continue with.
func (r *ring) latest() *chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found *chunk
	for at := r.oldest; at != nil; at = at.next.Load() {
		if at.start {
			found = at
		}
	}
	return found
}

// shrink makes the ring keep only the newest chunk from here on: no listener will join.
func (r *ring) shrink() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.burst, r.burstLen = 0, 1
}

// measured returns how much is kept for a burst, and the bitrate computed from it in
// bit/s; 0: unknown.
func (r *ring) measured() (bytes int, took time.Duration, rate int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.took > 0 {
		rate = int(float64(r.len) * 8 / r.took.Seconds())
	}
	return r.len, r.took, rate
}
