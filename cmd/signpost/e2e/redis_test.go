package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// A trouble is what may become of Redis.
type trouble struct {
	name     string
	do, undo func()
	away     bool // directors notice, and say so once
}

// recovery is how long directors may take to be together again after Redis is well:
// two ticks with their jitter, and a second for the machine.
const recovery = 2*275*time.Millisecond + time.Second

// Whatever becomes of Redis, no listener notices.
func redisInTrouble(t *testing.T, fleet []*probetest.Node) {
	redis := redistest.Start(t, redistest.Options{Args: []string{"--maxmemory-policy", "noeviction",
		"--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no"}})
	line := redistest.NewLine(t, redis.Addr)
	all := alike(t, 2, configuration(fleet, everyone+fmt.Sprintf("store: {redis: {url: 'redis://%s'}}\n", line.Addr)))
	nothing := func() {}
	survive(t, fleet, all, redisstore.Config{URL: redis.URL()}, []trouble{
		{name: "quiet", do: nothing, undo: nothing},
		{name: "killed", do: redis.Kill, undo: func() { redis.Restart() }, away: true},
		{name: "frozen", do: redis.Stop, undo: redis.Continue, away: true},
		{name: "cut off", do: line.Cut, undo: line.Mend, away: true},
		{name: "flushed", do: redis.Flush, undo: nothing},
		{name: "slow", do: func() { line.Delay(200 * time.Millisecond) }, undo: func() { line.Delay(0) }},
		{
			name: "a replica", away: true,
			do:   func() { redis.Do("REPLICAOF", "127.0.0.1", "1") },
			undo: func() { redis.Do("REPLICAOF", "NO", "ONE") },
		},
		{
			name: "full", away: true,
			do:   func() { redis.Do("CONFIG", "SET", "maxmemory", "1mb") },
			undo: func() { redis.Do("CONFIG", "SET", "maxmemory", "0") },
		},
		{
			name: "loading", away: true,
			do: func() {
				redis.Do("EVAL", "for i = 1, 3000 do redis.call('SET', i, string.rep('x', 200)) end", 0)
				redis.Do("SAVE")
				redis.Kill()
				redis.Restart("--key-load-delay", "20000") // µs: a minute in all
			},
			undo: func() {
				redis.Do("CONFIG", "SET", "key-load-delay", "0")
				redistest.Await(t, "redis to have loaded", func() bool { return redis.Info("loading") == "0" })
			},
		},
	})
}

// The master dies, and Sentinels make another, while listeners come.
func redisFailsOver(t *testing.T, fleet []*probetest.Node) {
	const password, ofSentinels = "secret", "sentinels"
	s := redistest.StartSentinels(t, password, ofSentinels)
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	c := redisstore.Config{Addrs: s.Addrs, MasterName: s.Name, PasswordFile: file(password), SentinelPasswordFile: file(ofSentinels)}
	all := alike(t, 2, configuration(fleet, everyone+fmt.Sprintf(
		"store: {redis: {addrs: ['%s'], master_name: %s, password_file: '%s', sentinel_password_file: '%s'}}\n",
		strings.Join(s.Addrs, "', '"), c.MasterName, c.PasswordFile, c.SentinelPasswordFile)))
	nothing := func() {}
	survive(t, fleet, all, c, []trouble{
		{name: "quiet", do: nothing, undo: nothing},
		{
			name: "failed over", away: true,
			do: s.KillMaster,
			undo: func() {
				redistest.Await(t, "the failover", func() bool {
					role, err := s.Replica.Try("ROLE") // it closes its connections when it becomes one
					return err == nil && fmt.Sprint(role.([]any)[0]) == "master"
				})
			},
		},
	})
}

// survive lets Redis have one trouble after the other while listeners come, and
// looks that all are answered, and that directors are soon together again and have
// kept what operators said.
func survive(t *testing.T, fleet []*probetest.Node, all []*signpost, c redisstore.Config, troubles []trouble) {
	t.Helper()
	says := func(s *signpost, what string) int { return strings.Count(s.log.String(), `msg="`+what) }
	for round, x := range troubles {
		to := round % len(fleet)
		row := map[director.NodeID]float64{director.NodeID(fmt.Sprintf("n%d", to+1)): 1}
		editAt(t, c, func(o *store.Overlay) {
			o.Rows = map[director.RegionID]store.Row{"all": {Weights: row, Stamp: stamp()}}
		})
		obeys := func(s *signpost) func() bool {
			return func() bool {
				resp := s.get("/live.mp3", fmt.Sprintf("10.8.0.%d", round), "who obeys?")
				defer resp.Body.Close()
				return resp.Header.Get("Location") == fleet[to].URL()+"/live.mp3"
			}
		}
		for _, s := range all {
			s.eventually(recovery, "before "+x.name+": an edit is obeyed", obeys(s))
		}
		var away, back []int
		for _, s := range all {
			away, back = append(away, says(s, "the store is away")), append(back, says(s, "the store is back"))
		}
		begun := make(chan struct{})
		go func() { // in the midst of what follows
			defer close(begun)
			x.do()
		}()
		took := steady(t, all, sized(200, 20_000), time.Duration(sized(1, 20))*time.Second)
		<-begun
		x.undo()
		var longest time.Duration
		for i, s := range all {
			longest = max(longest, s.eventually(recovery, x.name+": together again", func() bool {
				return strings.Contains(s.body("/readyz"), `"degraded":false`)
			}))
			if !obeys(s)() {
				t.Errorf("%s: an acknowledged edit is lost", x.name)
			}
			// A machine that stands still takes Redis away once more. What is said is written a
			// little later.
			want := map[bool]int{true: 1}[x.away]
			since := func() (gone, returned int) {
				return says(s, "the store is away") - away[i], says(s, "the store is back") - back[i]
			}
			s.eventually(patience, x.name+": it is said that the store was away and is back", func() bool {
				gone, returned := since()
				return gone == returned && gone >= want
			})
			if away, back := since(); away > want && soak {
				t.Errorf("%s: director %d said %d times that the store is away and %d times that it is back, want %d", x.name, i, away, back, want)
			}
		}
		t.Logf("%-12s p50 %8v  p99 %8v  longest %8v  together again after %v", x.name, took[len(took)/2].Round(10*time.Microsecond),
			took[len(took)*99/100].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond), longest.Round(time.Millisecond))
	}
}

// manyAddresses is client from many addresses of this machine: a thousand
// connections a second would use up the ports of one.
var manyAddresses = &http.Client{
	CheckRedirect: client.CheckRedirect, Timeout: client.Timeout,
	Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		from := time.Now().UnixMicro() % 200
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 3, byte(1+from))}}).DialContext(ctx, network, addr)
	}},
}

// steady asks at an even pace, and fails for each request that is not answered
// with a redirect. It returns how long the answers took, sorted.
func steady(t *testing.T, all []*signpost, n int, over time.Duration) []time.Duration {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var took []time.Duration
	var failed []string
	begun := time.Now()
	for i := range n {
		if early := time.Until(begun.Add(over * time.Duration(i) / time.Duration(n))); early > 0 {
			<-time.After(early)
		}
		wg.Go(func() {
			begin := time.Now()
			got := all[i%len(all)].asked(fmt.Sprintf("10.9.%d.%d", i/250%250, i%250))
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(begin))
			if got != "302 Found" {
				failed = append(failed, got)
			}
		})
	}
	wg.Wait()
	if spent := time.Since(begun); spent > over*11/10 {
		t.Logf("%d requests took %v instead of %v", n, spent, over)
	}
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed, such as: %s", len(failed), n, failed[0])
	}
	slices.Sort(took)
	return took
}

// asked returns the status of an answer, or the error. Where the tests' own process stands
// still between connecting and asking, the director ends a connection on which nothing came:
// then it asks again.
func (s *signpost) asked(address string) string {
	for begin := time.Now(); ; {
		var said atomic.Bool
		ctx := httptrace.WithClientTrace(s.t.Context(), &httptrace.ClientTrace{WroteHeaders: func() { said.Store(true) }})
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/live.mp3", nil)
		if err != nil {
			return err.Error()
		}
		r.Header.Set("X-Forwarded-For", address)
		resp, err := manyAddresses.Do(r)
		switch {
		case err == nil:
			resp.Body.Close()
			return resp.Status
		case said.Load() || time.Since(begin) > patience:
			return err.Error()
		}
	}
}
