//go:build unix

package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// stated is within what the director's answer equals a listener's in this test, whose
// probes are four times as frequent as the defaults: a doubt takes a minute at most, and
// nothing here needs that. It is generous for a busy machine.
const stated = 60 * time.Second

// A table is nodes of all kinds and a director's prober over them.
type table struct {
	*Prober
	t      *testing.T
	config director.Config
	client *http.Client
	count  int
}

// answer is what the director would say to a listener of one node alone.
func (b *table) answer(node director.NodeID, mount string, scheme director.Scheme) string {
	i := slices.IndexFunc(b.config.Nodes, func(n director.Node) bool { return n.ID == node })
	c := director.Config{Nodes: b.config.Nodes[i : i+1], Mounts: b.config.Mounts}
	f, err := director.Compile(c)
	if err != nil {
		b.t.Fatal(err)
	}
	reports := map[director.NodeID]director.Report{}
	for _, r := range b.Reports() {
		reports[r.Node] = r
	}
	var d director.Decision
	f.Build(nil, director.Input{Now: time.Now(), Reports: reports}).Decide(&d, director.Listener{Mount: mount, Scheme: scheme}, nil)
	switch {
	case d.Outcome == director.Full && len(d.Ranked) == 0:
		return "full"
	case len(d.Ranked) == 0, d.Outcome == director.Dark:
		return "silent"
	}
	return "plays"
}

// listener is what a listener gets who asks the node itself, by a client of Go's own.
func (b *table) listener(node director.NodeID, mount string, scheme director.Scheme, patient bool) string {
	i := slices.IndexFunc(b.config.Nodes, func(n director.Node) bool { return n.ID == node })
	n := b.config.Nodes[i]
	base := ""
	for _, u := range n.URLs {
		if strings.HasPrefix(u, scheme.String()+":") {
			base = u
		}
	}
	path := mount
	if p, ok := n.Paths[mount]; ok {
		path = p
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return "silent"
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized {
		return "plays" // for those who have a password
	}
	if resp.StatusCode != http.StatusOK {
		page, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		if bytes.Contains(bytes.ToLower(page), []byte("max listeners reached")) {
			return "full"
		}
		return "silent"
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return "silent"
	}
	want := 1
	if patient {
		want = 120_000 // more than the server keeps
	}
	if n, _ := io.CopyN(io.Discard, resp.Body, int64(want)); n < int64(want) {
		return "silent"
	}
	return "plays"
}

// same waits until director and listener agree.
func (b *table) same(situation string, node director.NodeID, mount string, scheme director.Scheme, want string) {
	b.t.Helper()
	b.count++
	begun := time.Now()
	if got := b.listener(node, mount, scheme, strings.Contains(situation, "hangs")); got != want {
		b.t.Errorf("%s: %s%s by %v %s for a listener, want %s", situation, node, mount, scheme, got, want)
	}
	for {
		got := b.answer(node, mount, scheme)
		if got == want {
			b.t.Logf("%-34s %s%s by %v %s, after %v", situation, node, mount, scheme, got, time.Since(begun).Round(time.Millisecond))
			return
		}
		if time.Since(begun) > stated {
			r := b.Reports()[slices.IndexFunc(b.Reports(), func(r director.Report) bool { return r.Node == node })]
			b.t.Errorf("%s: %s%s by %v: the director says %s, a listener gets %s: %s %+v", situation, node, mount, scheme, got, want, r.Detail, r.Verdicts)
			return
		}
		time.Sleep(20 * time.Millisecond) // between polls
	}
}

// TestDirectorEqualsListener: whatever a listener gets of a mount at a real server, the
// director knows.
func TestDirectorEqualsListener(t *testing.T) {
	t.Parallel()
	const plays, silent, full = "plays", "silent", "full"
	master := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.21", Mounts: []probetest.Mount{
		{Path: "/live.mp3"}, {Path: "/spare.mp3"}, {Path: "/fb.mp3", Fallback: "/spare.mp3"}, {Path: "/bare.mp3", Silent: true},
		{Path: "/hidden.mp3", Hidden: true}, {Path: "/members.mp3", Member: "ann:secret"}, {Path: "/one.mp3", MaxListeners: 1}, {Path: "/short.mp3", MaxSeconds: 2},
	}})
	slave := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.22", Relays: []probetest.Relay{
		{From: master, Mount: "/live.mp3", As: "/live.mp3", OnDemand: true}, {From: master, Mount: "/bare.mp3", As: "/bare.mp3", OnDemand: true},
		{From: master, Mount: "/fb.mp3", As: "/fb.mp3"},
	}})
	ca, other := probetest.NewAuthority(t), probetest.NewAuthority(t)
	later := time.Now().Add(time.Hour)
	page := says(audioPage)
	secure := func(cert tls.Certificate) []string { return []string{rawServer(t, page), secureServer(t, cert, page)} }
	web := probetest.Nginx(t, fmt.Sprintf(`
  location /listen/studio/ { proxy_pass %s/; }
  location = /hls/live.mp3 { return 200 "#EXTM3U"; }
  location = /hls/spare.mp3 { return 302 /hls/live.mp3; }
  location = /hls/fb.mp3 { default_type text/html; return 200 "<html>"; }
  location = /hls/hidden.mp3 { return 403; }
  location /hls/ { return 404; }
`, master.URL()))
	mpd := rawServer(t, page)               // MPD's httpd answers any path with its stream
	dnas := rawServer(t, func(c net.Conn) { // by SHOUTcast's own recordings
		switch strings.Fields(readRequest(c) + " - -")[1] {
		case "/statistics?json=1":
			_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"+dnasAll)
		case "/stream/1/":
			_, _ = io.WriteString(c, audioPage)
		default:
			_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		}
	})

	b := &table{t: t, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool}}}}
	add := func(id director.NodeID, urls ...string) {
		b.config.Nodes = append(b.config.Nodes, director.Node{ID: id, URLs: urls})
	}
	add("ice", master.URL())
	add("public", master.URL())
	add("slave", slave.URL())
	add("below", web+"/listen/studio")
	add("hls", web+"/hls")
	add("mpd", mpd)
	add("good", secure(ca.Issue("127.0.0.1", later))...)
	add("expired", secure(ca.Issue("127.0.0.1", time.Now().Add(-time.Hour)))...)
	add("name", secure(ca.Issue("other.example", later))...)
	add("self", secure(other.Issue("127.0.0.1", later))...)
	add("nowhere", rawServer(t, page), "https://127.0.0.1:1")
	add("dead", "http://127.0.0.1:1")
	b.config.Nodes = append(b.config.Nodes, director.Node{ID: "dnas", URLs: []string{dnas}, Paths: map[string]string{"/live.mp3": "/stream/1/", "/spare.mp3": "/stream/2/"}})
	kinds := map[director.NodeID]string{"hls": "http", "mpd": "http", "good": "http", "expired": "http", "name": "http", "self": "http", "nowhere": "http", "dnas": "shoutcast"}
	harbor, installed := probetest.Liquidsoap(t)
	if !installed {
		t.Log("liquidsoap is not installed: its harbor is played by 404 at / and a stream at its mount, as it was recorded")
		harbor = rawServer(t, func(c net.Conn) {
			answer := "HTTP/1.0 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html>"
			if strings.HasPrefix(readRequest(c), "GET /live.mp3 ") {
				answer = audioPage
			}
			_, _ = io.WriteString(c, answer)
		})
	}
	add("harbor", harbor)
	add("harbor-http", harbor)
	kinds["harbor-http"] = "http"
	for _, m := range []string{"/live.mp3", "/spare.mp3", "/fb.mp3", "/bare.mp3", "/hidden.mp3", "/members.mp3", "/one.mp3", "/short.mp3", "/nothing.mp3"} {
		b.config.Mounts = append(b.config.Mounts, director.Mount{Name: m})
	}
	user, password := master.Credentials()
	b.Prober = New(Config{
		Interval: 500 * time.Millisecond, Timeout: 5 * time.Second, Recheck: 100 * time.Millisecond, TLS: &tls.Config{RootCAs: ca.Pool},
		Kind:        func(id director.NodeID) string { return kinds[id] },
		Credentials: func(id director.NodeID) (string, string, bool) { return user, password, id == "ice" },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	b.SetNodes(b.config.Nodes, b.config.Mounts)
	<-b.First()

	const plain, tlsOnly = director.HTTP, director.HTTPS
	for _, node := range []director.NodeID{"ice", "public", "below"} {
		for _, m := range []string{"/live.mp3", "/spare.mp3", "/fb.mp3", "/hidden.mp3", "/members.mp3", "/short.mp3"} {
			b.same("it has its source", node, m, plain, plays)
		}
		b.same("it has no source", node, "/bare.mp3", plain, silent)
		b.same("nobody knows it", node, "/nothing.mp3", plain, silent)
	}
	b.same("relay on demand", "slave", "/live.mp3", plain, plays)
	b.same("its master has no source", "slave", "/bare.mp3", plain, silent)
	b.same("relay", "slave", "/fb.mp3", plain, plays)
	b.same("a playlist", "hls", "/live.mp3", plain, plays)
	b.same("redirected there", "hls", "/spare.mp3", plain, plays)
	b.same("a page", "hls", "/fb.mp3", plain, silent)
	b.same("forbidden", "hls", "/hidden.mp3", plain, silent)
	b.same("404", "hls", "/bare.mp3", plain, silent)
	b.same("any path is the stream", "mpd", "/nothing.mp3", plain, plays)
	b.same("a source", "dnas", "/live.mp3", plain, plays)
	b.same("no source", "dnas", "/spare.mp3", plain, silent)
	b.same("harbor", "harbor", "/live.mp3", plain, plays)
	b.same("harbor, another mount", "harbor", "/bare.mp3", plain, silent)
	b.same("harbor", "harbor-http", "/live.mp3", plain, plays)
	b.same("harbor, another mount", "harbor-http", "/bare.mp3", plain, silent)
	b.same("nobody is there", "dead", "/live.mp3", plain, silent)
	for _, node := range []director.NodeID{"good", "expired", "name", "self", "nowhere"} {
		b.same("by http all is well", node, "/live.mp3", plain, plays)
		b.same("by https", node, "/live.mp3", tlsOnly, map[bool]string{true: plays, false: silent}[node == "good"])
	}

	conn, err := net.Dial("tcp", strings.TrimPrefix(master.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	fmt.Fprint(conn, "GET /one.mp3 HTTP/1.0\r\n\r\n")
	for deadline := time.Now().Add(stated); b.listener("ice", "/one.mp3", plain, false) != full; {
		if time.Now().After(deadline) {
			t.Fatal("it is never full")
		}
	}
	b.same("its only seat is taken", "ice", "/one.mp3", plain, full)
	b.same("its only seat is taken", "public", "/one.mp3", plain, full)
	conn.Close()

	master.KillSource("/fb.mp3")
	b.same("its fallback plays", "ice", "/fb.mp3", plain, plays)
	b.same("its fallback plays", "public", "/fb.mp3", plain, plays)
	b.same("its fallback plays", "below", "/fb.mp3", plain, plays)
	b.same("its master fell back", "slave", "/fb.mp3", plain, plays)
	master.KillSource("/hidden.mp3")
	b.same("its source is gone", "ice", "/hidden.mp3", plain, silent)
	master.StartSource("/bare.mp3")
	b.same("its source has come", "ice", "/bare.mp3", plain, plays)
	b.same("its source has come", "public", "/bare.mp3", plain, plays)
	b.same("its source has come", "below", "/bare.mp3", plain, plays)
	master.KillSource("/spare.mp3")
	b.same("and no fallback either", "ice", "/fb.mp3", plain, silent)
	b.same("and no fallback either", "public", "/fb.mp3", plain, silent)
	master.StartSource("/fb.mp3")
	b.same("it is back", "ice", "/fb.mp3", plain, plays)
	master.StopSource("/live.mp3")
	b.same("its source hangs", "ice", "/live.mp3", plain, silent)
	master.ContSource("/live.mp3")
	b.same("it goes on", "ice", "/live.mp3", plain, plays)
	master.Kill()
	b.same("its server is dead", "ice", "/live.mp3", plain, silent)
	b.same("its server is dead", "below", "/live.mp3", plain, silent)
	if b.count < 40 {
		t.Errorf("only %d situations", b.count)
	}
	t.Logf("%d situations", b.count)
}
