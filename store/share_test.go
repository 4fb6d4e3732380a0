package store_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// party is several directors at one store, each with a prober that at once knows
// what it is told to probe.
type party struct {
	t    *testing.T
	rigs []*rig
	ids  []director.NodeID
}

func newParty(t *testing.T, directors, nodes int) *party {
	t.Helper()
	p := &party{t: t}
	for i := range nodes {
		p.ids = append(p.ids, director.NodeID(fmt.Sprint("n", i+1)))
	}
	shared := memory(t)
	for i := range directors {
		handle := shared
		if i > 0 {
			handle = join(t, shared)
		}
		name := string(rune('a' + i))
		p.rigs = append(p.rigs, start(t, store.SyncerConfig{Store: handle, Director: name, Site: "site-" + name, Config: config(p.ids...)}))
	}
	return p
}

// allUp waits until every node has been seen up.
func (p *party) allUp() {
	for _, d := range p.rigs {
		p.see(d, director.Up, p.ids...)
	}
	pass(4 * tick)
}

// see makes a director's probes of the nodes come out so, if it is to probe them.
func (p *party) see(d *rig, health director.Health, ids ...director.NodeID) {
	mine := d.prober.probes()
	for _, id := range ids {
		if slices.Contains(mine, id) {
			d.prober.tell(director.Report{Node: id, Health: health, Since: time.Now(), Detail: "seen by " + d.name, Listeners: 5, AnyMount: true})
		}
	}
}

// probers returns who probes each node, as in "ab", among the directors that run.
func (p *party) probers(running ...*rig) map[director.NodeID]string {
	out := map[director.NodeID]string{}
	for _, d := range running {
		for _, id := range d.prober.probes() {
			out[id] += d.name
		}
	}
	return out
}

func (p *party) health(d *rig, id director.NodeID) director.Health {
	n, _ := d.View().FindNode(id)
	return d.View().Node(n).Report.Health
}

func (p *party) wantTwoEach(when string, running ...*rig) {
	p.t.Helper()
	got := p.probers(running...)
	for _, id := range p.ids {
		if len(got[id]) != min(2, len(running)) {
			p.t.Errorf("%s: %s is probed by %q, want two of %d directors", when, id, got[id], len(running))
		}
	}
}

// TestTwoProbeEachNode: directors come and go, and each node has two probers, or
// the one that is left.
func TestTwoProbeEachNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 3, 40)
		a, b, c := p.rigs[0], p.rigs[1], p.rigs[2]
		for _, d := range p.rigs { // each has been told all nodes to begin with
			p.see(d, director.Up, p.ids...)
		}
		pass(4 * tick)
		p.wantTwoEach("three live", a, b, c)
		before := p.probers(a, b)
		b.stop()
		stopped := time.Now()
		for {
			pass(50 * time.Millisecond)
			for _, d := range []*rig{a, c} {
				p.see(d, director.Up, p.ids...)
			}
			now := p.probers(a, c)
			if !slices.ContainsFunc(p.ids, func(id director.NodeID) bool { return len(now[id]) != 2 }) {
				break
			}
			if time.Since(stopped) > 3*time.Second {
				t.Fatalf("3 s after b died: %v", now)
			}
		}
		for id, who := range p.probers(a) {
			if before[id] == "b" && who != "a" {
				t.Errorf("%s, which b and c probed, is probed by %s", id, who)
			}
		}
		c.stop()
		pass(3 * time.Second)
		p.wantTwoEach("one lives", a)
		if got := len(a.View().Node(0).Report.By); got == 0 {
			t.Error("the node that a has not probed yet has no report any more")
		}
	})
}

// TestBothMustSeeItDown: one director's word takes no node down, two do, and
// whoever looks knows who saw what.
func TestBothMustSeeItDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 3, 12)
		p.allUp()
		id := p.ids[4]
		who := p.probers(p.rigs...)[id]
		first, second := p.rigs[who[0]-'a'], p.rigs[who[1]-'a']
		p.see(first, director.Failed, id)
		pass(3 * tick)
		for _, d := range p.rigs {
			n, _ := d.View().FindNode(id)
			r := d.View().Node(n).Report
			if r.Health != director.Up || !strings.Contains(r.Detail, "down for "+first.name) || r.Listeners != 5 {
				t.Errorf("at %s one says down: %+v", d.name, r)
			}
		}
		p.see(second, director.Failed, id)
		pass(3 * tick)
		for _, d := range p.rigs {
			if p.health(d, id) != director.Failed {
				t.Errorf("at %s both say down, and it is not", d.name)
			}
		}
		// The word of one who is gone does not hold it down, nor does it come up by that.
		second.stop()
		pass(3 * time.Second)
		running := slices.DeleteFunc(slices.Clone(p.rigs), func(d *rig) bool { return d == second })
		for _, d := range running {
			if p.health(d, id) != director.Failed {
				t.Errorf("at %s it came up with the death of a director", d.name)
			}
		}
		for _, d := range running {
			p.see(d, director.Up, id)
		}
		pass(3 * tick)
		for _, d := range running {
			if p.health(d, id) != director.Up {
				t.Errorf("at %s it is up for those who probe it, and yet down", d.name)
			}
		}
	})
}

// TestTakeoverDoesNotFlap: while directors die and come, no node that all of them
// find up is anything else at any of them, from one snapshot to the next.
func TestTakeoverDoesNotFlap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 1, 30)
		running := slices.Clone(p.rigs)
		shared := memory(t)
		running[0].stop()
		join := func(name string) *rig {
			d := start(t, store.SyncerConfig{Store: join(t, shared), Director: name, Site: name, Config: config(p.ids...)})
			p.see(d, director.Up, p.ids...) // its first round
			return d
		}
		running = []*rig{join("a")}
		lag := map[string]map[director.NodeID]time.Time{} // since when each has known of a node that it is to probe
		watch := func(d time.Duration) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); pass(50 * time.Millisecond) {
				for _, d := range running {
					mine := d.prober.probes()
					since := lag[d.name]
					if since == nil {
						since = map[director.NodeID]time.Time{}
						lag[d.name] = since
					}
					maps.DeleteFunc(since, func(id director.NodeID, _ time.Time) bool { return !slices.Contains(mine, id) })
					for _, id := range mine {
						if since[id].IsZero() {
							since[id] = time.Now()
						}
						if time.Since(since[id]) > 800*time.Millisecond { // a probe takes its time
							p.see(d, director.Up, id)
						}
					}
					for i := range d.View().Nodes() {
						if n := d.View().Node(i); n.State != director.Fit {
							t.Fatalf("%s is %v at %s: %+v", n.ID, n.State, d.name, n.Report)
						}
					}
				}
			}
		}
		pass(twoTicks)
		watch(3 * time.Second)
		running = append(running, join("b"), join("c"))
		pass(twoTicks)
		watch(5 * time.Second)
		running[0].stop()
		running = running[1:]
		watch(5 * time.Second)
		running = append(running, join("d"))
		pass(twoTicks)
		watch(5 * time.Second)
		for len(running) > 1 {
			running[0].stop()
			running = running[1:]
		}
		watch(5 * time.Second)
	})
}

// TestSuspectIsNotBelieved: a director whose network is gone takes nothing down
// for others, nor for its own listeners while others see better; it says so, once.
func TestSuspectIsNotBelieved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 2, 6)
		a, b := p.rigs[0], p.rigs[1]
		for _, d := range p.rigs {
			p.see(d, director.Up, p.ids...)
		}
		pass(4 * tick)
		dead := p.ids[0] // this one really is
		a.prober.suspects("6 of 6 nodes began to fail")
		p.see(a, director.Failed, p.ids...)
		p.see(b, director.Failed, dead)
		pass(3 * tick)
		for _, d := range p.rigs {
			for _, id := range p.ids {
				want := director.Up
				if id == dead {
					want = director.Failed
				}
				if got := p.health(d, id); got != want {
					t.Errorf("at %s, %s is %v, want %v", d.name, id, got, want)
				}
			}
		}
		if st := a.Status(); st.Suspect == "" || st.Director.Suspect == "" || b.Status().Suspect != "" {
			t.Errorf("status: %+v", st)
		}
		a.prober.suspects("")
		p.see(a, director.Up, p.ids[1:]...)
		pass(time.Minute)
		if st := a.Status(); st.Suspect != "" {
			t.Errorf("status: %+v", st)
		}
		if a.log.Count("suspects itself") != 1 || a.log.Count("trusts its own probes again") != 1 || b.log.Count("\n") > 0 {
			t.Errorf("want one line each way:\n%s", a.log)
		}
		// Alone, there is nobody to know better.
		b.stop()
		pass(3 * time.Second)
		a.prober.suspects("6 of 6 nodes began to fail")
		p.see(a, director.Failed, p.ids...)
		pass(3 * tick)
		if got := p.health(a, p.ids[3]); got != director.Failed {
			t.Errorf("alone, it finds a node %v that it sees down", got)
		}
	})
}

// TestNodeThatTheirFilesLack: a node that those who are to probe it do not know
// is probed by who does.
func TestNodeThatTheirFilesLack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 3, 4)
		extra := []director.NodeID{"x1", "x2", "x3", "x4", "x5", "x6"}
		a := p.rigs[0]
		if err := a.SetConfig(config(append(slices.Clone(p.ids), extra...)...)); err != nil {
			t.Fatal(err)
		}
		for _, d := range p.rigs {
			p.see(d, director.Up, p.ids...)
		}
		pass(10 * time.Second)
		for _, id := range extra {
			if got := p.probers(p.rigs...)[id]; got != "a" {
				t.Errorf("%s is probed by %q", id, got)
			}
		}
	})
}

// TestEachProbesAllWithoutStore: who no longer hears of others counts on nobody.
func TestEachProbesAllWithoutStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newUnwell(t, well)
		p := &party{t: t, ids: []director.NodeID{"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"}}
		for i, name := range []string{"a", "b", "c"} {
			handle := s
			if i > 0 {
				handle = &unwell{Store: s}
			}
			p.rigs = append(p.rigs, start(t, store.SyncerConfig{Store: handle, Director: name, Config: config(p.ids...)}))
		}
		seeAll := func() {
			for _, d := range p.rigs {
				p.see(d, director.Up, p.ids...)
			}
		}
		seeAll()
		pass(4 * tick)
		p.wantTwoEach("at first", p.rigs...)
		s.set(away)
		fell := time.Now()
		for range 12 {
			pass(tick)
			seeAll()
		}
		for _, d := range p.rigs {
			if got := len(d.prober.probes()); got != len(p.ids) {
				t.Errorf("%v without a store %s probes %d of %d nodes", time.Since(fell), d.name, got, len(p.ids))
			}
		}
		s.set(well)
		for range 4 {
			pass(tick)
			seeAll()
		}
		p.wantTwoEach("when it is back", p.rigs...)
	})
}

// TestClocksApart: directors whose clocks are 10 minutes before and behind the store's
// agree on all there is.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memory(t)
		var rigs []*rig
		for name, ahead := range map[string]time.Duration{"a": 10 * time.Minute, "b": -10 * time.Minute} {
			handle := shared
			if len(rigs) > 0 {
				handle = join(t, shared)
			}
			p := newProber()
			p.ahead = ahead
			rigs = append(rigs, start(t, store.SyncerConfig{
				Store: handle, Director: name, Config: edges(), Prober: p, Now: func() time.Time { return time.Now().Add(ahead) },
			}))
		}
		all := func(what string, want director.Reason, ids ...director.NodeID) {
			t.Helper()
			for _, id := range ids {
				if got := isAt(id, rigs...); got != want.String() {
					t.Errorf("%s: %s is %s, want %v", what, id, got, want)
				}
			}
		}
		pass(4 * tick)
		for range 60 {
			for _, d := range rigs {
				d.prober.report("n1", 5)
				d.prober.report("edge-1", -1)
			}
			r := edge("edge-1", "i1", 7)
			r.Report.Taken = r.Report.Taken.Add(rigs[0].prober.ahead)
			register(t, rigs[0], r)
			pass(time.Second)
			all("all is well", director.Fit, "n1", "edge-1")
		}
		n, _ := rigs[1].View().FindNode("n1")
		before := rigs[1].View().Live.Used(n)
		for range 10 {
			v := rigs[0].View()
			i, _ := v.FindNode("n1")
			v.Live.Count(i)
		}
		pass(3 * tick)
		if got := rigs[1].View().Live.Used(n) - before; got != 10 {
			t.Errorf("of 10 listeners on their way, the other director sees %d", got)
		}
		picture, err := join(t, shared).Sync(t.Context(), store.Offer{Director: store.Director{ID: "reader"}})
		if err != nil || len(picture.Reports) != 4 {
			t.Errorf("%d reports, %v", len(picture.Reports), err)
		}
		for _, r := range picture.Reports {
			if old := picture.Now.Sub(r.Taken); old.Abs() > 3*time.Second {
				t.Errorf("a report of now, by %s, is %v old", r.By, old)
			}
		}
		speak(rigs[0], "n1", 5)
		pass(twoTicks)
		for _, d := range rigs {
			if got := d.prober.doubts(); len(got) != 1 {
				t.Errorf("%s: doubts %v", d.name, got)
			}
			d.prober.tell(director.Report{Node: "n1", Health: director.Failed})
		}
		pass(twoTicks)
		all("the node is dead for both", director.Down, "n1")
	})
}
