package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// soak makes tests their full size, which takes minutes.
var soak = os.Getenv("SIGNPOST_SOAK") != ""

func sized(small, full int) int {
	if soak {
		return full
	}
	return small
}

// sharing is the part of a configuration that lets directors agree.
func sharing(redis *redistest.Server) string {
	return fmt.Sprintf("store: {redis: {url: %q}}\n", redis.URL())
}

// A crowd is listeners who ask directors, follow the redirect and stay.
type crowd struct {
	t      *testing.T
	ctx    context.Context
	leave  context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	sent   map[string]int // by host of the node
	failed []string
}

func newCrowd(t *testing.T) *crowd {
	c := &crowd{t: t, sent: map[string]int{}}
	c.ctx, c.leave = context.WithCancel(t.Context())
	t.Cleanup(func() { c.leave(); c.wg.Wait() })
	return c
}

// arrive lets n listeners come over some time, to one director after another.
func (c *crowd) arrive(all []*signpost, n int, over time.Duration, salt int) {
	c.t.Helper()
	tick := time.NewTicker(over / time.Duration(n))
	defer tick.Stop()
	for i := range n {
		<-tick.C
		c.wg.Go(func() { c.listen(all[i%len(all)], fmt.Sprintf("10.%d.%d.%d", salt, i/250, 1+i%250)) })
	}
}

func (c *crowd) listen(s *signpost, address string) {
	r, err := http.NewRequestWithContext(c.ctx, http.MethodGet, s.url+"/live.mp3", nil)
	if err != nil {
		c.fail(err.Error())
		return
	}
	r.Header.Set("X-Forwarded-For", address)
	r.Header.Set("User-Agent", "synthetic listener")
	resp, err := client.Do(r)
	if err != nil {
		c.fail(err.Error())
		return
	}
	resp.Body.Close()
	to := resp.Header.Get("Location")
	if to == "" {
		c.fail(resp.Status)
		return
	}
	c.mu.Lock()
	c.sent[strings.TrimSuffix(to, "/live.mp3")]++
	c.mu.Unlock()
	stay, err := http.NewRequestWithContext(c.ctx, http.MethodGet, to, nil)
	if err != nil {
		c.fail(err.Error())
		return
	}
	if audio, err := staying.Do(stay); err == nil {
		defer audio.Body.Close()
		_, _ = io.Copy(io.Discard, audio.Body)
	}
}

// staying has no time-out: a stream has no end.
var staying = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (c *crowd) fail(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() == nil {
		c.failed = append(c.failed, what)
	}
}

// parts returns what part of those sent away each node got, and fails if anybody
// was not sent.
func (c *crowd) parts(fleet []*probetest.Node, n int) []float64 {
	c.t.Helper()
	var out []float64
	deadline := time.Now().Add(patience)
	for {
		c.mu.Lock()
		total := len(c.failed)
		out = out[:0]
		for _, node := range fleet {
			total += c.sent[node.URL()]
			out = append(out, float64(c.sent[node.URL()])/float64(n))
		}
		failed := slices.Clone(c.failed)
		c.mu.Unlock()
		if total >= n || time.Now().After(deadline) {
			if len(failed) > 0 || total != n {
				c.t.Errorf("%d of %d were answered, %d failed: %.3q", total, n, len(failed), failed)
			}
			return out
		}
		<-time.After(20 * time.Millisecond)
	}
}

func near(t *testing.T, what string, got, want []float64, within float64) {
	t.Helper()
	for i := range want {
		if d := got[i] - want[i]; d > within || d < -within {
			t.Errorf("%s: parts %.3f, want %.3f within %.2f", what, got, want, within)
			return
		}
	}
	t.Logf("%s: parts %.3f, want %.3f", what, got, want)
}

// Three directors, one Redis, three real servers: the listeners of all directors
// together land by weight, and by what is free.
func TestDirectorsShareTheLoad(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	n := sized(450, 3000)
	over := time.Duration(sized(2, 5)) * time.Second
	within := 4 * math.Sqrt(.25/float64(n)) // four standard deviations of the larger parts: chance alone
	t.Run("by weight", func(t *testing.T) {
		redis := redistest.Start(t, redistest.Options{})
		config := strings.ReplaceAll(configuration(fleet, "regions: [{id: all, match: default, weights: {n1: 5, n2: 3, n3: 2}}]\n"+sharing(redis)), "target: 1000", "target: 10000")
		c := newCrowd(t)
		c.arrive(alike(t, 3, unhurried(config)), n, over, 1)
		near(t, "by weight", c.parts(fleet, n), []float64{.5, .3, .2}, within)
	})
	t.Run("by load", func(t *testing.T) {
		awaitEmpty(t, fleet)
		redis := redistest.Start(t, redistest.Options{})
		config := configuration(fleet, "regions: [{id: all, match: default, weights: [n1, n2, n3]}]\n"+sharing(redis))
		config = strings.Replace(config, "target: 1000", "target: 20000", 1)
		config = strings.ReplaceAll(config, "target: 1000}", "target: 5000}")
		c := newCrowd(t)
		c.arrive(alike(t, 3, unhurried(config)), n, over, 2)
		near(t, "by load", c.parts(fleet, n), []float64{4. / 6, 1. / 6, 1. / 6}, within)
	})
}

// unhurried takes the default pace of probing: on a busy machine a hurried one
// may find a node late, and take that for a failure.
func unhurried(config string) string { return strings.Replace(config, quickProbes, "", 1) }

// alike starts n directors with one configuration.
func alike(t *testing.T, n int, config string) []*signpost {
	t.Helper()
	all := make([]*signpost, n)
	for i := range all {
		all[i] = directFile(t, config)
	}
	return all
}

// awaitEmpty waits until a crowd before has left.
func awaitEmpty(t *testing.T, fleet []*probetest.Node) {
	t.Helper()
	redistest.Await(t, "empty nodes", func() bool {
		return !slices.ContainsFunc(fleet, func(n *probetest.Node) bool { return n.Listeners() > 0 })
	})
}

func stamp() store.Stamp { return store.Stamp{By: "test", At: time.Now()} }

// edit changes the overlay as another director's operator would; nil only reads
// it. It returns what was there.
func edit(t *testing.T, redis *redistest.Server, change func(*store.Overlay)) store.Overlay {
	t.Helper()
	return editAt(t, redisstore.Config{URL: redis.URL()}, change)
}

func editAt(t *testing.T, c redisstore.Config, change func(*store.Overlay)) store.Overlay {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	s, err := redisstore.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := s.Sync(t.Context(), store.Offer{Director: store.Director{ID: "operator"}})
	if err != nil {
		t.Fatal(err)
	}
	if change == nil {
		return p.Overlay
	}
	o := p.Overlay.Clone()
	change(&o)
	if _, err := s.Edit(t.Context(), p.Overlay.Revision, o); err != nil {
		t.Fatal(err)
	}
	return p.Overlay
}

// A director that starts while Redis is away serves from its file and from the
// copy that it keeps, and says so.
func startWithoutRedis(t *testing.T, fleet []*probetest.Node) {
	redis := redistest.Start(t, redistest.Options{})
	state := "state_dir: " + t.TempDir() + "\n"
	first := direct(t, fleet, everyone+sharing(redis)+state)
	edit(t, redis, func(o *store.Overlay) {
		o.Nodes = map[director.NodeID]store.NodeSetting{"n1": {State: store.NodeDrained, Stamp: stamp()}, "n3": {State: store.NodeDrained, Stamp: stamp()}}
	})
	drained := func(s *signpost) func() bool {
		return func() bool { return s.sentTo(fleet, 20, 1)["n2"] == 20 }
	}
	first.eventually(2*time.Second, "a drain by another director is obeyed", drained(first))
	first.stop()
	redis.Kill()
	second := direct(t, fleet, everyone+sharing(redis)+state)
	second.eventually(5*time.Second, "the drain outlives Redis and a restart", drained(second))
	if got := second.body("/readyz"); !strings.Contains(got, `"ready":true,"degraded":true`) {
		t.Errorf("/readyz does not say that it is degraded: %s", got)
	}
	redis.Restart()
	second.eventually(5*time.Second, "Redis is filled from the copy", func() bool {
		return edit(t, redis, nil).Nodes["n1"].State == store.NodeDrained
	})
}

// Redis is never on the way of a request: while listeners are answered between
// two ticks, it is asked nothing at all.
func redisIsNotOnTheWay(t *testing.T, fleet []*probetest.Node) {
	redis := redistest.Start(t, redistest.Options{})
	config := configuration(fleet, everyone+sharing(redis))
	s := directFile(t, strings.Replace(config, "store: {", "store: {tick: 5s, ", 1))
	asked := func() int {
		n, err := strconv.Atoi(redis.Info("total_commands_processed"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// A tick falls between the two questions now and then, or what a director does at its
	// start. On a slow machine it does so often: few are asked for at a time.
	own := math.MaxInt // commands that asking takes
	const at = 10
	for alone, deadline := 0, time.Now().Add(patience); alone < 200; {
		first := asked()
		before := asked()
		own = min(own, before-first)
		if s.sentTo(fleet, at, 1); asked()-before == own {
			alone += at
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d listeners were answered without a call to Redis", alone)
		}
	}
}
