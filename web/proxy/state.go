package proxy

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/proxy/audio"
)

// keptFailovers is how many failovers are kept for each mount.
const keptFailovers = 20

// mount holds what has happened to a mount since the Proxy began. Safe for concurrent use.
type mount struct {
	p     *Proxy
	name  string
	sent  atomic.Uint64 // bytes to listeners
	skips atomic.Uint64
	ends  [len(ends)]atomic.Uint64

	failovers []Failover     // the last ones; guarded by Proxy.mu
	causes    map[End]uint64 // how often another node took over, by cause; guarded by Proxy.mu
	renewed   uint64         // guarded by Proxy.mu
}

func (p *Proxy) mountOf(name string) *mount {
	m := p.mounts[name]
	if m == nil {
		m = &mount{p: p, name: name, causes: map[End]uint64{}}
		p.mounts[name] = m
	}
	return m
}

func (m *mount) ended(e End) { m.ends[slices.Index(ends[:], e)].Add(1) }

// failover records a change of node. Proxy.mu is held.
func (m *mount) failover(f Failover) {
	m.failovers = append(m.failovers, f)
	if len(m.failovers) > keptFailovers {
		m.failovers = slices.Delete(m.failovers, 0, 1)
	}
	if f.To != "" {
		m.causes[f.Cause]++
	}
}

// StreamState is what a Proxy carries of one mount, and has carried since it began.
type StreamState struct {
	Mount     string          `json:"mount"`
	Listeners int             `json:"listeners"`
	Bytes     uint64          `json:"bytes"` // to listeners
	Skips     uint64          `json:"skips"` // of listeners that were too slow
	Ended     map[End]uint64  `json:"ended"`
	TakenOver map[End]uint64  `json:"taken_over"` // by another node, by cause
	Failovers []Failover      `json:"failovers"`  // the last ones
	Renewed   uint64          `json:"renewed"`    // connections that a node ended and that were opened anew
	Upstreams []UpstreamState `json:"upstreams"`
}

// UpstreamState is one connection to a node.
type UpstreamState struct {
	Node      director.NodeID `json:"node"`
	Since     time.Time       `json:"since"`
	Playing   bool            `json:"playing"` // false: it is being opened
	Format    string          `json:"format,omitempty"`
	Kbit      int             `json:"kbit"` // measured; 0: the format does not say
	Listeners int             `json:"listeners"`
	Private   bool            `json:"private"` // one listener's own
	Burst     int             `json:"burst_bytes"`
	BurstMs   int64           `json:"burst_ms"`
	Bytes     int64           `json:"bytes"` // from the node
	Title     string          `json:"title,omitempty"`
}

// Playing returns, by name, the nodes that a mount is carried from over an upstream that
// any number of listeners can share.
func (p *Proxy) Playing(mount string) []director.NodeID {
	if p.cfg.PerListener {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var nodes []director.NodeID
	for _, s := range p.shared {
		if s.mount.name == mount && s.playing() && !s.paced() {
			nodes = append(nodes, s.node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// Streams returns the state of every mount that was ever carried, by name.
func (p *Proxy) Streams() []StreamState {
	p.mu.Lock()
	defer p.mu.Unlock()
	states := map[string]*StreamState{}
	for name, m := range p.mounts {
		st := &StreamState{
			Mount: name, Bytes: m.sent.Load(), Skips: m.skips.Load(), Ended: map[End]uint64{}, TakenOver: maps.Clone(m.causes),
			Failovers: slices.Clone(m.failovers), Renewed: m.renewed, Upstreams: []UpstreamState{},
		}
		for i, e := range ends {
			st.Ended[e] = m.ends[i].Load()
		}
		states[name] = st
	}
	for s := range p.sources {
		st := states[s.mount.name]
		st.Listeners += s.claims
		st.Upstreams = append(st.Upstreams, s.state())
	}
	out := make([]StreamState, 0, len(states))
	for _, st := range states {
		slices.SortFunc(st.Upstreams, func(a, b UpstreamState) int {
			return cmp.Or(cmp.Compare(a.Node, b.Node), a.Since.Compare(b.Since))
		})
		out = append(out, *st)
	}
	slices.SortFunc(out, func(a, b StreamState) int { return cmp.Compare(a.Mount, b.Mount) })
	return out
}

// Uncounted returns, for each mount, how many listeners no node counts because they share
// an upstream with another. The number is below 0 where an upstream lingers without a
// listener. Mounts with 0 are left out.
func (p *Proxy) Uncounted() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]int{}
	for s := range p.sources {
		if s.playing() {
			all[s.mount.name] += s.claims - 1
		}
	}
	maps.DeleteFunc(all, func(_ string, n int) bool { return n == 0 })
	return all
}

// playing reports whether the node has answered with the stream.
func (s *source) playing() bool {
	select {
	case <-s.ready:
		return s.fail == nil
	default:
		return false
	}
}

// state returns the state of s. Proxy.mu is held.
func (s *source) state() UpstreamState {
	u := UpstreamState{
		Node: s.ask.upstream.Node, Since: s.began, Listeners: s.claims, Private: s.private, Bytes: s.arrived.Load(),
	}
	if !s.playing() {
		return u
	}
	u.Playing, u.Node = true, s.node
	var rate int
	var took time.Duration
	u.Burst, took, rate = s.ring.measured()
	u.BurstMs, u.Kbit = took.Milliseconds(), (rate+500)/1000
	u.Format = s.ring.params().String()
	u.Title = s.ring.playing()
	return u
}

// playing returns the title of what the node plays now.
func (r *ring) playing() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.title == nil {
		return ""
	}
	t, _ := audio.Title(r.title.block[1:])
	return string(t)
}

// Whys returns how often nodes did something other than play.
func (p *Proxy) Whys() map[Why]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.whys)
}

// Nodes returns, by name, the nodes with an upstream that is open or being opened.
func (p *Proxy) Nodes() []director.NodeID {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []director.NodeID
	for s := range p.sources {
		all = append(all, s.node)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Vacate moves the listeners of a node to other nodes, if any play the same. It does not
// wait for that.
func (p *Proxy) Vacate(node director.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.sources {
		if s.node != node {
			continue
		}
		select {
		case s.vacate <- struct{}{}:
			if s.lent.Load() { // otherwise somebody looks at vacate, or will before it is lent
				s.tell(task{kind: taskRecall, src: s})
			}
		default: // it has been told already
		}
	}
}
