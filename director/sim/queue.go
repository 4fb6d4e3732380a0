package sim

import "slices"

// An event is something that happens at a time. What a, b and c mean depends on its kind.
type event struct {
	at   int64 // nanoseconds since the start
	seq  uint32
	kind kind
	c    uint16
	a    int32
	b    uint32
}

// queue holds events and gives them back by time, and those of the same time in the order
// in which they were put in. Only the events of the next half second are in order, in a
// heap that fits into the processor's cache; later ones wait in a ring of slots, and those
// beyond the ring, an hour and more away, in no order at all. With a million listeners,
// each of whom will leave some time, one heap of all took a fifth of the time.
type queue struct {
	near  []event   // a heap of those before slot
	slot  int64     // the next one of the ring, as a number of slots since the start
	ring  [][]event // by slot, modulo its length
	count int       // in the ring
	far   []event
	moved int64     // the slot at which far was looked through last
	spare [][]event // emptied slots, for their memory
	seq   uint32
}

const (
	slotShift = 29 // of nanoseconds: 0.54 s
	slots     = 1 << 13
)

func (e *event) before(o *event) bool {
	// The difference is right even after seq has overflown, as no two events of the same
	// time are so far apart.
	return e.at < o.at || e.at == o.at && int32(e.seq-o.seq) < 0
}

func (q *queue) put(e event) {
	q.seq++
	e.seq = q.seq
	q.place(e)
}

func (q *queue) place(e event) {
	switch slot := e.at >> slotShift; {
	case slot < q.slot:
		q.push(e)
	case slot < q.slot+slots:
		if q.ring == nil {
			q.ring = make([][]event, slots)
		}
		at := &q.ring[slot%slots]
		if n := len(q.spare); *at == nil && n > 0 {
			*at, q.spare = q.spare[n-1], q.spare[:n-1]
		}
		*at = append(*at, e)
		q.count++
	default:
		q.far = append(q.far, e)
	}
}

// take removes the first event; ok is false if there is none.
func (q *queue) take() (first event, ok bool) {
	for len(q.near) == 0 {
		if q.count+len(q.far) == 0 {
			return event{}, false
		}
		q.next()
	}
	return q.pop(), true
}

// next makes a heap of the next slot. near is empty.
func (q *queue) next() {
	if q.count == 0 { // to the first of far at once
		first := slices.MinFunc(q.far, func(a, b event) int { return int(a.at>>slotShift - b.at>>slotShift) })
		q.slot = first.at >> slotShift
		q.moved = q.slot - slots
	}
	if q.slot-q.moved >= slots/2 {
		q.moved = q.slot
		later := q.far[:0]
		for _, e := range q.far {
			if e.at>>slotShift < q.slot+slots {
				q.place(e)
			} else {
				later = append(later, e)
			}
		}
		q.far = later
	}
	at := &q.ring[q.slot%slots]
	q.slot++
	if *at == nil {
		return
	}
	if cap(q.near) > 0 {
		q.spare = append(q.spare, q.near)
	}
	q.near, *at = *at, nil
	q.count -= len(q.near)
	for i := (len(q.near) - 2) / 4; i >= 0; i-- {
		q.down(i, q.near[i])
	}
}

// The heap: each of its nodes has four children, so that a cache line has two of them.

func (q *queue) push(e event) {
	q.near = append(q.near, e)
	h, i := q.near, len(q.near)-1
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

func (q *queue) pop() event {
	h := q.near
	first, n := h[0], len(h)-1
	q.near = h[:n]
	if n > 0 {
		q.down(0, h[n])
	}
	return first
}

// down puts e at i, or below it.
func (q *queue) down(i int, e event) {
	h := q.near
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		best := child
		for j := child + 1; j < min(child+4, len(h)); j++ {
			if h[j].before(&h[best]) {
				best = j
			}
		}
		if !h[best].before(&e) {
			break
		}
		h[i] = h[best]
		i = best
	}
	h[i] = e
}
