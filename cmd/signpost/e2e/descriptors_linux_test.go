package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// With 128 file descriptors and far more who want the stream inline, probes go on, and
// listeners who can be redirected are.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3"}}})
	s := directLimited(t, 128, fmt.Sprintf("listen: {http: ['127.0.0.1:0'], max_per_key: 0, max_per_address: 0}\nadmin: {listen: '127.0.0.1:0'}\n"+
		"probe: {interval: 300ms, recheck: 100ms, timeout: 10s}\nproxy: {max_per_client: 0}\nmounts: [/live.mp3]\n"+
		"nodes: [{id: n1, urls: ['%s']}]\nrules: {list: [{name: old, user_agent: 'Old*', answer: proxy}]}\n", node.URL()))
	carried, refused := 0, 0
	for range 300 {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(c, "GET /live.mp3 HTTP/1.0\r\nUser-Agent: Old/1\r\n\r\n")
		head := make([]byte, len("HTTP/1.0 200"))
		if _, err := io.ReadFull(c, head); err == nil && strings.HasSuffix(string(head), " 200") {
			carried++
			continue
		}
		refused++
		c.Close()
	}
	if carried < 20 || refused < 20 {
		t.Errorf("%d streams are carried inline, %d refused", carried, refused)
	}
	for i := range 50 {
		r := s.get("/live.mp3", fmt.Sprintf("192.0.2.%d", i), "mpv")
		if r.StatusCode != http.StatusFound {
			t.Fatalf("redirect %d of 50, with %d listeners inline: %s", i+1, carried, r.Status)
		}
	}
	const answered = `signpost_probes_total\{node="n1",result="answered"\}`
	before := number(t, answered, s.adminBody("/metrics"))
	s.eventually(patience, "more probes were answered", func() bool {
		return number(t, answered, s.adminBody("/metrics")) > before+2
	})
	s.eventually(patience, "the log says what the limit leaves", func() bool { return strings.Contains(s.log.String(), "the limit of open files is 128") })
	t.Logf("128 descriptors: of 300 who wanted the stream inline, %d got it and %d were refused; 50 of 50 were redirected; probes: %s", carried, refused, strings.Join(counts(s.adminBody("/metrics"), "signpost_probes_total"), ", "))
	if strings.Contains(s.log.String(), "too many open files") {
		t.Error("it ran into the limit")
	}
}

// counts are the lines of a metric.
func counts(metrics, name string) (all []string) {
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, name+"{") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}
