package store_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// drained has an operator drain a node at d.
func drained(t *testing.T, d *rig, id director.NodeID) {
	t.Helper()
	_, err := d.Change(t.Context(), store.Author{By: "anna"}, func(o *store.Overlay) error {
		if o.Nodes == nil {
			o.Nodes = map[director.NodeID]store.NodeSetting{}
		}
		o.Nodes[id] = store.NodeSetting{State: store.NodeDrained}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// made says what operators have made of nodes, as d knows it.
func made(d *rig) (ids string) {
	for _, id := range []director.NodeID{"n1", "edge-1", "edge-2", "gone"} {
		if _, there := d.Overlay().Nodes[id]; there {
			ids += string(id) + " "
		}
	}
	return ids
}

// What an operator made of a node that has deregistered is not for the next one of
// that id, and nobody is sent to the old one while all come to know.
func TestWhatIsMadeOfANodeGoesWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{})
		register(t, a, edge("edge-1", "i1", 7))
		pass(3 * tick)
		drained(t, b, "edge-1")
		drained(t, b, "n1")
		pass(3 * tick)
		if err := a.Deregister("edge-1", store.Speaker{}); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			pass(10 * time.Millisecond)
			if got := isAt("edge-1", b); got != "drained" && got != "absent" {
				t.Fatalf("the node that has left is %s", got)
			}
		}
		if got := made(a) + made(b); got != "n1 n1 " {
			t.Errorf("left of it: %s", got)
		}
		h := a.Overlay().History
		if last := h[len(h)-1]; last.By != "signpost" || last.Why == "" || len(last.Entries) != 1 || last.Entries[0].Entry != "nodes/edge-1" {
			t.Errorf("the history says %+v", last)
		}

		// The next one comes at once.
		register(t, a, edge("edge-1", "i2", 7))
		pass(3 * tick)
		drained(t, a, "edge-1")
		pass(3 * tick)
		if err := a.Deregister("edge-1", store.Speaker{Instance: "i2"}); err != nil {
			t.Fatal(err)
		}
		register(t, a, edge("edge-1", "i3", 0))
		pass(3 * tick)
		if got := isAt("edge-1", a, b); got != "fit" {
			t.Errorf("the third of that id: %s", got)
		}
		if err := a.Deregister("edge-1", store.Speaker{Instance: "i3"}); err != nil {
			t.Fatal(err)
		}
		pass(time.Millisecond)
		register(t, a, edge("edge-1", "i4", 0))
		drained(t, a, "edge-1")
		for range 8 {
			pass(time.Second)
			register(t, a, edge("edge-1", "i4", 0))
		}
		if got := isAt("edge-1", a, b); got != "drained" {
			t.Errorf("the fourth, which was drained itself: %s", got)
		}
	})
}

// A drain outlives an agent that comes back, and the store; not a node that is forgotten.
func TestWhatIsMadeOfASilentNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newUnwell(t, well)
		c := store.SyncerConfig{Store: shared, Config: edges(), DownAfter: 3 * time.Second, ForgetAfter: time.Minute}
		d := start(t, c)
		pass(3 * tick)
		register(t, d, edge("edge-1", "i1", 7))
		pass(3 * tick)
		drained(t, d, "edge-1")
		drained(t, d, "gone") // this might be a declared node of another director
		pass(59 * time.Second)
		register(t, d, edge("edge-1", "i2", 7))
		pass(30 * time.Second)
		if got := isAt("edge-1", d); got != "down" && got != "drained" || made(d) != "edge-1 gone " {
			t.Errorf("an agent that came back under another name: %s, %s", got, made(d))
		}
		pass(40 * time.Second)
		if got := made(d); got != "gone " {
			t.Errorf("forgotten: %s", got)
		}

		// While the store was away, others may have heard of it.
		register(t, d, edge("edge-1", "i3", 7))
		pass(3 * tick)
		drained(t, d, "edge-1")
		pass(3 * tick)
		shared.set(away)
		pass(2 * time.Minute)
		shared.set(well)
		pass(50 * time.Second)
		if got := made(d); got != "edge-1 gone " {
			t.Errorf("with the store away: %s", got)
		}
		pass(15 * time.Second)
		if got := made(d); got != "gone " {
			t.Errorf("a minute after the store came back: %s", got)
		}
	})
}

// A director that starts does not know yet who will register.
func TestWhatIsMadeOfANodeThatStartsLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := store.SyncerConfig{Store: memory(t), Config: edges(), ForgetAfter: time.Minute}
		d := start(t, c)
		pass(3 * tick)
		drained(t, d, "edge-1")
		drained(t, d, "edge-2")
		pass(50 * time.Second)
		register(t, d, edge("edge-2", "i1", 7))
		pass(20 * time.Second)
		if got := made(d); got != "edge-2 " {
			t.Errorf("what is left: %s", got)
		}
	})
}
