package e2e

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// freed is how soon the connection to the node must be closed when the last
// listener has gone, on a machine that does nothing else.
const freed = 100 * time.Millisecond

// mayHalfClose is how long after the request a FIN may end the sending side only.
const mayHalfClose = 1100 * time.Millisecond

// farewells are the ways in which a listener goes.
var farewells = map[string]func(*net.TCPConn) error{
	"FIN": (*net.TCPConn).Close,
	"RST": func(c *net.TCPConn) error {
		_ = c.SetLinger(0)
		return c.Close()
	},
}

// The last listener goes: the node is free, whatever it was doing, and without any
// of the time limits that would cut the connection one day.
func TestInlineListenerLeaves(t *testing.T) {
	t.Parallel()
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3"}}})
	tap := tapOf(t, node)
	s := directFile(t, fmt.Sprintf("listen: {http: ['127.0.0.1:0'], max_per_key: 0, max_per_address: 0}\nadmin: {listen: '127.0.0.1:0'}\n"+
		"probe: {interval: 20s, timeout: 10s}\nproxy: {header_timeout: 1h, idle_timeout: 1h, stall_timeout: 1h}\n"+
		"mounts: [/live.mp3]\nnodes: [{id: n1, urls: ['%s']}]\n%s", tap.url(), inline))
	for _, when := range []struct {
		name  string
		begin func() // before the listener comes
		heard int    // what it hears before it goes, in bytes
		end   func()
	}{
		{"while it plays", func() {}, 10_000, func() {}},
		{"while its source is silent", func() { node.StopSource("/live.mp3") }, 10_000, func() { node.ContSource("/live.mp3") }},
		{"before it answers", node.Stop, 0, node.Cont},
	} {
		when.begin()
		for how, leave := range farewells {
			conn := s.tuneIn(t, "")
			after(t, "the node is asked", tap.asked)
			if n, err := io.CopyN(io.Discard, conn, int64(when.heard)); err != nil {
				t.Fatalf("%s: %d bytes, then %v", when.name, n, err)
			}
			if how == "FIN" {
				<-time.After(mayHalfClose) // no less may pass
			}
			left := time.Now()
			if err := leave(conn); err != nil {
				t.Fatal(err)
			}
			took := after(t, how+" "+when.name+": the node is free", tap.freed).Sub(left)
			t.Logf("%s %s: the node was free after %v", how, when.name, took.Round(100*time.Microsecond))
			atMost(t, freed, how+" "+when.name+": the node was free", took)
		}
		when.end()
	}
}

// A listener that closes its sending side as soon as it has asked, as "nc -N" does, gets
// the stream, also if the node is slow to answer.
func TestInlineHalfClose(t *testing.T) {
	t.Parallel()
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3"}}})
	s := directFile(t, fmt.Sprintf("listen: {http: ['127.0.0.1:0'], max_per_key: 0, max_per_address: 0}\nadmin: {listen: '127.0.0.1:0'}\n"+
		"probe: {interval: 20s, timeout: 10s}\nmounts: [/live.mp3]\nnodes: [{id: n1, urls: ['%s']}]\n%s", node.URL(), inline))
	for name, slow := range map[string]bool{"at once": false, "after a while": true} {
		if slow {
			node.Stop()
		}
		conn := s.tuneIn(t, "")
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if slow {
			<-time.After(mayHalfClose)
			node.Cont()
		}
		if n, err := io.CopyN(io.Discard, conn, 100_000); err != nil {
			t.Errorf("%s: the listener got %d bytes, then %v", name, n, err)
		}
		conn.Close()
	}
}
