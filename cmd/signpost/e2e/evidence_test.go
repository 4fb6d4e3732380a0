package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// comingBack has a listener of each of n networks ask until so many were sent to a
// node, and returns their addresses.
func (s *signpost) comingBack(node *probetest.Node, n int) (addresses []string) {
	s.t.Helper()
	for i := 0; len(addresses) < n; i++ {
		if i == 250 {
			s.t.Fatalf("of 250 listeners, %d were sent to %s", len(addresses), node.URL())
		}
		address := fmt.Sprintf("198.%d.7.1", i)
		resp := s.get("/live.mp3", address, "listener")
		resp.Body.Close()
		if strings.HasPrefix(resp.Header.Get("Location"), node.URL()) {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// again has them ask once more.
func (s *signpost) again(addresses []string) {
	s.t.Helper()
	for _, a := range addresses {
		s.get("/live.mp3", a, "listener").Body.Close()
	}
}

func (s *signpost) probesOf(node string) int {
	s.t.Helper()
	n := 0
	for _, m := range regexp.MustCompile(`signpost_probes_total\{node="`+node+`",result="[a-z]*"\} (\d+)`).FindAllStringSubmatch(s.metrics(), -1) {
		k, err := strconv.Atoi(m[1])
		if err != nil {
			s.t.Fatal(err)
		}
		n += k
	}
	return n
}

// Probes come every two seconds or more, but listeners of a few networks who come
// straight back from a dead node have it found within one: also where they come to a director
// that does not probe the node itself.
func TestListenersTellOfADeadNode(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	config := configuration(fleet, everyone+sharing(redistest.Start(t, redistest.Options{})))
	if soak {
		config = unhurried(config)
	} else {
		config = strings.Replace(config, quickProbes, seldomProbes, 1)
	}
	all := alike(t, 3, config)
	for _, s := range all {
		s.eventually(5*time.Second, "all have found each other", func() bool { return strings.Contains(s.metrics(), "signpost_directors 3") })
	}
	byOther := false
	for i, node := range fleet {
		name := fmt.Sprintf("n%d", i+1)
		asked := all[0]
		for _, s := range all {
			if s.probesOf(name) == 0 {
				asked, byOther = s, true
			}
		}
		if i == len(fleet)-1 && byOther {
			break // one node is to live on
		}
		witnesses := asked.comingBack(node, 6)
		node.Kill()
		died := time.Now()
		asked.again(witnesses)
		for _, s := range all {
			s.within(unprobed, "the dead node is known", func() bool {
				return strings.Contains(s.explain(), `"node":"`+name+`","rung":"all","reason":"down"`)
			})
		}
		took := time.Since(died)
		t.Logf("%s was known to be dead to all directors %v after it died", name, took.Round(time.Millisecond))
		atMost(t, time.Second, "found dead", took)
	}
	if !byOther {
		t.Error("no director was told of a node that it does not probe")
	}
}

// A listener whose player hops, and a crowd of liars, have a node asked at most: it
// answers, and stays.
func TestListenersTakeNoNodeDown(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	s := direct(t, fleet, everyone)
	for what, networks := range map[string]int{"one odd listener": 1, "a crowd": 8} {
		addresses := s.comingBack(fleet[0], networks)
		for range 20 {
			s.again(addresses)
			if at := s.explain(); strings.Contains(at, `"reason":"down"`) {
				t.Fatalf("%s took a node down: %s", what, at)
			}
		}
	}
	if strings.Contains(s.log.String(), "node is down") {
		t.Errorf("a node was down:\n%s", s.log)
	}
}

// With the servers' own feeds, probes every half minute are enough: a listener and a
// death are known at once.
func TestServersTellOfChanges(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	config := strings.Replace(configuration(fleet, everyone), quickProbes, seldomProbes, 1)
	config = strings.Replace(config, "probe: {", "probe: {push: true, ", 1)
	for i, n := range fleet {
		user, password := n.Credentials()
		file := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(file, []byte(user+":"+password), 0o600); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("{id: n%d, ", i+1)
		config = strings.Replace(config, id, id+"credentials_file: '"+file+"', ", 1)
	}
	s := directFile(t, config)
	s.eventually(5*time.Second, "all tell", func() bool { return strings.Count(s.log.String(), "tells of changes by itself") == len(fleet) })
	leave := listen(t, fleet[0].URL()+"/live.mp3")
	defer leave()
	took := s.within(unprobed, "a listener is known", func() bool { return strings.Contains(s.metrics(), `signpost_node_used{node="n1"} 1`) })
	t.Logf("a listener was known after %v", took.Round(time.Millisecond))
	fleet[1].Kill()
	took = s.within(unprobed, "a dead node is known", func() bool { return strings.Contains(s.metrics(), `signpost_node_up{node="n2"} 0`) })
	t.Logf("a dead node was known after %v", took.Round(time.Millisecond))
}
