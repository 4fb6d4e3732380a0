package sim

// An event is something that happens at a time. What a, b and c mean depends on its kind.
type event struct {
	at   int64 // nanoseconds since the start
	seq  uint32
	kind kind
	c    uint16
	a    int32
	b    uint32
}

// queue is a heap of events, by time, and those of the same time in the order in which
// they were put in. Each node of the heap has four children: a cache line has two of them.
type queue struct {
	heap []event
	seq  uint32
}

func (e *event) before(o *event) bool {
	// The difference is right even after seq has overflown, as no two events of the same
	// time are so far apart.
	return e.at < o.at || e.at == o.at && int32(e.seq-o.seq) < 0
}

func (q *queue) put(e event) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	h, i := q.heap, len(q.heap)-1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
}

// take removes the first event; ok is false if there is none.
func (q *queue) take() (first event, ok bool) {
	h := q.heap
	if len(h) == 0 {
		return event{}, false
	}
	first = h[0]
	n := len(h) - 1
	last := h[n]
	h = h[:n]
	q.heap = h
	if n == 0 {
		return first, true
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		best := child
		for j := child + 1; j < min(child+4, n); j++ {
			if h[j].before(&h[best]) {
				best = j
			}
		}
		if !h[best].before(&last) {
			break
		}
		h[i] = h[best]
		i = best
	}
	h[i] = last
	return first, true
}
