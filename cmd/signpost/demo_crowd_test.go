package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestDemoCrowd: listeners that are made up are real to nodes, come back when one dies,
// leave with the demo, and are not printed.
func TestDemoCrowd(t *testing.T) {
	t.Parallel()
	printed := &lineWriter{out: new(bytes.Buffer)}
	d, err := (&demoCmd{Any: true}).open(slog.New(slog.DiscardHandler), printed)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	<-d.service.Ready()
	c := newCrowd(d.url(), 20)
	c.sip, c.pause, c.fill = 200*time.Millisecond, 100*time.Millisecond, 500*time.Millisecond
	leave := d.invite(t.Context(), c)
	await := func(what string, good func(listeners [3]int) bool) {
		t.Helper()
		var last [3]int
		for begin := time.Now(); time.Since(begin) < 2*time.Minute; time.Sleep(50 * time.Millisecond) { // poll
			for i := range d.nodes {
				last[i] = nodeListeners(t, &d.nodes[i])
			}
			if good(last) {
				return
			}
		}
		t.Fatalf("waited for %s; nodes have %d listeners", what, last)
	}
	most := func(n [3]int) bool { return n[0]+n[1]+n[2] >= 15 } // some may have left
	await("listeners at all nodes", func(n [3]int) bool { return most(n) && n[0] > 0 && n[1] > 0 && n[2] > 0 })
	d.toggle(0)
	await("those of the node that died at the others", most)
	leave()
	await("nobody", func(n [3]int) bool { return n == [3]int{} })
	printed.mu.Lock()
	defer printed.mu.Unlock()
	if s := printed.out.(*bytes.Buffer).String(); strings.Contains(s, "GET ") {
		t.Errorf("requests of nobody are printed:\n%s", s)
	}
}

// nodeListeners is what a node counts; 0 if it is stopped.
func nodeListeners(t *testing.T, n *demoNode) int {
	t.Helper()
	if !n.up {
		return 0
	}
	a, err := http.Get(n.node.URL() + "/status-json.xsl?mount=/live.mp3")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	var s struct {
		Icestats struct{ Source struct{ Listeners int } }
	}
	if err := json.NewDecoder(a.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s.Icestats.Source.Listeners
}

// TestDemoCrowdPlaces: the crowd comes from where it is said to, and is told from whoever
// tries what the demo prints.
func TestDemoCrowdPlaces(t *testing.T) {
	t.Parallel()
	l, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, p := range crowdPlaces {
		network := netip.MustParsePrefix(p.network)
		if network.Bits() != 24 || network != network.Masked() {
			t.Errorf("%s is no /24", p.network)
		}
		for addr := network.Addr().Next(); addr.As4()[3] != 255; addr = addr.Next() {
			if got := l.Locate(addr).Country.String(); got != p.country {
				t.Errorf("%s is in %q, want %s", addr, got, p.country)
				break
			}
		}
		for _, who := range demoListeners {
			if network.Contains(netip.MustParseAddr(who.addr)) {
				t.Errorf("%s is one to try the demo with", who.addr)
			}
		}
		sum += p.weight
	}
	if sum != 142 {
		t.Errorf("weights add up to %v: mend the comment", sum)
	}
}

// TestAwake: the crowd follows the sun.
func TestAwake(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.FixedZone("", 3600)) // 11 UTC
	for longitude, want := range map[float64]float64{60: 1, -120: .1, -30: .55, 150: .55} {
		if got := awake(noon, longitude); got < want-.001 || got > want+.001 {
			t.Errorf("at 11 UTC, %v degrees east: %.3f, want %.3f", longitude, got, want)
		}
	}
}
