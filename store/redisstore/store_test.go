package redisstore_test

import (
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
	"github.com/signpost-fm/signpost/store/storetest"
)

func TestSuiteOnSingleServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	storetest.Run(t, backends(redisstore.Config{URL: server.URL()}, server))
}

func TestSuiteOnSentinels(t *testing.T) {
	t.Parallel()
	soak(t)
	s, c := sentinels(t)
	storetest.Run(t, backends(c, s.Master))
}

func sentinels(t *testing.T) (*redistest.Sentinels, redisstore.Config) {
	t.Helper()
	s := redistest.StartSentinels(t, "secret", "sentinels")
	return s, redisstore.Config{Addrs: s.Addrs, MasterName: s.Name, PasswordFile: file(t, "secret"), SentinelPasswordFile: file(t, "sentinels")}
}

func TestSuiteOnCluster(t *testing.T) {
	t.Parallel()
	soak(t)
	c := redistest.StartCluster(t)
	storetest.Run(t, backends(redisstore.Config{Addrs: c.Addrs, Cluster: true}, c.Nodes...))
}

// soaking says whether tests run at their full size.
var soaking = os.Getenv("SIGNPOST_SOAK") != ""

// soak skips what takes long unless it is asked for.
func soak(t *testing.T) {
	t.Helper()
	if !soaking {
		t.Skip("SIGNPOST_SOAK=1 runs it")
	}
}

var prefixes atomic.Int64

// backends gives each test a prefix of its own on one Redis. Its clock is ahead
// by what stands in a key.
func backends(c redisstore.Config, servers ...*redistest.Server) func(t *testing.T) storetest.Backend {
	return func(t *testing.T) storetest.Backend {
		t.Helper()
		c := c
		c.Prefix = fmt.Sprint("test", prefixes.Add(1))
		ahead := "{" + c.Prefix + "}:ahead"
		// In a Cluster, one of the servers has the slot.
		do := func(args ...any) {
			for _, s := range servers {
				if _, err := s.Try(args...); err == nil {
					return
				}
			}
			t.Errorf("no server takes %v", args)
		}
		return storetest.Backend{
			Open: func(t *testing.T) store.Store {
				s := open(t, c)
				s.UseClock(clockAhead(ahead))
				return s
			},
			Advance: func(d time.Duration) { do("INCRBY", ahead, d.Microseconds()) },
			Spoil: func(*testing.T) {
				do("HSET", "{"+c.Prefix+"}:overlay", "document", `{"schema":1,"revision":1,"notes`)
			},
		}
	}
}

// clockAhead is Redis's clock, and as many µs more as stand in a key.
func clockAhead(key string) string {
	return fmt.Sprintf(`
		local function clock()
			local time = redis.call('TIME')
			return time[1] * 1000000 + time[2] + (redis.call('GET', '%s') or 0)
		end
		`, key)
}

// open opens a store that logs nothing.
// open waits for Redis longer than a director does.
func open(t testing.TB, c redisstore.Config) *redisstore.Store {
	t.Helper()
	return openAsShipped(t, redisstore.Patiently(c))
}

// two opens a server of the test's own twice, as two directors do.
func two(t testing.TB) (server *redistest.Server, s, other *redisstore.Store) {
	t.Helper()
	server = redistest.Start(t, redistest.Options{})
	c := redisstore.Config{URL: server.URL()}
	return server, open(t, c), open(t, c)
}

func openAsShipped(t testing.TB, c redisstore.Config) *redisstore.Store {
	t.Helper()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s, err := redisstore.Open(c)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestFilesInRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	storetest.RunFiles(t, func(t *testing.T) [2]store.Files {
		c := redisstore.Config{URL: server.URL(), Prefix: fmt.Sprint("files", prefixes.Add(1))}
		return [2]store.Files{open(t, c), open(t, c)}
	})
}
