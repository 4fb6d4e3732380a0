package e2e

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// kill ends the director as a power cut would.
func (s *signpost) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.exited
	s.exited = nil
}

// Directors are killed at any moment, while weights are being changed and
// listeners come: no change that was acknowledged is lost or half there.
func TestDirectorsDie(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	redis := redistest.Start(t, redistest.Options{})
	config := configuration(fleet, everyone+sharing(redis))
	all := alike(t, 3, config)
	c := newCrowd(t)
	c.wg.Go(func() { // listeners, at the directors that live
		for i := 0; c.ctx.Err() == nil; i++ {
			<-time.After(5 * time.Millisecond)
			all[0].location(c, "10.3.0."+string(rune('1'+i%9)))
		}
	})
	for round := range sized(3, 50) {
		// The first one lives on, so that listeners always have one to ask.
		victim := 1 + round%2
		want := map[director.NodeID]float64{"n1": float64(1 + round), "n2": 2, "n3": 1}
		killed := make(chan bool)
		wait := time.Duration(rand.IntN(30)) * time.Millisecond
		go func() {
			<-time.After(wait)
			all[victim].kill()
			close(killed)
		}()
		edit(t, redis, func(o *store.Overlay) {
			o.Rows = map[director.RegionID]store.Row{"all": {Weights: want, Stamp: stamp()}}
		})
		if got := edit(t, redis, nil).Rows["all"].Weights; !maps.Equal(got, want) {
			t.Fatalf("round %d: an acknowledged row is %v, want %v", round, got, want)
		}
		<-killed
		all[victim] = directFile(t, config)
		if got := edit(t, redis, nil).Rows["all"].Weights; !maps.Equal(got, want) {
			t.Fatalf("round %d: after a restart the row is %v, want %v", round, got, want)
		}
	}
	c.leave()
	c.wg.Wait()
	if len(c.failed) > 0 {
		t.Errorf("%d requests failed, such as %s", len(c.failed), c.failed[0])
	}
}

// The probing of a director that dies is taken over.
func TestProbingIsTakenOver(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	config := configuration(fleet, everyone+sharing(redistest.Start(t, redistest.Options{})))
	all := alike(t, 3, config)
	all[0].kill()
	all[1].kill()
	for _, n := range fleet {
		n.Kill()
	}
	// The life of a director is 2 s; then come two probes.
	all[2].eventually(3*time.Second+detection, "the last director has seen it all by itself", func() bool {
		return strings.Count(all[2].explain("/live.mp3"), `"reason":"down"`) == 3
	})
}
