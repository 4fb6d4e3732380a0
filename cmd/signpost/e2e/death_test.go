package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
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

// takenOver is within what others probe the nodes of a director that has died.
const takenOver = 3 * time.Second

// Directors are killed at any moment, while weights are being changed without end
// and listeners come: no change that was acknowledged is lost or half there, no
// listener notices, and the others take over the probing.
func TestDirectorsDie(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	redis := redistest.Start(t, redistest.Options{})
	config := func() string {
		return configuration(fleet, "regions: [{id: all, match: default, weights: [n1]}, {id: de, match: {countries: [DE]}, weights: [n1]}]\n"+
			sharing(redis)+"state_dir: '"+t.TempDir()+"'\n")
	}
	all := newTroop(t, config(), config(), config())
	c := newCrowd(t)
	for i := range 4 {
		c.wg.Go(func() { all.visit(c, i) })
	}
	e := &editor{redis: redis}
	stop := make(chan struct{})
	c.wg.Go(func() { e.work(t, stop) })
	longest := time.Duration(0)
	rounds := sized(3, 50)
	for round := range rounds {
		victim := round % all.size()
		<-time.After(rand.N(300 * time.Millisecond)) // any moment
		acknowledged := e.acknowledged.Load()
		all.kill(victim)
		killed := time.Now()
		for _, s := range all.others(victim) {
			s.eventually(takenOver, "the others probe all nodes", func() bool { return s.probes() == len(fleet) })
		}
		longest = max(longest, time.Since(killed))
		if got := e.read(t); got < acknowledged {
			t.Fatalf("round %d: change %d was acknowledged, and %d stands", round, acknowledged, got)
		}
		all.restart(victim)
		if damaged, _ := filepath.Glob(filepath.Join(all.stateDir(victim), "*.corrupt*")); len(damaged) > 0 {
			t.Errorf("round %d: the copy was half written: %s", round, damaged)
		}
	}
	close(stop)
	c.leave()
	c.wg.Wait()
	last := e.acknowledged.Load()
	for i, s := range all.others(-1) {
		for _, address := range []string{"203.0.113.9", "91.0.0.1"} { // of either region
			s.eventually(recovery, fmt.Sprintf("director %d obeys the last change", i), func() bool {
				return strings.Contains(s.explainAt(address), fmt.Sprintf(`"weight":%d,`, last))
			})
		}
	}
	t.Logf("%d deaths, %d acknowledged changes, %d answers; probing was taken over within %v", rounds, last, all.answers.Load(), longest.Round(10*time.Millisecond))
	if len(c.failed) > 0 {
		t.Errorf("%d listeners got no answer anywhere, such as %s", len(c.failed), c.failed[0])
	}
}

// A troop is directors that die and come back.
type troop struct {
	t       *testing.T
	configs []string
	answers atomic.Int64

	mu      sync.Mutex
	running []*signpost // nil: dead
}

func newTroop(t *testing.T, configs ...string) *troop {
	t.Helper()
	r := &troop{t: t, configs: configs}
	for _, c := range configs {
		r.running = append(r.running, directFile(t, c))
	}
	return r
}

func (r *troop) size() int { return len(r.configs) }

func (r *troop) kill(i int) {
	r.t.Helper()
	r.mu.Lock()
	s := r.running[i]
	r.running[i] = nil
	r.mu.Unlock()
	s.kill()
}

func (r *troop) restart(i int) {
	r.t.Helper()
	s := directFile(r.t, r.configs[i])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[i] = s
}

var stateDir = regexp.MustCompile("state_dir: '(.*)'")

func (r *troop) stateDir(i int) string { return stateDir.FindStringSubmatch(r.configs[i])[1] }

// others returns those that live, but for one.
func (r *troop) others(but int) (live []*signpost) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range r.running {
		if s != nil && i != but {
			live = append(live, s)
		}
	}
	return live
}

// visit lets listeners come one after another, who try the next director where one
// does not answer, as with several addresses in DNS.
func (r *troop) visit(c *crowd, who int) {
	for n := 0; c.ctx.Err() == nil; n++ {
		answer := ""
		for try := range 2 * r.size() { // one may die while it is asked
			live := r.others(-1)
			if answer = live[(n+try)%len(live)].asked(fmt.Sprintf("10.3.%d.%d", who, n%250)); answer == "302 Found" {
				r.answers.Add(1)
				break
			}
		}
		if answer != "302 Found" {
			c.fail(answer)
		}
		select {
		case <-time.After(25 * time.Millisecond):
		case <-c.ctx.Done():
		}
	}
}

// An editor changes the weights of two regions together, again and again, to the
// number of the change.
type editor struct {
	redis        *redistest.Server
	acknowledged atomic.Int64
}

func (e *editor) work(t *testing.T, stop <-chan struct{}) {
	s, err := redisstore.Open(redisstore.Config{URL: e.redis.URL(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	at := store.Revision(0)
	for n := int64(1); ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(25 * time.Millisecond):
		}
		row := store.Row{Weights: map[director.NodeID]float64{"n1": float64(n)}, Stamp: stamp()}
		o := store.Overlay{Rows: map[director.RegionID]store.Row{"all": row, "de": row}}
		stands, err := s.Edit(t.Context(), at, o)
		for errors.Is(err, store.ErrAway) { // a busy machine: it has taken effect, or not
			stands, err = s.Edit(t.Context(), at, o)
			if errors.Is(err, store.ErrConflict) && stands == at+1 {
				err = nil
			}
		}
		if err != nil {
			t.Errorf("change %d: %v", n, err)
			return
		}
		at = stands
		e.acknowledged.Store(n)
	}
}

// read returns the number of the change that stands, which must be whole. It looks
// into Redis by itself: whoever syncs counts as a director for a while.
func (e *editor) read(t *testing.T) int64 {
	t.Helper()
	var o store.Overlay
	if err := json.Unmarshal([]byte(fmt.Sprint(e.redis.Do("HGET", "{signpost}:overlay", "document"))), &o); err != nil {
		t.Fatal(err)
	}
	a, b := o.Rows["all"].Weights["n1"], o.Rows["de"].Weights["n1"]
	if a != b {
		t.Fatalf("half of a change stands: %+v", o.Rows)
	}
	return int64(a)
}

var probed = regexp.MustCompile(`(?m)^signpost_probes_total\{node="[^"]*",result="answered"\} [1-9]`)

// probes returns how many nodes a director probes by itself.
func (s *signpost) probes() int {
	s.t.Helper()
	return len(probed.FindAllString(s.metrics(), -1))
}

func (s *signpost) metrics() string {
	s.t.Helper()
	return s.adminBody("/metrics")
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
	all[2].eventually(takenOver+detection, "the last director has seen it all by itself", func() bool {
		return strings.Count(all[2].explain(), `"reason":"down"`) == 3
	})
}
