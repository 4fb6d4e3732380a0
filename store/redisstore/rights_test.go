package redisstore_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
	"github.com/signpost-fm/signpost/store/storetest"
)

// userOfTheDocs is a server with the one user that the documentation's line makes.
func userOfTheDocs(t *testing.T) (*redistest.Server, redisstore.Config) {
	t.Helper()
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, line, ok := strings.Cut(string(text), "\nACL SETUSER signpost ")
	line, _, _ = strings.Cut(line, "\n")
	if !ok || !strings.Contains(line, ">PASSWORD") {
		t.Fatal("docs/operating.md has no line that makes the user")
	}
	if rights, _ := strings.CutPrefix(redisstore.Rights("signpost", "signpost"), "ACL SETUSER signpost "); !strings.HasSuffix(line, rights) {
		t.Errorf("the documentation's user has other rights than %s", rights)
	}
	server := redistest.Start(t, redistest.Options{})
	run(server, "ACL SETUSER signpost "+strings.Replace(line, ">PASSWORD", ">secret", 1))
	return server, redisstore.Config{URL: "redis://signpost@" + server.Addr, PasswordFile: file(t, "secret")}
}

// run runs a line as redis-cli does.
func run(s *redistest.Server, line string) {
	var args []any
	for _, word := range strings.Fields(line) {
		args = append(args, word)
	}
	s.Do(args...)
}

// The user that the documentation makes may do all that directors do, and Redis
// refuses nothing of what they send.
func TestUserOfTheDocs(t *testing.T) {
	t.Parallel()
	server, c := userOfTheDocs(t)
	s := open(t, c)
	if err := s.Try(t.Context()); err != nil {
		t.Errorf("Try: %v", err)
	}
	hints := s.Watch(t.Context())
	<-hints // the subscription is there
	sync(t, s, offer("a"))
	if _, err := s.Edit(t.Context(), 0, note(0, "x")); err != nil {
		t.Errorf("Edit: %v", err)
	}
	await(t, hints)
	server.Do("HSET", "{signpost}:overlay", "document", "rubbish")
	sync(t, s, offer("a"))
	if _, err := s.Edit(t.Context(), 0, note(0, "y")); err != nil {
		t.Errorf("an edit that sets an unreadable overlay aside: %v", err)
	}
	noneRejected(t, server)
}

// noneRejected looks whether a server has refused any command so far.
func noneRejected(t *testing.T, s *redistest.Server) {
	t.Helper()
	for line := range strings.SplitSeq(fmt.Sprint(s.Do("INFO", "commandstats")), "\r\n") {
		if strings.Contains(line, "rejected_calls=") && !strings.Contains(line, "rejected_calls=0") {
			t.Errorf("redis refused: %s", line)
		}
	}
}

// The whole suite with the documentation's user, who sees more prefixes for it.
func TestSuiteAsUserOfTheDocs(t *testing.T) {
	t.Parallel()
	soak(t)
	server, c := userOfTheDocs(t)
	server.Do("ACL", "SETUSER", "signpost", "allkeys", "allchannels")
	storetest.Run(t, backends(c, server))
}

// Whatever single right is missing, trying finds it, and the line that it prints
// mends it; so does the one that a director prints, where it is a script that fails.
func TestEachMissingRight(t *testing.T) {
	t.Parallel()
	server, c := userOfTheDocs(t)
	rights := strings.Fields(redisstore.Rights("signpost", "signpost"))[5:]
	if len(rights) < 20 {
		t.Fatalf("%d rights: %v", len(rights), rights)
	}
	inScripts := 0
	for _, right := range rights {
		name := strings.TrimPrefix(right, "+")
		if name == "select" || name == "asking" || name == "cluster|slots" {
			continue // not with one server and db 0
		}
		server.Do("ACL", "SETUSER", "signpost", "-"+name)
		s := open(t, c)
		err := s.Try(t.Context())
		if err == nil || name != "ping" && !strings.Contains(err.Error(), "refuses "+name+":") {
			t.Errorf("without %s: %v", name, err)
			continue
		}
		_, line, ok := strings.Cut(err.Error(), "ACL SETUSER ")
		line, _, _ = strings.Cut(line, ": ")
		if !ok {
			t.Errorf("without %s: no line to run: %v", name, err)
			continue
		}
		if _, err := s.Sync(t.Context(), offer("a")); err != nil {
			inScripts++
			if !strings.Contains(err.Error(), "ACL SETUSER "+line) {
				t.Errorf("without %s, a director says: %v", name, err)
			}
		}
		run(server, "ACL SETUSER "+line)
		if err := s.Try(t.Context()); err != nil {
			t.Errorf("%s, after its remedy: %v", name, err)
		}
		_ = s.Close()
	}
	if inScripts < 8 {
		t.Errorf("only %d rights are missed by a director's Sync; the test tries too little", inScripts)
	}
}

// Nothing of a trial stays, and a server that is not there is told as such.
func TestTrialLeavesNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Config{URL: server.URL()})
	if err := s.Try(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range server.Do("KEYS", "*").([]any) {
		if ttl := server.Do("PTTL", key).(int64); ttl < 0 || ttl > 10_000 {
			t.Errorf("%v stays for %d ms", key, ttl)
		}
	}
	server.Kill()
	if err := s.Try(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing listens there") {
		t.Errorf("without a server: %v", err)
	}
}

// The same user serves in a Cluster.
func TestUserOfTheDocsInACluster(t *testing.T) {
	t.Parallel()
	soak(t)
	c := redistest.StartCluster(t)
	for _, node := range c.Nodes {
		run(node, strings.Replace(redisstore.Rights("signpost", "signpost"), "signpost ", "signpost reset on >secret ", 1))
	}
	s := open(t, redisstore.Config{Addrs: c.Addrs, Cluster: true, Username: "signpost", PasswordFile: file(t, "secret")})
	if err := s.Try(t.Context()); err != nil {
		t.Errorf("Try: %v", err)
	}
	sync(t, s, offer("a"))
	if _, err := s.Edit(t.Context(), 0, note(0, "x")); err != nil {
		t.Errorf("Edit: %v", err)
	}
	for _, node := range c.Nodes {
		noneRejected(t, node)
	}
}

// The operators' changes can be read alone, as the user of the docs, without a trace.
func TestOverlayIsRead(t *testing.T) {
	t.Parallel()
	_, c := userOfTheDocs(t)
	s, err := redisstore.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if o, err := s.Overlay(t.Context()); err != nil || o.Revision != 0 {
		t.Fatalf("of nobody's changes: %+v, %v", o, err)
	}
	want := store.Overlay{Overflows: map[director.RegionID]store.Overflow{"de": {Regions: []director.RegionID{"world"}, Stamp: store.Stamp{By: "anna", At: time.Unix(1e9, 0).UTC()}}}}
	if _, err := s.Edit(t.Context(), 0, want); err != nil {
		t.Fatal(err)
	}
	o, err := s.Overlay(t.Context())
	if err != nil || o.Revision != 1 || len(o.Overflows["de"].Regions) != 1 {
		t.Errorf("%+v, %v", o, err)
	}
}
