//go:build unix

package web

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// rawRequest is a request as bytes, and why Icecast and Signpost answer it differently,
// where they do.
type rawRequest struct {
	said string
	why  string // empty: both serve it, or both refuse it with the same status
}

const (
	whyBody      = "it may have a body: where a request ends must not be in doubt, because a proxy in front may see another end"
	whyTwoHosts  = "two Hosts that differ: a proxy in front may use the other one"
	whyFolded    = "a line that continues the line before: one server reads it as a part of that line, another as a header of its own"
	whyControl   = "a control character in a path may end a line of a header or of a playlist; Icecast ends the path at a NUL"
	whySilent    = "Icecast closes without an answer; a status says what is wrong"
	whyDots      = "Icecast closes, because it has files below its paths; here nothing is a file, and there is no such mount"
	whySource    = "Icecast asks a source for its password; sources go to nodes"
	whyAdmin     = "a director's operators have an address and port of their own"
	whyOptions   = "browsers send OPTIONS before they fetch; Icecast 2.4 closes, and the fetch fails"
	whyHEAD      = "Icecast 2.4 has no HEAD; players such as Kodi use it"
	whyShoutcast = "what SHOUTcast's players ask for"
	whyAbsolute  = "an absolute URL is for proxies; RFC 9112 requires every server to accept it"
)

// rawRequests are well-formed, crude and hostile.
func rawRequests() []rawRequest {
	const get, end, host = "GET /live.mp3 HTTP/1.1\r\n", "\r\n", "Host: radio.example\r\n"
	const get10 = "GET /live.mp3 HTTP/1.0\r\n"
	var all []rawRequest
	add := func(why string, said ...string) {
		for _, s := range said {
			all = append(all, rawRequest{s, why})
		}
	}
	// Well-formed: what players say.
	add("",
		get+host+end, get10+end, get10+host+end,
		get10+"User-Agent: xmms/1.2.7\r\nAccept: * / *\r\n"+host+end,
		get+host+"Icy-MetaData: 1\r\nRange: bytes=0-\r\nConnection: close\r\nUser-Agent: Lavf/59\r\n"+end,
		get+host+"icy-metadata: 1\r\naccept-encoding: identity\r\n"+end,
		get10+"Host: radio.example:8000\r\nUser-Agent: NSPlayer/4.1.0.3856\r\nPragma: xClientGUID={c77e7400-738a-11d2-9add-0020af0a3278}\r\n"+end,
		get+host+"User-Agent: \r\n"+end, get+host+"Accept:\r\n"+end, get+"host: radio.example\r\n"+end, get+"HOST:radio.example\r\n"+end,
		get+host+"Cookie: a=b; c=d\r\nReferer: http://x/\r\nOrigin: null\r\n"+end,
		get+host+"Connection: keep-alive\r\n"+end, get+host+"Connection: Keep-Alive, TE\r\nTE: trailers\r\n"+end,
		get+host+"Upgrade-Insecure-Requests: 1\r\n"+end, get+host+"DNT: 1\r\nSec-Fetch-Dest: audio\r\n"+end,
		"GET /live.mp3?token=abc HTTP/1.1\r\n"+host+end, "GET /live.mp3?a=%09b HTTP/1.1\r\n"+host+end, "GET /live.mp3?a=%00 HTTP/1.1\r\n"+host+end,
		"GET /live.mp3?a=%0d%0aX:%20y HTTP/1.1\r\n"+host+end, "GET /live.mp3?a=b&&c=?/ HTTP/1.1\r\n"+host+end, "GET /live.mp3? HTTP/1.1\r\n"+host+end,
		"GET /live%2Emp3 HTTP/1.1\r\n"+host+end, "GET /%6Cive.mp3 HTTP/1.1\r\n"+host+end,
		"GET /nothing.mp3 HTTP/1.1\r\n"+host+end, "GET /LIVE.MP3 HTTP/1.1\r\n"+host+end, "GET /live.mp3.bak HTTP/1.0\r\n"+end, "GET /live HTTP/1.0\r\n"+end,
		"GET /live.mp3.m3u HTTP/1.0\r\n"+host+end, "GET /status-json.xsl HTTP/1.0\r\n"+end,
		get+host+strings.Repeat("X-Header: value\r\n", 40)+end, get+host+"X: "+strings.Repeat("x", 2000)+"\r\n"+end, get+host+"X: \xe9\xff\r\n"+end,
	)
	// Crude: what is served all the same.
	add("",
		get+end, get+"User-Agent: radio\r\n"+end, get+"Icy-MetaData:1\r\n"+end, get+"Host:\r\n"+end,
		get10+"User-Agent : radio\r\n"+end, get+host+"Icy-MetaData : 1\r\n"+end, get+"Host : radio.example\r\n"+end, get10+"User-Agent\t: radio\r\n"+end,
		get10+"Ultravox transport type: TCP\r\n"+end, get+host+"Ultravox transport type: TCP\r\n"+end, get10+"X(1): y\r\n"+end, get10+"A/B: c\r\n"+end,
		get10+"X@Y: z\r\n"+end, get10+"\"quoted\": y\r\n"+end, get10+"Größe: 1\r\n"+end,
		get+host+host+end, get+host+"Host:radio.example\r\n"+end, get10+host+host+host+end,
		"GET /live.mp3 HTTP/1.0 \r\n"+end, "GET /live.mp3 HTTP/1.1 \r\n"+host+end, "GET  /live.mp3 HTTP/1.0\r\n"+end, "GET /live.mp3  HTTP/1.1\r\n"+host+end,
		"GET /live.mp3 HTTP/1.1\t\r\n"+host+end,
		get10+"nonsense\r\n"+end, get+host+"no colon here\r\n"+end, get10+": empty name\r\n"+end, get10+":\r\n"+end,
		get+"Host: a/b\r\n"+end, get+"Host: radio.example/live\r\n"+end, get+"Host: a b\r\n"+end, get+"Host: [\r\n"+end,
		get10+"X: \x01\x02\r\n"+end, get10+"X: a\x7fb\r\n"+end,
		"GET /live.mp3 HTTP/1.0\n\n", "GET /live.mp3 HTTP/1.1\nHost: x\n\n", "GET /live.mp3 HTTP/1.1\n\n", "GET /live.mp3 HTTP/1.0 \nA : b\n\n",
		"GET /live.mp3?sid=1 HTTP/1.0 \r\n"+end, "GET /live.mp3?a=b HTTP/1.1\r\n"+end, "GET /nothing HTTP/1.1\r\n"+end,
		get10+"Accept: */*\r\nAccept : audio/mpeg\r\n"+end, get10+"Icy-MetaData: \r\nIcy-MetaData : 1\r\n"+end,
	)
	// Hostile, or never meant for a player: refused by both, each in its own way.
	add(whySilent,
		"nonsense\r\n"+end, "\x00\x01\x02\r\n"+end, "GET\r\n"+end, "GET /live.mp3\r\n"+end, "GET /live.mp3 FTP/1.0\r\n"+end,
		"BREW /live.mp3 HTTP/1.0\r\n"+end, "DELETE /live.mp3 HTTP/1.1\r\n"+host+end, "CONNECT x:80 HTTP/1.0\r\n"+end,
		"GET * HTTP/1.0\r\n"+end, "GET\t/live.mp3 HTTP/1.0\r\n"+end,
	)
	add(whyDots, "GET /../../etc/passwd HTTP/1.0\r\n"+end, "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.0\r\n"+end, "GET /live.mp3/../x HTTP/1.0\r\n"+end)
	add(whySource, "SOURCE /live.mp3 ICE/1.0\r\n"+end)
	add(whyAdmin, "GET /admin/stats HTTP/1.0\r\n"+end)
	add(whyBody,
		get+host+"Content-Length: 3\r\nContent-Length: 4\r\n"+end+"abcd", get+host+"Content-Length : 3\r\n"+end+"abc",
		get+host+"Transfer-Encoding : chunked\r\n"+end+"0\r\n\r\n", get+host+"Transfer-Encoding: gzip\r\n"+end, get+"Content-Length: x\r\n"+host+end,
	)
	add(whyTwoHosts, get+host+"Host: other.example\r\n"+end, get10+host+"Host: other.example\r\n"+end)
	add(whyFolded, get+host+" X: y\r\n"+end)
	add(whyControl, "GET /live.mp3%0d%0aX:%20y HTTP/1.1\r\n"+host+end, "GET /live.mp3%00.txt HTTP/1.0\r\n"+end)
	add(whyHEAD, "HEAD /live.mp3 HTTP/1.1\r\n"+host+end, "HEAD /live.mp3 HTTP/1.1\r\n"+end)
	add(whyOptions, "OPTIONS /live.mp3 HTTP/1.1\r\n"+host+end)
	add(whyShoutcast, "GET /; HTTP/1.0\r\n"+end, "GET /live.mp3;stream.nsv HTTP/1.0\r\n"+end, "GET /7.html HTTP/1.0\r\n"+end)
	add(whyAbsolute, "GET http://radio.example/live.mp3 HTTP/1.1\r\n"+host+end)
	return all
}

// TestRawRequests says a hundred requests to a real Icecast 2.4.4 and to Signpost. They are
// answered alike, a redirect here being a stream there, but where the table above has a
// reason. docs/raw-requests.md shows the differences to people.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	icecast := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3"}}})
	w := newWorld(t, func(c *Config) { c.Policy.PerKey, c.Policy.PerAddress = -1, -1 })
	w.fleet.Mounts = []director.Mount{{Name: "/live.mp3"}}
	w.build()
	ours := w.serve()
	all := rawRequests()
	if len(all) < 100 {
		t.Errorf("%d requests only", len(all))
	}
	seen := map[string]bool{}
	answers := make([][2]string, len(all))
	slots := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for i, r := range all {
		if seen[r.said] {
			t.Errorf("%q is there twice", r.said)
		}
		seen[r.said] = true
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			theirs, own := statusOf(t, strings.TrimPrefix(icecast.URL(), "http://"), r.said), statusOf(t, ours, r.said)
			answers[i] = [2]string{theirs, own}
			if differ := theirs != own && (theirs != "200" || own != "302"); differ != (r.why != "") {
				t.Errorf("%.150q: Icecast says %s, Signpost %s; reason %q", r.said, theirs, own, r.why)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	page := rawRequestsPage(all, answers)
	const file = "../docs/raw-requests.md"
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if was, err := os.ReadFile(file); err != nil || string(was) != page {
		t.Errorf("%s is stale, %v; -update writes it anew", file, err)
	}
}

// rawRequestsPage is the table of differences.
func rawRequestsPage(all []rawRequest, answers [][2]string) string {
	var b strings.Builder
	alike, served := 0, 0
	for i, r := range all {
		if r.why == "" {
			alike++
		}
		if answers[i][1] == "302" {
			served++
		}
	}
	fmt.Fprintf(&b, `# Raw requests, at Icecast and here

<!-- Made by go test ./web -run RawRequests -update. -->

A test sends %d requests, well-formed, crude and hostile, byte by byte to a real Icecast 2.4.4 and to Signpost. Both answer %d of them alike (a
redirect here is a stream there). Signpost serves %d. The table lists those that are answered differently. "none" means that the connection is closed
without an answer.

| Request | Icecast | Signpost | Why |
|---|---|---|---|
`, len(all), alike, served)
	for i, r := range all {
		if r.why != "" {
			said := strings.ReplaceAll(strings.Trim(fmt.Sprintf("%q", r.said), `"`), "|", `\|`)
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", said, answers[i][0], answers[i][1], r.why)
		}
	}
	return b.String()
}

// statusOf says something and returns the status that comes back; "none" if nothing does.
func statusOf(t *testing.T, addr, said string) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return "none"
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, said); err != nil {
		return "none"
	}
	var first [12]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return "none"
	}
	return string(first[9:])
}
