package sim

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/visits"
)

// process is one run of a director: the product's machines, and what is under way between
// them and the world.
type process struct {
	w     *world
	index int
	Director
	chance  chance
	run     uint32 // its number; 0: it has never been started
	started int64
	up      bool

	// What goes wrong with it.
	down, blind      int // faults
	late             time.Duration
	lossy            float64
	twice            int
	link             *link
	syncer           *store.Syncer
	steps            store.Steps
	prober           *probe.Steps
	visits           *visits.Table[visits.Visit]
	view             director.View
	origins          []director.Origin // by index in Scenario.Origins, for the fleet of view
	decision         director.Decision
	tick, probe      uint32 // the number of the tick and of the look at the schedule that is awaited
	probeAt          int64
	hasty            bool
	exchange         uint32 // the number of the exchange under way
	exchanging       bool
	began            time.Time
	offer            store.Offer
	picture          store.Picture
	outcome          error
	probes           []probe.Probe
	tries            []probe.Try
	freeProbes, free []int32
	snapshots        int
}

// Sizes of the table of visits, as package web has them.
const rememberedKeys = 1 << 16

func (p *process) now() time.Time { return p.w.at(p.w.now).Add(p.Skew) }

// start begins a new run.
func (p *process) start() {
	w := p.w
	p.run++
	p.up, p.started = true, w.now
	c := w.s.Probe
	c.Now, c.Chance, c.Log = p.now, p.chance.span, nil
	c.Kind, c.Credentials, c.Path, c.Expect = nil, nil, nil, nil
	p.prober = probe.NewSteps(c)
	p.link = &link{shared: w.store, cut: p.cuts()}
	s, err := store.NewSyncer(store.SyncerConfig{
		Store: p.link, Config: w.s.Fleet, Prober: doubter{p.prober, w}, Director: fmt.Sprintf("d%02d-%08d", p.index, p.run), Name: fmt.Sprintf("d%02d", p.index),
		Site: p.Site, Tick: w.s.Tick, Settle: w.s.Settle, Now: p.now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err) // the configuration has been compiled before, and there is nothing else that it looks at
	}
	p.syncer, p.steps = s, s.Steps()
	p.visits = visits.NewTable[visits.Visit](w.remembered)
	p.view, p.origins = director.View{}, nil
	p.exchanging, p.hasty = false, false
	p.probes, p.tries, p.freeProbes, p.free = nil, nil, nil, nil
	p.tick++
	w.put(event{at: w.now, kind: evTick, a: int32(p.index), b: p.tick})
	w.put(event{at: w.now + int64(5*time.Second), kind: evGiveUp, a: int32(p.index), b: p.run})
	p.look()
}

// doubter is a prober that notes of what it is told.
type doubter struct {
	*probe.Steps
	w *world
}

func (d doubter) Doubt(id director.NodeID, mount, why string) {
	d.w.doubted(id)
	d.Steps.Doubt(id, mount, why)
}

func (p *process) cuts() int { return p.w.cuts[p.index] }

// stop ends the run, as kill -9 does.
func (p *process) stop() { p.up, p.view = false, director.View{} }

// settle does what the product's machines say is due after a step.
func (p *process) settle() {
	if p.prober.Round() {
		p.steps.Probed()
	}
	if p.prober.Changed() {
		p.steps.News()
	}
	p.steps.Heed()
	if p.prober.Rescheduled() {
		p.look()
	}
	if within, soon := p.steps.Soon(); soon && !p.hasty {
		p.hasty = true
		p.tick++
		p.w.put(event{at: p.w.now + int64(within), kind: evTick, a: int32(p.index), b: p.tick})
	}
	if o, due := p.steps.Exchange(); due {
		p.send(o)
	}
	if v := p.syncer.View(); v.Snapshot != p.view.Snapshot {
		p.adopt(v)
	} else {
		p.view = v
	}
}

// adopt makes v the view that requests are answered from.
func (p *process) adopt(v director.View) {
	if p.origins == nil || !v.SameFleet(p.view.Snapshot) {
		p.origins = make([]director.Origin, len(p.w.s.Origins))
		for i := range p.w.s.Origins {
			p.origins[i] = v.Origin(p.w.addrs[i], p.w.s.Origins[i].Place)
		}
	}
	p.view = v
	p.snapshots++
	p.w.adopted(p)
}

// onTick is a tick that is due.
func (p *process) onTick() {
	w := p.w
	next := int64(w.s.Tick*9/10 + p.chance.span(w.s.Tick/5+1))
	if p.late > 0 {
		next += int64(p.chance.span(p.late))
	}
	p.hasty = false
	p.tick++
	w.put(event{at: w.now + next, kind: evTick, a: int32(p.index), b: p.tick})
	if p.lossy > 0 && p.chance.Float64() < p.lossy {
		return
	}
	p.steps.Tick()
	p.settle()
}

// rtt is how long a packet takes between a director and the store, and back.
const rtt = 4 * time.Millisecond

// send sends an offer to the store.
func (p *process) send(o store.Offer) {
	w := p.w
	w.history.Totals.Exchanges++
	p.exchange++
	p.exchanging, p.began, p.offer = true, p.now(), o
	took := p.chance.around(rtt) + w.store.slow
	timeout := time.Second
	if !p.link.reaches() {
		w.put(event{at: w.now + int64(timeout), kind: evAnswer, a: int32(p.index), b: p.exchange, c: answerLost})
	} else {
		lost := uint16(0)
		if took > timeout || w.store.lossy > 0 && w.storeChance.Float64() < w.store.lossy {
			lost, took = answerLost, max(took, timeout)
		}
		w.put(event{at: w.now + int64(min(took/2, timeout)), kind: evExchange, a: int32(p.index), b: p.exchange})
		w.put(event{at: w.now + int64(min(took, timeout)), kind: evAnswer, a: int32(p.index), b: p.exchange, c: lost})
		if p.twice > 0 {
			w.put(event{at: w.now + int64(took/2+p.chance.span(2*time.Second)), kind: evExchange, a: int32(p.index), b: p.exchange, c: again})
			w.repeats = append(w.repeats, repeat{p.index, p.exchange, o})
		}
	}
	if took > w.s.Tick/5 || !p.link.reaches() {
		w.put(event{at: w.now + int64(w.s.Tick/5), kind: evLate, a: int32(p.index), b: p.exchange})
	}
}

const (
	answerLost = 1 // of evAnswer
	again      = 1 // of evExchange
)

// repeat is an exchange that reaches the store a second time.
type repeat struct {
	director int
	exchange uint32
	offer    store.Offer
}

// onExchange is an offer's arrival at the store.
func (p *process) onExchange(e event) {
	w := p.w
	if e.c == again {
		for i, r := range w.repeats {
			if r.director == p.index && r.exchange == e.b {
				w.repeats = append(w.repeats[:i], w.repeats[i+1:]...)
				if p.link.reaches() {
					_, _ = w.store.root.Sync(context.Background(), r.offer) // nobody waits for the answer
				}
				return
			}
		}
		return
	}
	if !p.exchanging || e.b != p.exchange {
		return
	}
	p.picture, p.outcome = p.link.Sync(context.Background(), p.offer)
	if p.outcome == nil {
		w.store.keep(w.now, p.picture.Overlay)
	}
}

// onAnswer is the end of an exchange.
func (p *process) onAnswer(e event) {
	if !p.exchanging || e.b != p.exchange {
		return
	}
	p.exchanging = false
	if e.c == answerLost || !p.link.reaches() {
		p.outcome = fmt.Errorf("%w: no answer", store.ErrAway)
	}
	p.steps.Receive(p.picture, p.outcome, p.began, p.now())
	p.picture, p.offer = store.Picture{}, store.Offer{}
	p.settle()
}

// look has the schedule of probes looked at now.
func (p *process) look() {
	p.probe++
	p.w.put(event{at: p.w.now, kind: evProbe, a: int32(p.index), b: p.probe})
}

// onProbe begins the probes that are due.
func (p *process) onProbe() {
	for {
		pr, wait, ok := p.prober.Begin()
		if !ok {
			p.probe++
			p.w.put(event{at: p.w.now + int64(wait), kind: evProbe, a: int32(p.index), b: p.probe})
			return
		}
		i := slot(&p.probes, &p.freeProbes, pr)
		p.w.history.Totals.Probes++
		n := &p.w.nodes[p.w.index[pr.Node]]
		took, failed := int64(p.w.nodeChance.around(n.Latency)+n.late), probeGood
		switch {
		case p.blind > 0 || n.state() == vanished || n.state() == frozen || took > int64(pr.Timeout):
			took, failed = int64(pr.Timeout), probeSilent
		case n.state() == crashed:
			failed = probeRefused
		}
		p.w.put(event{at: p.w.now + took, kind: evProbed, a: int32(p.index), b: uint32(i)<<8 | p.run&0xff, c: failed})
	}
}

// Of evProbed.
const (
	probeGood uint16 = iota
	probeSilent
	probeRefused
)

// slot puts v into a free place of all, and returns its index.
func slot[T any](all *[]T, free *[]int32, v T) int32 {
	if n := len(*free); n > 0 {
		i := (*free)[n-1]
		*free = (*free)[:n-1]
		(*all)[i] = v
		return i
	}
	*all = append(*all, v)
	return int32(len(*all) - 1)
}

// onProbed is the end of a probe.
func (p *process) onProbed(e event) {
	if e.b&0xff != p.run&0xff {
		return
	}
	i := int32(e.b >> 8)
	pr := p.probes[i]
	p.freeProbes = append(p.freeProbes, i)
	n := &p.w.nodes[p.w.index[pr.Node]]
	failed := e.c
	if failed == probeGood && n.state() != serving {
		failed = probeRefused
	}
	switch failed {
	case probeGood:
		p.prober.End(pr, p.w.told(n), "")
	case probeRefused:
		p.prober.End(pr, probe.Told{}, "connection refused")
	default:
		p.prober.End(pr, probe.Told{}, "no answer")
	}
	p.getAt(pr.Node)
	p.settle()
}

// getAt begins the GET that is due at a node, if one is.
func (p *process) getAt(id director.NodeID) {
	t, ok := p.prober.BeginTry(id)
	if !ok {
		return
	}
	p.w.history.Totals.Gets++
	i := slot(&p.tries, &p.free, t)
	took := int64(400 * time.Millisecond)
	if n := &p.w.nodes[p.w.index[id]]; p.blind > 0 || n.state() == vanished || n.state() == frozen {
		took = int64(2 * time.Second)
	}
	p.w.put(event{at: p.w.now + took, kind: evTried, a: int32(p.index), b: uint32(i)<<8 | p.run&0xff})
}

// tryPause is the pause after a GET, as package probe has it.
const tryPause = 100 * time.Millisecond

// onTried is the end of a GET, or of the pause after it.
func (p *process) onTried(e event) {
	if e.b&0xff != p.run&0xff {
		return
	}
	i := int32(e.b >> 8)
	t := p.tries[i]
	if e.c == paused {
		p.free = append(p.free, i)
		p.getAt(t.Node)
		return
	}
	if p.blind > 0 {
		p.prober.EndTry(t, director.MountSilent, director.Unreachable, "no answer")
	} else {
		state, cause, detail := p.w.get(&p.w.nodes[p.w.index[t.Node]], t.Path)
		p.prober.EndTry(t, state, cause, detail)
	}
	p.w.put(event{at: p.w.now + int64(tryPause), kind: evTried, a: e.a, b: e.b, c: paused})
	p.settle()
}

const paused = 1 // of evTried
