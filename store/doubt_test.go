package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// speak lets listeners of n networks say something against a node.
func speak(d *rig, id director.NodeID, n int) {
	for i := range n {
		d.Doubt(id, "/live.mp3", uint64(i+1)*0x9e3779b97f4a7c15)
	}
}

// TestDoubtIsShared: what one director's listeners say reaches those who probe the
// node within a tick, once, whoever they are.
func TestDoubtIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 3, 12)
		p.allUp()
		a := p.rigs[0]
		for _, id := range p.ids[:4] {
			speak(a, id, 2)
		}
		pass(twoTicks)
		for _, d := range p.rigs {
			if got := d.prober.doubts(); len(got) > 0 {
				t.Errorf("two networks speak, and %s doubts %v", d.name, got)
			}
		}
		for _, id := range p.ids[4:8] {
			speak(a, id, 5)
		}
		synctest.Wait()
		if got := a.prober.doubts(); len(got) != 4 || !slices.Contains(got, string(p.ids[4])+": listeners of 5 networks came back from it, or get too little from it to play") {
			t.Errorf("at the director that they came back to: %v", got)
		}
		pass(tick + 100*time.Millisecond)
		for _, d := range p.rigs {
			if got := d.prober.doubts(); len(got) != 4 {
				t.Errorf("%s doubts %v", d.name, got)
			}
		}
		pass(time.Minute)
		for _, d := range p.rigs {
			if got := d.prober.doubts(); len(got) != 4 {
				t.Errorf("a minute later %s has doubted %v", d.name, got)
			}
			if len(d.Status().Director.Doubts) > 0 || d.log.Count("\n") > 0 {
				t.Errorf("%s still tells of %v\n%s", d.name, d.Status().Director.Doubts, d.log)
			}
		}
	})
}

// TestFailureIsShared: when a node fails one director, the others know at once, and
// are not told again of each failure that follows.
func TestFailureIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 3, 2)
		p.allUp()
		for range 100 {
			p.rigs[0].Failed("n1", "/live.mp3", "connection refused")
			p.rigs[0].Failed("unknown", "/live.mp3", "connection refused")
			synctest.Wait()
		}
		want := []string{"n1: a director's stream from it failed: connection refused"}
		if got := p.rigs[0].prober.doubts(); !slices.Equal(got, want) {
			t.Errorf("at the director itself: %q, want %q", got, want)
		}
		pass(tick + 100*time.Millisecond)
		for _, d := range p.rigs[1:] {
			if got := d.prober.doubts(); !slices.Equal(got, want) {
				t.Errorf("at %s: %q, want %q", d.name, got, want)
			}
		}
		pass(time.Second)
		p.rigs[0].Failed("n1", "/live.mp3", strings.Repeat("x", 10_000))
		pass(tick + 100*time.Millisecond)
		if got := p.rigs[2].prober.doubts(); len(got) != 2 || len(got[1]) > 400 {
			t.Errorf("after a second failure with a long text: %d doubts", len(got))
		}
	})
}

// TestNewsTravelsFast: when a prober finds a node down, others need not wait for
// two ticks; and ever so much news does not keep the store busy.
func TestNewsTravelsFast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memory(t)
		a := start(t, store.SyncerConfig{Store: shared, Director: "a", Tick: 10 * time.Second})
		pass(time.Second)
		a.prober.tell(director.Report{Node: "n1", Health: director.Failed})
		a.prober.news <- struct{}{}
		pass(60 * time.Millisecond)
		p, err := join(t, shared).Sync(t.Context(), store.Offer{Director: store.Director{ID: "x"}})
		if err != nil || len(p.Reports) != 1 {
			t.Errorf("others know %v, %v", p.Reports, err)
		}
		before := a.Status().Syncs
		for range 1000 {
			select {
			case a.prober.news <- struct{}{}:
			default:
			}
			pass(time.Millisecond)
		}
		if got := a.Status().Syncs - before; got < 10 || got > 25 {
			t.Errorf("%d exchanges in a second full of news", got)
		}
	})
}

// TestDoubtfulDirectors: a picture with more doubts than any director has, old
// ones and ones from the future, does no harm.
func TestDoubtfulDirectors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memory(t)
		a := start(t, store.SyncerConfig{Store: shared, Director: "a"})
		pass(twoTicks)
		other := join(t, shared)
		d := store.Director{ID: "x"}
		for i := range 10_000 {
			d.Doubts = append(d.Doubts, store.Doubt{Node: director.NodeID(fmt.Sprint("n", i)), At: time.Now()})
		}
		d.Doubts[1].At = time.Time{}
		d.Doubts[2].At = time.Now().Add(time.Hour)
		for range 20 {
			if _, err := other.Sync(t.Context(), store.Offer{Director: d}); err != nil {
				t.Fatal(err)
			}
			pass(tick)
		}
		if got := len(a.prober.doubts()); got != 98 {
			t.Errorf("it heeds %d doubts", got)
		}
	})
}
