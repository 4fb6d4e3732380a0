package service

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/demonode"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/proxy"
)

const inlineFleet = `
listen: {http: "127.0.0.1:0", max_per_key: 0, max_per_address: 0}
admin: {listen: ""}
mounts: [/live.mp3]
proxy: {drain_timeout: 1s}
rules: [{answer: proxy}]
nodes:
  - {id: one, urls: %q, drained: %v}
  - {id: two, urls: %q, drained: %v}
`

// TestInline follows one listener whose stream is carried inline: its node is
// drained, then taken out, then the director stops; one record tells of it all.
func TestInline(t *testing.T) {
	t.Parallel()
	var urls [2]string
	for i := range urls {
		n := demonode.New(demonode.Options{Addr: "127.0.0.1:0"})
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		urls[i] = n.URL()
	}
	configured := func(one, two bool) *config.Settings {
		s, err := readConfig(t, "radio.yaml", fmt.Appendf(nil, inlineFleet, urls[0], one, urls[1], two))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	records := make(chan web.Record, 10)
	d, err := Start(configured(false, true), Options{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Record: func(r *web.Record) { records <- *r },
	})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			d.Close()
		}
	}()
	var stream *bufio.Reader
	eventually(t, "a stream", func() bool {
		stream = listenTo(t, d.addrs[0].String())
		return stream != nil
	})
	for len(records) > 0 { // of what was tried before
		<-records
	}
	comesFrom(t, d, "one")
	if err := d.apply(configured(true, false)); err != nil {
		t.Fatal(err)
	}
	comesFrom(t, d, "two")
	if _, err := io.CopyN(io.Discard, stream, 10_000); err != nil {
		t.Errorf("after the failover: %v", err)
	}
	d.Close()
	closed = true
	if _, err := io.Copy(io.Discard, stream); err != nil {
		t.Errorf("at the end: %v", err)
	}
	if len(records) != 1 {
		t.Fatalf("%d records of one stream", len(records))
	}
	r := <-records
	if r.Answer != web.Proxy || r.Node != "two" || r.End != string(proxy.EndDrained) || r.Bytes < 10_000 || r.Duration <= 0 || r.UserAgent != "test/1" || r.Status != 200 {
		t.Errorf("record %+v", r)
	}
}

// TestWhoIsCounted: the fleet's numbers have every inline listener, and the node only
// the connections that it has.
func TestWhoIsCounted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		alone      string
		used, most int // connections; at the most with those that are counted twice at once
	}{"shared": {"false", 1, 4}, "per listener": {"true", 5, 11}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := demonode.New(demonode.Options{Addr: "127.0.0.1:0"})
			if err := n.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { n.Close() })
			text := strings.Replace(fmt.Sprintf(inlineFleet, n.URL(), false, "http://127.0.0.1:1", true), "proxy: {", "probe: {interval: 200ms}\nstore: {settle: 500ms}\nproxy: {per_listener: "+c.alone+", ", 1)
			s, err := readConfig(t, "radio.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			d, err := Start(s, Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			addr := d.addrs[0].String()
			eventually(t, "a stream", func() bool { return listenTo(t, addr) != nil })
			for range 4 {
				if listenTo(t, addr) == nil {
					t.Fatal("there was a stream a moment ago")
				}
			}
			used := func() (all, reported int) {
				v := d.syncer.View()
				i, _ := v.FindNode("one")
				return v.Live.Used(i), v.Node(i).Report.Listeners
			}
			// A report that came meanwhile counts those who are still counted as en route, too,
			// and the probe that listens.
			if got, reported := used(); got < c.used || got > c.most {
				t.Errorf("at once the node seems to hold %d listeners, %d of them reported; want %d to %d", got, reported, c.used, c.most)
			}
			fleet := func() string { return page(t, "http://"+addr+"/status-json.xsl") }
			eventually(t, "the fleet has five listeners", func() bool { return strings.Contains(fleet(), `"listeners":5`) })
			eventually(t, "the node reports what it has, and nobody is on the way", func() bool {
				v := d.syncer.View()
				i, _ := v.FindNode("one")
				all, reported := used()
				return v.Node(i).EnRoute == 0 && reported == c.used && all == c.used
			})
			if got := fleet(); !strings.Contains(got, `"listeners":5`) {
				t.Errorf("then the fleet has other numbers: %s", got)
			}
		})
	}
}

// comesFrom waits until one node, and no other, is where the inline stream comes from.
func comesFrom(t *testing.T, d *Service, node director.NodeID) {
	t.Helper()
	eventually(t, "the stream comes from "+string(node), func() bool {
		for _, s := range d.proxy.Streams() {
			return s.Listeners == 1 && len(s.Upstreams) == 1 && s.Upstreams[0].Node == node
		}
		return false
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

// listenTo asks for the stream; nil: there is none yet.
func listenTo(t *testing.T, addr string) *bufio.Reader {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	fmt.Fprint(conn, "GET /live.mp3 HTTP/1.0\r\nUser-Agent: test/1\r\n\r\n")
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(line, " 200 ") {
		conn.Close()
		return nil
	}
	t.Cleanup(func() { conn.Close() })
	return r
}

// page reads what is at a URL.
func page(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, resp.Status, err)
	}
	return string(b)
}
