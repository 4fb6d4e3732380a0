//go:build unix

package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Sentinels are a master and a replica, and three Sentinels that watch them.
type Sentinels struct {
	Addrs   []string // of the Sentinels
	Name    string   // what they call the master
	Master  *Server  // the first one
	Replica *Server
	Trio    []*Server
}

// StartSentinels starts all five, and returns when a failover is possible. One
// takes about two seconds. Servers and Sentinels have a password each.
func StartSentinels(t testing.TB, password, sentinelPassword string) *Sentinels {
	t.Helper()
	auth := []string{"--masterauth", password, "--repl-diskless-sync-delay", "0"}
	s := &Sentinels{Name: "signpost-test", Master: Start(t, Options{Password: password, Args: auth})}
	host, port, _ := net.SplitHostPort(s.Master.Addr)
	s.Replica = Start(t, Options{Password: password, Args: append(auth, "--replicaof", host+" "+port)})
	for range 3 {
		one := start(t, sentinelPassword, nil, func(n int, dir string) []string {
			conf := filepath.Join(dir, "sentinel.conf") // they write into it
			text := fmt.Sprintf("port %d\nrequirepass %s\nsentinel sentinel-pass %[2]s\n"+
				"sentinel monitor %[3]s %s %s 2\nsentinel auth-pass %[3]s %[6]s\n"+
				"sentinel down-after-milliseconds %[3]s 60000\nsentinel failover-timeout %[3]s 4000\n", // see KillMaster
				n, sentinelPassword, s.Name, host, port, password)
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{conf, "--sentinel"}
		})
		s.Trio = append(s.Trio, one)
		s.Addrs = append(s.Addrs, one.Addr)
	}
	Await(t, "the replica", func() bool { return s.Replica.Info("master_link_status") == "up" })
	for _, one := range s.Trio {
		Await(t, "the sentinels to know each other and the replica", func() bool {
			master := fmt.Sprint(one.Do("SENTINEL", "MASTER", s.Name))
			return strings.Contains(master, "num-slaves 1") && strings.Contains(master, "num-other-sentinels 2")
		})
	}
	return s
}

// KillMaster kills the master, and has the Sentinels notice after half a second. Until then they
// are patient: a master that is late on a busy machine is not down.
func (s *Sentinels) KillMaster() {
	s.Master.Kill()
	for _, one := range s.Trio {
		one.Do("SENTINEL", "SET", s.Name, "down-after-milliseconds", "500")
	}
}

// Cluster is three masters that share the slots.
type Cluster struct {
	Addrs []string
	Nodes []*Server
}

// StartCluster starts the three, and returns when they serve all slots.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	const slots = 16384
	c := &Cluster{}
	for i := range 3 {
		node := start(t, "", nil, func(n int, _ string) []string {
			return []string{"--port", fmt.Sprint(n), "--cluster-enabled", "yes", "--cluster-port", fmt.Sprint(freePort(t)),
				"--cluster-node-timeout", "1000", "--save", "", "--enable-debug-command", "yes"}
		})
		node.Do("CLUSTER", "ADDSLOTSRANGE", i*slots/3, (i+1)*slots/3-1)
		node.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		c.Nodes = append(c.Nodes, node)
		c.Addrs = append(c.Addrs, node.Addr)
	}
	for _, node := range c.Nodes[1:] {
		host, port, _ := net.SplitHostPort(node.Addr)
		bus := fmt.Sprint(node.Do("CONFIG", "GET", "cluster-port").([]any)[1])
		c.Nodes[0].Do("CLUSTER", "MEET", host, port, bus)
	}
	for _, node := range c.Nodes {
		Await(t, "the cluster", func() bool {
			info := fmt.Sprint(node.Do("CLUSTER", "INFO"))
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	for _, node := range c.Nodes { // a second was for a quick start: on a busy machine nodes are late for longer
		node.Do("CONFIG", "SET", "cluster-node-timeout", "60000")
	}
	return c
}

// Move gives a slot to the node to and tells those of others. The new owner has the highest
// epoch, or the old one would take the slot back where the others hear of it first.
func (c *Cluster) Move(slot any, to *Server, others ...*Server) {
	id := to.Do("CLUSTER", "MYID")
	to.Do("CLUSTER", "BUMPEPOCH")
	for _, node := range append([]*Server{to}, others...) {
		node.Do("CLUSTER", "SETSLOT", slot, "NODE", id)
	}
}
