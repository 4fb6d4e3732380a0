package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe"
	"github.com/signpost-fm/signpost/director/probe/probetest"
)

const everyone = "regions: [{id: all, match: default, weights: {n1: 1, n2: 1, n3: 1}}]\n"

// detection is what the configuration of these tests promises for a node that
// dies, whether it refuses connections or hangs; and a second for the tick, and
// for a machine that runs other tests beside this one.
var detection = probe.Config{Interval: 300 * time.Millisecond, Timeout: time.Second, Recheck: 100 * time.Millisecond}.Detection() + time.Second

func TestAKilledNodeIsNoLongerAnswered(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	s := direct(t, fleet, everyone)
	if to := s.sentTo(fleet, 60, 0); to["n1"] == 0 || to["n2"] == 0 || to["n3"] == 0 {
		t.Fatalf("before: %v, want listeners at all three", to)
	}
	fleet[1].Kill()
	took := s.eventually(detection, "nobody is sent to the killed node", func() bool { return s.sentTo(fleet, 40, 1)["n2"] == 0 })
	t.Logf("a killed node was found %v after it died", took.Round(time.Millisecond))
	if to := s.sentTo(fleet, 300, 2); to["n1"]+to["n3"] != 300 {
		t.Errorf("after: %v, want all at n1 and n3", to)
	}
	if playlist := s.body("/live.mp3.m3u"); strings.Contains(playlist, fleet[1].URL()) || strings.Count(playlist, "http://") != 2 {
		t.Errorf("the playlist lists a dead node, or not the two others:\n%s", playlist)
	}
	fleet[1].Restart()
	s.eventually(10*time.Second, "the node is used again", func() bool { return s.sentTo(fleet, 40, 3)["n2"] > 0 })
}

func TestADeadSourceIsNoLongerAnswered(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	s := direct(t, fleet, everyone)
	fleet[0].KillSource("/live.mp3")
	s.eventually(detection, "nobody is sent to the mount without a source", func() bool { return s.sentTo(fleet, 40, 1)["n1"] == 0 })
	for _, n := range fleet[1:] {
		n.KillSource("/live.mp3")
	}
	s.eventually(detection, "the mount is down everywhere, and told from one that does not exist", func() bool {
		return s.status("/live.mp3") == 503 && s.status("/never.mp3") == 404
	})
	fleet[2].StartSource("/live.mp3")
	s.eventually(detection, "the mount is back", func() bool { return s.sentTo(fleet, 10, 2)["n3"] == 10 })
}

func drainedNodeGetsNoNewListener(t *testing.T, fleet []*probetest.Node) {
	s := direct(t, fleet, everyone)
	before := configuration(fleet, everyone)
	s.write(strings.Replace(before, "{id: n3,", "{id: n3, drained: true,", 1))
	s.reload()
	s.eventually(5*time.Second, "the drained node is left alone", func() bool { return s.sentTo(fleet, 40, 1)["n3"] == 0 })
	if to := s.sentTo(fleet, 300, 2); to["n1"]+to["n2"] != 300 {
		t.Errorf("drained: %v, want all at n1 and n2", to)
	}
	s.write(before)
	s.reload()
	s.eventually(5*time.Second, "the node is used again", func() bool { return s.sentTo(fleet, 40, 3)["n3"] > 0 })
}

func TestAFrozenNodeIsNoLongerAnswered(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	s := directFile(t, strings.Replace(configuration(fleet, everyone), quickProbes, hastyProbes, 1))
	fleet[0].Stop()
	s.eventually(detection, "nobody is sent to the frozen node", func() bool { return s.sentTo(fleet, 40, 1)["n1"] == 0 })
	fleet[0].Cont()
	s.eventually(10*time.Second, "the node is used again", func() bool { return s.sentTo(fleet, 40, 2)["n1"] > 0 })
}

// All nodes dead: the last known good are still answered, for a redirect that
// may work is better than none.
func TestAllDead(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	s := direct(t, fleet, everyone)
	for _, n := range fleet {
		n.Kill()
	}
	s.eventually(detection, "explain calls it dark", func() bool {
		return strings.Contains(s.explain(), `"outcome":"dark"`)
	})
	to := s.sentTo(fleet, 60, 1)
	if to["n1"]+to["n2"]+to["n3"] != 60 {
		t.Errorf("all dead: %v, want redirects to the last known good", to)
	}
}
