package e2e

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// A node dies under its listeners, who all come back at once: they are answered
// with a fit node soon after it was found out, and no survivor is given more than
// it may hold.
func TestStorm(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	n := sized(150, 1000)
	limit := n // of each node: two can hold all
	config := configuration(fleet, everyone+sharing(redistest.Start(t, redistest.Options{})))
	config = strings.ReplaceAll(config, "target: 1000", "target: "+strconv.Itoa(n*2/3)+", limit: "+strconv.Itoa(limit)+", max_new_per_s: 50")
	all := alike(t, 2, config)
	g := &gathering{t: t, all: all, playing: map[string]int{}}
	c := newCrowd(t)
	for i := range n {
		c.wg.Go(func() { g.follow(c, i) })
	}
	all[0].eventually(60*time.Second, "everybody listens", func() bool { return g.count() == n })
	before := g.at(fleet[0])
	if before == 0 {
		t.Fatal("nobody listens to n1: the test proves nothing")
	}
	fleet[0].Kill()
	died := time.Now()
	all[0].eventually(10*time.Second, "the node is found dead", func() bool {
		return strings.Contains(all[0].explain(), `"node":"n1","rung":"all","reason":"down"`)
	})
	found := time.Now()
	all[0].eventually(60*time.Second, "everybody listens again", func() bool { return g.count() == n && g.at(fleet[0]) == 0 })
	t.Logf("%d of %d were at the node; it was found dead after %v, the last listener plays again %v after that",
		before, n, found.Sub(died).Round(10*time.Millisecond), time.Since(found).Round(10*time.Millisecond))
	g.mu.Lock()
	defer g.mu.Unlock()
	atMost(t, 3*time.Second, "the last was sent to the dead node", g.lastDead.Sub(found))
	for _, node := range fleet[1:] {
		if most := g.most[node.URL()]; most > limit {
			t.Errorf("%s held %d listeners, above its limit of %d", node.URL(), most, limit)
		}
	}
}

// A gathering is listeners who come back when their stream ends.
type gathering struct {
	t   *testing.T
	all []*signpost

	mu       sync.Mutex
	playing  map[string]int // by node
	most     map[string]int
	lastDead time.Time // when somebody was last sent to a node that refused
}

// follow is one listener's evening.
func (g *gathering) follow(c *crowd, i int) {
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for c.ctx.Err() == nil {
		s := g.all[i%len(g.all)]
		to := s.location(c, "10.7."+strconv.Itoa(i/250)+"."+strconv.Itoa(1+i%250))
		if to == "" || !g.play(c, to) {
			select {
			case <-retry.C:
			case <-c.ctx.Done():
			}
		}
	}
}

// location asks a director where to go; empty: nowhere.
func (s *signpost) location(c *crowd, address string) string {
	r, err := http.NewRequestWithContext(c.ctx, http.MethodGet, s.url+"/live.mp3", nil)
	if err != nil {
		return ""
	}
	r.Header.Set("X-Forwarded-For", address)
	resp, err := client.Do(r)
	if err != nil {
		c.fail(err.Error())
		return ""
	}
	resp.Body.Close()
	return resp.Header.Get("Location")
}

// play listens until the stream ends, and says whether it began.
func (g *gathering) play(c *crowd, to string) bool {
	node := strings.TrimSuffix(to, "/live.mp3")
	r, err := http.NewRequestWithContext(c.ctx, http.MethodGet, to, nil)
	if err != nil {
		return false
	}
	resp, err := staying.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		g.mu.Lock()
		g.lastDead = time.Now()
		g.mu.Unlock()
		if resp != nil {
			resp.Body.Close()
		}
		return false
	}
	defer resp.Body.Close()
	g.add(node, 1)
	defer g.add(node, -1)
	_, _ = io.Copy(io.Discard, resp.Body)
	return true
}

func (g *gathering) add(node string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.playing[node] += n
	if g.most == nil {
		g.most = map[string]int{}
	}
	g.most[node] = max(g.most[node], g.playing[node])
}

func (g *gathering) at(node *probetest.Node) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.playing[node.URL()]
}

func (g *gathering) count() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, k := range g.playing {
		n += k
	}
	return n
}
