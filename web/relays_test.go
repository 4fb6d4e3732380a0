package web

import (
	"net/netip"
	"testing"

	"github.com/signpost-fm/signpost/director"
)

// TestRelays: nodes that pull a stream through the director are sent neither to
// themselves nor to those that pull from them, and are no listeners.
func TestRelays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	addrs := map[director.NodeID]netip.Addr{
		"fra1": netip.MustParseAddr("192.0.2.1"), "ber1": netip.MustParseAddr("192.0.2.2"), "ams1": netip.MustParseAddr("192.0.2.3"),
	}
	for i := range w.fleet.Nodes {
		w.fleet.Nodes[i].URLs = []string{"http://" + addrs[w.fleet.Nodes[i].ID].String() + ":8000"}
		w.fleet.Nodes[i].Paths = nil
	}
	w.build()
	pull := func(node director.NodeID, ua string) (int, director.NodeID) {
		rec := w.do(ask{url: "/live.mp3", from: addrs[node], header: map[string]string{"User-Agent": ua}})
		return rec.Code, w.lastRecord().Node
	}
	for _, ua := range []string{"Icecast 2.4.4", "Liquidsoap/2.1.3 (Unix; OCaml 4.13.1)"} {
		w.relays = relays{}
		code, first := pull("fra1", ua)
		if code != 302 || first == "fra1" {
			t.Fatalf("%s at fra1: %d to %s", ua, code, first)
		}
		code, second := pull(first, ua)
		if code != 302 || second == "fra1" || second == first {
			t.Fatalf("%s at %s, which feeds fra1: %d to %s", ua, first, code, second)
		}
		if code, _ := pull(second, ua); code != 503 {
			t.Errorf("%s at %s, which feeds both others: %d, want 503", ua, second, code)
		}
	}
	if n := w.live.total(); n != 0 {
		t.Errorf("%d relays were counted as listeners on their way", n)
	}
	// A person at the same address may listen to the node there.
	w.fleet.Regions[0].Row = weights("fra1")
	w.build()
	if code, node := pull("fra1", "VLC/3.0.24 LibVLC/3.0.24"); code != 302 || node != "fra1" {
		t.Errorf("a player at fra1's address: %d to %s", code, node)
	}
}
