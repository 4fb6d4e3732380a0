package web

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/signpost-fm/signpost/director"
)

// TestTrafficForgets: nodes that come and go under new ids leave nothing behind.
func TestTrafficForgets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	listeners := 0
	send := func() {
		for range 20 {
			listeners++
			w.do(ask{url: "/live.mp3", from: addr(listeners)})
		}
	}
	send()
	before := w.Sent()["home"]
	if before["fra1"] == 0 || before["ber1"] == 0 || before["fra1"]+before["ber1"] != 20 {
		t.Fatalf("sent %v", before)
	}
	replaced := func() {
		w.fleet.Nodes[1].ID = "ber2"
		w.fleet.Regions[0].Row = weights("fra1", "ber2")
		w.build()
	}
	replaced()
	w.Sent() // notes that it is gone
	w.tick(wayLife)
	w.fleet = fleet() // and is back just in time
	w.build()
	if diff := cmp.Diff(before, w.Sent()["home"]); diff != "" {
		t.Errorf("of one that came back (-want +got):\n%s", diff)
	}
	replaced()
	w.tick(24 * time.Hour)
	if w.Sent()["home"]["ber1"] == 0 {
		t.Error("it is forgotten at once")
	}
	w.tick(wayLife + time.Second)
	send()
	for name, known := range map[string]map[director.NodeID]uint64{"Sent": w.Sent()["home"], "Traffic": w.Traffic().Nodes} {
		if known["ber1"] != 0 || known["fra1"] <= before["fra1"] || known["ber2"] == 0 || len(known) != 2 {
			t.Errorf("%s has %v", name, known)
		}
	}
	if text := exposition(t, w.Collector()); strings.Contains(text, `node="ber1"`) || !strings.Contains(text, `node="ber2"`) {
		t.Errorf("metrics:\n%s", text)
	}
	if w.Sent(); len(w.stats.sent.gone) != 0 {
		t.Errorf("it is remembered as gone: %v", w.stats.sent.gone)
	}
}

// TestNewWayCopiesItsRegion: that a node comes costs no more where there are many regions.
func TestNewWayCopiesItsRegion(t *testing.T) {
	t.Parallel()
	var c ways
	c.add("de", "n1")
	c.add("fr", "n1")
	at := func(r director.RegionID) uintptr { return reflect.ValueOf(c.all()[r]).Pointer() }
	de, fr := at("de"), at("fr")
	c.add("de", "n2")
	if at("de") == de || at("fr") != fr {
		t.Error("another region's ways are copied, or its own are changed in place")
	}
}

// TestWaysCountAll: whatever is added and forgotten meanwhile.
func TestWaysCountAll(t *testing.T) {
	t.Parallel()
	f, err := director.Compile(fleet())
	if err != nil {
		t.Fatal(err)
	}
	snapshot := f.Build(nil, director.Input{Now: epoch})
	const each = 500
	var c ways
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range each {
				c.add("home", "fra1")
				c.add("home", director.NodeID(fmt.Sprintf("gone-%d-%d", g, i)))
				if i%10 == 0 {
					c.forget(snapshot, epoch.Add(time.Duration(i)*time.Minute))
				}
			}
		})
	}
	wg.Wait()
	if n := c.all()["home"]["fra1"].Load(); n != 4*each {
		t.Errorf("%d counted, want %d", n, 4*each)
	}
	c.forget(snapshot, epoch.Add(1000*time.Hour))
	c.forget(snapshot, epoch.Add(2000*time.Hour))
	if left := c.all()["home"]; len(left) != 1 {
		t.Errorf("%d ways are left", len(left))
	}
}
