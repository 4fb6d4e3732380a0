package sim

import (
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/visits"
)

const noOne = -1

// listener is one person listening, or trying to. Its place in the table is used again
// when it has gone; version tells the events of one from those of the next.
type listener struct {
	key, network uint64 // its address, player and mount; its /24
	until        int64  // when it has heard enough, in nanoseconds
	wants        int64  // since when it wants audio and has none; 0: it listens
	version      uint32
	next, prev   int32 // at its node
	node         int16 // where it listens, or connects to; noOne: nowhere
	origin       uint16
	habit        uint8
	mount        uint8
	tries        uint8    // of its player, in a row
	presses      uint8    // how often its person has pressed play again
	entries      [3]int16 // the nodes of its playlist that are left; noOne: none
	opens        uint8    // requests that are to follow for the same play
	is           listening
	back         bool  // its stream had ended
	sent         bool  // it goes where it was just sent
	countedAt    int16 // where its director counts it as on the way; noOne: nowhere, as its address was there a second before
	shared       bool  // its address is that of others, too

	// The last answer, for the promises.
	lastAt        int64
	lastSignature uint64
	lastTo        int16
	lastBy        uint8
}

// listening is what a listener does.
type listening uint8

const (
	gone listening = iota
	asking
	connecting // its connection waits to be accepted, or to time out
	listens
	pausing // until it asks, or connects, again
)

// newListener returns the index of a free listener.
func (w *world) newListener() int32 {
	if w.free != noOne {
		i := w.free
		w.free = w.listeners[i].next
		return i
	}
	w.listeners = append(w.listeners, listener{})
	return int32(len(w.listeners) - 1)
}

// come makes a listener of an arrival, which is now.
func (w *world) come(a Arrival) {
	i := w.newListener()
	l := &w.listeners[i]
	w.identify(l, &a)
	w.history.Totals.Arrived++
	w.sample.Arrived++
	l.wants = w.now + 1
	w.waiting++
	w.turnTo(i)
}

// identify gives a listener what stays with it. Whatever is not told is drawn.
func (w *world) identify(l *listener, a *Arrival) {
	c := w.people
	o := &w.s.Origins[a.Origin]
	habit, stays, person := a.Habit, a.Stays, a.Person
	if habit < 0 {
		habit = c.pick(w.habitSums)
	}
	if stays == 0 {
		mean := w.s.Crowd.Session
		if c.Float64() < w.s.Crowd.Short {
			mean = 30 * time.Second
		}
		stays = c.exponential(mean)
	}
	if person == 0 {
		// Most have an address of their own; behind a NAT, Behind listeners share one.
		person = c.Uint64()>>1 + 1
		if o.NAT > 0 && c.Float64() < o.NAT {
			shared := max(1, int(float64(w.expected[a.Origin])*o.NAT)/o.Behind)
			person = SharedPerson + uint64(a.Origin)<<32 + uint64(c.IntN(shared))
		}
	}
	version, nat := l.version+1, person>>63 == 1
	*l = listener{
		version: version, node: noOne, countedAt: noOne, next: noOne, prev: noOne, entries: [3]int16{noOne, noOne, noOne},
		origin: uint16(a.Origin), habit: uint8(habit), mount: uint8(a.Mount), until: w.now + int64(stays), is: asking, shared: nat,
	}
	l.network = mix(uint64(a.Origin)<<32 + mix(person)%uint64(w.networks[a.Origin]))
	l.key = mix(mix(person)^uint64(habit)<<56^uint64(a.Mount)) | 1
}

// turnTo has a listener ask a director, as often as its player does for one play.
func (w *world) turnTo(i int32) {
	l := &w.listeners[i]
	l.opens, l.countedAt = uint8(max(1, w.habit(l).Opens))-1, noOne
	w.ask(i)
}

// ask is a request at a director, for the answer of which a listener waits.
func (w *world) ask(i int32) {
	l := &w.listeners[i]
	l.is, l.node = asking, noOne
	h := w.habit(l)
	w.history.Totals.Asked++
	p := w.directorFor(l)
	if p == nil {
		w.sample.Silent++
		w.history.Totals.Silent++
		w.failed(i, time.Second)
		return
	}
	to := w.answer(p, l, h)
	if to == noOne {
		w.failed(i, 0)
		return
	}
	if l.opens > 0 {
		l.opens--
		w.after(i, 20*time.Millisecond+w.people.span(300*time.Millisecond), evAsk)
		return
	}
	l.sent = true
	w.connect(i, to)
}

// habit is what a listener's player does.
func (w *world) habit(l *listener) *Habit { return &w.s.Habits[l.habit] }

// directorFor returns the director that a listener reaches: one by its address, and the
// next ones if that one does not answer; nil: none does.
func (w *world) directorFor(l *listener) *process {
	n := len(w.processes)
	first := int(l.network % uint64(n))
	for k := range n {
		if p := &w.processes[(first+k)%n]; p.up && p.view.Snapshot != nil {
			return p
		}
	}
	return nil
}

// answer is what package web does with a request for a stream of a player without a rule,
// or for a playlist. It returns the node that the listener is sent to.
func (w *world) answer(p *process, l *listener, h *Habit) int16 {
	at := time.Duration(w.now) + time.Hour // above 0
	playlist := h.Entries > 0
	v, mu := p.visits.Acquire(l.key, at)
	allowed := v.Rate.Allow(at, maxPerKey)
	var visit visits.Result
	if allowed && !playlist {
		visit = v.Arrive(visits.Visitor{Now: at, Relay: h.Relay, View: p.view})
	}
	mu.Unlock()
	if !allowed {
		return w.refuse(l)
	}
	if visit.From != "" {
		w.cameBack(p, l, visit.From)
		p.syncer.Doubt(visit.From, w.s.Fleet.Mounts[l.mount].Name, l.network)
		p.settle()
	}
	d := &p.decision
	d.Want = max(1, min(h.Entries, len(l.entries)+1))
	ask := director.Listener{
		Addr: w.addrs[l.origin], Key: visit.Key(l.key), Mount: w.s.Fleet.Mounts[l.mount].Name, Scheme: director.HTTP,
		Avoid: visit.Avoid, Origin: p.origins[l.origin],
	}
	p.view.Decide(d, ask, p.view.Live)
	w.history.Totals.Answered++
	w.history.Totals.Outcomes[d.Outcome]++
	w.sample.Outcomes[d.Outcome]++
	w.decided(p, l, &visit, &ask, d)
	if len(d.Ranked) == 0 {
		return w.refuse(l)
	}
	to := d.Ranked[0].Node
	for k := range l.entries {
		l.entries[k] = noOne
		if playlist && k+1 < len(d.Ranked) {
			l.entries[k] = int16(w.nodeOf(p, d.Ranked[k+1].Node))
		}
	}
	v, mu = p.visits.Acquire(l.key, at)
	counts := v.Send(at, p.view.NodeID(to), false)
	mu.Unlock()
	n := w.nodeOf(p, to)
	if counts && !h.Relay {
		p.view.Live.Count(to)
		l.countedAt = int16(n)
	}
	w.nodes[n].sent++
	w.history.Sent[l.origin][n]++
	return int16(n)
}

func (w *world) refuse(l *listener) int16 {
	w.sample.Refused++
	w.history.Totals.Refused++
	w.history.Refused[l.origin]++
	return noOne
}

// maxPerKey is how many requests of one Key a second are answered, by package web's
// default.
const maxPerKey = 10

// nodeOf returns the index of a director's node in the scenario.
func (w *world) nodeOf(p *process, n int) int { return w.index[p.view.NodeID(n)] }

// connect is a listener's connection to a node.
func (w *world) connect(i int32, to int16) {
	l := &w.listeners[i]
	l.node, l.is = to, connecting
	n := &w.nodes[to]
	patience := w.patience(l)
	way := int64(20*time.Millisecond + w.people.span(100*time.Millisecond))
	switch {
	case w.broken[int(l.origin)*len(w.nodes)+int(to)] > 0, n.state() == vanished, n.state() == frozen:
		w.after(i, patience, evFailed)
		return
	case n.state() == crashed:
		w.after(i, time.Duration(way), evFailed)
		return
	}
	if !l.sent || l.countedAt != to {
		*w.checks.nodes[to].alone.turn(w.now)++
	}
	l.sent = false
	accepted := w.now + way
	if n.Pace > 0 {
		accepted = max(accepted, n.accepts)
		n.accepts = accepted + int64(float64(time.Second)/n.Pace)
	}
	n.queue++
	l.tries |= queued
	accepted += int64(max(0, n.Begins))
	if wait := accepted - w.now; wait > int64(patience) {
		w.attemptFailed(l, "it was not accepted in time")
		w.after(i, patience, evFailed)
		return
	}
	w.after(i, time.Duration(accepted-w.now), evAccept)
}

// queued marks, in tries, that a listener is in a node's queue.
const queued = 1 << 7

// unqueue takes a listener out of its node's queue.
func (w *world) unqueue(l *listener) {
	if l.tries&queued != 0 {
		l.tries &^= queued
		w.nodes[l.node].queue--
	}
}

// accept is a node's answer to a connection.
func (w *world) accept(i int32) {
	l := &w.listeners[i]
	w.unqueue(l)
	n := &w.nodes[l.node]
	limit := n.limit(w.targets[n.index])
	switch {
	case n.state() == vanished || n.state() == frozen:
		w.after(i, w.patience(l), evFailed)
		return
	case n.state() == crashed, limit > 0 && n.listeners >= limit, n.lost[l.mount] > 0:
		if n.state() == serving && n.lost[l.mount] == 0 {
			w.attemptFailed(l, "the node is full")
		}
		w.failed(i, 0)
		return
	case w.now >= l.until:
		w.leave(i)
		return
	}
	w.seat(i)
	waits := &w.history.Waits
	if l.back {
		waits = &w.history.Back
	}
	waits.add(time.Duration(w.now - l.wants))
	w.waiting--
	l.wants, l.tries, l.presses, l.back = 0, 0, 0, false
	w.history.Totals.Seated++
}

// seat puts a listener on its node.
func (w *world) seat(i int32) {
	l := &w.listeners[i]
	n := &w.nodes[l.node]
	l.is, l.prev, l.next = listens, noOne, n.first
	if n.first != noOne {
		w.listeners[n.first].prev = i
	}
	n.first = i
	n.count(w.now, 1)
	w.listening++
	w.after(i, time.Duration(l.until-w.now), evLeave)
}

// unseat takes a listener off its node.
func (w *world) unseat(i int32) {
	l := &w.listeners[i]
	n := &w.nodes[l.node]
	if l.prev == noOne {
		n.first = l.next
	} else {
		w.listeners[l.prev].next = l.next
	}
	if l.next != noOne {
		w.listeners[l.next].prev = l.prev
	}
	l.prev, l.next = noOne, noOne
	n.count(w.now, -1)
	w.listening--
}

// cutOff ends the streams of a node's listeners, of one mount or of all (below 0). They
// notice within notice.
func (w *world) cutOff(n *node, mount, origin int, soonest, latest time.Duration) {
	for i := n.first; i != noOne; {
		next := w.listeners[i].next
		l := &w.listeners[i]
		if (mount < 0 || int(l.mount) == mount) && (origin < 0 || int(l.origin) == origin) {
			w.unseat(i)
			l.wants, l.back, l.is = w.now+1, true, connecting
			w.waiting++
			w.after(i, soonest+w.people.span(latest-soonest), evFailed)
		}
		i = next
	}
}

// patience is how long a listener waits for audio.
func (w *world) patience(l *listener) time.Duration {
	if p := w.habit(l).Patience; p > 0 {
		return p
	}
	return 10 * time.Second
}

// failed is that no audio comes, or no more: the player does what it does, and then its
// person. later is how much later than usual that is.
func (w *world) failed(i int32, later time.Duration) {
	l := &w.listeners[i]
	w.unqueue(l)
	w.sample.Failed++
	w.history.Totals.Failed++
	if w.now >= l.until {
		w.leave(i)
		return
	}
	h := w.habit(l)
	again := later + h.After + w.people.span(h.After/2+1)
	retry := h.Retry
	if int(l.tries) >= min(max(h.Tries, 1), queued-1) {
		retry = RetryNobody
	}
	l.tries++
	switch {
	case retry == RetryNode && l.node != noOne:
		w.pause(i, again, evConnect)
		return
	case retry == RetryDirector, retry == RetryNode && l.node == noOne && l.is == asking && l.tries > 1:
		w.pause(i, again, evAsk)
		return
	case retry == RetryNext && l.entries[0] != noOne:
		l.node = l.entries[0]
		l.entries = [3]int16{l.entries[1], l.entries[2], noOne}
		w.pause(i, again, evConnect)
		return
	}
	l.tries, l.node = 0, noOne
	if l.presses < 3 && w.people.Float64() < h.Returns {
		l.presses++
		w.pause(i, later+5*time.Second+w.people.span(25*time.Second), evAsk)
		return
	}
	w.history.Totals.Lost++
	w.sample.Lost++
	w.waiting--
	w.forget(i)
}

// leave ends a listener who has heard enough, or has no more time to.
func (w *world) leave(i int32) {
	l := &w.listeners[i]
	w.unqueue(l)
	if l.is == listens {
		w.unseat(i)
	} else {
		w.waiting--
	}
	w.history.Totals.Left++
	w.sample.Left++
	w.forget(i)
}

func (w *world) forget(i int32) {
	l := &w.listeners[i]
	l.is = gone
	l.version++
	l.next = w.free
	w.free = i
}

// pause has a listener do something later.
func (w *world) pause(i int32, d time.Duration, k kind) {
	w.listeners[i].is = pausing
	w.after(i, d, k)
}

// after has an event happen to a listener, in place of all that it waits for.
func (w *world) after(i int32, d time.Duration, k kind) {
	l := &w.listeners[i]
	l.version++
	w.put(event{at: w.now + int64(d), kind: k, a: i, b: l.version})
}
