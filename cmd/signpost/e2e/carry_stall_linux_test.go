package e2e

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// maxHeld is what the kernel may hold for a listener that takes nothing, in bytes:
// twice the send buffer that is asked for, and a packet.
const maxHeld = 133_000

// A listener that stops reading, or vanishes without a word, is cut soon after
// stall_timeout, and the kernel holds little for it meanwhile.
func TestInlineListenerStalls(t *testing.T) {
	t.Parallel()
	stall := time.Duration(sized(3, 15)) * time.Second
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Kbit: 128}}})
	for how, vanishes := range map[string]bool{"reads no more": false, "vanishes": true} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			here, dial, vanish := "127.0.0.1", dialHere, func() {}
			if vanishes {
				l := newLair(t)
				here, dial, vanish = l.here, l.dial, l.vanish
			}
			s := directFile(t, fmt.Sprintf("listen: {http: ['%s:0'], max_per_key: 0, max_per_address: 0}\nadmin: {listen: '127.0.0.1:0'}\n"+
				"mounts: [/live.mp3]\nnodes: [{id: n1, urls: ['%s']}]\nproxy: {stall_timeout: %v}\n%s", here, node.URL(), stall, inline))
			conn, err := dial(strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, askForLive+"\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, conn, 80_000); err != nil { // the burst, and a second
				t.Fatal(err)
			}
			vanish()
			held := 0
			took := s.eventually(patience+stall, "the listener is cut", func() bool {
				held = max(held, kernelHolds(t, conn.LocalAddr().String()))
				return s.streams(t)[0].Ended["listener_stalled"] == 1
			})
			t.Logf("cut after %v, with stall_timeout %v; the kernel held %d bytes at most", took.Round(10*time.Millisecond), stall, held)
			if took < stall {
				t.Errorf("cut after %v, want %v at least", took, stall)
			}
			atMost(t, stall+3*time.Second, "cut", took)
			if held == 0 || held > maxHeld {
				t.Errorf("the kernel held %d bytes, want at most %d", held, maxHeld)
			}
		})
	}
}

var wmemQueued = regexp.MustCompile(`skmem:\(.*?,w(\d+),`)

// kernelHolds is how much memory the kernel uses to send to an address.
func kernelHolds(t *testing.T, peer string) int {
	t.Helper()
	host, port, err := net.SplitHostPort(peer)
	if err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command("ss", "-tmnH", "dst", host, "and", "dport", "=", ":"+port).CombinedOutput()
	if err != nil {
		t.Fatalf("ss: %v: %s", err, said)
	}
	m := wmemQueued.FindSubmatch(said)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}
