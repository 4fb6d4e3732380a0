package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// patience is how long a call may take that must end by itself, whatever the state
// of Redis. As shipped it takes 1.5 s at most.
const patience = 5 * time.Minute

// mustBeAway checks that neither Sync nor Edit is answered, that they give up by
// themselves, and that the error says what to do.
func mustBeAway(t *testing.T, s *redisstore.Store, remedy string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := s.Sync(ctx, offer("a"))
	if !errors.Is(err, store.ErrAway) || !strings.Contains(fmt.Sprint(err), remedy) {
		t.Errorf("Sync: %v; want ErrAway, and %q in it", err, remedy)
	}
	_, err = s.Edit(ctx, 0, note(0, "x"))
	if !errors.Is(err, store.ErrAway) || !strings.Contains(fmt.Sprint(err), remedy) {
		t.Errorf("Edit: %v; want ErrAway, and %q in it", err, remedy)
	}
	if ctx.Err() != nil {
		t.Errorf("Sync and Edit have not given up within %v", patience)
	}
}

func offer(id string) store.Offer {
	return store.Offer{Director: store.Director{ID: id, Config: "c0ffee"}}
}

func note(at store.Revision, text string) store.Overlay {
	return store.Overlay{Revision: at, Notes: []store.Note{{ID: "n", Text: text, Stamp: store.Stamp{By: "anna", At: day}}}}
}

// sync is a Sync that must succeed.
func sync(t testing.TB, s *redisstore.Store, o store.Offer) store.Picture {
	t.Helper()
	p, err := s.Sync(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatalf("Sync: %v", err)
	}
	return p
}

// syncAtLast is sync with a store that has the time-outs of a director: on a busy machine
// redis may need several tries.
func syncAtLast(t testing.TB, s *redisstore.Store, o store.Offer) (p store.Picture) {
	t.Helper()
	redistest.Await(t, "redis to answer in time", func() (ok bool) {
		var err error
		p, err = s.Sync(t.Context(), o)
		return err == nil
	})
	return p
}

func TestWrongAddress(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	_ = l.Close()
	plain := redistest.Start(t, redistest.Options{})
	cluster := redistest.Start(t, redistest.Options{Args: []string{"--cluster-enabled", "yes"}})
	const http = "HTTP/1.1 400 Bad Request\r\n\r\n"
	tests := []struct {
		name   string
		config redisstore.Config
		remedy string
	}{
		{"nobody listens", redisstore.Config{URL: "redis://" + nobody}, "nothing listens there"},
		{"no such socket", redisstore.Config{URL: "unix:///nonexistent/redis.sock"}, "nothing listens there"},
		{"no such name", redisstore.Config{URL: "redis://redis.invalid"}, "see its spelling and DNS"},
		{"it accepts and never answers", redisstore.Config{URL: "redis://" + redistest.Mute(t)}, "does not answer in time"},
		{"a web server", redisstore.Config{URL: "redis://" + redistest.Says(t, http)}, "is not redis"},
		{"TLS to a plain server", redisstore.Config{URL: "rediss://" + plain.Addr}, "does not speak TLS"},
		{"no such database", redisstore.Config{URL: plain.URL() + "/99"}, "give a lower number"},
		{"no cluster", redisstore.Config{URL: plain.URL(), Cluster: true}, "this redis is no cluster"},
		{"an unfinished cluster", redisstore.Config{URL: cluster.URL(), Cluster: true}, "does not serve"},
		{"no sentinels", redisstore.Config{Addrs: []string{nobody}, MasterName: "m"}, "no sentinel answers"},
		{"a password too many", redisstore.Config{URL: "redis://anna@" + plain.Addr, PasswordFile: file(t, "secret")}, "see the user's name and the password file"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			mustBeAway(t, openAsShipped(t, tc.config), tc.remedy)
		})
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	for _, node := range c.Nodes { // go-redis would like to use it
		node.Do("ACL", "SETUSER", "default", "-command")
	}
	config := redisstore.Config{Addrs: c.Addrs, Cluster: true}
	s := open(t, config)
	hints := s.Watch(t.Context())
	<-hints // the subscription is there
	if _, err := s.Edit(t.Context(), 0, note(0, "kept")); err != nil {
		t.Fatal(err)
	}
	await(t, hints)
	held := sync(t, s, offer("a")).Overlay

	owner := -1
	for i, node := range c.Nodes {
		single := open(t, redisstore.Config{URL: node.URL()})
		if _, err := single.Sync(t.Context(), offer("b")); err == nil {
			owner = i
		} else {
			mustBeAway(t, single, "set cluster")
		}
	}
	if owner < 0 {
		t.Fatal("no node serves the slot")
	}
	// The slot moves to the next node.
	slot := c.Nodes[0].Do("CLUSTER", "KEYSLOT", "{signpost}:overlay")
	c.Nodes[owner].Flush()
	next, third := c.Nodes[(owner+1)%3], c.Nodes[(owner+2)%3]
	c.Move(slot, next, third, c.Nodes[owner])
	sync(t, s, copyOf("a", held))
	if next.Do("EXISTS", "{signpost}:overlay") != int64(1) {
		t.Error("the overlay is not at the slot's new node")
	}
	// That one fails, and the third takes over. This handle knows of nothing else.
	s = open(t, config)
	sync(t, s, copyOf("a", held))
	// A call that fails has the others asked who serves the slots. go-redis by itself
	// does so once a minute.
	askedForSlots := func() (n int) {
		for _, node := range []*redistest.Server{third, c.Nodes[owner]} {
			var calls int
			_, _ = fmt.Sscanf(node.Info("cmdstat_cluster|slots"), "calls=%d", &calls)
			n += calls
		}
		return n
	}
	before := askedForSlots()
	next.Kill()
	mustBeAway(t, s, "")
	redistest.Await(t, "the others to be asked who serves the slots", func() bool { return askedForSlots() > before })
	for _, node := range []*redistest.Server{third, c.Nodes[owner]} {
		node.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	c.Move(slot, third, c.Nodes[owner])
	redistest.Await(t, "the cluster to serve again", func() bool {
		p, err := s.Sync(t.Context(), copyOf("a", held))
		return err == nil && p.Overlay.Revision == 1
	})
	trips := s.RoundTrips()
	sync(t, s, copyOf("a", held))
	if got := s.RoundTrips() - trips; got != 1 {
		t.Errorf("a sync took %d round trips, want 1", got)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	certs := redistest.NewCertificates(t)
	server := redistest.Start(t, redistest.Options{TLS: certs})
	url := "rediss://" + server.Addr
	strict := redistest.Start(t, redistest.Options{TLS: certs, Args: []string{"--tls-auth-clients", "yes"}})
	for _, c := range []redisstore.Config{
		{URL: url, CAFile: certs.CA, ServerName: redistest.Name},
		{Addrs: []string{strict.Addr}, CAFile: certs.CA, ServerName: redistest.Name, CertFile: certs.Cert, KeyFile: certs.Key},
	} {
		sync(t, open(t, c), offer("a"))
	}
	mustBeAway(t, open(t, redisstore.Config{URL: url, ServerName: redistest.Name}), "as the CA file")
	mustBeAway(t, open(t, redisstore.Config{URL: url, CAFile: certs.CA}), "is for another name")
	mustBeAway(t, open(t, redisstore.Config{URL: url, CAFile: certs.CA, ServerName: "other.example"}), "is for another name")
	mustBeAway(t, open(t, redisstore.Config{URL: server.URL()}), "write rediss://")
	mustBeAway(t, open(t, redisstore.Config{URL: "rediss://" + strict.Addr, CAFile: certs.CA, ServerName: redistest.Name}), "wants a certificate")
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Password: "first"})
	mustBeAway(t, open(t, redisstore.Config{URL: server.URL()}), "redis wants a password")
	password := file(t, "wrong")
	s := open(t, redisstore.Config{URL: server.URL(), PasswordFile: password})
	mustBeAway(t, s, "refuses the user or the password")
	write(t, password, "first\n")
	sync(t, s, offer("a"))

	// The password changes, and connections with the old one are ended.
	server.Do("CONFIG", "SET", "requirepass", "second")
	server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	mustBeAway(t, s, "refuses the user or the password")
	write(t, password, "second\n")
	sync(t, s, offer("a"))
}

// A user of another prefix is told what is missing, and one without the channel's right
// goes on without hints.
func TestUserOfTooFewRights(t *testing.T) {
	t.Parallel()
	server, c := userOfTheDocs(t)
	s := open(t, c)
	c.Prefix = "other"
	other := open(t, c)
	mustBeAway(t, other, "ACL SETUSER signpost ~{other}:* &{other}:* ")
	other.Watch(t.Context())
	redistest.Await(t, "the refused subscription to be told", func() bool { return len(other.Problems()) == 1 })
	server.Do("ACL", "SETUSER", "signpost", "resetchannels")
	if _, err := s.Edit(t.Context(), 0, note(0, "y")); err != nil {
		t.Errorf("Edit without hints: %v", err)
	}
}

func await(t *testing.T, hints <-chan struct{}) {
	t.Helper()
	select {
	case <-hints:
	case <-time.After(patience):
		t.Fatalf("no hint within %v", patience)
	}
}

func TestLoading(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Args: []string{"--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no"}})
	s := open(t, redisstore.Config{URL: server.URL()})
	sync(t, s, offer("a"))
	server.Do("EVAL", "for i = 1, 3000 do redis.call('SET', i, string.rep('x', 200)) end", 0)
	server.Do("SAVE")
	server.Kill()
	server.Restart("--key-load-delay", "20000") // µs
	mustBeAway(t, s, "reads its data")
	server.Do("CONFIG", "SET", "key-load-delay", "0")
	redistest.Await(t, "redis to have loaded", func() bool { return server.Info("loading") == "0" })
	sync(t, s, offer("a"))
}

func TestReplica(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t, redistest.Options{})
	host, port, _ := net.SplitHostPort(master.Addr)
	replica := redistest.Start(t, redistest.Options{Args: []string{"--replicaof", host + " " + port, "--repl-diskless-sync-delay", "0"}})
	redistest.Await(t, "the replica", func() bool { return replica.Info("master_link_status") == "up" })
	s := open(t, redisstore.Config{URL: replica.URL()})
	mustBeAway(t, s, "is a replica and takes no writes")
	replica.Do("CONFIG", "SET", "replica-serve-stale-data", "no")
	master.Kill()
	redistest.Await(t, "the replica to miss its master", func() bool { return replica.Info("master_link_status") == "down" })
	mustBeAway(t, s, "has lost its master")
	replica.Do("REPLICAOF", "NO", "ONE")
	sync(t, s, offer("a"))
}

func TestFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Args: []string{"--maxmemory-policy", "noeviction"}})
	s := open(t, redisstore.Config{URL: server.URL()})
	sync(t, s, offer("a"))
	server.Do("CONFIG", "SET", "maxmemory", "1mb")
	mustBeAway(t, s, "raise it, or give signpost a redis that nobody else fills")
	server.Do("CONFIG", "SET", "maxmemory", "0")
	sync(t, s, offer("a"))
}

func TestForeignKeys(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	for _, key := range []string{"schema", "overlay", "directors", "changes"} {
		prefix := "foreign-" + key
		name := "{" + prefix + "}:" + key
		server.Do("RPUSH", name, "theirs")
		s := open(t, redisstore.Config{URL: server.URL(), Prefix: prefix})
		_, err := s.Sync(t.Context(), offer("a"))
		if !errors.Is(err, store.ErrAway) || !strings.Contains(fmt.Sprint(err), "the key "+name+" holds a list") {
			t.Errorf("Sync: %v; want ErrAway and the key %s", err, name)
		}
		if n := server.Do("LLEN", name); n != int64(1) {
			t.Errorf("the foreign key %s has length %v now", name, n)
		}
		server.Do("DEL", name)
		sync(t, s, offer("a"))
	}
}
