package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// stated is within what the director's answer equals a listener's in this test: a doubt
// takes a minute at most, and little here needs that. It is generous for a busy machine.
const stated = 90 * time.Second

// What a listener gets.
const getsAudio, getsNothing, getsNoSeat = "plays", "silent", "full"

// A truth is one director over nodes of all kinds. Each node is the only one of a region
// of one address, so that a listener from there is answered about this node alone.
type truth struct {
	*signpost
	nodes  []truthNode
	client *http.Client // of Go's own; it follows redirects
	count  atomic.Int32
}

// situation is a mount at a node by a scheme, and what a listener gets of it.
type situation struct{ what, node, mount, scheme, want string }

// atOnce checks situations side by side.
func (b *truth) atOnce(all ...situation) {
	b.t.Helper()
	var checks sync.WaitGroup
	some := make(chan bool, 8) // more would be a storm for an Icecast
	for _, s := range all {
		some <- true
		checks.Go(func() { b.same(s.what, s.node, s.mount, s.scheme, s.want); <-some })
	}
	checks.Wait()
}

type truthNode struct {
	id, keys string   // keys: further ones, "kind: http, "
	urls     []string // by scheme
	paths    map[string]string
}

func (b *truth) node(id string) int {
	return slices.IndexFunc(b.nodes, func(n truthNode) bool { return n.id == id })
}

func (b *truth) config(mounts []string) string {
	var s strings.Builder
	s.WriteString("listen: {http: ['127.0.0.1:0'], trusted_proxies: [127.0.0.0/8], max_per_key: 0, max_per_address: 0}\n" +
		"admin: {listen: '127.0.0.1:0'}\nrules: {escalate: 'off', scheme_mismatch: deny}\nproxy: {max_listeners: 0}\n" +
		"probe: {interval: 500ms, timeout: 5s, recheck: 100ms}\nmounts:\n")
	for _, m := range mounts {
		fmt.Fprintf(&s, "  - {name: %s}\n", m)
	}
	s.WriteString("nodes:\n")
	for _, n := range b.nodes {
		fmt.Fprintf(&s, "  - {id: %s, %surls: ['%s']}\n", n.id, n.keys, strings.Join(n.urls, "', '"))
	}
	s.WriteString("regions:\n")
	for i, n := range b.nodes {
		fmt.Fprintf(&s, "  - {id: %s, match: {cidrs: [10.1.0.%d/32]}, weights: {%s: 1}}\n", n.id, i, n.id)
	}
	return s.String()
}

// answer is what the director says to a listener of the node, and where it is sent.
func (b *truth) answer(node, mount, scheme string) (what, location string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+mount, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.1.0.%d", b.node(node)))
	r.Header.Set("X-Forwarded-Proto", scheme)
	resp, err := client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode == http.StatusFound && strings.Contains(b.explainMount(mount, r.Header.Get("X-Forwarded-For")), `"outcome":"dark"`):
		return getsNothing, "" // it knows that nobody plays, and tries the last known good
	case resp.StatusCode == http.StatusFound:
		return getsAudio, resp.Header.Get("Location")
	case resp.StatusCode == http.StatusServiceUnavailable && bytes.Contains(text, []byte("are full")):
		return getsNoSeat, ""
	case resp.StatusCode == http.StatusServiceUnavailable:
		return getsNothing, ""
	}
	return fmt.Sprintf("%s: %s", resp.Status, text), ""
}

// at returns where a listener finds a mount at the node itself.
func (b *truth) at(node, mount, scheme string) string {
	n := b.nodes[b.node(node)]
	for _, base := range n.urls {
		if path, moved := n.paths[mount]; moved && strings.HasPrefix(base, scheme+":") {
			return base + path
		}
		if strings.HasPrefix(base, scheme+":") {
			return base + mount
		}
	}
	return ""
}

// listen is what a listener gets at a URL. A patient one wants more than servers keep.
func (b *truth) listen(url string, patient bool) string {
	ctx, cancel := context.WithTimeout(b.t.Context(), 15*time.Second) // what patient ones want takes 7 s
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return getsNothing
	}
	defer resp.Body.Close()
	want := 1
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return getsAudio // for those who have a password
	case resp.StatusCode != http.StatusOK:
		page, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		if bytes.Contains(bytes.ToLower(page), []byte("max listeners reached")) {
			return getsNoSeat
		}
		return getsNothing
	case strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"):
		return getsNothing
	case patient:
		want = 120_000
	}
	if n, _ := io.CopyN(io.Discard, resp.Body, int64(want)); n < int64(want) {
		return getsNothing
	}
	return getsAudio
}

// same waits until the director says what a listener gets at the node, which is want, and
// sends listeners there.
func (b *truth) same(what, node, mount, scheme, want string) {
	b.t.Helper()
	b.count.Add(1)
	begun := time.Now()
	hangs := strings.Contains(what, "hangs")
	if got := b.listen(b.at(node, mount, scheme), hangs); got != want {
		b.t.Errorf("%s: %s%s by %s %s for a listener, want %s", what, node, mount, scheme, got, want)
	}
	got, location := b.answer(node, mount, scheme)
	for ; got != want && time.Since(begun) < stated; got, location = b.answer(node, mount, scheme) {
		time.Sleep(100 * time.Millisecond) // between polls
	}
	switch {
	case got != want:
		b.t.Errorf("%s: %s%s by %s: the director says %s, a listener gets %s: %s", what, node, mount, scheme, got, want, b.explainMount(mount, fmt.Sprintf("10.1.0.%d", b.node(node))))
	case got == getsAudio && location != b.at(node, mount, scheme) && b.listen(location, false) != getsAudio:
		b.t.Errorf("%s: %s%s by %s: a listener is sent to %s, which plays nothing", what, node, mount, scheme, location)
	}
	b.t.Logf("%-34s %s%s by %s %s, after %v", what, node, mount, scheme, got, time.Since(begun).Round(time.Millisecond))
}

// playing is a server of one stream, of http or, with a certificate, of https. It plays
// at every path.
func playing(t *testing.T, certs ...tls.Certificate) string {
	return serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		_, _ = w.Write([]byte("audio"))
	}, certs...)
}

func serving(t *testing.T, h http.HandlerFunc, certs ...tls.Certificate) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	if len(certs) > 0 {
		url = "https://" + l.Addr().String()
		l = tls.NewListener(l, &tls.Config{Certificates: certs, MinVersion: tls.VersionTLS12})
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return url
}

// dnas answers as a SHOUTcast 2 that was recorded.
func dnas(w http.ResponseWriter, r *http.Request) {
	switch r.URL.RequestURI() {
	case "/statistics?json=1":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"totalstreams":2,"activestreams":1,"currentlisteners":15,"peaklisteners":40,"maxlisteners":512,"uniquelisteners":14,"averagetime":24,"version":"2.6.1.777 (posix(linux x64))","streams":[`+
			`{"id":1,"currentlisteners":10,"peaklisteners":30,"maxlisteners":500,"uniquelisteners":9,"averagetime":24,"servertitle":"Radio","songtitle":"A \"B\" - C","streamhits":30,"streamstatus":1,"backupstatus":0,"streamlisted":0,"streampath":"\/","streamuptime":1964,"bitrate":"96","samplerate":"44100","content":"audio\/mpeg"},`+
			`{"id":2,"currentlisteners":0,"peaklisteners":0,"maxlisteners":500,"streamstatus":0,"streampath":"\/stream\/2\/","bitrate":"0"}]}`)
	case "/stream/1/":
		w.Header().Set("Content-Type", "audio/mpeg")
		_, _ = w.Write([]byte("audio"))
	default:
		http.NotFound(w, r)
	}
}

// front has a first page and nothing else.
func front(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
	}
}

// TestDirectorEqualsListener: whatever a listener gets of a mount at a real server, the
// built program answers to that listener, within a stated time of every change.
func TestDirectorEqualsListener(t *testing.T) {
	t.Parallel()
	program(t)
	master := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.21", Mounts: []probetest.Mount{
		{Path: "/live.mp3"}, {Path: "/spare.mp3"}, {Path: "/fb.mp3", Fallback: "/spare.mp3"}, {Path: "/bare.mp3", Silent: true},
		{Path: "/hidden.mp3", Hidden: true}, {Path: "/members.mp3", Member: "ann:secret"}, {Path: "/one.mp3", MaxListeners: 1}, {Path: "/short.mp3", MaxSeconds: 2},
	}})
	slave := probetest.Icecast(t, probetest.Options{Addr: "127.0.0.22", Relays: []probetest.Relay{
		{From: master, Mount: "/live.mp3", As: "/live.mp3", OnDemand: true}, {From: master, Mount: "/bare.mp3", As: "/bare.mp3", OnDemand: true},
		{From: master, Mount: "/fb.mp3", As: "/fb.mp3"},
	}})
	ca, other := probetest.NewAuthority(t), probetest.NewAuthority(t)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	user, password := master.Credentials()
	credentials := filepath.Join(t.TempDir(), "credentials")
	for file, text := range map[string]string{roots: string(ca.PEM()), credentials: user + ":" + password} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Hour)
	web := probetest.Nginx(t, fmt.Sprintf(`
  location /listen/studio/ { proxy_pass %s/; }
  location = /hls/live.mp3 { return 200 "#EXTM3U"; }
  location = /hls/spare.mp3 { return 302 /hls/live.mp3; }
  location = /hls/fb.mp3 { default_type text/html; return 200 "<html>"; }
  location = /hls/hidden.mp3 { return 403; }
  location /hls/ { return 404; }
`, master.URL()))
	mpd := probetest.StartMPD(t)
	harbor, installed := probetest.Liquidsoap(t)
	if !installed {
		t.Log("liquidsoap is not installed: its harbor is played by 404 at / and a stream at its mount, as it was recorded")
		harbor = serving(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/live.mp3" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "audio/mpeg")
			_, _ = w.Write([]byte("audio"))
		})
	}

	b := &truth{client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: ca.Pool}}}}
	const web1 = "kind: http, "
	b.nodes = []truthNode{
		{id: "ice", keys: "credentials_file: '" + credentials + "', ", urls: []string{master.URL()}},
		{id: "public", urls: []string{master.URL()}},
		{id: "slave", urls: []string{slave.URL()}},
		{id: "below", urls: []string{web + "/listen/studio"}},
		{id: "hls", keys: web1, urls: []string{web + "/hls"}},
		{id: "front", keys: web1, urls: []string{serving(t, front)}},
		{id: "mpd", keys: web1, urls: []string{mpd.URL()}},
		{id: "good", keys: web1, urls: []string{playing(t), playing(t, ca.Issue("127.0.0.1", later))}},
		{id: "expired", keys: web1, urls: []string{playing(t), playing(t, ca.Issue("127.0.0.1", time.Now().Add(-time.Hour)))}},
		{id: "name", keys: web1, urls: []string{playing(t), playing(t, ca.Issue("other.example", later))}},
		{id: "self", keys: web1, urls: []string{playing(t), playing(t, other.Issue("127.0.0.1", later))}},
		{id: "nowhere", keys: web1, urls: []string{playing(t), "https://127.0.0.1:1"}},
		{id: "dead", urls: []string{"http://127.0.0.1:1"}},
		{id: "dnas", keys: "kind: shoutcast, paths: {/live.mp3: /stream/1/, /spare.mp3: /stream/2/}, ", urls: []string{serving(t, dnas)},
			paths: map[string]string{"/live.mp3": "/stream/1/", "/spare.mp3": "/stream/2/"}},
		{id: "harbor", urls: []string{harbor}},
		{id: "harbor-http", keys: web1, urls: []string{harbor}},
	}
	b.signpost = directLimited(t, 0, b.config([]string{"/live.mp3", "/spare.mp3", "/fb.mp3", "/bare.mp3", "/hidden.mp3", "/members.mp3", "/one.mp3", "/short.mp3", "/nothing.mp3"}),
		"SSL_CERT_FILE="+roots)

	var all []situation
	for _, node := range []string{"ice", "public", "below"} {
		for _, m := range []string{"/live.mp3", "/spare.mp3", "/fb.mp3", "/hidden.mp3", "/members.mp3", "/short.mp3"} {
			all = append(all, situation{"it has its source", node, m, "http", getsAudio})
		}
		all = append(all, situation{"it has no source", node, "/bare.mp3", "http", getsNothing})
		all = append(all, situation{"nobody knows it", node, "/nothing.mp3", "http", getsNothing})
	}
	all = append(all,
		situation{"relay on demand", "slave", "/live.mp3", "http", getsAudio},
		situation{"its master has no source", "slave", "/bare.mp3", "http", getsNothing},
		situation{"relay", "slave", "/fb.mp3", "http", getsAudio},
		situation{"a playlist", "hls", "/live.mp3", "http", getsAudio},
		situation{"redirected there", "hls", "/spare.mp3", "http", getsAudio},
		situation{"a page", "hls", "/fb.mp3", "http", getsNothing},
		situation{"forbidden", "hls", "/hidden.mp3", "http", getsNothing},
		situation{"404", "hls", "/bare.mp3", "http", getsNothing},
		situation{"404, though / is 200", "front", "/live.mp3", "http", getsNothing},
		situation{"any path is the stream", "mpd", "/nothing.mp3", "http", getsAudio},
		situation{"a source", "dnas", "/live.mp3", "http", getsAudio},
		situation{"no source", "dnas", "/spare.mp3", "http", getsNothing},
		situation{"harbor", "harbor", "/live.mp3", "http", getsAudio},
		situation{"harbor, another mount", "harbor", "/bare.mp3", "http", getsNothing},
		situation{"harbor", "harbor-http", "/live.mp3", "http", getsAudio},
		situation{"harbor, another mount", "harbor-http", "/bare.mp3", "http", getsNothing},
		situation{"nobody is there", "dead", "/live.mp3", "http", getsNothing},
	)
	for _, node := range []string{"good", "expired", "name", "self", "nowhere"} {
		all = append(all, situation{"by http all is well", node, "/live.mp3", "http", getsAudio})
		all = append(all, situation{"by https", node, "/live.mp3", "https", map[bool]string{true: getsAudio, false: getsNothing}[node == "good"]})
	}

	b.atOnce(all...)

	leave := listen(t, master.URL()+"/one.mp3")
	b.same("its only seat is taken", "ice", "/one.mp3", "http", getsNoSeat)
	b.same("its only seat is taken", "public", "/one.mp3", "http", getsNoSeat)
	leave()

	mpd.Stop()
	b.same("it plays nothing", "mpd", "/live.mp3", "http", getsNothing)
	mpd.Play()
	b.same("it plays again", "mpd", "/live.mp3", "http", getsAudio)
	master.KillSource("/fb.mp3")
	b.same("its fallback plays", "ice", "/fb.mp3", "http", getsAudio)
	b.same("its fallback plays", "public", "/fb.mp3", "http", getsAudio)
	b.same("its fallback plays", "below", "/fb.mp3", "http", getsAudio)
	b.same("its master fell back", "slave", "/fb.mp3", "http", getsAudio)
	master.KillSource("/hidden.mp3")
	b.same("its source is gone", "ice", "/hidden.mp3", "http", getsNothing)
	master.StartSource("/bare.mp3")
	b.same("its source has come", "ice", "/bare.mp3", "http", getsAudio)
	b.same("its source has come", "public", "/bare.mp3", "http", getsAudio)
	b.same("its source has come", "below", "/bare.mp3", "http", getsAudio)
	master.KillSource("/spare.mp3")
	b.same("and no fallback either", "ice", "/fb.mp3", "http", getsNothing)
	b.same("and no fallback either", "public", "/fb.mp3", "http", getsNothing)
	master.StartSource("/fb.mp3")
	b.same("it is back", "ice", "/fb.mp3", "http", getsAudio)
	master.StopSource("/live.mp3")
	b.same("its source hangs", "ice", "/live.mp3", "http", getsNothing)
	master.ContSource("/live.mp3")
	b.same("it goes on", "ice", "/live.mp3", "http", getsAudio)
	master.Kill()
	b.same("its server is dead", "ice", "/live.mp3", "http", getsNothing)
	b.same("its server is dead", "below", "/live.mp3", "http", getsNothing)
	t.Logf("%d situations", b.count.Load())
}
