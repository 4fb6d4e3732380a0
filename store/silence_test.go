package store_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// apart are two directors, each with a store of its own to lose, in which both meet.
func apart(t *testing.T) (a, b *rig, atA, atB *unwell) {
	t.Helper()
	shared := memory(t)
	atA, atB = &unwell{Store: shared, changed: make(chan struct{})}, &unwell{Store: join(t, shared), changed: make(chan struct{})}
	c := store.SyncerConfig{Config: edges(), DownAfter: 3 * time.Second, ForgetAfter: time.Minute}
	c.Store, c.Director = atA, "a"
	a = start(t, c)
	c.Store, c.Director = atB, "b"
	b = start(t, c)
	pass(3 * tick)
	return a, b, atA, atB
}

// An agent reports to one of two directors, and the other hears nothing any more: it
// goes by its own probes, and the last load, for as long as that takes.
func TestSilenceThatIsTheStores(t *testing.T) {
	t.Parallel()
	for _, bToo := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b, atA, atB := apart(t)
			report := func(seconds, listeners int) {
				for range seconds {
					register(t, a, edge("edge-1", "i1", listeners))
					pass(time.Second)
				}
			}
			report(3, 7)
			atA.set(away)
			if bToo {
				atB.set(away)
			}
			for range 120 { // longer than until it would be forgotten
				report(1, 8)
				if got := isAt("edge-1", a, b); got != "fit" {
					t.Fatalf("b too %v: %s", bToo, got)
				}
			}
			n, _ := b.node("edge-1")
			if n.Used != 7 || n.WarmUp != 1 || !strings.Contains(n.Report.Detail, "to a, which this director does not hear") {
				t.Errorf("b too %v: used %d, warm-up %v, %q", bToo, n.Used, n.WarmUp, n.Report.Detail)
			}
			reached := director.Report{Node: "edge-1", Health: director.Up, Listeners: -1, IPv4: true, Since: time.Now()}
			failed := reached
			failed.Health, failed.Detail = director.Failed, "GET /live.mp3: no whole answer"
			b.prober.tell(failed)
			report(1, 8)
			if n, _ = b.node("edge-1"); n.State != director.Down || !strings.Contains(n.Report.Detail, "does not hear, but directors do not reach it") {
				t.Errorf("b too %v, it is not reached: %v %q", bToo, n.State, n.Report.Detail)
			}
			b.prober.tell(reached)
			report(60, 8)
			atA.set(well)
			atB.set(well)
			for range 10 {
				report(1, 9)
				if got := isAt("edge-1", a, b); got != "fit" {
					t.Fatalf("b too %v, together again: %s", bToo, got)
				}
			}
			if n, _ = a.node("edge-1"); n.Used != 9 || n.WarmUp != 1 || a.log.Count("registered node is") != 1 {
				t.Errorf("b too %v, together again: used %d, warm-up %v\n%s", bToo, n.Used, n.WarmUp, a.log)
			}
			if n, _ = b.node("edge-1"); n.Used != 9 {
				t.Errorf("b too %v, together again: used %d at the other", bToo, n.Used)
			}
		})
	}
}

// What is unheard and not reached either is forgotten, and so is what turns out to
// have been silent.
func TestUnheardNodesThatAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, atA, _ := apart(t)
		register(t, a, edge("edge-1", "i1", 7))
		register(t, a, edge("edge-2", "i2", 7))
		pass(3 * tick)
		atA.set(away)
		pass(10 * time.Second)
		if here, there := isAt("edge-1", a)+" "+isAt("edge-2", a), isAt("edge-1", b)+" "+isAt("edge-2", b); here != "down down" || there != "fit fit" {
			t.Errorf("the director that heard them says %s, and the other %s", here, there)
		}
		unreached := director.Report{Node: "edge-2", Health: director.Failed, Listeners: -1, Since: time.Now()}
		b.prober.tell(unreached)
		for range 50 {
			pass(time.Second)
			b.prober.tell(unreached)
		}
		if got := isAt("edge-1", b) + " " + isAt("edge-2", b); got != "fit down" {
			t.Errorf("not reached for less than a minute: %s", got)
		}
		for range 12 {
			pass(time.Second)
			b.prober.tell(unreached)
		}
		if got := isAt("edge-1", b) + " " + isAt("edge-2", b); got != "fit absent" {
			t.Errorf("not reached for more than a minute: %s", got)
		}
		atA.set(well)
		pass(3 * tick)
		if got := isAt("edge-1", a, b) + " " + isAt("edge-2", a, b); got != "absent absent" {
			t.Errorf("together again: %s", got)
		}
	})
}

// A node whose agent last said that its server is down, and is not heard since, is
// as well as directors find it.
func TestUnheardNodeThatWasDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, atA, _ := apart(t)
		r := edge("edge-1", "i1", -1)
		r.Report.Health, r.Report.Since = director.Failed, time.Now()
		register(t, a, r)
		pass(3 * tick)
		atA.set(away)
		pass(2 * time.Second)
		if got := isAt("edge-1", b); got != "down" {
			t.Errorf("at first: %s", got)
		}
		pass(5 * time.Second)
		if n, _ := b.node("edge-1"); n.State != director.Fit || n.WarmUp >= 1 {
			t.Errorf("later: %v, warm-up %v", n.State, n.WarmUp)
		}
	})
}

// A node that an operator takes out stays out while its agent goes on, and comes back
// with the next.
func TestANodeThatIsTakenOutStaysOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{})
		register(t, a, edge("edge-1", "i1", 7))
		pass(3 * tick)
		if err := b.Deregister("edge-1", store.Speaker{}); err != nil {
			t.Fatal(err)
		}
		pass(3 * tick)
		for range 150 {
			if _, err := a.Register(edge("edge-1", "i1", 7), 0); !errors.Is(err, store.ErrNotRegistered) {
				t.Fatalf("its agent goes on: %v", err)
			}
			pass(time.Second)
			if got := isAt("edge-1", a, b); got != "absent" {
				t.Fatalf("its agent goes on: %s", got)
			}
		}
		register(t, a, edge("edge-1", "i2", 7))
		pass(3 * tick)
		if got := isAt("edge-1", a, b); got != "fit" {
			t.Errorf("the next agent: %s", got)
		}
	})
}

// A node whose agent has long been silent can be taken out as well.
func TestASilentNodeIsTakenOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{ForgetAfter: 10 * time.Minute})
		register(t, a, edge("edge-1", "i1", 7))
		pass(2 * time.Minute)
		if got := isAt("edge-1", a, b); got != "down" {
			t.Errorf("before: %s", got)
		}
		if err := b.Deregister("edge-1", store.Speaker{}); err != nil {
			t.Fatal(err)
		}
		for range 90 {
			pass(time.Second)
			if got := isAt("edge-1", a, b); got != "absent" {
				t.Fatalf("taken out: %s", got)
			}
		}
		if len(a.Registrations())+len(b.Registrations()) != 0 {
			t.Error("it is known still")
		}
	})
}
