package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// A parted fleet is directors at one store, each of which can be cut off from it.
type parted struct {
	rigs []*rig
	cuts []*unwell
	keys uint64
}

func newParted(t *testing.T, c director.Config, names ...string) *parted {
	t.Helper()
	p := &parted{}
	shared := memory(t)
	for i, name := range names {
		handle := shared
		if i > 0 {
			handle = join(t, shared)
		}
		u := &unwell{Store: handle, changed: make(chan struct{})}
		t.Cleanup(func() { u.set(well) })
		p.cuts = append(p.cuts, u)
		p.rigs = append(p.rigs, start(t, store.SyncerConfig{Store: u, Director: name, Site: name, Config: c}))
	}
	return p
}

// live lets a step pass in which every director sees every node, and agents report
// to the first director.
func (p *parted) live(t *testing.T, step time.Duration, agents ...director.NodeID) {
	t.Helper()
	for _, id := range agents {
		register(t, p.rigs[0], edge(id, "agent", 0))
	}
	for _, d := range p.rigs {
		for _, id := range d.prober.probes() {
			d.prober.report(id, 0)
		}
	}
	pass(step)
}

// sends says whether a director sends one of 40 new listeners to a node now.
func (p *parted) sends(d *rig, id director.NodeID) bool {
	var out director.Decision
	for range 40 {
		p.keys++
		d.View().Decide(&out, director.Listener{Mount: "/live.mp3", Scheme: director.HTTP, Key: p.keys * 0x9e3779b97f4a7c15}, nil)
		if len(out.Ranked) > 0 && d.View().NodeID(out.Ranked[0].Node) == id {
			return true
		}
	}
	return false
}

// free says whether a director holds a drained node to be free of all others.
func free(d *rig, id director.NodeID) bool {
	n, ok := d.node(id)
	return ok && n.State == director.Drained && n.Used == 0 && len(d.Unaware(id)) == 0
}

// TestNobodyIsSentToAFreeNode cuts directors off from their store at 50 random moments,
// while nodes are drained at another one. Once any director says that the node is free,
// no director sends anybody there, until it is resumed.
func TestNobodyIsSentToAFreeNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const seed = 20261130
		chance := rand.New(rand.NewPCG(seed, 1))
		p := newParted(t, config("n1", "n2", "n3"), "a", "b", "c")
		p.live(t, time.Second)
		within := func(d time.Duration) time.Duration { return time.Duration(chance.Int64N(int64(d))) }
		const trials = 30
		freed, held := 0, 0
		for trial := range trials {
			id := director.NodeID(fmt.Sprint("n", 1+trial%3))
			cut := p.cuts[1+chance.IntN(2)] // a is where operators are
			from, drained := within(3*time.Second), within(3*time.Second)
			until := from + within(20*time.Second)
			step := 200 * time.Millisecond
			if trial%10 == 0 {
				until, step = from+within(store.Lease), 2*time.Second
			}
			began, isCut, isDrained := time.Now(), false, false
			for end := until + 4*time.Second; time.Since(began) < end; {
				switch at := time.Since(began); {
				case !isCut && at >= from && at < until:
					isCut = true
					cut.set([]ailment{away, hung, stuck}[trial%3])
				case isCut && at >= until:
					isCut = false
					cut.set(well)
				}
				if !isDrained && time.Since(began) >= drained {
					isDrained = true
					set(t, p.rigs[0], id, store.NodeDrained)
				}
				p.live(t, 20*time.Millisecond+within(step))
				safe := slices.ContainsFunc(p.rigs, func(d *rig) bool { return free(d, id) })
				for _, d := range p.rigs {
					if sent := p.sends(d, id); sent && safe {
						t.Fatalf("seed %d, trial %d: %v after it began (cut from %v to %v, drained at %v), %s is free and %s sends listeners there",
							seed, trial, time.Since(began), from, until, drained, id, d.name)
					} else if sent && isDrained {
						held++
					}
				}
			}
			if free(p.rigs[0], id) {
				freed++
			}
			set(t, p.rigs[0], id, "")
			p.live(t, time.Second)
		}
		if freed != trials {
			t.Errorf("%d of %d nodes were free in the end, want all", freed, trials)
		}
		if held < trials {
			t.Errorf("directors sent listeners to drained nodes only %d times: the cuts cut nothing off", held)
		}
	})
}

// set makes an operator's state of a node.
func set(t *testing.T, d *rig, id director.NodeID, state store.NodeState) {
	t.Helper()
	_, err := d.Change(t.Context(), store.Author{By: "anna"}, func(o *store.Overlay) error {
		if o.Nodes == nil {
			o.Nodes = map[director.NodeID]store.NodeSetting{}
		}
		delete(o.Nodes, id)
		if state != "" {
			o.Nodes[id] = store.NodeSetting{State: state}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLeaseEnds: a director that is cut off for longer than its lease prefers what it
// can confirm, and then a registered node that was drained behind its back is free. It
// refuses nobody: where it can confirm nothing, it goes on with what it knew.
func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParted(t, edges(), "a", "b")
		a, b := p.rigs[0], p.rigs[1]
		p.live(t, time.Second, "edge-1")
		p.live(t, time.Second, "edge-1")
		if !p.sends(b, "edge-1") {
			t.Fatal("b sends nobody to a registered node")
		}
		p.cuts[1].set(away)
		p.live(t, time.Second, "edge-1")
		if _, err := a.Drain("edge-1", store.Speaker{Instance: "agent"}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for !free(a, "edge-1") {
			if at := time.Since(began); at > store.Lease+store.EnRouteMax+2*time.Second {
				t.Fatalf("%v after the drain, it still waits for %v", at, a.Unaware("edge-1"))
			}
			if at := time.Since(began); at > store.DirectorLife+time.Second && (len(a.Status().Missing) != 1 || a.Status().Missing[0].ID != "b") {
				t.Fatalf("after %v, missing: %+v, want b", at, a.Status().Missing)
			}
			sends := p.sends(b, "edge-1")
			if at := time.Since(began); sends != (at < store.Lease-time.Second) && (at-store.Lease).Abs() > 2*time.Second {
				t.Fatalf("%v after the drain, b sends listeners there: %t", at, sends)
			}
			p.live(t, time.Second, "edge-1")
		}
		for range 60 {
			if p.sends(b, "edge-1") {
				t.Fatal("b sends listeners to a node that is free")
			}
			p.live(t, time.Second, "edge-1")
		}
		if got := b.log.Count("registered nodes whose agents do not report here"); got != 1 {
			t.Errorf("b says %d times that its lease has ended, want once:\n%s", got, b.log)
		}
		for range 20 { // b sees the other nodes die
			for _, id := range []director.NodeID{"n1", "n2"} {
				b.prober.tell(director.Report{Node: id, Health: director.Failed, Since: time.Now(), Listeners: -1})
			}
			b.prober.report("edge-1", 0)
			pass(time.Second)
		}
		if !p.sends(b, "edge-1") {
			t.Error("b refuses listeners although it knows a node that plays")
		}
		p.cuts[1].set(well)
		p.live(t, time.Second, "edge-1")
		if isAt("edge-1", a, b) != "drained" || len(a.Status().Missing) != 0 {
			t.Errorf("once b is back: %s, missing %+v", isAt("edge-1", a, b), a.Status().Missing)
		}
	})
}

// TestWhoMayStillSend: who stops says so, and who is started again has the old run's
// place; who does neither is waited for.
func TestWhoMayStillSend(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(t *testing.T, p *parted)
		want []string
	}{
		"it lives and knows": {func(*testing.T, *parted) {}, nil},
		"it has stopped":     {func(_ *testing.T, p *parted) { p.rigs[1].stop() }, nil},
		"it was killed": {func(_ *testing.T, p *parted) {
			p.cuts[1].set(away)
			p.rigs[1].stop()
		}, []string{"host-b-AAAAAAAA"}},
		"it was killed and started again": {func(t *testing.T, p *parted) {
			p.cuts[1].set(away)
			p.rigs[1].stop()
			pass(5 * time.Second)
			again := start(t, store.SyncerConfig{Store: p.cuts[1].Store, Director: "host-b-BBBBBBBB", Config: config("n1", "n2")})
			p.rigs[1] = again
		}, nil},
		"we were started again since": {func(t *testing.T, p *parted) {
			p.cuts[0].set(away)
			p.rigs[0].stop()
			p.cuts[0].set(well)
			p.rigs[0] = start(t, store.SyncerConfig{Store: p.cuts[0].Store, Director: "host-a-BBBBBBBB", Config: config("n1", "n2")})
		}, nil},
		"the store is away for us": {func(_ *testing.T, p *parted) {
			pass(5 * time.Second)
			p.cuts[0].set(away)
		}, []string{"host-b-AAAAAAAA"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newParted(t, config("n1", "n2"), "host-a-AAAAAAAA", "host-b-AAAAAAAA")
				p.live(t, time.Second)
				if name != "the store is away for us" {
					c.end(t, p)
				}
				set(t, p.rigs[0], "n1", store.NodeDrained)
				if name == "the store is away for us" {
					c.end(t, p)
				}
				for range 10 {
					p.live(t, time.Second)
				}
				if got := p.rigs[0].Unaware("n1"); !slices.Equal(got, c.want) {
					t.Errorf("may still send: %v, want %v", got, c.want)
				}
			})
		})
	}
}
