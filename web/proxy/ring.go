package proxy

import (
	"bytes"
	"slices"
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
	// keptSize is how much is kept of audio that the only listener has got, in bytes: up to
	// reservoir frames of it, and at least joinedBy.
	keptSize = 2 << 10
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
	size   int           // of its data, in bytes, when it was published
	params audio.Params
	title  *title // what is playing; nil: the node has not said
	start  bool   // a listener may begin with it
	header []byte // pages that a listener who begins with it needs first (Ogg)
	lent   bool   // data is memory that was lent to the ring
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
	wake   chan struct{} // closed when there is more, or the stream has ended; nil: nobody waits
	over   bool          // nothing is added any more

	title    *title // of the audio to be added next
	header   []byte // pages that a listener who joins needs first (Ogg)
	inHeader bool   // header pages are arriving

	room   room   // memory that was lent
	before *chunk // the newest chunk when room was lent
	spare  *chunk // one that nobody refers to
}

// A room is memory for chunks, which is used anew once they have been written.
type room struct {
	data []byte
	ends []int32
}

func newRing(burst time.Duration, kbit int, now time.Duration) *ring {
	root := &chunk{start: true, at: now}
	r := &ring{burst: burst, burstLen: defaultBurst, oldest: root, tail: root}
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
	if c := r.open; c != nil && (len(c.data)+len(u.Data) > chunkSize || c.params != u.Params || u.Start && !c.start || c.lent && len(c.data)+len(u.Data) > cap(c.data)) {
		r.cut(now)
	}
	if r.open == nil {
		c := r.spare
		if r.spare = nil; c == nil {
			c = new(chunk)
		}
		c.params, c.title, c.start, c.lent = u.Params, r.title, u.Start, len(r.room.data) >= len(u.Data)
		if c.lent {
			c.data, c.ends = r.room.data[:0], r.room.ends[:0]
		} else { // the previous chunk shows how many bytes one pace takes
			c.data = make([]byte, 0, max(len(u.Data), r.tail.size*9/8))
		}
		r.open = c
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
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
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
	if r.wake == nil {
		r.wake = make(chan struct{})
	}
	return r.wake
}

// cut closes the open chunk. r.mu is held.
func (r *ring) cut(now time.Duration) {
	c := r.open
	if c == nil {
		return
	}
	r.open = nil
	c.at, c.size = now, len(c.data)
	if c.lent {
		r.room.data, r.room.ends = r.room.data[len(c.data):], r.room.ends[len(c.ends):]
	} else {
		c.leadIn(r.tail)
	}
	r.tail.next.Store(c)
	for _, j := range r.joints {
		j.next.Store(c)
	}
	r.joints = nil
	r.tail = c
	r.len += c.size
	r.took += c.took
	for r.oldest != c && r.longer(r.oldest) {
		r.len -= r.oldest.size
		r.took -= r.oldest.took
		r.oldest = r.oldest.next.Load()
	}
}

// leadIn computes what a listener who begins with c gets instead of its first frame, if
// that needs frames of the chunk before it.
func (c *chunk) leadIn(before *chunk) {
	if c.params.Codec != audio.MPEG {
		return
	}
	first := c.data[:c.ends[0]]
	if lead := audio.Join(before.last(reservoir), first); len(lead) != len(first) {
		c.lead = lead
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
		all = append(all, c.data[c.begins(i):c.ends[i]])
	}
	return all
}

// begins returns where frame i begins in c.data.
func (c *chunk) begins(i int) int32 {
	if i == 0 {
		return 0
	}
	return c.ends[i-1]
}

// longer reports whether the ring still holds a burst without c.
func (r *ring) longer(c *chunk) bool {
	if r.burst > 0 && r.took > 0 {
		return r.took-c.took >= r.burst
	}
	return r.len-c.size >= r.burstLen
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

// lend gives r memory for the audio that is added up to a call of settle. There is one
// listener, who has got everything so far, and whom only the caller writes to.
func (r *ring) lend(room room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.room, r.before = room, r.tail
}

// settle takes the memory back that was lent. If the listener, who is at this cursor, has
// got everything, only the frames are kept by which a position in the stream is found.
func (r *ring) settle(at *cursor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.before
	r.room, r.before = room{}, nil
	if r.tail.lent && r.oldest == r.tail && at.due() == nil {
		r.trim(before)
		at.off = len(r.tail.data)
		return
	}
	for c := before.next.Load(); c != nil; c = c.next.Load() {
		if c.lent {
			c.data, c.ends, c.lent = bytes.Clone(c.data), slices.Clone(c.ends), false
		}
	}
}

// trim keeps only the last frames of the newest chunk, and of the one before it if that has
// too few. They are kept in the memory of before, which nobody reads any more. r.mu is held.
func (r *ring) trim(before *chunk) {
	c, previous := r.tail, before
	for next := before.next.Load(); next != c; next = next.next.Load() {
		previous = next
	}
	few, fewOfPrevious := 0, 0
	if joinable(c.params.Codec) {
		few = c.lastFew(0, 0)
		if few == len(c.ends) && previous.params == c.params {
			fewOfPrevious = previous.lastFew(few, c.size)
		}
	}
	data, ends := before.data[:0], before.ends[:0]
	if cap(data) > 2*chunkSize/3 { // a burst's
		data, ends = make([]byte, 0, c.size/2), make([]int32, 0, reservoir)
	}
	// Frames of previous may move toward the beginning of the same memory.
	data, ends = appendLast(data, ends, previous, fewOfPrevious)
	data, ends = appendLast(data, ends, c, few)
	if size := len(data); size > 0 {
		took := c.took * time.Duration(size) / time.Duration(c.size)
		r.len += size - c.size
		r.took += took - c.took
		c.size, c.took = size, took
	}
	c.data, c.ends, c.lent = data, ends, false
	*before = chunk{}
	r.spare = before
}

// lastFew returns how many of the last frames of c are kept, if some are kept already that
// follow them.
func (c *chunk) lastFew(frames, bytes int) int {
	n := 0
	for n < len(c.ends) && frames+n < reservoir && (frames+n < joinedBy || bytes < keptSize) {
		n++
		bytes += int(c.ends[len(c.ends)-n] - c.begins(len(c.ends)-n))
	}
	return n
}

// appendLast appends the last n frames of c to data, and their ends to ends.
func appendLast(data []byte, ends []int32, c *chunk, n int) ([]byte, []int32) {
	first := len(c.ends) - n
	from := c.begins(first)
	moved := int32(len(data)) - from
	for _, end := range c.ends[first:] {
		ends = append(ends, end+moved)
	}
	return append(data, c.data[from:]...), ends
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
