package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// silence is after how long the directors of these tests take a silent node for down.
const silence = 5 * time.Second

// guarded starts a director with the node n1, at which edge-1 may register with the
// token "let-me-in", to share everybody with n1. Operators say "I-am-ops".
func guarded(t *testing.T, fleet []*probetest.Node, store ...string) *signpost {
	t.Helper()
	return patient(t, silence, fleet, store...)
}

// patient starts one that takes a silent node for down after another while.
func patient(t *testing.T, downAfter time.Duration, fleet []*probetest.Node, store ...string) *signpost {
	t.Helper()
	tokens := filepath.Join(t.TempDir(), "tokens")
	text := fmt.Sprintf("agents agent %x\nops operate %x\n", sha256.Sum256([]byte("let-me-in")), sha256.Sum256([]byte("I-am-ops")))
	if err := os.WriteFile(tokens, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config := configuration(fleet[:1], "regions: [{id: all, match: default, weights: {n1: 1, edge-1: 1}}]\n"+
		"store: {"+strings.Join(append(store, "registered: {ids: edge-*, down_after: "+downAfter.String()+"}"), ", ")+"}\n")
	return directFile(t, strings.Replace(config, "admin: {", "admin: {tokens_file: '"+tokens+"', ", 1))
}

// An agentProcess is a running agent.
type agentProcess struct {
	*exec.Cmd
	log    *proctest.Output
	exited chan error
}

// agent starts one for edge-1, which node is, at these directors.
func agent(t *testing.T, node *probetest.Node, token string, directors ...*signpost) *agentProcess {
	t.Helper()
	return agentWith(t, []string{"--url", node.URL()}, node, token, directors...)
}

// agentWith starts one whose flags say where the node is reached.
func agentWith(t *testing.T, where []string, node *probetest.Node, token string, directors ...*signpost) *agentProcess {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"agent", "--id", "edge-1", "--status", node.URL(), "--token-file", file, "--interval", "200ms", "--sample", "0s", "--target", "1000", "--drain-timeout", patience.String()}, where...)
	for _, d := range directors {
		args = append(args, "--director", d.admin)
	}
	a := &agentProcess{exec.Command(program(t), args...), &proctest.Output{}, make(chan error, 1)}
	a.SysProcAttr = proctest.DieWithTest()
	a.Stdout, a.Stderr = a.log, a.log
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { a.exited <- a.Wait() }()
	t.Cleanup(func() {
		_ = a.Process.Kill() // it may have ended
		if strings.Contains(a.log.String(), "DATA RACE") || t.Failed() {
			t.Errorf("agent:\n%s", a.log)
		}
	})
	return a
}

// node asks the operators' side for edge-1.
func (s *signpost) node() (n api.Node, there bool) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.admin+"/api/v1/nodes", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer I-am-ops")
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct{ Nodes []api.Node }
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		s.t.Fatalf("%s: %v", resp.Status, err)
	}
	for _, n := range all.Nodes {
		if n.ID == "edge-1" {
			return n, true
		}
	}
	return n, false
}

// fit says whether edge-1 takes listeners.
func (s *signpost) fit() bool {
	s.t.Helper()
	n, there := s.node()
	return there && n.State == director.Fit
}

// listen keeps a listener on a node until its cancel is called.
func listen(t *testing.T, url string) context.CancelFunc {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, resp.Body) // until the listener leaves
		resp.Body.Close()
	}()
	return cancel
}

func TestAnAgentRegistersAndDrainsItsNode(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	s := guarded(t, fleet)
	if to := s.sentTo(fleet, 20, 0); to["n1"] != 20 {
		t.Fatalf("before it registers: %v", to)
	}
	a := agent(t, fleet[1], "let-me-in", s)
	s.eventually(10*time.Second, "listeners are sent to the registered node", func() bool { return s.sentTo(fleet, 40, 1)["n2"] > 0 })
	leave := listen(t, fleet[1].URL()+"/live.mp3")
	s.eventually(20*time.Second, "the agent reports its listener, and nobody is on the way", func() bool {
		n, there := s.node()
		return there && n.State == director.Fit && n.Used == 1 && n.EnRoute == 0 && n.Registered != nil
	})
	var page struct {
		Icestats struct {
			Source struct {
				Listeners int    `json:"listeners"`
				Title     string `json:"title"`
			} `json:"source"`
		} `json:"icestats"`
	}
	// A request of sentTo that has just been answered may count as a listener still.
	s.eventually(patience, "the fleet's statistics have the listener and a title", func() bool {
		err := json.Unmarshal([]byte(s.body("/status-json.xsl")), &page)
		return err == nil && page.Icestats.Source.Listeners == 1 && page.Icestats.Source.Title != ""
	})

	if err := a.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.eventually(5*time.Second, "nobody is sent to the draining node", func() bool { return s.sentTo(fleet, 40, 2)["n2"] == 0 })
	if to := s.sentTo(fleet, 200, 3); to["n1"] != 200 {
		t.Errorf("draining: %v", to)
	}
	if n, there := s.node(); !there || n.State != director.Drained || n.SafeToTerminate {
		t.Errorf("with a listener on it: %v %+v", there, n)
	}
	select {
	case err := <-a.exited:
		t.Fatalf("the agent left while somebody listened: %v", err)
	default:
	}
	leave()
	select {
	case err := <-a.exited:
		if err != nil {
			t.Errorf("the agent ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the agent stays although nobody listens")
	}
	s.eventually(5*time.Second, "the node is deregistered", func() bool { _, there := s.node(); return !there })
}

func TestAKilledAgent(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	s := guarded(t, fleet)
	a := agent(t, fleet[1], "let-me-in", s)
	s.eventually(10*time.Second, "the node registers", s.fit)

	// Nobody else takes its id, with or without a token.
	for token, want := range map[string]string{"let-me-out": "admin.tokens_file", "let-me-in": "--id"} {
		other := agent(t, fleet[0], token, s)
		s.eventually(10*time.Second, "another agent is told why not", func() bool { return strings.Contains(other.log.String(), want) })
		_ = other.Process.Kill()
	}
	if n, _ := s.node(); n.URLs[0] != fleet[1].URL() {
		t.Fatalf("another took the id: %+v", n)
	}

	_ = a.Process.Kill()
	took := s.eventually(silence+3*time.Second, "the silent node is down", func() bool { return !s.fit() })
	t.Logf("a node whose agent was killed was down after %v", took.Round(time.Millisecond))
	if soak && took < silence-500*time.Millisecond { // else the agent may have stood still before
		t.Errorf("it was down after %v already", took)
	}
	if to := s.sentTo(fleet, 100, 1); to["n1"] != 100 {
		t.Errorf("a silent node: %v", to)
	}
	agent(t, fleet[1], "let-me-in", s)
	s.eventually(10*time.Second, "the next agent takes the id over", s.fit)
}

// An agent that hands over, or is killed, leaves the registration to the next with
// the same instance file, which has no need to wait; one that was told to stop does not.
func TestAgentsThatFollowEachOther(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	s := patient(t, 4*time.Minute, fleet)
	flags := []string{"--url", fleet[1].URL(), "--instance-file", filepath.Join(t.TempDir(), "instance")}
	next := func(target int) *agentProcess {
		return agentWith(t, append(flags, "--target", fmt.Sprint(target)), fleet[1], "let-me-in", s)
	}
	end := func(a *agentProcess, with syscall.Signal) {
		if err := a.Process.Signal(with); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-a.exited:
			if err != nil && with != syscall.SIGKILL {
				t.Fatalf("%v: the agent ended with %v", with, err)
			}
		case <-time.After(patience):
			t.Fatalf("%v: the agent goes on", with)
		}
	}
	fit := func(target int) func() bool {
		return func() bool {
			n, there := s.node()
			return there && n.State == director.Fit && n.Target == target
		}
	}
	a := next(1000)
	s.eventually(10*time.Second, "the node registers", fit(1000))
	first, _ := s.node()
	for i, with := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGKILL} {
		end(a, with)
		if n, there := s.node(); !there || n.State != director.Fit || n.Drained {
			t.Fatalf("%v: the node is %+v, want it as it was", with, n)
		}
		a = next(2000 + i)
		s.eventually(10*time.Second, "the next goes on, with what it was told", fit(2000+i))
		if n, _ := s.node(); n.Registered.Instance != first.Registered.Instance || n.WarmUp != first.WarmUp {
			t.Errorf("%v: the node is %+v, and was %+v", with, n, first)
		}
	}
	other := agentWith(t, flags, fleet[1], "let-me-in", s)
	if err := <-other.exited; err == nil || !strings.Contains(other.log.String(), "another agent runs with it") {
		t.Errorf("a second agent with the file: %v", err)
	}
	end(a, syscall.SIGTERM)
	s.eventually(10*time.Second, "the node is deregistered", func() bool { _, there := s.node(); return !there })
	next(3000)
	s.eventually(10*time.Second, "it comes back as another instance", fit(3000))
	if n, _ := s.node(); n.Registered.Instance == first.Registered.Instance {
		t.Error("an instance has come back that had deregistered")
	}
}

// An agent that is well where nobody gets to attracts no listener: its director sees
// so from outside.
func TestAnAgentBehindAMistake(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	s := guarded(t, fleet)
	other := httptest.NewServer(http.NotFoundHandler()) // where the URL leads by mistake
	t.Cleanup(other.Close)
	for url, want := range map[string]string{proctest.Nowhere: "connection refused", other.URL: "GET /live.mp3: 404"} {
		a := agentWith(t, []string{"--url", url}, fleet[1], "let-me-in", s)
		s.eventually(10*time.Second, "the node is down, with the reason", func() bool {
			if to := s.sentTo(fleet, 5, 1); to["n1"] != 5 {
				t.Fatalf("%s: listeners were sent there: %v", url, to)
			}
			n, there := s.node()
			return there && n.State == director.Down && strings.Contains(n.Detail, want) && strings.Contains(n.Detail, "its agent says that it is well")
		})
		if err := a.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-a.exited
	}
	agentWith(t, []string{"--url", proctest.Nowhere, "--internal-url", fleet[1].URL()}, fleet[1], "let-me-in", s)
	s.eventually(10*time.Second, "by an address that its director reaches it is used", s.fit)
}

// Directors that share nothing all know the node, and keep it when one of them dies.
func TestAnAgentReportsToAllDirectors(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	first, second := guarded(t, fleet), guarded(t, fleet)
	agent(t, fleet[1], "let-me-in", first, second)
	for _, s := range []*signpost{first, second} {
		s.eventually(20*time.Second, "the node registers at both", s.fit)
	}
	first.kill()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * silence); time.Now().Before(deadline); <-tick.C {
		if to := second.sentTo(fleet, 20, 1); to["n1"]+to["n2"] != 20 || !second.fit() {
			t.Fatalf("the other director loses the node: %v", to)
		}
	}
}

// Registered nodes outlive Redis, also at directors that hear of them through it alone.
func TestRegisteredNodesOutliveRedis(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"killed", "cut off from one"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fleet := fleetOf(t, 2)
			redis := redistest.Start(t, redistest.Options{})
			line := redistest.NewLine(t, redis.Addr)
			first := guarded(t, fleet, "redis: {url: 'redis://"+line.Addr+"'}")
			second := guarded(t, fleet, "redis: {url: '"+redis.URL()+"'}")
			agent(t, fleet[1], "let-me-in", first)
			all := []*signpost{first, second}
			for _, s := range all {
				s.eventually(20*time.Second, "the node is known to both", s.fit)
			}
			if name == "killed" {
				redis.Kill()
			} else {
				line.Cut()
			}
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for deadline := time.Now().Add(2*silence + time.Second); time.Now().Before(deadline); <-tick.C {
				for i, s := range all {
					if n, there := s.node(); !there || n.State != director.Fit {
						t.Fatalf("at director %d: %v %q", i, n.State, n.Detail)
					}
				}
			}
			for i, s := range all {
				if to := s.sentTo(fleet, 40, i); to["n2"] == 0 {
					t.Errorf("director %d sends nobody to it: %v", i, to)
				}
			}
		})
	}
}

// Through Redis all directors know a node that registered with one of them, and
// still do when that one dies and the agent talks to another.
func TestARegisteredNodeIsSharedThroughRedis(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	redis := "redis: {url: '" + redistest.Start(t, redistest.Options{}).URL() + "'}"
	first, second, third := guarded(t, fleet, redis), guarded(t, fleet, redis), guarded(t, fleet, redis)
	agent(t, fleet[1], "let-me-in", first, second)
	third.eventually(10*time.Second, "a director that the agent does not know of has the node", third.fit)
	first.kill()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * silence); time.Now().Before(deadline); <-tick.C {
		if to := third.sentTo(fleet, 20, 1); to["n1"]+to["n2"] != 20 || !third.fit() {
			t.Fatalf("after the agent's director died: %v", to)
		}
	}
}
