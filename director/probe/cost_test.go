//go:build unix

package probe_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe"
)

// costServer is set in the process that plays the nodes of BenchmarkProbes.
const costServer = "SIGNPOST_COST_SERVER"

// costMounts are the mounts of each node.
var costMounts = []string{"/live.mp3", "/news.mp3", "/jazz.mp3"}

// BenchmarkProbes measures the prober's own CPU time per probe: 1,000 nodes with 3 mounts
// each, at the default pace. One other process plays all nodes, each at an address of its
// own. It uses nothing but what the package exports, so that it runs with other commits
// too: .ci/probe-cost compares two commits.
//
//	go test ./director/probe -run '^$' -bench Probes -benchtime 15000x
func BenchmarkProbes(b *testing.B) {
	for _, way := range []string{"public", "admin"} {
		b.Run(way, func(b *testing.B) {
			port := costNodes(b)
			var nodes []director.Node
			for i := range 1000 {
				nodes = append(nodes, director.Node{ID: director.NodeID(fmt.Sprint("n", i)), URLs: []string{fmt.Sprintf("http://127.1.%d.%d:%d", i/250, i%250+1, port)}})
			}
			var mounts []director.Mount
			for _, m := range costMounts {
				mounts = append(mounts, director.Mount{Name: m})
			}
			p := probe.New(probe.Config{Sample: time.Minute, Credentials: func(director.NodeID) (string, string, bool) {
				return "admin", "secret", way == "admin"
			}})
			p.SetNodes(nodes, mounts)
			ctx, cancel := context.WithCancel(b.Context())
			var running sync.WaitGroup
			running.Go(func() { _ = p.Run(ctx) })
			defer running.Wait()
			defer cancel()
			<-p.First()
			count := func() (n uint64) {
				for _, t := range p.Tallies() {
					n += t.Answers
					if t.Failures > 0 {
						b.Fatalf("%s failed: %+v", t.Node, t)
					}
				}
				return n
			}
			at := count()
			begun := cpu(b)
			b.ResetTimer()
			for count() < at+uint64(b.N) {
				time.Sleep(50 * time.Millisecond) // between polls
			}
			b.ReportMetric(float64((cpu(b)-begun).Microseconds())/float64(count()-at), "cpu-us/probe")
		})
	}
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// costNodes starts the process that plays the nodes and returns their port.
func costNodes(b *testing.B) int {
	cmd := exec.Command(os.Args[0], "-test.run=^TestCostServer$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), costServer+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	port, bad := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || bad != nil {
		b.Fatalf("the nodes' port: %q, %v", line, err)
	}
	return port
}

// TestCostServer is the other process of BenchmarkProbes. It ends with its standard input.
func TestCostServer(t *testing.T) {
	if os.Getenv(costServer) == "" {
		t.Skip("it is started by BenchmarkProbes")
	}
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	go func() { _ = http.Serve(l, costStatistics()) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	l.Close()
}

// costStatistics answers as Icecast 2.4.4 does, with numbers that change.
func costStatistics() http.Handler {
	var asked atomic.Int64
	begun := time.Now()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		read := int64(time.Since(begun).Seconds() * 16_000)
		w.Header().Set("Connection", "close")
		switch r.URL.Path {
		case "/status-json.xsl":
			var sources []string
			for i, m := range costMounts {
				sources = append(sources, fmt.Sprintf(`{"audio_info":"bitrate=128","bitrate":128,"genre":"various","listener_peak":900,"listeners":%d,"listenurl":"http://%s%s","server_description":"Unspecified description","server_name":"Radio %d","server_type":"audio/mpeg","stream_start":"Sat, 28 Nov 2026 20:04:00 +0000","stream_start_iso8601":"2026-11-28T20:04:00+0000","title":"Artist - Title %d","dummy":null}`,
					100+n%50, r.Host, m, i, n/1000))
			}
			w.Header().Set("Content-Type", "text/json")
			fmt.Fprintf(w, `{"icestats":{"admin":"icemaster@localhost","host":"localhost","location":"Earth","server_id":"Icecast 2.4.4","server_start":"Sat, 28 Nov 2026 20:04:00 +0000","server_start_iso8601":"2026-11-28T20:04:00+0000","source":[%s]}}`, strings.Join(sources, ","))
		case "/admin/stats":
			w.Header().Set("Content-Type", "text/xml")
			fmt.Fprint(w, "<?xml version=\"1.0\"?>\n<icestats><admin>icemaster@localhost</admin><client_connections>1234</client_connections><clients>300</clients><connections>5678</connections><listeners>300</listeners><server_id>Icecast 2.4.4</server_id><sources>3</sources>")
			for i, m := range costMounts {
				fmt.Fprintf(w, "<source mount=\"%s\"><audio_info>bitrate=128</audio_info><bitrate>128</bitrate><listener_peak>900</listener_peak><listeners>%d</listeners><listenurl>http://%s%s</listenurl><max_listeners>unlimited</max_listeners><server_name>Radio %d</server_name><server_type>audio/mpeg</server_type><slow_listeners>0</slow_listeners><source_ip>127.0.0.1</source_ip><title>Artist - Title %d</title><total_bytes_read>%d</total_bytes_read><total_bytes_sent>%d</total_bytes_sent></source>",
					m, 100+n%50, r.Host, m, i, n/1000, read, read*100)
			}
			fmt.Fprint(w, "</icestats>")
		default:
			w.Header().Set("Content-Type", "audio/mpeg")
			audio := make([]byte, 1600)
			_, _ = w.Write(make([]byte, 64<<10))
			for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
				if _, err := w.Write(audio); err != nil {
					tick.Stop()
					return
				}
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
}
